//! `/v1`: the model for programs, in OpenAI's protocol. No triage, no knowledge base, no consent: what a
//! program asks goes to the model as it is, and nothing of it is stored.

mod access;
mod adapters;
mod chat;
mod config;
mod error;
mod fields;
mod models;
mod request;
mod sampling;
mod stream;
mod unsupported;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use bedside_contract::{Generator, ModelInfo};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use config::{ApiConfig, ApiKey};

pub(crate) use access::{Access, Reach};
pub(crate) use error::ApiError;

/// What the handlers of `/v1` share.
pub(crate) struct Api {
    generator: Option<Arc<dyn Generator>>,
    access: Access,
    slots: Arc<Semaphore>,
    max_requests: usize,
    manage_adapters: bool,
    deadline: Duration,
    /// Unix seconds; stands for the time at which the models were made.
    started: u64,
    /// Cancelled when the connector stops.
    stop: CancellationToken,
}

impl Api {
    pub(crate) fn new(
        config: &ApiConfig,
        access: Access,
        generator: Option<Arc<dyn Generator>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            generator,
            access,
            slots: Arc::new(Semaphore::new(config.max_requests)),
            max_requests: config.max_requests,
            manage_adapters: config.manage_adapters,
            deadline: Duration::from_secs(config.deadline_seconds),
            started: unix_now(),
            stop,
        }
    }

    fn generator(&self) -> Result<&Arc<dyn Generator>, ApiError> {
        self.generator.as_ref().ok_or(ApiError::NoModel)
    }

    fn model(&self) -> Result<ModelInfo, ApiError> {
        self.generator()?.model().ok_or(ApiError::NoModel)
    }

    /// Programs never take the whole queue: patients find a place.
    fn slot(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| ApiError::TooManyRequests {
                limit: self.max_requests,
            })
    }
}

pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .route("/chat/completions", post(chat::complete))
        .route("/load_lora_adapter", post(adapters::load))
        .route("/unload_lora_adapter", post(adapters::unload))
        .fallback(async || ApiError::NoSuchPath)
        .method_not_allowed_fallback(async || ApiError::WrongMethod)
        .with_state(Arc::clone(&api))
        .layer(middleware::from_fn_with_state(api, access::check))
}

/// Whether errors under this path are told in OpenAI's form.
pub(crate) fn serves(path: &str) -> bool {
    path.starts_with("/v1/")
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |it| it.as_secs())
}
