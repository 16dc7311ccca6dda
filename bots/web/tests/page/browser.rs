//! A browser's half of the protocol, as plain HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use bedside_contract::{Connector, Language, Part};
use bedside_web::{WebConfig, WebConnector, WebContext};
use futures::StreamExt;
use reqwest::{Client, RequestBuilder, Response, header};
use serde_json::Value;
use tokio::task::AbortHandle;

use crate::memory::Memory;

/// What every stream begins with.
const BEGINNINGS: [&str; 2] = ["open", "greeting"];
const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(150);

#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) memory: Arc<Memory>,
    pub(crate) connector: Arc<WebConnector>,
    pub(crate) ready: Arc<AtomicBool>,
    client: Client,
    cookie: Option<String>,
    running: AbortHandle,
}

pub(crate) fn context() -> (WebContext, Arc<AtomicBool>) {
    let ready = Arc::new(AtomicBool::new(false));
    let is_ready = Arc::clone(&ready);
    let context = WebContext {
        ready: Arc::new(move || is_ready.load(Ordering::SeqCst)),
        generator: None,
        hospital_name: Arc::new(|| "Test & Hospital".to_owned()),
    };
    (context, ready)
}

impl Browser {
    /// Starts a connector on a free port.
    pub(crate) async fn open(config: WebConfig) -> Self {
        let memory = Arc::new(Memory::default());
        let (context, ready) = context();
        let connector = WebConfig {
            listen: "127.0.0.1:0".to_owned(),
            ..config
        }
        .build(context)
        .unwrap();
        let connector = Arc::new(connector.with_routes(Router::new().route("/extra", get(async || "extra"))));
        let running = {
            let (connector, memory) = (Arc::clone(&connector), Arc::clone(&memory));
            tokio::spawn(async move { connector.run(memory).await }).abort_handle()
        };
        Self {
            memory,
            connector,
            ready,
            client: Client::new(),
            cookie: None,
            running,
        }
    }

    /// The same browser after it has opened the page.
    pub(crate) async fn into_session(self) -> Self {
        let cookie = self.get("/").await.headers()[header::SET_COOKIE].clone();
        self.with_cookie(&cookie)
    }

    pub(crate) fn with_cookie(&self, set_cookie: &header::HeaderValue) -> Self {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        Self {
            cookie: Some(pair),
            ..self.clone()
        }
    }

    /// Somebody else's browser at the same server.
    pub(crate) fn stranger(&self) -> Self {
        Self {
            cookie: None,
            ..self.clone()
        }
    }

    pub(crate) fn authority(&self) -> String {
        self.connector.local_address().to_string()
    }

    pub(crate) fn get_request(&self, path: &str) -> RequestBuilder {
        self.dressed(self.client.get(format!("http://{}{path}", self.authority())))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.get_request(path).send().await.unwrap()
    }

    pub(crate) fn post_request(&self, message: &Value) -> RequestBuilder {
        let url = format!("http://{}/api/messages", self.authority());
        self.dressed(self.client.post(url).json(message))
    }

    /// `how`: nothing, or `?delete=true`.
    pub(crate) async fn forget(&self, how: &str) -> Response {
        let url = format!("http://{}/api/forget{how}", self.authority());
        self.dressed(self.client.post(url)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, message: &Value) -> (u16, Value) {
        self.post_raw(&message.to_string()).await
    }

    pub(crate) async fn post_raw(&self, body: &str) -> (u16, Value) {
        let url = format!("http://{}/api/messages", self.authority());
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json; charset=utf-8");
        let response = self.dressed(request.body(body.to_owned())).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn events(&self, path: &str, last_event_id: Option<&str>) -> Events {
        let mut request = self.get_request(path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events {
            body: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    /// The bot says something in the only conversation there is.
    pub(crate) async fn say(&self, seq: i64, text: &str) {
        let item = self
            .memory
            .say(&self.memory.conversation(), seq, Part::notice(Language::En, text));
        self.connector.deliver(&item).await.unwrap();
    }

    pub(crate) fn stop(&self) {
        self.running.abort();
    }

    fn dressed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }
}

/// An event stream as it comes.
pub(crate) struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
}

#[derive(Debug)]
pub(crate) struct ReceivedEvent {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Events {
    /// The next event, which must have this name; the first one, `open`, is skipped if it is not asked for.
    pub(crate) async fn next(&mut self, name: &str) -> ReceivedEvent {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.receive())
                .await
                .expect("an event in time")
                .expect("an event");
            if BEGINNINGS.contains(&event.name.as_str()) && event.name != name {
                continue;
            }
            assert_eq!(event.name, name, "{event:?}");
            return event;
        }
    }

    pub(crate) async fn assert_silent(&mut self) {
        while let Ok(event) = tokio::time::timeout(SILENCE, self.receive()).await {
            let name = event.as_ref().map(|it| it.name.as_str());
            assert!(name.is_some_and(|it| BEGINNINGS.contains(&it)), "{event:?}");
        }
    }

    pub(crate) async fn assert_ends(&mut self) {
        let end = tokio::time::timeout(PATIENCE, self.receive())
            .await
            .expect("an end in time");
        assert!(end.is_none(), "{end:?}");
    }

    async fn receive(&mut self) -> Option<ReceivedEvent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    block
                        .lines()
                        .find_map(|it| it.strip_prefix(&prefix))
                        .map(str::to_owned)
                };
                let event = field("event").map(|name| ReceivedEvent {
                    name,
                    id: field("id"),
                    data: serde_json::from_str(&field("data").unwrap_or_default()).unwrap_or_default(),
                });
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let chunk = self.body.next().await?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
