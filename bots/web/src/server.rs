use std::{net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bedside_contract::{BotHealth, Intake, Plugins};
use bedside_kit::{KeyedLimit, TrustedProxies};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    events, guard,
    guard::Hosts,
    messages,
    openai::{self, Api},
    page::{self, Page},
    refusal::{Refusal, Refused},
    rooms::Rooms,
    session::{self, SessionCookies},
};

/// What the handlers share.
pub(crate) struct Server {
    pub(crate) plugins: Option<Arc<dyn Plugins>>,
    pub(crate) ready: Arc<dyn Fn() -> Value + Send + Sync>,
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
        .fallback(async |State(server): State<Arc<Server>>| server.refuse(Refusal::NotFound))
        .with_state(Arc::clone(&server))
        .nest("/v1", openai::router(Arc::new(api)))
        .merge(further_routes)
        .layer(middleware::from_fn_with_state(server, guard::check))
        .layer(middleware::from_fn(guard::add_headers))
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

/// Whether patients can be answered now. Plugins and the other platforms are shown only: the bot answers without them.
async fn readyz(State(server): State<Arc<Server>>) -> Response {
    let BotHealth { store, connectors } = server.intake.health();
    let mut body = match (server.ready)() {
        Value::Object(fields) => fields,
        other => serde_json::Map::from_iter([("ready".to_owned(), other)]),
    };
    let ready = store && body.get("ready") == Some(&Value::Bool(true));
    body.insert("ready".to_owned(), json!(ready));
    body.entry("store")
        .or_insert_with(|| json!(if store { "ok" } else { "failed" }));
    let connectors: Map<String, Value> = connectors
        .into_iter()
        .map(|(platform, receives)| (platform, json!(if receives { "ok" } else { "out" })))
        .collect();
    body.insert("connectors".to_owned(), Value::Object(connectors));
    if let Some(plugins) = &server.plugins {
        let rows: Vec<Value> = plugins
            .status()
            .into_iter()
            .map(|it| json!({"id": it.id, "version": it.version, "state": it.state}))
            .collect();
        body.entry("plugins").or_insert_with(|| json!(rows));
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}
