//! A patient on the chat page, without the page.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use reqwest::{Client, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::eventually;

/// One line of the conversation, as the page gets it.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    pub id: i64,
    pub seq: i64,
    pub external_id: Option<String>,
    /// `patient` or `bot`.
    pub from: String,
    /// What the patient wrote.
    pub text: Option<String>,
    /// What the bot said.
    pub part: Option<Part>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    /// `answer`, `emergency` or `notice`.
    pub kind: String,
    pub language: String,
    pub text: String,
    pub disposition: Option<String>,
    /// The disposition in the patient's words.
    pub disposition_text: Option<String>,
    #[serde(default)]
    pub departments: Vec<String>,
    #[serde(default)]
    pub citations: Vec<Citation>,
    #[serde(default)]
    pub quick_replies: Vec<QuickReply>,
    pub label: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Citation {
    pub number: u32,
    pub title: String,
    pub source: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct QuickReply {
    pub label: String,
    pub data: String,
}

impl Part {
    /// All that the page shows of it, as one text; other platforms show the same.
    #[must_use]
    pub fn shown(&self) -> String {
        let is_chinese = self.language == "zh";
        let (departments, separator, sources) = if is_chinese {
            ("建议就诊科室：", "、", "资料来源：")
        } else {
            ("Department: ", ", ", "Sources:")
        };
        let mut lines = vec![self.text.clone()];
        lines.extend(self.disposition_text.iter().map(|it| format!("➜ {it}")));
        if !self.departments.is_empty() {
            lines.push(format!("{departments}{}", self.departments.join(separator)));
        }
        if !self.citations.is_empty() {
            lines.push(sources.to_owned());
        }
        let citation = |it: &Citation| format!("[{}] {} ({})", it.number, it.title, it.source);
        lines.extend(self.citations.iter().map(citation));
        lines.extend(self.label.clone());
        lines.join("\n")
    }
}

/// What the bot took.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    pub seq: i64,
    pub duplicate: bool,
}

/// One browser with one open event stream, which comes back after the bot was away.
pub struct WebClient {
    url: String,
    client: Client,
    cookie: String,
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Heard {
    entries: Vec<Entry>,
    previews: Vec<(i64, String)>,
    typing: usize,
}

impl Drop for WebClient {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl WebClient {
    /// Opens the page's stream and waits for the welcome.
    ///
    /// # Errors
    /// When the bot cannot be reached.
    pub async fn open(url: &str) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .build()?;
        let response = client.get(format!("{url}/api/events?after=0")).send().await?;
        ensure!(
            response.status().is_success(),
            "the event stream was refused: {}",
            response.status()
        );
        let cookie = response
            .headers()
            .get(header::SET_COOKIE)
            .context("a new page gets a cookie")?
            .to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        drop(response);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listening = tokio::spawn(listen(
            client.clone(),
            url.to_owned(),
            cookie.clone(),
            Arc::clone(&heard),
        ));
        let page = Self {
            url: url.to_owned(),
            client,
            cookie,
            heard,
            listening,
        };
        eventually("the welcome", Duration::from_secs(20), async || {
            page.entries().first().cloned()
        })
        .await;
        Ok(page)
    }

    /// Opens the page and agrees to the consent question.
    ///
    /// # Errors
    /// As [`WebClient::open`].
    pub async fn open_with_consent(url: &str) -> Result<Self> {
        let page = Self::open(url).await?;
        let asked = page.entries().into_iter().any(|entry| {
            entry
                .part
                .is_some_and(|part| part.quick_replies.iter().any(|it| it.data == "consent:yes"))
        });
        ensure!(asked, "the welcome should ask for consent: {:?}", page.entries());
        let taken = page.choose("consent:yes").await?;
        page.answer_to(taken.seq, Duration::from_secs(20)).await;
        Ok(page)
    }

    /// Sends a text under a new id.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn say(&self, text: &str) -> Result<Taken> {
        self.post(json!({"id": Uuid::new_v4().to_string(), "text": text}))
            .await
    }

    /// Sends a text under this id: the same again is the same message.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn say_as(&self, id: Uuid, text: &str) -> Result<Taken> {
        self.post(json!({"id": id.to_string(), "text": text})).await
    }

    /// Presses a quick reply.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn choose(&self, data: &str) -> Result<Taken> {
        self.post(json!({"id": Uuid::new_v4().to_string(), "choice": data}))
            .await
    }

    async fn post(&self, body: Value) -> Result<Taken> {
        let request = self
            .client
            .post(format!("{}/api/messages", self.url))
            .header(header::COOKIE, &self.cookie);
        let response = request
            .json(&body)
            .timeout(Duration::from_secs(20))
            .send()
            .await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(
            status == StatusCode::ACCEPTED,
            "the message was not taken: {status} {text}"
        );
        Ok(serde_json::from_str(&text)?)
    }

    /// Sends a question and waits for what ends its turn: an answer or an emergency notice.
    ///
    /// # Errors
    /// When it is not taken.
    pub async fn ask(&self, text: &str) -> Result<Vec<Entry>> {
        let taken = self.say(text).await?;
        Ok(self.answer_to(taken.seq, Duration::from_secs(120)).await)
    }

    /// What the bot said to a message, once it has said something.
    pub async fn answer_to(&self, seq: i64, within: Duration) -> Vec<Entry> {
        let what = format!("an answer to message {seq}");
        eventually(&what, within, async || {
            let said = self.said_to(seq);
            (!said.is_empty()).then_some(said)
        })
        .await
    }

    /// What the bot said to a message so far.
    #[must_use]
    pub fn said_to(&self, seq: i64) -> Vec<Entry> {
        self.entries()
            .into_iter()
            .filter(|it| it.seq == seq && it.from == "bot")
            .collect()
    }

    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.heard).entries.clone()
    }

    /// Sequence number and text of the previews, oldest first.
    #[must_use]
    pub fn previews(&self) -> Vec<(i64, String)> {
        lock(&self.heard).previews.clone()
    }

    /// How often the bot showed that it is at work.
    #[must_use]
    pub fn typing_notices(&self) -> usize {
        lock(&self.heard).typing
    }

    /// What a reload of the page shows.
    ///
    /// # Errors
    /// When the bot cannot be reached.
    pub async fn reload(&self) -> Result<Vec<Entry>> {
        let known = self.entries().len();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let task = listen(
            self.client.clone(),
            self.url.clone(),
            self.cookie.clone(),
            Arc::clone(&heard),
        );
        let task = tokio::spawn(task);
        let start = Instant::now();
        eventually(
            "the conversation after a reload",
            Duration::from_secs(20),
            async || {
                (lock(&heard).entries.len() >= known || start.elapsed() > Duration::from_secs(10))
                    .then_some(())
            },
        )
        .await;
        task.abort();
        Ok(lock(&heard).entries.clone())
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().expect("no test panics while it holds the lock")
}

/// Reads the stream, and opens it again from the last entry when it ends.
async fn listen(client: Client, url: String, cookie: String, heard: Arc<Mutex<Heard>>) {
    loop {
        let after = lock(&heard).entries.last().map_or(0, |it| it.id);
        let request = client
            .get(format!("{url}/api/events?after={after}"))
            .header(header::COOKIE, &cookie);
        if let Ok(response) = request.send().await {
            let mut stream = response.bytes_stream();
            let mut text = Vec::new();
            while let Some(Ok(chunk)) = stream.next().await {
                text.extend_from_slice(&chunk);
                while let Some(end) = text.windows(2).position(|it| it == b"\n\n") {
                    let event: Vec<u8> = text.drain(..end + 2).collect();
                    note(&String::from_utf8_lossy(&event), &heard);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn note(event: &str, heard: &Mutex<Heard>) {
    let field = |name: &str| {
        event
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let data: Value = field("data:")
        .and_then(|it| serde_json::from_str(it).ok())
        .unwrap_or_default();
    let mut heard = lock(heard);
    match field("event:") {
        Some("greeting") if heard.entries.is_empty() => heard.entries.push(Entry {
            id: 0,
            seq: 0,
            external_id: None,
            from: "bot".to_owned(),
            text: None,
            part: Part::deserialize(&data["part"]).ok(),
        }),
        Some("entry") => match Entry::deserialize(&data) {
            Ok(entry) => {
                if heard.entries.last().is_none_or(|it| it.id < entry.id) {
                    heard.entries.push(entry);
                }
            }
            Err(error) => panic!("an entry is not as documented ({error}): {data}"),
        },
        Some("preview") => {
            let seq = data["seq"].as_i64().unwrap_or_default();
            heard
                .previews
                .push((seq, data["text"].as_str().unwrap_or_default().to_owned()));
        }
        Some("typing") => heard.typing += 1,
        _ => {}
    }
}
