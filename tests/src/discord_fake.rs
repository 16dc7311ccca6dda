//! Discord for tests: the independent npm package discord-digital-twin, its REST API behind [`FaultProxy`].
//!
//! The twin has no direct messages, no resumed sessions, no limits; `tests/node/discord.mjs` and [`DiscordApi`]
//! add them. The gateway is reached directly.

mod api;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

pub use api::DiscordApi;

use crate::{FaultProxy, eventually, fault_proxy::Upstream, json_lines::JsonLines, places};

/// Opens nothing but the twin.
pub const TOKEN: &str = "bot-token-of-the-twin";

/// A message as it stands in the channel now.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub channel: String,
    pub text: String,
    /// Only the patient sees it.
    pub ephemeral: bool,
    pub buttons: Vec<Button>,
    pub sent: Instant,
    /// When it was changed, oldest first.
    pub edits: Vec<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Button {
    pub label: String,
    /// Its `custom_id`.
    pub data: String,
    pub disabled: bool,
}

/// Where a bot finds this Discord; what [`crate::BotOptions::discord`] wants.
#[derive(Debug, Clone)]
pub struct DiscordAccess {
    pub api_url: String,
    pub gateway_url: String,
    pub token: String,
}

/// The twin, the proxy before its API, and what its patients see.
pub struct DiscordFake {
    pub proxy: FaultProxy<DiscordApi>,
    /// The bot's user id, as it is mentioned.
    pub bot: String,
    /// A channel of a guild.
    pub general: String,
    gateway: String,
    twin: JsonLines,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    messages: Vec<Message>,
    /// For each attempt to resume, whether its session was known.
    resumes: Vec<bool>,
}

/// One patient's direct messages.
pub struct DiscordUser<'a> {
    fake: &'a DiscordFake,
    pub id: String,
    pub channel: String,
}

#[derive(Deserialize)]
struct Shown {
    gone: bool,
    id: String,
    channel: String,
    text: String,
    flags: u64,
    buttons: Vec<Button>,
}

const EPHEMERAL: u64 = 1 << 6;

impl DiscordFake {
    /// Starts both.
    ///
    /// # Errors
    /// When Node or its packages are missing.
    pub async fn start() -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let seen_here = Arc::clone(&seen);
        let mut command = Command::new("node");
        command.args(["discord.mjs", TOKEN]).current_dir(places::node()?);
        let heard = move |line: Value| note(&line, &mut lock(&seen_here));
        let (twin, first) = JsonLines::start(&mut command, heard).await?;
        let field = |name: &str| -> Result<String> {
            let text = first[name].as_str();
            Ok(text.with_context(|| format!("{name} in {first}"))?.to_owned())
        };
        let api = DiscordApi::new(Upstream::new(field("api")?)?);
        Ok(Self {
            proxy: FaultProxy::start(api).await?,
            bot: field("bot")?,
            general: field("general")?,
            gateway: field("gateway")?,
            twin,
            seen,
        })
    }

    #[must_use]
    pub fn access(&self) -> DiscordAccess {
        DiscordAccess {
            api_url: format!("{}/api/v10", self.proxy.url()),
            gateway_url: self.gateway.clone(),
            token: TOKEN.to_owned(),
        }
    }

    /// A new patient with an open direct message.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn user(&self, name: &str) -> Result<DiscordUser<'_>> {
        let made = self.twin.ask(json!({"do": "patient", "name": name})).await?;
        Ok(DiscordUser {
            fake: self,
            id: made["user"].as_str().unwrap_or_default().to_owned(),
            channel: made["channel"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Waits until a bot is connected: what is said before is lost, as the twin keeps events for known sessions
    /// only.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn connected(&self) -> Result<()> {
        eventually("a bot at the gateway", Duration::from_secs(30), async || {
            let answer = self.twin.ask(json!({"do": "connected"})).await.ok()?;
            (answer["connected"] != 0).then_some(())
        })
        .await;
        Ok(())
    }

    /// Names of the slash commands that the bot registered.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn commands(&self) -> Result<Vec<String>> {
        let answer = self.twin.ask(json!({"do": "commands"})).await?;
        Ok(serde_json::from_value(answer["commands"].clone())?)
    }

    /// Cuts the gateway's connections as a network does.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn cut(&self) -> Result<()> {
        self.twin.ask(json!({"do": "cut"})).await.map(drop)
    }

    /// Cuts them, and no session can be resumed.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn forget_sessions(&self) -> Result<()> {
        self.twin.ask(json!({"do": "forget"})).await.map(drop)
    }

    /// For each time the bot tried to resume, whether the session was still known.
    #[must_use]
    pub fn resumes(&self) -> Vec<bool> {
        lock(&self.seen).resumes.clone()
    }

    /// The bot's messages in a channel, oldest first, as they stand now.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        let seen = lock(&self.seen);
        let there = seen.messages.iter().filter(|it| it.channel == channel);
        there.cloned().collect()
    }
}

impl DiscordUser<'_> {
    /// Writes a direct message.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn say(&self, text: &str) -> Result<()> {
        self.say_in(&self.channel, text).await
    }

    /// Writes in another channel.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn say_in(&self, channel: &str, text: &str) -> Result<()> {
        let ask = json!({"do": "say", "channel": channel, "user": self.id, "text": text});
        self.fake.twin.ask(ask).await.map(drop)
    }

    /// Runs a slash command in the direct message.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn slash(&self, name: &str, options: &[(&str, &str)]) -> Result<()> {
        self.slash_in(&self.channel, name, options).await
    }

    /// Runs a slash command in another channel.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn slash_in(&self, channel: &str, name: &str, options: &[(&str, &str)]) -> Result<()> {
        let options: Vec<Value> = options
            .iter()
            .map(|(name, value)| json!({"name": name, "type": 3, "value": value}))
            .collect();
        let ask =
            json!({"do": "slash", "channel": channel, "user": self.id, "name": name, "options": options});
        self.fake.twin.ask(ask).await.map(drop)
    }

    /// Presses the newest button that holds this.
    ///
    /// # Errors
    /// When there is none that can be pressed.
    pub async fn press(&self, data: &str) -> Result<()> {
        let offers = |it: &Message| it.buttons.iter().any(|b| b.data == data && !b.disabled);
        let found = self.messages().into_iter().rev().find(offers);
        let message = found.with_context(|| format!("no button {data}"))?.id;
        let ask = json!({
            "do": "press", "channel": self.channel, "user": self.id, "message": message, "data": data,
        });
        self.fake.twin.ask(ask).await.map(drop)
    }

    /// The gateway gives the bot this patient's last event again, so many times at once.
    ///
    /// # Errors
    /// When the twin is gone.
    pub async fn redeliver_last(&self, times: usize) -> Result<()> {
        let ask = json!({"do": "redeliver", "channel": self.channel, "times": times});
        self.fake.twin.ask(ask).await.map(drop)
    }

    /// The bot's messages, oldest first, as they stand now.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.fake.messages(&self.channel)
    }

    /// The bot has shown this patient that it is at work.
    #[must_use]
    pub fn saw_typing(&self) -> bool {
        let calls = self.fake.proxy.calls("POST /channels/*/typing");
        calls.iter().any(|it| it.path.contains(&self.channel))
    }

    /// Waits for a message of the bot.
    pub async fn message(&self, what: &str, is_it: impl Fn(&Message) -> bool) -> Message {
        eventually(what, Duration::from_secs(120), async || {
            self.messages().into_iter().find(&is_it)
        })
        .await
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("nothing panics while it holds the lock")
}

fn note(line: &Value, seen: &mut Seen) {
    if let Some(known) = line.pointer("/resume/known").and_then(Value::as_bool) {
        seen.resumes.push(known);
    }
    let Ok(shown) = Shown::deserialize(&line["shown"]) else {
        return;
    };
    let known = seen.messages.iter().position(|it| it.id == shown.id);
    match known {
        Some(at) if shown.gone => drop(seen.messages.remove(at)),
        Some(at) => {
            let message = &mut seen.messages[at];
            message.text = shown.text;
            message.buttons = shown.buttons;
            message.edits.push(Instant::now());
        }
        // A deferred response becomes a message with its first edit.
        None => seen.messages.push(Message {
            id: shown.id,
            channel: shown.channel,
            text: shown.text,
            ephemeral: shown.flags & EPHEMERAL != 0,
            buttons: shown.buttons,
            sent: Instant::now(),
            edits: Vec::new(),
        }),
    }
}
