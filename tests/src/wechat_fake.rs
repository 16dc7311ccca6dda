//! WeChat for tests: wechatpy plays WeChat's servers towards the bot, [`WechatApi`] the API that the bot calls.
//!
//! What crosses the wire is thus sealed and opened by foreign code, and the API is judged by wechatpy's client.

mod api;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

pub use api::{Heard, WechatApi};

use crate::{FaultProxy, bot::free_port, eventually, json_lines::JsonLines, places};

pub const APPID: &str = "wx0123456789abcdef";
pub const TOKEN: &str = "callbackTokenOfTheTests";
pub const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ACCOUNT: &str = "gh_0123456789ab";

/// How long WeChat waits for an answer, and how often it asks.
const PATIENCE: Duration = Duration::from_secs(5);
const TRIES: usize = 3;

/// How the bot answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// In the answer to WeChat's own request.
    Passive,
    /// By customer-service messages.
    CustomerService,
}

/// What [`crate::BotOptions::wechat`] wants.
#[derive(Debug, Clone)]
pub struct WechatAccess {
    pub api_url: String,
    /// Where the bot shall wait for WeChat.
    pub listen: String,
    pub replies: Replies,
}

/// WeChat's servers and its API.
pub struct WechatFake {
    pub api: Arc<FaultProxy<WechatApi>>,
    servers: Arc<Servers>,
    replies: Replies,
}

struct Servers {
    client: JsonLines,
    /// The bot's address.
    url: String,
    listen: String,
    message_ids: AtomicU64,
    /// Ids of messages that were delivered at least once.
    written: Mutex<HashSet<String>>,
    /// Messages whose reply a patient has seen: a second reply to one is not shown.
    replied: Mutex<HashSet<String>>,
}

/// One follower of the account.
#[derive(Clone)]
pub struct WechatUser {
    pub openid: String,
    api: Arc<FaultProxy<WechatApi>>,
    servers: Arc<Servers>,
}

/// What came of one message.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub tries: Vec<Try>,
    /// The patient sees the reply; not so if the same message was replied to before.
    pub is_shown: bool,
}

/// One of WeChat's requests.
#[derive(Debug, Clone)]
pub struct Try {
    /// `reply`, `nothing`, `timeout`, `refused` or `unreachable`.
    pub outcome: String,
    /// What the reply says.
    pub content: Option<String>,
    pub took: Duration,
}

impl WechatFake {
    /// Starts both, for a bot that answers so.
    ///
    /// # Errors
    /// When Python or its packages are missing.
    pub async fn start(replies: Replies) -> Result<Self> {
        let mut command = Command::new(places::python()?);
        command
            .arg(places::repository().join("tests/python/wechat_client.py"))
            .args([APPID, TOKEN, AES_KEY, ACCOUNT]);
        let (client, _ready) = JsonLines::start(&mut command, |_| {}).await?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let seconds = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_secs();
        Ok(Self {
            api: Arc::new(FaultProxy::start(WechatApi::default()).await?),
            servers: Arc::new(Servers {
                client,
                url: format!("http://{listen}/wechat"),
                listen,
                message_ids: AtomicU64::new(seconds << 20),
                written: Mutex::default(),
                replied: Mutex::default(),
            }),
            replies,
        })
    }

    #[must_use]
    pub fn access(&self) -> WechatAccess {
        WechatAccess {
            api_url: self.api.url().to_owned(),
            listen: self.servers.listen.clone(),
            replies: self.replies,
        }
    }

    #[must_use]
    pub fn replies(&self) -> Replies {
        self.replies
    }

    #[must_use]
    pub fn user(&self, openid: &str) -> WechatUser {
        WechatUser {
            openid: openid.to_owned(),
            api: Arc::clone(&self.api),
            servers: Arc::clone(&self.servers),
        }
    }

    /// The check that the console makes when the address is entered; whether it would be accepted.
    ///
    /// # Errors
    /// When the bot cannot be reached.
    pub async fn verify(&self) -> Result<bool> {
        let answer = self
            .servers
            .client
            .ask(json!({"do": "verify", "url": self.servers.url}))
            .await?;
        Ok(answer["status"] == 200 && answer["echoed"] == true)
    }

    /// Has wechatpy's own client call the API: `send_text`, `send_msg_menu` or `typing`.
    ///
    /// # Errors
    /// When wechatpy cannot make sense of the answer.
    pub async fn foreign_call(
        &self,
        call: &str,
        secret: &str,
        openid: &str,
        argument: Value,
    ) -> Result<Value> {
        let ask = json!({
            "do": "call", "call": call, "api": self.api.url(), "secret": secret, "openid": openid,
            "argument": argument,
        });
        self.servers.client.ask(ask).await
    }
}

impl WechatUser {
    /// A text message, to be pushed once or several times.
    #[must_use]
    pub fn text(&self, text: &str) -> Value {
        json!({"MsgType": "text", "Content": text, "MsgId": self.new_id()})
    }

    /// A click on an entry of a menu message.
    #[must_use]
    pub fn menu_click(&self, id: &str, label: &str) -> Value {
        json!({"MsgType": "text", "Content": label, "MsgId": self.new_id(), "bizmsgmenuid": id})
    }

    /// What WeChat sends when somebody follows the account.
    #[must_use]
    pub fn subscription(&self) -> Value {
        json!({"MsgType": "event", "Event": "subscribe", "EventKey": ""})
    }

    /// Writes a message; what the bot replies is shown in [`WechatUser::heard`].
    ///
    /// # Errors
    /// When the reply is nothing that WeChat would show.
    pub async fn say(&self, text: &str) -> Result<Pushed> {
        self.push(self.text(text)).await
    }

    /// What the bot said to this patient, oldest first.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.api.platform().heard(&self.openid)
    }

    /// Customer-service messages since the patient last wrote have reached the limit.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.api.platform().is_exhausted(&self.openid)
    }

    /// The bot has shown this patient that it is at work.
    #[must_use]
    pub fn saw_typing(&self) -> bool {
        let calls = self.api.calls("POST /message/custom/typing");
        calls.iter().any(|it| it.body["touser"] == self.openid.as_str())
    }

    /// Waits for a message of the bot.
    pub async fn message(&self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Heard {
        eventually(what, Duration::from_secs(120), async || {
            self.heard().into_iter().find(&is_it)
        })
        .await
    }

    fn new_id(&self) -> String {
        self.servers
            .message_ids
            .fetch_add(1, Ordering::Relaxed)
            .to_string()
    }

    /// Has WeChat deliver a message, three times if the bot does not answer.
    ///
    /// # Errors
    /// When the reply is nothing that WeChat would show.
    pub async fn push(&self, fields: Value) -> Result<Pushed> {
        self.push_for(fields, TRIES, PATIENCE).await
    }

    /// The same, when WeChat waits shorter or asks less often, since the line is bad.
    ///
    /// # Errors
    /// As [`WechatUser::push`].
    pub async fn push_for(&self, fields: Value, tries: usize, patience: Duration) -> Result<Pushed> {
        let (servers, api) = (&self.servers, self.api.platform());
        let created = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_secs();
        let event = || format!("{}:{created}", self.openid);
        let message = fields["MsgId"].as_str().map_or_else(event, ToOwned::to_owned);
        if lock(&servers.written).insert(message.clone()) {
            api.patient_wrote(&self.openid);
        }
        let ask = json!({
            "do": "push", "url": servers.url, "openid": self.openid, "create_time": created, "fields": fields,
            "tries": tries, "patience": patience.as_secs_f64(),
        });
        let answer = servers.client.ask(ask).await?;
        let tries = answer["tries"].as_array().context("tries")?.iter().map(read_try);
        let mut pushed = Pushed {
            tries: tries.collect(),
            is_shown: false,
        };
        if let Some(content) = pushed.reply().map(ToOwned::to_owned) {
            ensure!(
                content.len() <= api::MAX_BYTES,
                "a reply of {} bytes",
                content.len()
            );
            pushed.is_shown = lock(&servers.replied).insert(message);
            if pushed.is_shown {
                api.replied(&self.openid, &content);
            }
        }
        Ok(pushed)
    }
}

fn lock(ids: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    ids.lock().expect("nothing panics while it holds the lock")
}

impl Pushed {
    /// What the bot said within WeChat's own request.
    #[must_use]
    pub fn reply(&self) -> Option<&str> {
        self.tries.last().and_then(|it| it.content.as_deref())
    }

    /// How each request ended.
    #[must_use]
    pub fn outcomes(&self) -> Vec<&str> {
        self.tries.iter().map(|it| it.outcome.as_str()).collect()
    }
}

fn read_try(it: &Value) -> Try {
    Try {
        outcome: it["outcome"].as_str().unwrap_or_default().to_owned(),
        content: it["content"].as_str().map(ToOwned::to_owned),
        took: Duration::from_secs_f64(it["seconds"].as_f64().unwrap_or_default()),
    }
}
