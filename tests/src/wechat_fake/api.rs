//! WeChat's API, as far as a bot that answers patients needs it, with WeChat's own error codes.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{APPID, SECRET};
use crate::fault_proxy::{Answer, Platform, Request};

/// Bytes of UTF-8 in one message.
pub(super) const MAX_BYTES: usize = 2048;
/// Customer-service messages after each message of the patient.
const MESSAGES: usize = 5;

/// A message of the bot as the patient sees it.
#[derive(Debug, Clone)]
pub struct Heard {
    pub text: String,
    /// Id and words of the entries of a menu message.
    pub menu: Vec<(String, String)>,
    /// It came in the answer to WeChat's own request.
    pub passive: bool,
    pub at: Instant,
}

/// The API and the chats behind it.
#[derive(Default)]
pub struct WechatApi {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashSet<String>,
    made_tokens: usize,
    chats: HashMap<String, Chat>,
}

#[derive(Default)]
struct Chat {
    heard: Vec<Heard>,
    /// Since the patient last wrote.
    messages: usize,
    typing: bool,
}

impl Platform for WechatApi {
    /// WeChat has no 429 and names no time.
    fn too_many(&self, _retry_after: Duration) -> Answer {
        refusal(-1, "system error")
    }

    async fn answer(&self, request: &Request) -> Answer {
        let route = request.words().join("/");
        let body = &request.body;
        match (request.method.as_str(), route.as_str()) {
            ("POST", "cgi-bin/stable_token") if body["grant_type"] == "client_credential" => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                self.new_token(&text("appid"), &text("secret"))
            }
            ("GET", "cgi-bin/token") => {
                let text = |name: &str| request.parameter(name).unwrap_or_default().to_owned();
                self.new_token(&text("appid"), &text("secret"))
            }
            ("POST", "cgi-bin/message/custom/send" | "cgi-bin/message/custom/typing") => {
                let token = request.parameter("access_token").unwrap_or_default();
                if token.is_empty() {
                    return refusal(41001, "access_token missing");
                }
                if !self.state().tokens.contains(token) {
                    return refusal(40001, "invalid credential, access_token is invalid or not latest");
                }
                let outcome = if route.ends_with("send") {
                    self.send(body)
                } else {
                    self.typing(body)
                };
                outcome.map_or_else(|(code, words)| refusal(code, words), |()| refusal(0, "ok"))
            }
            _ => Answer::new(404, Value::Null),
        }
    }
}

impl WechatApi {
    /// What the bot said to a patient, oldest first.
    #[must_use]
    pub fn heard(&self, openid: &str) -> Vec<Heard> {
        let state = self.state();
        state
            .chats
            .get(openid)
            .map(|it| it.heard.clone())
            .unwrap_or_default()
    }

    /// No access token that was given out is good any more.
    pub fn expire_tokens(&self) {
        self.state().tokens.clear();
    }

    /// How many access tokens were asked for.
    #[must_use]
    pub fn made_tokens(&self) -> usize {
        self.state().made_tokens
    }

    pub(super) fn is_exhausted(&self, openid: &str) -> bool {
        let state = self.state();
        state.chats.get(openid).is_some_and(|it| it.messages >= MESSAGES)
    }

    pub(super) fn patient_wrote(&self, openid: &str) {
        let mut state = self.state();
        state.chats.entry(openid.to_owned()).or_default().messages = 0;
    }

    pub(super) fn replied(&self, openid: &str, text: &str) {
        let mut state = self.state();
        let chat = state.chats.entry(openid.to_owned()).or_default();
        chat.hear(text.to_owned(), Vec::new(), true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn new_token(&self, appid: &str, secret: &str) -> Answer {
        if appid != APPID {
            return refusal(40013, "invalid appid");
        }
        if secret != SECRET {
            return refusal(40125, "invalid appsecret");
        }
        let mut state = self.state();
        state.made_tokens += 1;
        let token = format!("{}_{}", state.made_tokens, "t".repeat(400));
        state.tokens.insert(token.clone());
        Answer::ok(json!({"access_token": token, "expires_in": 7200}))
    }

    fn send(&self, body: &Value) -> Result<(), (i32, &'static str)> {
        let (text, menu) = match body["msgtype"].as_str() {
            Some("text") => (
                body["text"]["content"].as_str().unwrap_or_default().to_owned(),
                Vec::new(),
            ),
            Some("msgmenu") => (words_of_menu(&body["msgmenu"]), entries_of_menu(&body["msgmenu"])),
            _ => return Err((40008, "invalid message type")),
        };
        if text.is_empty() {
            return Err((44004, "empty content"));
        }
        let length = text.len() + menu.iter().map(|it| it.1.len()).sum::<usize>();
        if length > MAX_BYTES {
            return Err((45002, "content size out of limit"));
        }
        let mut state = self.state();
        let chat = chat_of(&mut state, body)?;
        if chat.messages >= MESSAGES {
            return Err((45047, "out of response count limit"));
        }
        chat.messages += 1;
        chat.typing = false;
        chat.hear(text, menu, false);
        Ok(())
    }

    fn typing(&self, body: &Value) -> Result<(), (i32, &'static str)> {
        let on = match body["command"].as_str() {
            Some("Typing") => true,
            Some("CancelTyping") => false,
            _ => return Err((45072, "command is not supported")),
        };
        let mut state = self.state();
        let chat = chat_of(&mut state, body).map_err(|(code, words)| match code {
            45015 => (45080, "no interaction with the user in the last 30 seconds"),
            _ => (code, words),
        })?;
        if on && chat.typing {
            return Err((45081, "typing is on already"));
        }
        chat.typing = on;
        Ok(())
    }
}

impl Chat {
    fn hear(&mut self, text: String, menu: Vec<(String, String)>, passive: bool) {
        self.heard.push(Heard {
            text,
            menu,
            passive,
            at: Instant::now(),
        });
    }
}

fn chat_of<'a>(state: &'a mut State, body: &Value) -> Result<&'a mut Chat, (i32, &'static str)> {
    let openid = body["touser"].as_str().unwrap_or_default();
    if openid.is_empty() {
        return Err((40003, "invalid openid"));
    }
    let found = state.chats.get_mut(openid);
    found.ok_or((45015, "response out of time limit or subscription is canceled"))
}

fn words_of_menu(menu: &Value) -> String {
    let ends = ["head_content", "tail_content"].map(|it| menu[it].as_str().unwrap_or_default());
    ends.join("\n").trim().to_owned()
}

fn entries_of_menu(menu: &Value) -> Vec<(String, String)> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let list = menu["list"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|it| (text(&it["id"]), text(&it["content"])))
        .collect()
}

fn refusal(code: i32, words: &str) -> Answer {
    Answer::ok(json!({"errcode": code, "errmsg": words}))
}
