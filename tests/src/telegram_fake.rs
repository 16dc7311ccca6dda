//! Telegram for tests: the independent npm package telegram-test-api behind [`FaultProxy`].

mod api;

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

pub use api::{Message, TelegramApi};

use crate::{FaultProxy, bot::free_port, eventually, fault_proxy::Upstream, places};

/// Has the form of a real token and opens nothing.
pub const TOKEN: &str = "666:AAF7-test_token_that_opens_nothing_at_all";

/// The fake, its proxy and its patients.
pub struct TelegramFake {
    pub proxy: FaultProxy<TelegramApi>,
    url: String,
    /// Killed when dropped.
    _node: Child,
}

/// One patient's private chat.
pub struct TelegramUser<'a> {
    fake: &'a TelegramFake,
    id: i64,
}

impl TelegramFake {
    /// Starts both.
    ///
    /// # Errors
    /// When Node or its packages are missing.
    pub async fn start() -> Result<Self> {
        let directory = places::node()?;
        let port = free_port()?;
        let mut node = Command::new("node")
            .arg("server.cjs")
            .arg(port.to_string())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node cannot be started: install Node 20 or newer")?;
        let stdout = node.stdout.take().context("standard output")?;
        let line = tokio::time::timeout(
            Duration::from_secs(30),
            BufReader::new(stdout).lines().next_line(),
        )
        .await;
        let line = line
            .context("the fake Telegram did not start")??
            .unwrap_or_default();
        ensure!(line == "ready", "the fake Telegram did not start: {line:?}");
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self {
            proxy: FaultProxy::start(TelegramApi::new(Upstream::new(url.clone())?)).await?,
            url,
            _node: node,
        })
    }

    /// What [`crate::BotOptions::telegram`] wants.
    #[must_use]
    pub fn access(&self) -> Option<(String, String)> {
        Some((self.proxy.url().to_owned(), TOKEN.to_owned()))
    }

    #[must_use]
    pub fn user(&self, id: i64) -> TelegramUser<'_> {
        TelegramUser { fake: self, id }
    }
}

impl TelegramUser<'_> {
    /// Writes a message; one that begins with a slash is a command.
    ///
    /// # Errors
    /// When the fake is gone.
    pub async fn say(&self, text: &str) -> Result<()> {
        let mut message = self.about(json!({"text": text}));
        if text.starts_with('/') {
            let length = text.split(' ').next().unwrap_or_default().len();
            message["entities"] = json!([{"offset": 0, "length": length, "type": "bot_command"}]);
            return self.post("sendCommand", message).await;
        }
        self.post("sendMessage", message).await
    }

    /// Presses a button.
    ///
    /// # Errors
    /// When the fake is gone.
    pub async fn press(&self, data: &str) -> Result<()> {
        let message = self.about(json!({}));
        self.post(
            "sendCallback",
            self.about(json!({"data": data, "message": message})),
        )
        .await
    }

    /// Opens the chat and agrees to the consent question.
    ///
    /// # Errors
    /// When the fake is gone.
    pub async fn consent(&self) -> Result<()> {
        self.say("/start").await?;
        self.message("the consent question", |it| {
            it.buttons.contains(&"consent:yes".to_owned())
        })
        .await;
        let before = self.messages().len();
        self.press("consent:yes").await?;
        eventually("the thanks", Duration::from_secs(20), async || {
            (self.messages().len() > before).then_some(())
        })
        .await;
        Ok(())
    }

    /// The bot's messages, oldest first, as they stand now.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.fake.proxy.platform().messages(self.id)
    }

    /// The platform gives the bot this chat's last update again, so many times at once.
    ///
    /// # Errors
    /// When the bot has not been given one yet.
    pub fn redeliver_last(&self, times: usize) -> Result<()> {
        let found = self.fake.proxy.platform().redeliver_last(self.id, times);
        ensure!(found, "no update of this chat has been polled yet");
        Ok(())
    }

    /// The bot has shown this patient that it is at work.
    #[must_use]
    pub fn saw_typing(&self) -> bool {
        let calls = self.fake.proxy.calls("sendchataction");
        calls.iter().any(|it| it.body["chat_id"] == self.id)
    }

    /// Waits for a message of the bot.
    pub async fn message(&self, what: &str, is_it: impl Fn(&Message) -> bool) -> Message {
        eventually(what, Duration::from_secs(120), async || {
            self.messages().into_iter().find(&is_it)
        })
        .await
    }

    fn about(&self, more: Value) -> Value {
        let name = format!("Patient {}", self.id);
        let mut message = json!({
            "botToken": TOKEN,
            "date": 1_700_000_000,
            "from": {"id": self.id, "first_name": name, "is_bot": false},
            "chat": {"id": self.id, "first_name": name, "type": "private"},
        });
        if let (Some(message), Value::Object(more)) = (message.as_object_mut(), more) {
            message.extend(more);
        }
        message
    }

    async fn post(&self, path: &str, body: Value) -> Result<()> {
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        client
            .post(format!("{}/{path}", self.fake.url))
            .json(&body)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }
}
