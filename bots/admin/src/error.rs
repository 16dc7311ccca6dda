use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_contract::{AdapterChangeError, StoreError};
use serde_json::json;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("this needs a key: set admin.key_file or admin.key")]
    KeyNotConfigured,
    #[error("the admin key is missing: send it as Authorization: Bearer KEY")]
    KeyMissing,
    #[error("the admin key is wrong")]
    WrongKey,
    #[error("a wrong key came from this address a moment ago: wait a second")]
    TooManyWrongKeys { wait: Duration },
    #[error("without a key this is served under IP addresses and localhost only: set admin.key_file")]
    UnknownHost,
    #[error(
        "there is no such path: GET /metrics, /healthz, /readyz, POST /v1/load_lora_adapter, /v1/unload_lora_adapter"
    )]
    NoSuchPath,
    #[error("{field} is longer than {most} characters")]
    TooLong { field: &'static str, most: usize },
    #[error("{limit} adapters are loaded at run time already: unload one, or raise admin.max_adapters")]
    TooManyAdapters { limit: usize },
    #[error(transparent)]
    Adapter(#[from] AdapterChangeError),
    #[error("nothing was changed, since it could not be written to the audit log: {0}")]
    NotAudited(StoreError),
    #[error("the change broke off; the bot's log says why")]
    BrokeOff,
    #[error("the metrics could not be written down")]
    Exposition,
}

impl AdminError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::KeyNotConfigured => (StatusCode::FORBIDDEN, "key_not_configured"),
            Self::KeyMissing => (StatusCode::UNAUTHORIZED, "key_missing"),
            Self::WrongKey => (StatusCode::UNAUTHORIZED, "wrong_key"),
            Self::TooManyWrongKeys { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys"),
            Self::UnknownHost => (StatusCode::MISDIRECTED_REQUEST, "unknown_host"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "unknown_url"),
            Self::TooLong { .. } => (StatusCode::BAD_REQUEST, "too_long"),
            Self::TooManyAdapters { .. } => (StatusCode::CONFLICT, "too_many_adapters"),
            Self::Adapter(AdapterChangeError::NotReady) => {
                (StatusCode::SERVICE_UNAVAILABLE, "model_not_ready")
            }
            Self::Adapter(AdapterChangeError::Unsupported) => (StatusCode::FORBIDDEN, "adapters_fixed"),
            Self::Adapter(AdapterChangeError::Unknown { .. }) => (StatusCode::NOT_FOUND, "adapter_not_found"),
            Self::Adapter(_) => (StatusCode::BAD_REQUEST, "adapter_refused"),
            Self::NotAudited(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_audited"),
            Self::BrokeOff => (StatusCode::INTERNAL_SERVER_ERROR, "broke_off"),
            Self::Exposition => (StatusCode::INTERNAL_SERVER_ERROR, "exposition"),
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let body = json!({"error": {"message": self.to_string(), "code": code}});
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::TooManyWrongKeys { wait } = &self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        response
    }
}
