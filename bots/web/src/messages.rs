use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_contract::{Language, Update, UpdateKind};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    body::{BodyError, read_json},
    refusal::Refusal,
    rooms::Signal,
    server::Server,
    session::Session,
};

/// Bytes of one request.
pub(crate) const MAX_BODY: usize = 16 * 1024;
/// Characters of one message.
pub(crate) const MAX_CHARS: usize = 4_000;

/// One message; the same `id` again is the same message.
#[derive(Deserialize)]
struct Incoming {
    id: String,
    #[serde(default)]
    text: Option<String>,
    /// The data of a quick reply, instead of `text`.
    #[serde(default)]
    choice: Option<String>,
    /// The language of the page.
    #[serde(default)]
    language: Option<String>,
}

/// `POST /api/messages`: 202 as soon as the message is in the store.
pub(crate) async fn take(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    if server.stop.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let bytes = read_json(&headers, body, MAX_BODY).await?;
    let incoming: Incoming = serde_json::from_slice(&bytes).map_err(|_| Refusal::Unreadable)?;
    let session = server.cookies.session(&headers);
    let update = update(incoming, &session, &headers)?;
    server
        .limit
        .take(&session.id, Instant::now())
        .map_err(|wait| Refusal::TooFast { wait })?;

    let receipts = server.intake.accept(vec![update], None).await.map_err(|error| {
        tracing::error!(%error, "a message could not be stored");
        Refusal::NotStored
    })?;
    let receipt = receipts.first().ok_or(Refusal::NotStored)?;
    server.rooms.send(&session.conversation, Signal::Accepted);

    let answer = Json(json!({"seq": receipt.seq, "duplicate": receipt.duplicate}));
    let mut response = (StatusCode::ACCEPTED, answer).into_response();
    if session.is_new {
        response
            .headers_mut()
            .insert(header::SET_COOKIE, session.set_cookie);
    }
    Ok(response)
}

fn update(incoming: Incoming, session: &Session, headers: &HeaderMap) -> Result<Update, Refusal> {
    let id = Uuid::parse_str(&incoming.id).map_err(|_| Refusal::BadId)?;
    let kind = match (incoming.text, incoming.choice) {
        (Some(text), None) => UpdateKind::Text { text },
        (None, Some(data)) => UpdateKind::Choice { data },
        _ => return Err(Refusal::Unreadable),
    };
    let (UpdateKind::Text { text } | UpdateKind::Choice { data: text }) = &kind else {
        return Err(Refusal::Unreadable);
    };
    if text.trim().is_empty() {
        return Err(Refusal::Empty);
    }
    if text.chars().count() > MAX_CHARS {
        return Err(Refusal::TooLong);
    }
    Ok(Update {
        platform: "web".to_owned(),
        bot: "page".to_owned(),
        external_id: format!("{}:{id}", session.id),
        conversation: session.conversation.clone(),
        sender: session.id.clone(),
        language_hint: incoming
            .language
            .as_deref()
            .and_then(Language::parse)
            .or_else(|| accepted_language(headers)),
        kind,
    })
}

/// The first of the browser's languages that we speak.
pub(crate) fn accepted_language(headers: &HeaderMap) -> Option<Language> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    accepted.split(',').find_map(Language::parse)
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::NotJson => Self::NotJson,
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Broken => Self::Unreadable,
        }
    }
}
