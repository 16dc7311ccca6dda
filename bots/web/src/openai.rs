//! `/v1`: the model for programs, in OpenAI's protocol. No triage, no knowledge base, no consent: what a
//! program asks goes to the model as it is, and nothing of it is stored.

mod access;
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
    Router,
    extract::Request,
    http::{Uri, uri::PathAndQuery},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use bedside_contract::{Generator, Intake, ModelInfo};
use bedside_kit::{TrustedProxies, WrongKeys};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use config::ApiConfig;

pub(crate) use access::{Access, Reach};
pub(crate) use error::ApiError;

/// What the handlers of `/v1` share.
pub(crate) struct Api {
    generator: Option<Arc<dyn Generator>>,
    access: Access,
    wrong_keys: WrongKeys,
    proxies: TrustedProxies,
    /// Hears of wrong keys.
    intake: Arc<dyn Intake>,
    slots: Arc<Semaphore>,
    max_requests: usize,
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
        proxies: TrustedProxies,
        intake: Arc<dyn Intake>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            generator,
            access,
            wrong_keys: WrongKeys::new("web.api"),
            proxies,
            intake,
            slots: Arc::new(Semaphore::new(config.max_requests)),
            max_requests: config.max_requests,
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

/// What is served below `/v1`.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let paths: Router = Router::new()
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one))
        .route("/chat/completions", post(chat::complete))
        .route("/load_lora_adapter", post(adapters_moved))
        .route("/unload_lora_adapter", post(adapters_moved))
        .fallback(async || ApiError::NoSuchPath)
        .method_not_allowed_fallback(async || ApiError::WrongMethod)
        .with_state(Arc::clone(&api))
        .layer(middleware::from_fn_with_state(api, access::check));
    // A layer around routes runs behind the choice among them; around a fallback, before it.
    Router::new()
        .fallback_service(paths)
        .layer(middleware::from_fn(without_needless_slashes))
}

/// Whoever may ask the model may not thereby decide which one answers patients.
async fn adapters_moved() -> ApiError {
    ApiError::AdaptersMoved
}

/// Where programs come in, and where a wrong `base_url` leads them.
const PLACES: [&str; 6] = [
    "v1",
    "models",
    "chat/completions",
    "completions",
    "embeddings",
    "responses",
];

/// Whether errors under this path are told in OpenAI's form.
pub(crate) fn serves(path: &str) -> bool {
    let path = path.trim_matches('/');
    path.starts_with("v1/") || PLACES.contains(&path)
}

/// Clients join `base_url` and path with a slash too many, or end with one.
async fn without_needless_slashes(mut request: Request, next: Next) -> Response {
    if let Some(uri) = tidied(request.uri()) {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

/// `None` where nothing is needless.
fn tidied(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let segments: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).collect();
    let tidy = format!("/{}", segments.join("/"));
    if tidy == path {
        return None;
    }
    let whole = match uri.query() {
        Some(query) => format!("{tidy}?{query}"),
        None => tidy,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole).ok()?);
    Uri::from_parts(parts).ok()
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |it| it.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{serves, tidied};

    #[test]
    fn slashes_too_many_are_taken_away() {
        for (path, expect) in [
            ("/models", None),
            ("/", None),
            ("/models/ward3/notes?a=//b", None),
            ("//chat/completions", Some("/chat/completions")),
            ("/chat//completions/", Some("/chat/completions")),
            ("/models/?a=/b/", Some("/models?a=/b/")),
            ("//", Some("/")),
        ] {
            let tidied = tidied(&path.parse().unwrap()).map(|it| it.to_string());
            assert_eq!(tidied.as_deref(), expect, "{path}");
        }
    }

    #[test]
    fn wrong_places_of_programs_are_known() {
        for path in [
            "/v1",
            "/v1/",
            "//v1/models",
            "/v1/anything",
            "/chat/completions/",
            "//models",
        ] {
            assert!(serves(path), "{path}");
        }
        for path in [
            "/",
            "/page.js",
            "/api/messages",
            "/v10/models",
            "/healthz",
            "/metrics",
        ] {
            assert!(!serves(path), "{path}");
        }
    }
}
