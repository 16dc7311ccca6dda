//! What the events of a streamed answer and the bodies of refusals say.

use std::time::Duration;

use bedside_contract::FinishReason;
use serde::Deserialize;
use serde_json::Value;

use crate::field::Refused;

/// One event of a streamed answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Something was generated, though it may be thought that no patient sees.
    pub(crate) is_token: bool,
    pub(crate) ended: Option<Ended>,
    pub(crate) usage: Option<Usage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well(FinishReason),
    /// The server gave the answer up.
    Aborted,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: usize,
    pub(crate) reused_tokens: usize,
    pub(crate) generated_tokens: usize,
}

/// An error that the server reports, without its message: that may repeat the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) status: Option<u16>,
    /// Its code or type, like `rate_limit_exceeded`.
    pub(crate) kind: Option<String>,
    pub(crate) too_long: Option<TooLong>,
    /// What it says of the request's fields.
    pub(crate) refused: Refused,
}

/// The prompt does not fit; numbers where the server gives them as such.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TooLong {
    pub(crate) tokens: Option<usize>,
    pub(crate) limit: Option<usize>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Unreadable {
    Error(ServerError),
    NoJson,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    timings: Option<Timings>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<Content>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
    thinking: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// Mistral's models say by the type which part is thought.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    r#type: String,
    text: Option<String>,
}

impl Content {
    fn is_some(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Parts(parts) => !parts.is_empty(),
        }
    }

    /// Without what is thought.
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => {
                let texts = parts.into_iter().filter(|it| it.r#type == "text");
                texts.filter_map(|it| it.text).collect()
            }
        }
    }
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<usize>,
}

/// llama-server's own figures.
#[derive(Deserialize)]
struct Timings {
    #[serde(default)]
    cache_n: Option<usize>,
}

impl Piece {
    pub(crate) fn read(data: &str) -> Result<Self, Unreadable> {
        let value: Value = serde_json::from_str(data).map_err(|_| Unreadable::NoJson)?;
        let is_error = value.get("error").is_some_and(|it| !it.is_null())
            || value.get("object").is_some_and(|it| it == "error")
            || (value.get("choices").is_none() && value.get("message").is_some());
        if is_error {
            return Err(Unreadable::Error(ServerError::read(&value)));
        }
        let chunk: Chunk = serde_json::from_value(value).map_err(|_| Unreadable::NoJson)?;
        let cached = chunk.timings.and_then(|it| it.cache_n);
        let usage = chunk.usage.map(|it| Usage {
            prompt_tokens: it.prompt_tokens,
            reused_tokens: it
                .prompt_tokens_details
                .and_then(|it| it.cached_tokens)
                .or(cached)
                .unwrap_or_default()
                .min(it.prompt_tokens),
            generated_tokens: it.completion_tokens,
        });
        let choice = chunk
            .choices
            .unwrap_or_default()
            .into_iter()
            .next()
            .unwrap_or_default();
        let delta = choice.delta.unwrap_or_default();
        let thoughts = [&delta.reasoning_content, &delta.reasoning, &delta.thinking];
        let is_thought = thoughts.into_iter().flatten().any(|it| it.as_str() != Some(""));
        Ok(Self {
            is_token: is_thought || delta.content.as_ref().is_some_and(Content::is_some),
            text: delta.content.map(Content::into_text).unwrap_or_default(),
            ended: choice.finish_reason.as_deref().map(ended),
            usage,
        })
    }
}

fn ended(reason: &str) -> Ended {
    match reason {
        "length" => Ended::Well(FinishReason::Length),
        "abort" | "error" => Ended::Aborted,
        _ => Ended::Well(FinishReason::Stop),
    }
}

impl ServerError {
    /// From a body, an event, or the error in one.
    pub(crate) fn read(value: &Value) -> Self {
        let error = value.get("error").filter(|it| !it.is_null()).unwrap_or(value);
        let code = error.get("code");
        let word = |it: Option<&Value>| {
            it.and_then(Value::as_str)
                .filter(|it| is_word(it))
                .map(str::to_owned)
        };
        let number = |key: &str| {
            error
                .get(key)
                .and_then(Value::as_u64)
                .and_then(|it| usize::try_from(it).ok())
        };
        let kind = word(code).or_else(|| word(error.get("type")));
        let message = error
            .get("message")
            .or(Some(error))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_too_long = kind
            .as_deref()
            .is_some_and(|it| it == "context_length_exceeded" || it == "exceed_context_size_error")
            || TOO_LONG.iter().any(|it| message.contains(it));
        Self {
            status: code
                .and_then(Value::as_u64)
                .and_then(|it| u16::try_from(it).ok())
                .filter(|it| (400..600).contains(it)),
            kind,
            too_long: is_too_long.then(|| TooLong {
                tokens: number("n_prompt_tokens"),
                limit: number("n_ctx"),
            }),
            refused: Refused::read(error),
        }
    }
}

/// How vLLM, SGLang and llama-server speak of a prompt that does not fit.
const TOO_LONG: [&str; 4] = [
    "maximum context length",
    "model's context length",
    "maximum model length",
    "exceeds the available context size",
];

/// A code and not a sentence, which might hold what a patient wrote.
fn is_word(text: &str) -> bool {
    (1..=48).contains(&text.len())
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-' || it == '.')
}

/// The seconds of a `Retry-After` header; a date there is not understood.
pub(crate) fn retry_after(header: &str) -> Option<Duration> {
    let seconds: f64 = header.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_contract::FinishReason;

    use super::{Ended, Piece, ServerError, TooLong, Unreadable, Usage, retry_after};

    #[test]
    fn events_of_the_servers_are_read() {
        let piece = |data: &str| Piece::read(data).unwrap();
        let role = piece(
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}"#,
        );
        assert_eq!(role, Piece::default());
        let text = piece(r#"{"choices":[{"delta":{"content":"发"}}],"usage":null}"#);
        assert_eq!((text.text.as_str(), text.is_token), ("发", true));
        for delta in [
            r#"{"reasoning_content":"hm"}"#,
            r#"{"reasoning":"hm","content":""}"#,
            r#"{"thinking":"hm","content":null}"#,
            r#"{"reasoning":{"text":"hm"}}"#,
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#,
        ] {
            let thought = piece(&format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#));
            assert_eq!((thought.text.as_str(), thought.is_token), ("", true), "{delta}");
        }
        let nothing =
            piece(r#"{"choices":[{"delta":{"reasoning_content":"","content":"","thinking":null}}]}"#);
        assert_eq!(nothing, Piece::default());
        let parts = piece(
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#,
        );
        assert_eq!((parts.text.as_str(), parts.is_token), ("ab", true));
        let last = piece(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#);
        assert_eq!(last.ended, Some(Ended::Well(FinishReason::Length)));
        assert_eq!(
            piece(r#"{"choices":[{"finish_reason":"abort"}]}"#).ended,
            Some(Ended::Aborted)
        );
        let vllm = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}"#;
        let llama = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3},"timings":{"cache_n":4,"prompt_n":5}}"#;
        for data in [vllm, llama] {
            let usage = Usage {
                prompt_tokens: 9,
                reused_tokens: 4,
                generated_tokens: 3,
            };
            assert_eq!(piece(data).usage, Some(usage), "{data}");
        }
        assert_eq!(Piece::read("{"), Err(Unreadable::NoJson));
        assert_eq!(Piece::read("[1]"), Err(Unreadable::NoJson));
    }

    #[test]
    fn errors_keep_their_code_and_never_their_words() {
        let cases = [
            (
                r#"{"error":{"message":"my chest hurts","type":"server_error","code":500}}"#,
                Some(500),
                Some("server_error"),
            ),
            (
                r#"{"object":"error","message":"my chest hurts","type":"BadRequestError","code":400}"#,
                Some(400),
                Some("BadRequestError"),
            ),
            (
                r#"{"code":503,"message":"my chest","type":"unavailable_error"}"#,
                Some(503),
                Some("unavailable_error"),
            ),
            (r#"{"error":"my chest hurts"}"#, None, None),
            (
                r#"{"error":{"code":"my chest hurts","type":"my chest"}}"#,
                None,
                None,
            ),
        ];
        for (data, status, kind) in cases {
            let expect = ServerError {
                status,
                kind: kind.map(str::to_owned),
                ..ServerError::default()
            };
            assert_eq!(Piece::read(data), Err(Unreadable::Error(expect)), "{data}");
        }
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_recognised() {
        let too_long = |data: &str| ServerError::read(&serde_json::from_str(data).unwrap()).too_long;
        let llama = r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":700,"n_ctx":512}}"#;
        let numbers = TooLong {
            tokens: Some(700),
            limit: Some(512),
        };
        assert_eq!(too_long(llama), Some(numbers));
        let others = [
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, …","type":"BadRequestError","code":400}"#,
            r#"{"error":{"message":"…","code":"context_length_exceeded"}}"#,
            r#"{"error":"The input (9 tokens) is longer than the model's context length (8 tokens)."}"#,
        ];
        for data in others {
            assert_eq!(too_long(data), Some(TooLong::default()), "{data}");
        }
        assert_eq!(
            too_long(r#"{"error":{"message":"no such parameter","code":400}}"#),
            None
        );
    }

    #[test]
    fn waits_are_read() {
        assert_eq!(retry_after(" 3 "), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("0.5"), Some(Duration::from_millis(500)));
        for text in ["", "-1", "NaN", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(retry_after(text), None, "{text}");
        }
    }
}
