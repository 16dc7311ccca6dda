use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bedside_contract::{Intake, Room};
use bedside_kit::{KeyedLimit, TrustedProxies};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    events, guard,
    guard::Hosts,
    messages,
    openai::{self, Api, ApiError},
    page::{self, Page},
    refusal::{Refusal, Refused},
    rooms::Rooms,
    session::{self, SessionCookies},
};

/// What the handlers share.
pub(crate) struct Server {
    pub(crate) ready: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) hospital_name: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) intake: Arc<dyn Intake>,
    pub(crate) rooms: Arc<Rooms>,
    pub(crate) cookies: SessionCookies,
    pub(crate) hosts: Hosts,
    /// By session.
    pub(crate) messages: KeyedLimit<String>,
    pub(crate) messages_of_address: KeyedLimit<IpAddr>,
    pub(crate) proxies: TrustedProxies,
    pub(crate) page: Page,
    /// Cancelled when the connector stops: open streams end, nothing more is taken.
    pub(crate) stop: CancellationToken,
}

impl Server {
    pub(crate) fn refuse(&self, refusal: Refusal) -> Response {
        Refused::new(refusal, &*self.intake).into_response()
    }
}

pub(crate) fn router(server: Arc<Server>, api: Api, further_routes: Router) -> Router {
    Router::new()
        .route("/", get(page::html))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/icon.svg", get(page::icon))
        .route("/api/messages", post(messages::take))
        .route("/api/events", get(events::stream))
        .route("/api/forget", post(session::forget))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(not_found)
        .with_state(Arc::clone(&server))
        .nest_service("/v1", openai::router(Arc::new(api)))
        .merge(further_routes)
        .layer(middleware::from_fn_with_state(server, guard::check))
        .layer(middleware::from_fn(guard::add_headers))
}

/// A program whose `base_url` is wrong reads errors in OpenAI's form only.
async fn not_found(State(server): State<Arc<Server>>, uri: Uri) -> Response {
    if openai::serves(uri.path()) {
        ApiError::NoSuchPath.into_response()
    } else {
        server.refuse(Refusal::NotFound)
    }
}

/// Whether the process is worth keeping: a store that cannot write needs a restart, a missing model does not.
async fn healthz(State(server): State<Arc<Server>>) -> Response {
    if server.intake.health().store {
        Json(json!({"status": "ok"})).into_response()
    } else {
        let body =
            json!({"status": "failed", "reason": "the store takes no more writes: check disk, restart"});
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }
}

/// Whether patients can be answered now. The admin listener says of what and of which version it is made.
async fn readyz(State(server): State<Arc<Server>>) -> Response {
    let health = server.intake.health();
    let ready = health.store && health.room == Room::Enough && (server.ready)();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({"ready": ready}))).into_response()
}
