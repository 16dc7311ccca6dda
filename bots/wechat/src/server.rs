//! The callback that WeChat calls: on its own port, one path.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bedside_contract::{Intake, Receipt};
use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::{
    gate::{Envelope, Gate, Signed},
    incoming::Incoming,
    outgoing::reply_xml,
    windows::{Answer, Attached, Timing, Windows},
    words::still_thinking,
    xml::MAX_BYTES,
};

/// What the handlers share.
pub(crate) struct Server {
    pub(crate) appid: String,
    pub(crate) gate: Arc<Gate>,
    pub(crate) intake: Arc<dyn Intake>,
    /// With passive replies only.
    pub(crate) windows: Option<Arc<Windows>>,
    pub(crate) timing: Timing,
}

const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// WeChat's word for "taken, nothing to say now".
const SUCCESS: &str = "success";

pub(crate) fn router(server: Arc<Server>, path: &str) -> Router {
    Router::new()
        .route(path, get(verify).post(take))
        .with_state(server)
}

/// The console checks that the address is ours.
async fn verify(State(server): State<Arc<Server>>, Query(signed): Query<Signed>) -> Response {
    match server.gate.verify(&signed, unix_now()) {
        Ok(echo) => echo.into_response(),
        Err(refusal) => server.gate.refuse(refusal).into_response(),
    }
}

/// A message or event.
async fn take(
    State(server): State<Arc<Server>>,
    Query(signed): Query<Signed>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let started = Instant::now();
    let body = match read(&headers, body).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let opened = match server.gate.open(&signed, &body, unix_now()) {
        Ok(opened) => opened,
        Err(refusal) => return server.gate.refuse(refusal).into_response(),
    };
    match Incoming::read(&opened.fields, &server.appid) {
        Ok(Some(incoming)) => match &server.windows {
            Some(windows) => server.passive(windows, incoming, opened.envelope, started).await,
            None => server.acknowledged(incoming, started).await,
        },
        Ok(None) => SUCCESS.into_response(),
        Err(problem) => {
            tracing::warn!(%problem, "a message from wechat could not be understood");
            SUCCESS.into_response()
        }
    }
}

impl Server {
    /// Answers are sent through the API: WeChat only hears that the message is taken.
    async fn acknowledged(&self, incoming: Incoming, started: Instant) -> Response {
        match self.commit(incoming, started, |_| {}).await {
            Some(_) => SUCCESS.into_response(),
            None => self.until_asked_again(started).await,
        }
    }

    /// The answer travels in our response.
    async fn passive(
        &self,
        windows: &Arc<Windows>,
        incoming: Incoming,
        envelope: Envelope,
        started: Instant,
    ) -> Response {
        let to = ReplyTo {
            gate: Arc::clone(&self.gate),
            patient: incoming.update.sender.clone(),
            account: incoming.account.clone(),
            envelope,
        };
        let language = incoming.language;
        // Before the commit, so that an urgent part finds it even if it is faster.
        let Some(mut attached) = windows.attach(&incoming) else {
            tracing::warn!("too many requests from wechat are open: a patient has to ask for the answer");
            return match self.commit(incoming, started, |_| {}).await {
                Some(_) => to.respond(still_thinking(language), None),
                None => self.until_asked_again(started).await,
            };
        };
        if !attached.is_committed() {
            let conversation = incoming.update.conversation.clone();
            let committed = attached.committer(incoming.sent, unix_now());
            let Some(receipt) = self.commit(incoming, started, committed).await else {
                drop(attached);
                return self.until_asked_again(started).await;
            };
            // A try of a message that this process does not know: the one before it may have died answering.
            if receipt.duplicate
                && attached.is_waiting()
                && let Err(error) = self.intake.answer_again(&conversation, receipt.seq).await
            {
                tracing::error!(%error, "an answer that wechat did not get is not sent again");
            }
        }
        match attached.answer(started).await {
            Answer::Reply(text) => to.respond(&text, Some(attached)),
            Answer::Nothing => SUCCESS.into_response(),
            Answer::NotYet => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    /// Puts the message into the store. It runs to its end even if WeChat hangs up: a commit that nobody
    /// noticed would leave the message lying there. `None` if it failed or took too long.
    async fn commit(
        &self,
        incoming: Incoming,
        started: Instant,
        then: impl FnOnce(&Receipt) + Send + 'static,
    ) -> Option<Receipt> {
        let intake = Arc::clone(&self.intake);
        let committing = tokio::spawn(async move {
            let receipts = intake.accept(vec![incoming.update], None).await;
            let receipt = receipts
                .inspect_err(|error| tracing::error!(%error, "a message from wechat could not be stored"))
                .ok()?
                .first()
                .copied();
            receipt.inspect(then)
        });
        timeout_at(started + self.timing.hold, committing)
            .await
            .ok()?
            .ok()
            .flatten()
    }

    /// What was not stored must not be answered: only silence makes WeChat send it again.
    async fn until_asked_again(&self, started: Instant) -> Response {
        sleep_until(started + self.timing.hold).await;
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

/// Where a reply goes.
struct ReplyTo {
    gate: Arc<Gate>,
    patient: String,
    account: String,
    envelope: Envelope,
}

impl ReplyTo {
    /// The response; its window hears when the bytes are taken, or that they never were.
    fn respond(&self, text: &str, mut attached: Option<Attached>) -> Response {
        let now = unix_now();
        let xml = reply_xml(&self.patient, &self.account, now, text);
        let bytes = Bytes::from(self.gate.wrap(self.envelope, xml, now));
        let headers = [
            (header::CONTENT_TYPE, "application/xml; charset=utf-8".to_owned()),
            (header::CONTENT_LENGTH, bytes.len().to_string()),
        ];
        // Asked for only when the server writes.
        let body = stream::once(async move {
            if let Some(attached) = &mut attached {
                attached.written();
            }
            Ok::<_, Infallible>(bytes)
        });
        (headers, Body::from_stream(body)).into_response()
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, StatusCode> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|it| it > MAX_BYTES) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let reading = async {
        let mut chunks = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(|_| StatusCode::BAD_REQUEST)?);
            if bytes.len() > MAX_BYTES {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
        }
        Ok(bytes)
    };
    timeout(BODY_TIMEOUT, reading)
        .await
        .unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|it| i64::try_from(it.as_secs()).ok())
        .unwrap_or_default()
}
