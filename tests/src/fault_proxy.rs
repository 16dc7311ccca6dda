//! A platform's HTTP API that breaks on demand. What the platform is, a [`Platform`] says; what can go wrong
//! on the way to it is the same for all.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use crate::cuttable::{Cut, CuttableListener};

/// What happens to the next call that a pattern names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The platform asks to wait; the call does nothing.
    TooMany { retry_after: Duration },
    /// The connection is reset; the call does nothing.
    ResetBefore,
    /// The call does what it should, its answer is lost.
    ResetAfter,
    /// The answer comes late.
    Delay(Duration),
}

/// What a platform does with a call into which no fault was injected.
pub trait Platform: Send + Sync + 'static {
    /// How it asks to wait.
    fn too_many(&self, retry_after: Duration) -> Answer;

    /// Itself, or by asking an independent fake ([`Upstream`]).
    fn answer(&self, request: &Request) -> impl Future<Output = Answer> + Send;

    /// Calls that would only fill [`FaultProxy::calls`]: polls.
    fn is_noise(&self, _request: &Request) -> bool {
        false
    }
}

/// One request of the bot.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// Without the query.
    pub path: String,
    /// Without the question mark.
    pub query: String,
    pub headers: HeaderMap,
    /// `null` if there is none or it is not JSON.
    pub body: Value,
    raw: Bytes,
}

/// What the platform says to it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// `null` for an empty body.
    pub body: Value,
}

/// One call that the bot made.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Value,
    /// When it came.
    pub at: Instant,
    /// What was injected into it.
    pub fault: Option<Fault>,
    /// What the platform answered, whether or not the bot got to see it; `None` if it never got there.
    pub answer: Option<Answer>,
}

/// The server; its address is what the bot's `api_url` is set to.
pub struct FaultProxy<P: Platform> {
    url: String,
    shared: Arc<Shared<P>>,
    serving: JoinHandle<()>,
}

struct Shared<P> {
    platform: P,
    state: Mutex<Traffic>,
}

#[derive(Default)]
struct Traffic {
    calls: Vec<Call>,
    faults: VecDeque<(&'static str, Fault)>,
}

impl<P: Platform> Drop for FaultProxy<P> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl<P: Platform> FaultProxy<P> {
    /// Serves a platform on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(platform: P) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            platform,
            state: Mutex::default(),
        });
        let router = Router::new()
            .fallback(handle::<P>)
            .with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Cut>();
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(CuttableListener(listener), service).await {
                panic!("the fault proxy ended: {error}");
            }
        });
        Ok(Self { url, shared, serving })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn platform(&self) -> &P {
        &self.shared.platform
    }

    /// Breaks the next call that the pattern names (see [`names`]); several are worked off in order.
    pub fn inject(&self, pattern: &'static str, fault: Fault) {
        self.shared.state().faults.push_back((pattern, fault));
    }

    /// Faults that no call has met yet.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        self.shared.state().faults.len()
    }

    /// The calls that the pattern names, oldest first.
    #[must_use]
    pub fn calls(&self, pattern: &str) -> Vec<Call> {
        let state = self.shared.state();
        let named = state
            .calls
            .iter()
            .filter(|it| names(pattern, &it.method, &it.path));
        named.cloned().collect()
    }
}

/// Whether a pattern names a call: `sendmessage` by the last word of the path, `POST /channels/*/messages` by
/// method and the end of the path, where `*` is any one word. Case does not count.
#[must_use]
pub fn names(pattern: &str, method: &Method, path: &str) -> bool {
    let (wanted, pattern) = pattern.split_once(' ').unwrap_or(("", pattern));
    let words = |text: &str| -> Vec<String> {
        let all = text.split('/').filter(|it| !it.is_empty());
        all.rev().map(str::to_lowercase).collect()
    };
    let (pattern, path) = (words(pattern), words(path));
    let agree = |(wanted, word): (&String, &String)| wanted == "*" || wanted == word;
    (wanted.is_empty() || wanted == method.as_str())
        && pattern.len() <= path.len()
        && pattern.iter().zip(&path).all(agree)
}

async fn handle<P: Platform>(
    State(shared): State<Arc<Shared<P>>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let at = Instant::now();
    let request = Request {
        method,
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        headers,
        body: serde_json::from_slice(&raw).unwrap_or_default(),
        raw,
    };
    let fault = shared.take_fault(&request);
    // A task of its own: what reached a platform happens there, even if the bot dies meanwhile.
    let working = tokio::spawn(async move {
        let answer = match fault {
            Some(Fault::TooMany { retry_after }) => Some(shared.platform.too_many(retry_after)),
            Some(Fault::ResetBefore) => None,
            _ => Some(shared.platform.answer(&request).await),
        };
        if !shared.platform.is_noise(&request) {
            shared.note(request, at, fault, answer.clone());
        }
        answer
    });
    let answer = working.await.expect("a platform answers without a panic");
    match fault {
        Some(Fault::ResetBefore | Fault::ResetAfter) => cut.now(),
        Some(Fault::Delay(delay)) => sleep(delay).await,
        _ => {}
    }
    answer.map_or_else(|| StatusCode::NO_CONTENT.into_response(), Answer::into_response)
}

impl<P: Platform> Shared<P> {
    fn state(&self) -> MutexGuard<'_, Traffic> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn take_fault(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state();
        let meant = |(pattern, _): &(&str, Fault)| names(pattern, &request.method, &request.path);
        let at = state.faults.iter().position(meant)?;
        state.faults.remove(at).map(|(_, fault)| fault)
    }

    fn note(&self, request: Request, at: Instant, fault: Option<Fault>, answer: Option<Answer>) {
        self.state().calls.push(Call {
            method: request.method,
            path: request.path,
            query: request.query,
            body: request.body,
            at,
            fault,
            answer,
        });
    }
}

impl Call {
    /// Whether the platform did what was asked.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_success)
    }
}

impl Request {
    /// The words of the path.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        self.path.split('/').filter(|it| !it.is_empty()).collect()
    }

    /// A parameter of the query, as it stands there.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|it| it.split_once('='));
        pairs
            .into_iter()
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

impl Answer {
    /// 200 with JSON.
    #[must_use]
    pub fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    #[must_use]
    pub fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = match self.body {
            Value::Null => status.into_response(),
            body => (
                status,
                [(header::CONTENT_TYPE, "application/json")],
                body.to_string(),
            )
                .into_response(),
        };
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// An independent fake behind the proxy.
#[derive(Debug, Clone)]
pub struct Upstream {
    url: String,
    client: Client,
}

impl Upstream {
    /// # Errors
    /// When no client can be made.
    pub fn new(url: String) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { url, client })
    }

    /// Passes a request on as it came.
    pub async fn forward(&self, request: &Request) -> Answer {
        let question = if request.query.is_empty() { "" } else { "?" };
        let url = format!("{}{}{question}{}", self.url, request.path, request.query);
        let mut call = self.client.request(request.method.clone(), url);
        for name in [header::CONTENT_TYPE, header::AUTHORIZATION] {
            if let Some(value) = request.headers.get(&name) {
                call = call.header(name, value);
            }
        }
        Self::answer(call.body(request.raw.clone())).await
    }

    /// Makes a request of its own.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::answer(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    async fn answer(call: reqwest::RequestBuilder) -> Answer {
        let asked = async {
            let response = call.send().await?;
            let status = response.status().as_u16();
            let body = response.bytes().await?;
            Ok::<_, reqwest::Error>(Answer::new(
                status,
                serde_json::from_slice(&body).unwrap_or_default(),
            ))
        };
        asked.await.unwrap_or_else(|error| {
            Answer::new(502, json!({"message": format!("the fake is gone: {error}")}))
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::names;

    #[test]
    fn patterns_name_calls() {
        let check = |pattern: &str, method: Method, path: &str, expect: bool| {
            assert_eq!(
                names(pattern, &method, path),
                expect,
                "{pattern} for {method} {path}"
            );
        };
        check("sendmessage", Method::POST, "/bot666:A/SendMessage", true);
        check("sendmessage", Method::POST, "/bot666:A/EditMessageText", false);
        let messages = "POST /channels/*/messages";
        check(messages, Method::POST, "/api/v10/channels/1/messages", true);
        check(messages, Method::GET, "/api/v10/channels/1/messages", false);
        check(messages, Method::POST, "/api/v10/channels/1/messages/2", false);
        check(
            "PATCH /channels/*/messages/*",
            Method::PATCH,
            "/channels/1/messages/2",
            true,
        );
        check("/a/b/c", Method::GET, "/b/c", false);
    }
}
