//! A Bot API in front of an independent fake one: it adds what the fake leaves out (fields, offsets, limits,
//! refusals) and breaks things on demand.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use crate::{
    cuttable::{Cut, CuttableListener},
    shown::shown,
};

/// What happens to the next call of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 with `retry_after`; the message is not made.
    TooMany { retry_after: u64 },
    /// The connection is reset; the message is not made.
    ResetBefore,
    /// The message is made, its answer is lost.
    ResetAfter,
    /// The answer comes late.
    Delay(Duration),
}

/// One call that the bot made.
#[derive(Debug, Clone)]
pub struct Call {
    /// As in the Bot API's documentation, lower case.
    pub method: String,
    pub at: Instant,
    pub chat: i64,
    /// The words as a client shows them.
    pub text: String,
    /// What was injected into it.
    pub fault: Option<Fault>,
    /// The error that was answered.
    pub refused: Option<String>,
}

/// A message as it stands in the chat now.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: i64,
    pub chat: i64,
    pub text: String,
    /// `callback_data` of its buttons.
    pub buttons: Vec<String>,
    pub sent: Instant,
    /// When it was changed, oldest first.
    pub edits: Vec<Instant>,
}

/// The proxy; its address is the bot's `telegram.api_url`.
pub struct FaultProxy {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    client: Client,
    state: Mutex<ProxyState>,
}

#[derive(Default)]
struct ProxyState {
    calls: Vec<Call>,
    messages: Vec<Message>,
    faults: VecDeque<(&'static str, Fault)>,
    /// Not yet confirmed by an offset.
    updates: Vec<Value>,
    confirmed_up_to: i64,
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FaultProxy {
    /// Starts in front of the fake at `upstream`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(upstream: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        let shared = Arc::new(Shared {
            upstream,
            client,
            state: Mutex::default(),
        });
        let router = Router::new()
            .route("/{bot}/{method}", any(handle))
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

    /// Breaks the next call of a method, e.g. `sendmessage`; several are worked off in order.
    pub fn inject(&self, method: &'static str, fault: Fault) {
        self.shared.state().faults.push_back((method, fault));
    }

    #[must_use]
    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.shared
            .state()
            .calls
            .iter()
            .filter(|it| it.method == method)
            .cloned()
            .collect()
    }

    /// The bot's messages in a chat, oldest first, as they stand now.
    #[must_use]
    pub fn messages(&self, chat: i64) -> Vec<Message> {
        self.shared
            .state()
            .messages
            .iter()
            .filter(|it| it.chat == chat)
            .cloned()
            .collect()
    }

    /// The offset up to which the bot has confirmed updates.
    #[must_use]
    pub fn confirmed_up_to(&self) -> i64 {
        self.shared.state().confirmed_up_to
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Path((bot, method)): Path<(String, String)>,
    body: String,
) -> Response {
    let method = method.to_lowercase();
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let fault = shared.take_fault(&method);
    let answer = match fault {
        Some(Fault::TooMany { retry_after }) => Err(json!({
            "ok": false, "error_code": 429, "description": format!("Too Many Requests: retry after {retry_after}"),
            "parameters": {"retry_after": retry_after},
        })),
        Some(Fault::ResetBefore) => Err(Value::Null),
        _ => shared.answer(&bot, &method, &body).await,
    };
    shared.note(&method, &body, fault, answer.as_ref().err());
    match fault {
        Some(Fault::ResetBefore | Fault::ResetAfter) => cut.now(),
        Some(Fault::Delay(delay)) => sleep(delay).await,
        _ => {}
    }
    match answer {
        Ok(result) => Json(json!({"ok": true, "result": result})).into_response(),
        Err(error) => {
            let code = error["error_code"]
                .as_u64()
                .and_then(|it| u16::try_from(it).ok())
                .unwrap_or(500);
            (StatusCode::from_u16(code).unwrap_or_default(), Json(error)).into_response()
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, ProxyState> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn take_fault(&self, method: &str) -> Option<Fault> {
        let mut state = self.state();
        let at = state.faults.iter().position(|(of, _)| *of == method)?;
        state.faults.remove(at).map(|(_, fault)| fault)
    }

    fn note(&self, method: &str, body: &Value, fault: Option<Fault>, refused: Option<&Value>) {
        if matches!(method, "getupdates" | "getme") {
            return;
        }
        self.state().calls.push(Call {
            method: method.to_owned(),
            at: Instant::now(),
            chat: body["chat_id"].as_i64().unwrap_or_default(),
            text: words_of(body).unwrap_or_default(),
            fault,
            refused: refused.map(|it| {
                it["description"]
                    .as_str()
                    .unwrap_or("connection reset")
                    .to_owned()
            }),
        });
    }

    async fn answer(&self, bot: &str, method: &str, body: &Value) -> Result<Value, Value> {
        match method {
            "getme" => Ok(json!({
                "id": 666, "is_bot": true, "first_name": "Bedside", "username": "TestNameBot", "can_join_groups": true,
                "can_read_all_group_messages": false, "supports_inline_queries": false,
                "can_connect_to_business": false, "has_main_web_app": false,
            })),
            "getupdates" => self.updates(bot, body).await,
            "sendmessage" => self.send(bot, body).await,
            "editmessagetext" => self.edit(bot, body).await,
            "answercallbackquery" | "sendchataction" | "deletewebhook" | "setmycommands" => Ok(json!(true)),
            _ => Err(refusal(404, "Not Found")),
        }
    }

    /// The fake forgets updates as soon as it has told them; the real one, once an offset confirms them.
    async fn updates(&self, bot: &str, body: &Value) -> Result<Value, Value> {
        let offset = body["offset"].as_i64().unwrap_or(0);
        let patience = Duration::from_secs(body["timeout"].as_u64().unwrap_or(0));
        let start = Instant::now();
        loop {
            let fresh = self.upstream(bot, "getUpdates", &json!({})).await?;
            {
                let mut state = self.state();
                state.updates.extend(
                    fresh
                        .as_array()
                        .cloned()
                        .unwrap_or_default()
                        .into_iter()
                        .map(completed),
                );
                state.confirmed_up_to = state.confirmed_up_to.max(offset);
                state
                    .updates
                    .retain(|it| it["update_id"].as_i64().is_some_and(|id| id >= offset));
                if !state.updates.is_empty() || start.elapsed() >= patience {
                    return Ok(state.updates.clone().into());
                }
            }
            sleep(Duration::from_millis(40)).await;
        }
    }

    async fn send(&self, bot: &str, body: &Value) -> Result<Value, Value> {
        let text = words_of(body).map_err(|complaint| refusal(400, &complaint))?;
        let chat = body["chat_id"]
            .as_i64()
            .ok_or_else(|| refusal(400, "Bad Request: chat not found"))?;
        let made = self.upstream(bot, "sendMessage", body).await?;
        let id = made["message_id"]
            .as_i64()
            .ok_or_else(|| refusal(500, "Internal Server Error"))?;
        let message = Message {
            id,
            chat,
            text,
            buttons: buttons_of(body),
            sent: Instant::now(),
            edits: Vec::new(),
        };
        let answer = answer_for(&message);
        self.state().messages.push(message);
        Ok(answer)
    }

    async fn edit(&self, bot: &str, body: &Value) -> Result<Value, Value> {
        let text = words_of(body).map_err(|complaint| refusal(400, &complaint))?;
        let (chat, id, buttons) = (
            body["chat_id"].as_i64(),
            body["message_id"].as_i64(),
            buttons_of(body),
        );
        let answer = {
            let mut state = self.state();
            let found = state
                .messages
                .iter_mut()
                .find(|it| Some(it.id) == id && Some(it.chat) == chat);
            let message = found.ok_or_else(|| refusal(400, "Bad Request: message to edit not found"))?;
            if message.text == text && message.buttons == buttons {
                return Err(refusal(
                    400,
                    "Bad Request: message is not modified: specified new message content and \
                     reply markup are exactly the same as a current content and reply markup of the message",
                ));
            }
            message.text = text;
            message.buttons = buttons;
            message.edits.push(Instant::now());
            answer_for(message)
        };
        self.upstream(bot, "editMessageText", body).await?;
        Ok(answer)
    }

    async fn upstream(&self, bot: &str, method: &str, body: &Value) -> Result<Value, Value> {
        let send = async {
            let url = format!("{}/{bot}/{method}", self.upstream);
            let mut answer: Value = self.client.post(url).json(body).send().await?.json().await?;
            answer
                .get_mut("result")
                .map(Value::take)
                .context("the fake answers with a result")
        };
        send.await
            .map_err(|error: anyhow::Error| refusal(502, &format!("Bad Gateway: {error}")))
    }
}

/// What the real Bot API says of an update and the fake does not.
fn completed(mut update: Value) -> Value {
    for kind in ["message", "callback_query"] {
        if let Some(from) = update.pointer_mut(&format!("/{kind}/from")) {
            from["is_bot"] = false.into();
            from["language_code"] = "en".into();
        }
    }
    if let Some(query) = update.get_mut("callback_query").and_then(Value::as_object_mut) {
        query.insert("chat_instance".to_owned(), "1".into());
        if let Some(message) = query.get_mut("message").filter(|it| it.is_object()) {
            message["message_id"] = 1.into();
            message["date"] = now().into();
        }
    }
    update
}

fn words_of(body: &Value) -> Result<String, String> {
    shown(
        body["text"].as_str().unwrap_or_default(),
        body["parse_mode"].as_str(),
    )
}

fn buttons_of(body: &Value) -> Vec<String> {
    let rows = body
        .pointer("/reply_markup/inline_keyboard")
        .and_then(Value::as_array);
    rows.into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|it| it["callback_data"].as_str().map(ToOwned::to_owned))
        .collect()
}

fn answer_for(message: &Message) -> Value {
    json!({
        "message_id": message.id, "date": now(), "text": message.text,
        "chat": {"id": message.chat, "type": "private", "first_name": "Patient"},
        "from": {"id": 666, "is_bot": true, "first_name": "Bedside", "username": "TestNameBot"},
    })
}

fn refusal(code: u16, description: &str) -> Value {
    json!({"ok": false, "error_code": code, "description": description})
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
