//! What went wrong with a request, in words that hold neither the key nor a patient's text.
//!
//! The server's own message is never kept, since it may repeat the prompt.

use std::{error::Error, fmt, time::Duration};

use bedside_contract::GenerateError;
use reqwest::{Response, StatusCode, header};
use serde_json::Value;

use crate::{
    field::{Field, Refused},
    piece::{self, ServerError, TooLong},
};

/// A body that explains a refusal is not longer.
const LONGEST_EXPLANATION: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the connection broke before the answer was complete")]
    Broken,
    #[error("the server says {status}{}", Kind(.error))]
    Refused {
        status: u16,
        error: ServerError,
        retry_after: Option<Duration>,
    },
    #[error("no word of the answer came within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("no further word of the answer came within {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the server gave the answer up")]
    Aborted,
    #[error("the answer is not what an OpenAI-compatible server sends: {0}")]
    Unreadable(&'static str),
}

struct Kind<'a>(&'a ServerError);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Some(kind) => write!(f, " ({kind})"),
            None => Ok(()),
        }
    }
}

/// What a failed request was about, to say it in the trait's words.
pub(crate) struct About<'a> {
    pub(crate) model: &'a str,
    pub(crate) adapter: Option<&'a str>,
    pub(crate) key_of_the_api_key: &'static str,
    pub(crate) prompt_tokens: usize,
    pub(crate) context_length: usize,
    pub(crate) queued: usize,
}

impl Failure {
    pub(crate) fn of_request(error: reqwest::Error) -> Self {
        if error.is_connect() || error.is_timeout() {
            return Self::Unreachable(root_of(&error.without_url()));
        }
        Self::Broken
    }

    /// Reads what explains a refusal; give it a time limit.
    pub(crate) async fn of_refusal(mut response: Response) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|it| it.to_str().ok())
            .and_then(piece::retry_after);
        let mut body = Vec::new();
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() > LONGEST_EXPLANATION {
                break;
            }
        }
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        Self::Refused {
            status: status.as_u16(),
            error: ServerError::read(&body),
            retry_after,
        }
    }

    /// An error among the events of an answer.
    pub(crate) fn of_event(error: ServerError) -> Self {
        Self::Refused {
            status: error.status.unwrap_or(500),
            error,
            retry_after: None,
        }
    }

    /// Fields without which the server may answer. One that names none may have stumbled over any that OpenAI's protocol
    /// does not have.
    pub(crate) fn refused_fields(&self) -> &[Field] {
        match self {
            Self::Refused {
                status: 400 | 422,
                error,
                ..
            } if error.too_long.is_none() => match &error.refused {
                Refused::These(fields) => fields.as_slice(),
                Refused::Another => &[],
                Refused::Unnamed => &Field::EXTRAS,
            },
            _ => &[],
        }
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken | Self::Aborted => true,
            Self::Refused { status, error, .. } => {
                error.too_long.is_none() && matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
            }
            Self::Silent(_) | Self::Stalled(_) | Self::Unreadable(_) => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the server has to be asked anew what it serves.
    pub(crate) fn is_of_the_server(&self, adapter: Option<&str>) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => {
                matches!(status, 401 | 403) || (*status == 404 && adapter.is_none())
            }
            _ => false,
        }
    }

    pub(crate) fn into_error(self, about: &About<'_>) -> GenerateError {
        let unavailable = |reason: String| GenerateError::Unavailable { reason };
        let Self::Refused { status, error, .. } = &self else {
            return match self {
                Self::Unreachable(_) => unavailable(self.to_string()),
                other => GenerateError::Failed(other.to_string()),
            };
        };
        if let Some(TooLong { tokens, limit }) = error.too_long {
            return GenerateError::PromptTooLong {
                tokens: tokens.unwrap_or(about.prompt_tokens),
                limit: limit.unwrap_or(about.context_length),
            };
        }
        match (*status, about.adapter) {
            (401 | 403, _) => unavailable(refused_key(&self, about.key_of_the_api_key)),
            (404, Some(name)) => GenerateError::UnknownAdapter {
                name: name.to_owned(),
            },
            (404, None) => unavailable(format!(
                "{self}: it knows no model {:?} there: check remote.model and remote.base_url",
                about.model
            )),
            (429 | 503, _) => GenerateError::Busy { queued: about.queued },
            _ => GenerateError::Failed(self.to_string()),
        }
    }
}

pub(crate) fn refused_key(failure: &Failure, key: &str) -> String {
    format!("{failure}: it refuses the key: check {key}")
}

pub(crate) fn is_refused_key(failure: &Failure) -> bool {
    let statuses = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    matches!(failure, Failure::Refused { status, .. } if statuses.iter().any(|it| it.as_u16() == *status))
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn root_of(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use bedside_contract::GenerateError;

    use super::{About, Failure};
    use crate::piece::{ServerError, TooLong};

    fn error_of(status: u16, too_long: Option<TooLong>, adapter: Option<&str>) -> GenerateError {
        let failure = Failure::Refused {
            status,
            error: ServerError {
                status: None,
                kind: Some("some_error".to_owned()),
                too_long,
                ..ServerError::default()
            },
            retry_after: None,
        };
        failure.into_error(&About {
            model: "m",
            adapter,
            key_of_the_api_key: "remote.api_key_file",
            prompt_tokens: 900,
            context_length: 512,
            queued: 4,
        })
    }

    #[test]
    fn statuses_become_the_traits_errors() {
        let cases = [
            (401, None, "remote.api_key_file"),
            (403, None, "remote.api_key_file"),
            (404, None, "check remote.model"),
            (404, Some("ward"), "there is no adapter \"ward\""),
            (429, None, "4 requests are waiting already"),
            (503, None, "4 requests are waiting already"),
            (400, None, "generation failed: the server says 400 (some_error)"),
            (500, None, "generation failed: the server says 500 (some_error)"),
        ];
        for (status, adapter, expect) in cases {
            let error = error_of(status, None, adapter).to_string();
            assert!(error.contains(expect), "{status}: {error}");
        }
        let too_long = error_of(400, Some(TooLong::default()), None);
        assert!(
            matches!(
                too_long,
                GenerateError::PromptTooLong {
                    tokens: 900,
                    limit: 512
                }
            ),
            "{too_long:?}"
        );
    }
}
