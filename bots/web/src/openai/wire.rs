//! What goes out, in OpenAI's words.

use bedside_contract::{FinishReason, GenerationEvent, ModelInfo};
use serde::Serialize;
use uuid::Uuid;

use super::unix_now;

/// What all objects of one answer share.
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: [Choice<'a>; 1],
    usage: Usage,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
}

#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: Option<&'a str>,
    choices: Vec<ChunkChoice<'a>>,
    /// There, and `null` in all chunks but the last, only if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptTokensDetails,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct PromptTokensDetails {
    cached_tokens: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    reason: &'static str,
    pub(super) usage: Usage,
}

impl Ending {
    /// `None` for every event but the last.
    pub(super) fn of(event: &GenerationEvent) -> Option<Self> {
        let GenerationEvent::Finished {
            reason,
            prompt_tokens,
            reused_tokens,
            generated_tokens,
            ..
        } = *event
        else {
            return None;
        };
        let reason = match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length | FinishReason::Deadline => "length",
        };
        let usage = Usage {
            prompt_tokens,
            completion_tokens: generated_tokens,
            total_tokens: prompt_tokens + generated_tokens,
            prompt_tokens_details: PromptTokensDetails {
                cached_tokens: reused_tokens,
            },
        };
        Some(Self { reason, usage })
    }
}

impl Head {
    pub(super) fn new(model: String, info: &ModelInfo) -> Self {
        let digits = |hash: &String| hash.chars().take(12).collect::<String>();
        Self {
            id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
            created: unix_now(),
            model,
            fingerprint: info.sha256.as_ref().map(|it| format!("fp_{}", digits(it))),
        }
    }

    pub(super) fn completion<'a>(&'a self, content: &'a str, ending: &Ending) -> Completion<'a> {
        Completion {
            id: &self.id,
            object: "chat.completion",
            created: self.created,
            model: &self.model,
            system_fingerprint: self.fingerprint.as_deref(),
            choices: [Choice {
                index: 0,
                message: Message {
                    role: "assistant",
                    content,
                    refusal: None,
                },
                logprobs: None,
                finish_reason: ending.reason,
            }],
            usage: ending.usage,
        }
    }

    pub(super) fn chunk<'a>(&'a self, delta: Delta<'a>, ending: Option<&Ending>) -> Chunk<'a> {
        let choice = ChunkChoice {
            index: 0,
            delta,
            logprobs: None,
            finish_reason: ending.map(|it| it.reason),
        };
        self.chunk_of(vec![choice])
    }

    /// Comes after the chunk that ends the answer.
    pub(super) fn usage_chunk(&self, usage: Usage) -> Chunk<'_> {
        Chunk {
            usage: Some(Some(usage)),
            ..self.chunk_of(Vec::new())
        }
    }

    fn chunk_of<'a>(&'a self, choices: Vec<ChunkChoice<'a>>) -> Chunk<'a> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            system_fingerprint: self.fingerprint.as_deref(),
            choices,
            usage: None,
        }
    }
}

impl Chunk<'_> {
    pub(super) fn with_usage_to_come(self) -> Self {
        Self {
            usage: Some(None),
            ..self
        }
    }
}

impl<'a> Delta<'a> {
    pub(super) fn role() -> Self {
        Self {
            role: Some("assistant"),
            content: Some(""),
        }
    }

    pub(super) fn text(content: &'a str) -> Self {
        Self {
            role: None,
            content: Some(content),
        }
    }
}
