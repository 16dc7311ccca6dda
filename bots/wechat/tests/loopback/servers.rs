//! WeChat's servers: they call the bot with messages, and they serve the API that it calls.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::post,
};
use bedside_wechat::{
    crypto::{AesKey, open, seal},
    signature::sign,
    xml::{cdata, parse},
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener};

pub(crate) const TOKEN: &str = "Callback7oken";
pub(crate) const AES_KEY: &str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR";
pub(crate) const OLD_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
pub(crate) const APPID: &str = "wx49f0ab532d5d035a";
pub(crate) const SECRET: &str = "AppS3cretOfTheAccount";
const ACCOUNT: &str = "gh_7f083739789a";

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn key(encoded: &str) -> AesKey {
    AesKey::parse(encoded).unwrap()
}

/// WeChat as it calls us.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) url: String,
    aes_key: &'static str,
}

/// What a patient sees of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Text(String),
    /// `success`: nothing.
    Nothing,
}

pub(crate) fn text(text: &str) -> Shown {
    Shown::Text(text.to_owned())
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            url: format!("http://{address}/wechat"),
            aes_key: AES_KEY,
        }
    }

    pub(crate) fn with_key(&self, aes_key: &'static str) -> Self {
        let caller = self.clone();
        Self { aes_key, ..caller }
    }

    /// A request with the ciphertext `encrypted`, signed now or at another time.
    pub(crate) fn sealed(&self, encrypted: &str, time: u64) -> RequestBuilder {
        let body = format!(
            "<xml><ToUserName>{}</ToUserName><Encrypt>{}</Encrypt></xml>",
            cdata(ACCOUNT),
            cdata(encrypted)
        );
        let (time, nonce) = (time.to_string(), "486452656");
        let query = [
            ("signature", sign(&[TOKEN, &time, nonce])),
            ("timestamp", time.clone()),
            ("nonce", nonce.to_owned()),
            ("openid", "unsigned".to_owned()),
            ("encrypt_type", "aes".to_owned()),
            ("msg_signature", sign(&[TOKEN, &time, nonce, encrypted])),
        ];
        self.client.post(&self.url).query(&query).body(body)
    }

    pub(crate) fn of_xml(&self, xml: &str) -> RequestBuilder {
        self.sealed(&seal(&key(self.aes_key), APPID, xml, [9; 16]), now())
    }

    /// A text message of this patient.
    pub(crate) fn message(&self, patient: &str, id: &str, words: &str) -> RequestBuilder {
        let content = format!(
            "<MsgType><![CDATA[text]]></MsgType><Content>{}</Content><MsgId>{id}</MsgId>",
            cdata(words)
        );
        self.of_xml(&xml_from(patient, &content))
    }

    pub(crate) fn event(&self, patient: &str, event: &str) -> RequestBuilder {
        let content =
            format!("<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event><EventKey/>");
        self.of_xml(&xml_from(patient, &content))
    }

    /// Sends it and reads the reply as WeChat does.
    pub(crate) async fn shown(&self, request: RequestBuilder, patient: &str) -> Shown {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.text().await.unwrap();
        if body == "success" {
            return Shown::Nothing;
        }
        let outer = parse(body.as_bytes()).unwrap();
        let field = |name: &str| outer.get(name).unwrap();
        let encrypted = field("Encrypt");
        let fields = [TOKEN, field("TimeStamp"), field("Nonce"), encrypted];
        assert_eq!(field("MsgSignature"), sign(&fields));
        let inner = open(&key(self.aes_key), APPID, encrypted).unwrap();
        let inner = parse(inner.as_bytes()).unwrap();
        assert_eq!(
            inner.get("ToUserName"),
            Some(patient),
            "the reply is this patient's"
        );
        assert_eq!(inner.get("FromUserName"), Some(ACCOUNT));
        assert_eq!(inner.get("MsgType"), Some("text"));
        text(inner.raw("Content").unwrap())
    }

    /// One try of a message: WeChat hangs up after a while.
    pub(crate) async fn one_try(
        &self,
        patient: &str,
        id: &str,
        words: &str,
        patience: Duration,
    ) -> Option<Shown> {
        let request = self.message(patient, id, words);
        tokio::time::timeout(patience, self.shown(request, patient))
            .await
            .ok()
    }
}

pub(crate) fn xml_from(patient: &str, content: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><FromUserName><![CDATA[{patient}]]></FromUserName>\
         <CreateTime>{}</CreateTime>{content}</xml>",
        now()
    )
}

/// WeChat's API.
#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<ApiState>>,
}

#[derive(Default)]
struct ApiState {
    calls: Vec<(String, Value)>,
    scripted: VecDeque<Value>,
    tokens_given: u32,
    good_token: Option<String>,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::default();
        let router = Router::new()
            .route("/cgi-bin/stable_token", post(token))
            .route("/cgi-bin/message/custom/{what}", post(custom))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    /// The next message or notice is answered with this.
    pub(crate) fn script(&self, answer: Value) {
        self.state.lock().unwrap().scripted.push_back(answer);
    }

    pub(crate) fn script_code(&self, code: i64) {
        self.script(json!({"errcode": code, "errmsg": "no: my chest hurts"}));
    }

    /// All tokens given so far are refused from now on.
    pub(crate) fn forget_tokens(&self) {
        self.state.lock().unwrap().good_token = None;
    }

    /// Path's last word and body of each call, tokens included.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().calls.clone()
    }

    pub(crate) fn called(&self) -> Vec<String> {
        self.calls().into_iter().map(|(what, _)| what).collect()
    }
}

async fn token(State(state): State<Arc<Mutex<ApiState>>>, Json(body): Json<Value>) -> Json<Value> {
    // Long enough for others to ask meanwhile.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut state = state.lock().unwrap();
    state.calls.push(("stable_token".to_owned(), body.clone()));
    if body["appid"] != APPID || body["secret"] != SECRET || body["grant_type"] != "client_credential" {
        return Json(json!({"errcode": 40125, "errmsg": "invalid appsecret"}));
    }
    let is_forced = body["force_refresh"] == true;
    if state.good_token.is_none() && !is_forced && state.tokens_given > 0 {
        // As WeChat: without force the same token again, good or not.
        return Json(json!({"access_token": "TOKEN-gone", "expires_in": 7200}));
    }
    state.tokens_given += 1;
    let token = format!("TOKEN-{}", state.tokens_given);
    state.good_token = Some(token.clone());
    Json(json!({"access_token": token, "expires_in": 7200}))
}

async fn custom(
    State(state): State<Arc<Mutex<ApiState>>>,
    axum::extract::Path(what): axum::extract::Path<String>,
    Query(query): Query<std::collections::HashMap<String, String>>,
    Json(body): Json<Value>,
) -> Json<Value> {
    let mut state = state.lock().unwrap();
    if state.good_token.as_ref() != query.get("access_token") {
        return Json(json!({"errcode": 40001, "errmsg": "invalid credential"}));
    }
    state.calls.push((what, body));
    let answer = state.scripted.pop_front();
    Json(answer.unwrap_or_else(|| json!({"errcode": 0, "errmsg": "ok"})))
}

/// Takes every request and hangs up on it, so that its outcome stays unknown.
pub(crate) async fn resetting_api() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 45\r\nconnection: close\r\n\r\n\
                       {\"access_token\":\"TOKEN-1\",\"expires_in\": 7200}";
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let asks_for_token =
                String::from_utf8_lossy(buffer.get(..read).unwrap()).contains("stable_token");
            if asks_for_token {
                let _written = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            }
        }
    });
    address
}

/// A port where nobody listens.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
