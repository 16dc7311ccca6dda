//! Discord's REST API on a loopback port that does as a test says.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

/// One call of the connector.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Like `POST /channels/50/messages`, without the query.
    pub(crate) what: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

/// What the next call of a kind gets.
#[derive(Debug, Clone)]
pub(crate) enum Scripted {
    Answer(u16, Value),
    /// The request is not carried out, and the connection is cut.
    CutBefore,
    /// The request is carried out, and the connection is cut all the same.
    CutAfter,
}

#[derive(Clone)]
pub(crate) struct RestFake {
    pub(crate) address: SocketAddr,
    gateway_url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<RestState>,
    changed: Notify,
}

#[derive(Default)]
struct RestState {
    calls: Vec<Call>,
    scripted: HashMap<String, VecDeque<Scripted>>,
    /// By id: what patients read.
    messages: BTreeMap<u64, Value>,
    nonces: HashMap<String, u64>,
    /// Interactions by id, and their tokens.
    acknowledged: HashSet<String>,
    /// By channel: what patients wrote, for the history.
    history: HashMap<String, Vec<Value>>,
}

impl RestFake {
    pub(crate) async fn start(gateway_url: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Self {
            address,
            gateway_url,
            shared: Arc::default(),
        };
        let router = Router::new().fallback(handle).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        fake
    }

    fn state(&self) -> MutexGuard<'_, RestState> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn script(&self, what: &str, scripted: Scripted) {
        self.state()
            .scripted
            .entry(what.to_owned())
            .or_default()
            .push_back(scripted);
    }

    /// The next call of this kind is refused with Discord's own code.
    pub(crate) fn refuse(&self, what: &str, status: u16, code: u32) {
        let body = json!({"message": "No", "code": code});
        self.script(what, Scripted::Answer(status, body));
    }

    /// A message in a channel's history.
    pub(crate) fn remember(&self, message: Value) {
        let channel = message["channel_id"].as_str().unwrap().to_owned();
        self.state().history.entry(channel).or_default().push(message);
    }

    /// What was called so far, without the questions at the start. Whatever was sent to patients mentions
    /// nobody and unfolds no link.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let quiet = [
            "GET /users/@me",
            "GET /applications/@me",
            "GET /gateway/bot",
            "PUT /applications/666/commands",
        ];
        let calls: Vec<Call> = self.all_calls();
        for call in &calls {
            let sent = if call.what.ends_with("/callback") {
                &call.body["data"]
            } else {
                &call.body
            };
            if sent.get("content").is_some() {
                assert_eq!(sent["allowed_mentions"]["parse"], json!([]), "{}", call.what);
                let is_callback = call.what.ends_with("/callback");
                assert!(
                    is_callback || sent["flags"].as_u64().unwrap() & 4 == 4,
                    "{}",
                    call.what
                );
            }
        }
        calls
            .into_iter()
            .filter(|it| !quiet.contains(&it.what.as_str()))
            .collect()
    }

    pub(crate) fn all_calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub(crate) fn whats(&self) -> Vec<String> {
        self.calls().into_iter().map(|it| it.what).collect()
    }

    /// The calls of one kind.
    pub(crate) fn bodies(&self, what: &str) -> Vec<Value> {
        self.calls()
            .into_iter()
            .filter(|it| it.what == what)
            .map(|it| it.body)
            .collect()
    }

    /// How many messages stand in the chats.
    pub(crate) fn messages(&self) -> usize {
        self.state().messages.len()
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            loop {
                let changed = self.shared.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .unwrap_or_else(|_| panic!("it should have come to this: {what}; calls: {:?}", self.whats()));
    }

    pub(crate) async fn until_called(&self, what: &str) {
        self.until(what, |it| it.all_calls().iter().any(|call| call.what == what))
            .await;
    }

    fn answer(&self, call: Call) -> Response {
        let scripted = self
            .state()
            .scripted
            .get_mut(&call.what)
            .and_then(VecDeque::pop_front);
        let answer = match scripted {
            Some(Scripted::Answer(status, body)) => (status, body).into(),
            Some(Scripted::CutBefore) => None,
            Some(Scripted::CutAfter) => {
                self.carry_out(&call);
                None
            }
            None => Some(self.carry_out(&call)),
        };
        self.state().calls.push(call);
        self.shared.changed.notify_waiters();
        let Some((status, body)) = answer else {
            let cut = futures::stream::once(async { Err::<String, _>(std::io::Error::other("cut")) });
            return Body::from_stream(cut).into_response();
        };
        let status = StatusCode::from_u16(status).unwrap();
        (status, [("content-type", "application/json")], body.to_string()).into_response()
    }

    fn carry_out(&self, call: &Call) -> (u16, Value) {
        let (method, path) = call.what.split_once(' ').unwrap();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let refused = |status: u16, code: u32| (status, json!({"message": "No", "code": code}));
        let mut state = self.state();
        match (method, segments.as_slice()) {
            ("GET", ["users", "@me"]) => (200, json!({"id": "666", "username": "Ward", "bot": true})),
            ("GET", ["applications", "@me"]) => (200, json!({"id": "666"})),
            ("GET", ["gateway", "bot"]) => (
                200,
                json!({
                    "url": self.gateway_url, "shards": 1,
                    "session_start_limit": {"total": 1000, "remaining": 999, "reset_after": 1000, "max_concurrency": 1},
                }),
            ),
            ("PUT", ["applications", _, "commands"]) => (200, json!([])),
            ("POST", ["users", "@me", "channels"]) => (200, json!({"id": "50", "type": 1})),
            ("POST", ["channels", _, "typing"]) => (204, Value::Null),
            ("GET", ["channels", channel, "messages"]) => (200, page(&state, channel, &call.query)),
            ("POST", ["channels", _, "messages"] | ["webhooks", _, _]) => {
                let nonce = call.body["nonce"]
                    .as_str()
                    .filter(|_| call.body["enforce_nonce"] == true);
                if let Some(known) = nonce.and_then(|it| state.nonces.get(it)) {
                    return (200, json!({"id": known.to_string()}));
                }
                let id = 9000 + state.messages.len() as u64;
                state.messages.insert(id, call.body.clone());
                if let Some(nonce) = nonce {
                    state.nonces.insert(nonce.to_owned(), id);
                }
                (200, json!({"id": id.to_string()}))
            }
            ("PATCH", ["channels", _, "messages", id]) => (200, json!({"id": id})),
            ("PATCH", ["webhooks", _, token, "messages", "@original"]) => {
                if !state.acknowledged.contains(*token) {
                    return refused(404, 10_015);
                }
                (200, json!({"id": "8000"}))
            }
            ("DELETE", ["webhooks", _, _, "messages", "@original"]) => (204, Value::Null),
            ("POST", ["interactions", id, token, "callback"]) => {
                state.acknowledged.insert((*token).to_owned());
                if !state.acknowledged.insert((*id).to_owned()) {
                    return refused(400, 40_060);
                }
                (204, Value::Null)
            }
            _ => refused(404, 0),
        }
    }
}

/// Newest first, as Discord answers, although it gives the oldest ones after `after`.
fn page(state: &RestState, channel: &str, query: &str) -> Value {
    let number = |name: &str| -> u64 {
        let found = query.split('&').find_map(|it| it.strip_prefix(name));
        found.and_then(|it| it.parse().ok()).unwrap()
    };
    let id = |it: &Value| it["id"].as_str().unwrap().parse::<u64>().unwrap();
    let mut found = state.history.get(channel).cloned().unwrap_or_default();
    found.retain(|it| id(it) > number("after="));
    found.sort_by_key(id);
    found.truncate(usize::try_from(number("limit=")).unwrap());
    found.reverse();
    found.into()
}

async fn handle(
    State(fake): State<RestFake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    fake.answer(Call {
        what: format!("{method} {}", uri.path().trim_start_matches("/api/v10")),
        query: uri.query().unwrap_or_default().to_owned(),
        authorization: headers
            .get("authorization")
            .map(|it| it.to_str().unwrap().to_owned()),
        body: serde_json::from_str(&body).unwrap_or(Value::Null),
    })
}

/// A port where nobody listens.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
