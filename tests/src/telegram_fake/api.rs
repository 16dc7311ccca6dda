//! What the independent fake leaves out of the Bot API: fields, offsets, limits, refusals.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    fault_proxy::{Answer, Platform, Request, Upstream},
    shown::shown,
};

/// A message as it stands in the chat now.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: i64,
    pub chat: i64,
    /// The words as a client shows them.
    pub text: String,
    /// `callback_data` of its buttons.
    pub buttons: Vec<String>,
    pub sent: Instant,
    /// When it was changed, oldest first.
    pub edits: Vec<Instant>,
}

/// The Bot API in front of the fake.
pub struct TelegramApi {
    upstream: Upstream,
    state: Mutex<Chats>,
}

#[derive(Default)]
struct Chats {
    messages: Vec<Message>,
    /// Not yet confirmed by an offset.
    updates: Vec<Value>,
    /// Confirmed or not.
    history: Vec<Value>,
    /// For the next poll, whatever its offset.
    again: Vec<Value>,
    confirmed_up_to: i64,
}

impl Platform for TelegramApi {
    fn too_many(&self, retry_after: Duration) -> Answer {
        let seconds = retry_after.as_secs();
        let mut refusal = refusal(429, &format!("Too Many Requests: retry after {seconds}"));
        refusal["parameters"] = json!({"retry_after": seconds});
        answer(Err(refusal))
    }

    async fn answer(&self, request: &Request) -> Answer {
        let [bot, method] = request.words()[..] else {
            return answer(Err(refusal(404, "Not Found")));
        };
        let body = &request.body;
        answer(match method.to_lowercase().as_str() {
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
        })
    }

    fn is_noise(&self, request: &Request) -> bool {
        let method = request.words().last().map(|it| it.to_lowercase());
        method.is_some_and(|it| it == "getupdates" || it == "getme")
    }
}

impl TelegramApi {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            state: Mutex::default(),
        }
    }

    /// The bot's messages in a chat, oldest first, as they stand now.
    #[must_use]
    pub fn messages(&self, chat: i64) -> Vec<Message> {
        let state = self.state();
        state
            .messages
            .iter()
            .filter(|it| it.chat == chat)
            .cloned()
            .collect()
    }

    /// The offset up to which the bot has confirmed updates.
    #[must_use]
    pub fn confirmed_up_to(&self) -> i64 {
        self.state().confirmed_up_to
    }

    /// Gives the last update of a chat to the bot again under the same id, as if the confirmation had been lost.
    /// Returns whether there was one.
    #[must_use]
    pub fn redeliver_last(&self, chat: i64, times: usize) -> bool {
        let mut state = self.state();
        let of_chat = |it: &&Value| {
            let places = ["/message/chat/id", "/callback_query/message/chat/id"];
            places.iter().any(|place| it.pointer(place) == Some(&chat.into()))
        };
        let Some(last) = state.history.iter().rev().find(of_chat).cloned() else {
            return false;
        };
        state.again.extend(vec![last; times]);
        true
    }

    fn state(&self) -> MutexGuard<'_, Chats> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    /// The fake forgets updates as soon as it has told them; the real one, once an offset confirms them.
    async fn updates(&self, bot: &str, body: &Value) -> Result<Value, Value> {
        let offset = body["offset"].as_i64().unwrap_or(0);
        let patience = Duration::from_secs(body["timeout"].as_u64().unwrap_or(0));
        let start = Instant::now();
        loop {
            let fresh = self.upstream(bot, "getUpdates", &json!({})).await?;
            if let Some(updates) = self.state().poll(fresh, offset, start.elapsed() >= patience) {
                return Ok(updates.into());
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
        let mut answer = self.upstream.post(&format!("/{bot}/{method}"), body).await.body;
        let result = answer.get_mut("result").map(Value::take);
        result.ok_or_else(|| refusal(502, "Bad Gateway: the fake has no result"))
    }
}

impl Chats {
    /// What a poll gets, or `None` while it waits.
    fn poll(&mut self, fresh: Value, offset: i64, waited: bool) -> Option<Vec<Value>> {
        let fresh = fresh.as_array().cloned().unwrap_or_default();
        let fresh: Vec<Value> = fresh.into_iter().map(completed).collect();
        self.history.extend(fresh.iter().cloned());
        self.updates.extend(fresh);
        self.confirmed_up_to = self.confirmed_up_to.max(offset);
        self.updates
            .retain(|it| it["update_id"].as_i64().is_some_and(|id| id >= offset));
        let mut told = std::mem::take(&mut self.again);
        told.extend(self.updates.iter().cloned());
        (waited || !told.is_empty()).then_some(told)
    }
}

fn answer(outcome: Result<Value, Value>) -> Answer {
    match outcome {
        Ok(result) => Answer::ok(json!({"ok": true, "result": result})),
        Err(refusal) => {
            let code = refusal["error_code"]
                .as_u64()
                .and_then(|it| u16::try_from(it).ok());
            Answer::new(code.unwrap_or(500), refusal)
        }
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
