use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bedside_contract::{ConnectorError, Observer};
use bedside_kit::{AccessKey, ConnectionLimits, serve};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::{
    access::{Access, RequestOrigin, needs_key, needs_known_host},
    adapters::{self, Adapters, MAX_BODY},
    config::{AdminConfig, AdminContext},
    error::AdminError,
    exposition::open_metrics,
    figures::{Figures, Snapshot},
    metrics::Metrics,
    plain::plain,
    process,
};

/// The operator's listener. Made by [`AdminConfig::build`].
pub struct Admin {
    server: Arc<Server>,
    listener: TcpListener,
    address: SocketAddr,
}

/// What the handlers share.
pub(crate) struct Server {
    pub(crate) access: Access,
    pub(crate) adapters: Arc<Adapters>,
    metrics: Arc<Metrics>,
    figures: Arc<dyn Figures>,
    metrics_open: bool,
}

/// Scrapers and people with a terminal: few, and a stranger shall not hold what the bot needs.
const CONNECTIONS: usize = 64;

const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

impl Admin {
    pub(crate) fn new(
        config: &AdminConfig,
        context: AdminContext,
        key: Option<AccessKey>,
        listener: TcpListener,
        address: SocketAddr,
    ) -> Self {
        let observer = Arc::clone(&context.metrics) as Arc<dyn Observer>;
        let server = Server {
            access: Access::new(key, observer),
            adapters: Arc::new(Adapters {
                generator: context.generator,
                audit: context.audit,
                most: config.max_adapters,
                loaded: Mutex::new(BTreeSet::new()),
            }),
            metrics: context.metrics,
            figures: context.figures,
            metrics_open: config.metrics_open,
        };
        Self {
            server: Arc::new(server),
            listener,
            address,
        }
    }

    /// Where it is served; the real port if the config said 0.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Ends only with an error.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] if the listener cannot be used.
    pub async fn serve(self) -> Result<(), ConnectorError> {
        let limits = ConnectionLimits {
            connections: CONNECTIONS,
            per_address: CONNECTIONS,
            ..ConnectionLimits::default()
        };
        serve("admin.listen", self.listener, router(self.server), limits).await
    }
}

fn router(server: Arc<Server>) -> Router {
    let changes: Router = Router::new()
        .route("/v1/load_lora_adapter", post(adapters::load))
        .route("/v1/unload_lora_adapter", post(adapters::unload))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::clone(&server))
        .layer(middleware::from_fn_with_state(Arc::clone(&server), needs_key));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(async || AdminError::NoSuchPath)
        .with_state(Arc::clone(&server))
        .merge(changes)
        .layer(middleware::from_fn_with_state(server, needs_known_host))
}

async fn metrics(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    if !server.metrics_open {
        server.access.check_reading(&RequestOrigin::new(&headers, peer))?;
    }
    let snapshot = server.figures.snapshot().await;
    let text = open_metrics(&server.metrics, &snapshot, &process::read());
    let text = text.map_err(|_| AdminError::Exposition)?;
    let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let (kind, text) = if accepted.is_some_and(|it| it.contains(OPEN_METRICS)) {
        (OPEN_METRICS_TYPE, text)
    } else {
        (PLAIN_TYPE, plain(&text))
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Whether the process is worth keeping: a store that cannot write needs a restart, a missing model does not.
async fn healthz(State(server): State<Arc<Server>>) -> Response {
    if server.figures.is_alive() {
        return Json(json!({"status": "ok"})).into_response();
    }
    let reason = "the store takes no more writes: check disk, restart";
    let body = json!({"status": "failed", "reason": reason});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// Whether patients can be answered now; of what the bot is made only for who has the key.
async fn readyz(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    let is_known = match server.access.check_reading(&RequestOrigin::new(&headers, peer)) {
        Ok(()) => true,
        Err(AdminError::KeyMissing) => false,
        Err(error) => return Err(error),
    };
    let snapshot = server.figures.snapshot().await;
    let ready = snapshot.is_ready();
    let body = if is_known {
        components(&snapshot)
    } else {
        json!({ "ready": ready })
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, Json(body)).into_response())
}

fn components(snapshot: &Snapshot) -> Value {
    let connectors: Map<String, Value> = snapshot
        .health
        .connectors
        .iter()
        .map(|(platform, receives)| (platform.clone(), json!(if *receives { "ok" } else { "out" })))
        .collect();
    let plugins: Vec<Value> = snapshot
        .plugins
        .iter()
        .map(|it| json!({"id": it.id, "version": it.version, "state": it.state, "restarts": it.restarts}))
        .collect();
    let model = snapshot
        .model
        .as_ref()
        .map(|it| json!({"name": it.name, "architecture": it.architecture, "sha256": it.sha256}));
    json!({
        "ready": snapshot.is_ready(),
        "version": snapshot.version,
        "store": if snapshot.health.store { "ok" } else { "failed" },
        "disk": snapshot.health.room.name(),
        "model": model,
        "connectors": connectors,
        "plugins": plugins,
    })
}

#[cfg(test)]
mod tests;
