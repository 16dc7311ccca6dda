//! One question and its streamed answer.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    plan::Plan,
    sse::{Events, SseError},
};

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) text: String,
    /// From the request to the first visible piece.
    pub(crate) first: Duration,
    /// Between one piece and the next.
    pub(crate) gaps: Vec<Duration>,
    pub(crate) usage: Usage,
}

/// What the server counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    #[serde(default)]
    pub(crate) completion_tokens: u64,
    #[serde(default)]
    pub(crate) prompt_tokens_details: Details,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Details {
    /// Prompt tokens that the server had read before.
    #[serde(default)]
    pub(crate) cached_tokens: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("busy")]
    Busy,
    #[error("http status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("timeout")]
    Timeout,
    #[error("connection")]
    Connection(#[source] reqwest::Error),
    #[error("error within the stream")]
    Server,
    #[error("stream ended early")]
    EndedEarly,
    #[error("stream not understood")]
    Json(#[from] serde_json::Error),
    #[error("stream not understood")]
    Sse(#[from] SseError),
    #[error("no token counts")]
    NoUsage,
}

impl From<reqwest::Error> for AskError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Connection(error)
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    pub(crate) content: String,
}

/// `lora` is llama-server's; other servers pass over what they do not know.
#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    messages: &'a [Message],
    max_tokens: usize,
    temperature: f32,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    logit_bias: BTreeMap<u32, i8>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<[Lora; 1]>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Lora {
    id: u32,
    scale: f32,
}

#[derive(Debug, Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

/// Sends a chat so far, as patient number `patient`, and reads its answer to the end.
pub(crate) async fn ask(
    client: &Client,
    plan: &Plan,
    patient: usize,
    messages: &[Message],
) -> Result<Answer, AskError> {
    let body = Body {
        model: dealt(&plan.models, patient).map(String::as_str),
        messages,
        max_tokens: plan.answer_tokens,
        temperature: 0.0,
        logit_bias: plan.never.iter().map(|id| (*id, -100)).collect(),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        lora: dealt(&plan.lora_ids, patient).map(|id| [Lora { id: *id, scale: 1.0 }]),
    };
    let mut request = client
        .post(format!("{}/chat/completions", plan.base_url))
        .timeout(plan.timeout)
        .json(&body);
    if let Some(key) = &plan.api_key {
        request = request.bearer_auth(key);
    }
    let begun = Instant::now();
    let response = request.send().await?;
    match response.status() {
        StatusCode::OK => read(response, begun).await,
        StatusCode::TOO_MANY_REQUESTS => Err(AskError::Busy),
        other => Err(AskError::Status(other)),
    }
}

async fn read(mut response: reqwest::Response, begun: Instant) -> Result<Answer, AskError> {
    let mut events = Events::default();
    let mut text = String::new();
    let mut arrivals = Vec::new();
    let mut usage = None;
    while let Some(bytes) = response.chunk().await? {
        for data in events.push(&bytes)? {
            if data == "[DONE]" {
                let first = arrivals.first().copied().unwrap_or_else(Instant::now);
                return Ok(Answer {
                    text,
                    first: first - begun,
                    gaps: arrivals.windows(2).map(|it| it[1] - it[0]).collect(),
                    usage: usage.ok_or(AskError::NoUsage)?,
                });
            }
            let chunk: Chunk = serde_json::from_str(&data)?;
            if chunk.error.is_some() {
                return Err(AskError::Server);
            }
            let piece: String = chunk
                .choices
                .into_iter()
                .filter_map(|it| it.delta.content)
                .collect();
            if !piece.is_empty() {
                arrivals.push(Instant::now());
                text.push_str(&piece);
            }
            usage = chunk.usage.or(usage);
        }
    }
    Err(AskError::EndedEarly)
}

fn dealt<T>(among: &[T], patient: usize) -> Option<&T> {
    among.get(patient.checked_rem(among.len())?)
}
