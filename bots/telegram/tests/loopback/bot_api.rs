//! A Bot API on a loopback port that does as a test says.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::any,
};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::Notify};

/// One call of the connector.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) body: Value,
}

/// Confirms updates by offset, as Telegram does; answers other methods with success unless told otherwise.
#[derive(Clone)]
pub(crate) struct BotApi {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<ApiState>,
    changed: Notify,
}

#[derive(Default)]
struct ApiState {
    calls: Vec<Call>,
    updates: Vec<Value>,
    scripted: HashMap<String, VecDeque<Value>>,
    messages: i64,
}

impl BotApi {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let api = Self { address, shared };
        let router = Router::new()
            .route("/{bot}/{method}", any(handle))
            .with_state(api.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        api
    }

    fn state(&self) -> MutexGuard<'_, ApiState> {
        self.shared.state.lock().unwrap()
    }

    /// The next call of `method` is answered with this.
    pub(crate) fn script(&self, method: &str, answer: Value) {
        self.state()
            .scripted
            .entry(method.to_lowercase())
            .or_default()
            .push_back(answer);
    }

    pub(crate) fn refuse(&self, method: &str, code: u16, description: &str) {
        self.script(
            method,
            json!({"ok": false, "error_code": code, "description": description}),
        );
    }

    pub(crate) fn deliver(&self, update: Value) {
        self.state().updates.push(update);
        self.shared.changed.notify_waiters();
    }

    /// What was called so far, without the long polls and `getMe`.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let state = self.state();
        state
            .calls
            .iter()
            .filter(|it| it.method != "getupdates" && it.method != "getme")
            .cloned()
            .collect()
    }

    pub(crate) fn offsets(&self) -> Vec<Option<i64>> {
        let state = self.state();
        state
            .calls
            .iter()
            .filter(|it| it.method == "getupdates")
            .map(|it| it.body["offset"].as_i64())
            .collect()
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            loop {
                let changed = self.shared.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached)
            .await
            .expect("the call should have come");
    }

    async fn answer(&self, method: &str, body: Value) -> Value {
        self.state().calls.push(Call {
            method: method.to_owned(),
            body: body.clone(),
        });
        self.shared.changed.notify_waiters();
        if let Some(scripted) = self
            .state()
            .scripted
            .get_mut(method)
            .and_then(VecDeque::pop_front)
        {
            return scripted;
        }
        let result = match method {
            "getme" => json!({
                "id": 666, "is_bot": true, "first_name": "Ward", "username": "WardBot", "can_join_groups": true,
                "can_read_all_group_messages": false, "supports_inline_queries": false,
                "can_connect_to_business": false, "has_main_web_app": false
            }),
            "getupdates" => self.updates(body["offset"].as_i64().unwrap_or(0)).await,
            "sendmessage" => {
                let mut state = self.state();
                state.messages += 1;
                sent_message(100 + state.messages, &body)
            }
            "editmessagetext" => sent_message(body["message_id"].as_i64().unwrap(), &body),
            _ => json!(true),
        };
        json!({"ok": true, "result": result})
    }

    async fn updates(&self, offset: i64) -> Value {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                let mut due = self.state().updates.clone();
                due.retain(|it| it["update_id"].as_i64().unwrap() >= offset);
                self.state().updates.clone_from(&due);
                if !due.is_empty() {
                    return due;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(1), wait)
            .await
            .unwrap_or_default()
            .into()
    }
}

async fn handle(
    State(api): State<BotApi>,
    Path((_bot, method)): Path<(String, String)>,
    body: String,
) -> Json<Value> {
    let body = serde_json::from_str(&body).unwrap_or(Value::Null);
    Json(api.answer(&method.to_lowercase(), body).await)
}

fn sent_message(id: i64, body: &Value) -> Value {
    json!({
        "message_id": id, "date": 1_700_000_000, "text": body["text"],
        "chat": {"id": body["chat_id"], "type": "private", "first_name": "P"},
    })
}

/// A private text message.
pub(crate) fn text_update(id: u32, text: &str) -> Value {
    json!({"update_id": id, "message": {
        "message_id": id, "date": 1_700_000_000, "text": text,
        "chat": {"id": 42, "type": "private", "first_name": "P"},
        "from": {"id": 42, "is_bot": false, "first_name": "P"},
    }})
}

/// Takes every request and hangs up on it with a reset, so that its outcome stays unknown.
pub(crate) async fn resetting_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _read = stream.read(&mut buffer).await;
            drop(stream);
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
