use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_contract::GenerateError;
use serde_json::{Value, json};

use super::request::MAX_BODY;
use crate::{body::BodyError, refusal::Refusal};

/// For how long a client that meets a full queue, or a model that is still loading, shall wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request was not answered. Names fields and numbers, never what a message says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the OpenAI-compatible API is switched off: set web.api.enabled = true")]
    Disabled,
    #[error(
        "the OpenAI-compatible API needs a key, since this server can be reached from other machines: set \
         web.api.key_file or web.api.key"
    )]
    KeyNeeded,
    #[error("{}", wrong_key(*.is_missing))]
    WrongKey { is_missing: bool },
    #[error("a wrong API key came from this address a moment ago: wait a second")]
    TooManyWrongKeys { wait: Duration },
    #[error(
        "there is no such path: base_url ends with /v1, and below it GET models and POST chat/completions are \
         served"
    )]
    NoSuchPath,
    #[error("this path is not asked with this method")]
    WrongMethod,
    #[error("{}", .0.english())]
    Refused(Refusal),
    #[error("send JSON (content-type: application/json)")]
    NotJson,
    #[error("the request is larger than {} KiB", MAX_BODY / 1024)]
    TooLarge,
    #[error("the request did not arrive whole")]
    Broken,
    #[error("the request is not valid JSON: line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error("{param}: {reason}")]
    Invalid { param: String, reason: String },
    #[error("{param} is not supported: {reason}")]
    Unsupported { param: String, reason: &'static str },
    #[error("there is no model {name:?}: GET /v1/models names those there are")]
    UnknownModel { name: String },
    #[error("{limit} requests of programs run or wait already (web.api.max_requests)")]
    TooManyRequests { limit: usize },
    #[error(
        "adapters are loaded and unloaded on the admin listener: the same path at the address of admin.listen, with \
         the key of admin.key_file"
    )]
    AdaptersMoved,
    #[error("the model is not loaded: it is still loading, or the bot's log says why it cannot be")]
    NoModel,
    #[error("the bot is stopping")]
    Stopping,
    #[error("the answer broke off")]
    BrokeOff,
    #[error(transparent)]
    Generate(GenerateError),
}

fn wrong_key(is_missing: bool) -> &'static str {
    if is_missing {
        "the API key is missing: send it as Authorization: Bearer KEY"
    } else {
        "the API key is wrong"
    }
}

/// How OpenAI calls an error.
struct Kind {
    status: StatusCode,
    name: &'static str,
    code: Option<&'static str>,
}

const fn kind(status: StatusCode, name: &'static str, code: &'static str) -> Kind {
    Kind {
        status,
        name,
        code: Some(code),
    }
}

impl ApiError {
    pub(crate) fn invalid(param: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            param: param.into(),
            reason: reason.into(),
        }
    }

    /// `{"error": …}`, as it stands in a response and at the end of a broken stream.
    pub(crate) fn body(&self) -> Value {
        let Kind { name, code, .. } = self.kind();
        json!({"error": {"message": self.to_string(), "type": name, "param": self.param(), "code": code}})
    }

    fn kind(&self) -> Kind {
        use StatusCode as Status;
        const INVALID: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        match self {
            Self::Disabled => kind(Status::NOT_FOUND, INVALID, "api_disabled"),
            Self::KeyNeeded => kind(Status::FORBIDDEN, INVALID, "api_key_not_configured"),
            Self::WrongKey { .. } => kind(Status::UNAUTHORIZED, INVALID, "invalid_api_key"),
            Self::NoSuchPath => kind(Status::NOT_FOUND, INVALID, "unknown_url"),
            Self::WrongMethod => kind(Status::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed"),
            Self::Refused(refusal) => kind(refusal.status(), INVALID, refusal.code()),
            Self::NotJson => kind(Status::UNSUPPORTED_MEDIA_TYPE, INVALID, "not_json"),
            Self::TooLarge => kind(Status::PAYLOAD_TOO_LARGE, INVALID, "request_too_large"),
            Self::Broken | Self::Unreadable { .. } => kind(Status::BAD_REQUEST, INVALID, "invalid_json"),
            Self::Invalid { .. } | Self::Generate(GenerateError::Refused { .. }) => {
                kind(Status::BAD_REQUEST, INVALID, "invalid_value")
            }
            Self::Unsupported { .. } => kind(Status::BAD_REQUEST, INVALID, "unsupported_parameter"),
            Self::UnknownModel { .. } | Self::Generate(GenerateError::UnknownAdapter { .. }) => {
                kind(Status::NOT_FOUND, INVALID, "model_not_found")
            }
            Self::AdaptersMoved => kind(Status::FORBIDDEN, INVALID, "adapters_moved"),
            Self::TooManyWrongKeys { .. } => kind(
                Status::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "too_many_wrong_keys",
            ),
            Self::TooManyRequests { .. } | Self::Generate(GenerateError::Busy { .. }) => {
                kind(Status::TOO_MANY_REQUESTS, "rate_limit_error", "busy")
            }
            Self::Generate(GenerateError::PromptTooLong { .. } | GenerateError::PromptTooLarge { .. }) => {
                kind(Status::BAD_REQUEST, INVALID, "context_length_exceeded")
            }
            Self::NoModel | Self::Generate(GenerateError::NotReady) => {
                kind(Status::SERVICE_UNAVAILABLE, SERVER, "model_not_ready")
            }
            Self::Generate(GenerateError::SwitchedOff) => {
                kind(Status::SERVICE_UNAVAILABLE, SERVER, "answers_switched_off")
            }
            Self::Generate(GenerateError::Unavailable { .. }) => {
                kind(Status::SERVICE_UNAVAILABLE, SERVER, "model_unavailable")
            }
            Self::Stopping => kind(Status::SERVICE_UNAVAILABLE, SERVER, "stopping"),
            Self::BrokeOff | Self::Generate(GenerateError::Failed(_)) => Kind {
                status: Status::INTERNAL_SERVER_ERROR,
                name: SERVER,
                code: None,
            },
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid { param, .. } | Self::Unsupported { param, .. } => Some(param),
            Self::UnknownModel { .. } | Self::Generate(GenerateError::UnknownAdapter { .. }) => Some("model"),
            Self::Generate(GenerateError::PromptTooLong { .. } | GenerateError::Refused { .. }) => {
                Some("messages")
            }
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = self.kind();
        let wait = match &self {
            Self::TooManyWrongKeys { wait } => wait.as_secs() + 1,
            _ => RETRY_AFTER.as_secs(),
        };
        let mut response = (kind.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        match kind.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
            }
            _ => {}
        }
        response
    }
}

impl From<GenerateError> for ApiError {
    fn from(error: GenerateError) -> Self {
        if let GenerateError::Failed(_) | GenerateError::Unavailable { .. } = error {
            tracing::error!(%error, "a program's request could not be answered");
        }
        Self::Generate(error)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::NotJson => Self::NotJson,
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Broken => Self::Broken,
        }
    }
}
