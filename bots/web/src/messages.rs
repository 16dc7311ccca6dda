use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_contract::{InboxSeq, Language, Observation, Part, Update, UpdateKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    body::{BodyError, Ends, read_message},
    refusal::{Refusal, Refused},
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

/// The response to a stored message.
#[derive(Serialize)]
struct Accepted {
    seq: InboxSeq,
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<Part>,
}

/// `POST /api/messages`: 202 as soon as the message is in the store.
pub(crate) async fn take(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let address = server.proxies.client(peer.ip(), &headers);
    let mut ends = Ends::default();
    // Read before anything is refused, since the rules can speak when nothing else can.
    let read = read_message(&headers, body, MAX_BODY, &mut ends).await;
    let bytes = match read.map_err(Refusal::from) {
        Ok(bytes) => bytes,
        Err(refusal) => {
            let words = format!("{}\n{}", words_of(&ends.head), words_of(&ends.tail));
            return refuse(server, refusal, words, &headers).await;
        }
    };
    match take_whole(&server, address, &headers, &bytes).await {
        Ok(response) => response,
        Err(refusal) => refuse(server, refusal, words_of(&bytes), &headers).await,
    }
}

async fn take_whole(
    server: &Arc<Server>,
    address: Option<IpAddr>,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Response, Refusal> {
    if server.stop.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let incoming: Incoming = serde_json::from_slice(bytes).map_err(|_| Refusal::Unreadable)?;
    let session = server.cookies.session(headers);
    let update = update(incoming, &session, headers)?;
    let too_fast = |wait| {
        let platform = session.conversation.platform();
        server.intake.observe(&Observation::RateLimited { platform });
        Refusal::TooFast { wait }
    };
    if let Some(address) = address {
        server.messages_of_address.take(&address).map_err(too_fast)?;
    }
    server.messages.take(&session.id).map_err(too_fast)?;
    let words = update.text().unwrap_or_default().to_owned();
    let language = update.language_hint;

    let receipts = server.intake.accept(vec![update], None).await.map_err(|error| {
        tracing::error!(%error, "a message could not be stored");
        Refusal::NotStored
    })?;
    let receipt = receipts.first().ok_or(Refusal::NotStored)?;
    server.rooms.send(&session.conversation, Signal::Accepted);

    let notice = notice(server, words, language).await;
    let answer = Accepted {
        seq: receipt.seq,
        duplicate: receipt.duplicate,
        notice,
    };
    let mut response = (StatusCode::ACCEPTED, Json(answer)).into_response();
    if session.is_new {
        response
            .headers_mut()
            .insert(header::SET_COOKIE, session.set_cookie);
    }
    Ok(response)
}

/// A copy of the emergency notice that the words call for, for a page whose stream is down. The one in the outbox stays
/// the truth, and takes the copy's place on the page.
async fn notice(server: &Arc<Server>, words: String, language: Option<Language>) -> Option<Part> {
    let server = Arc::clone(server);
    let reading = tokio::task::spawn_blocking(move || server.intake.emergency_notice(&words, language));
    reading.await.unwrap_or_else(|error| {
        tracing::error!(%error, "The words of an accepted message could not be read.");
        None
    })
}

/// The refusal with the emergency notice, if the words call for one. They may be long: the workers go on serving.
async fn refuse(server: Arc<Server>, refusal: Refusal, words: String, headers: &HeaderMap) -> Response {
    let language = accepted_language(headers);
    let reading = tokio::task::spawn_blocking(move || {
        Refused::new(refusal, &*server.intake).with_words(&*server.intake, &words, language)
    });
    match reading.await {
        Ok(refused) => refused.into_response(),
        Err(error) => {
            tracing::error!(%error, "the words of a refused message could not be read");
            refusal.status().into_response()
        }
    }
}

/// What a patient wrote, out of a body that may be no message: cut off, too long, or not quite JSON.
fn words_of(bytes: &[u8]) -> String {
    if let Ok(Incoming { text, choice, .. }) = serde_json::from_slice::<Incoming>(bytes) {
        return text.or(choice).unwrap_or_default();
    }
    let raw = String::from_utf8_lossy(bytes);
    let mut words = String::new();
    let mut rest = raw.as_ref();
    while let Some((before, after)) = rest.split_once('\\') {
        words.push_str(before);
        let mut characters = after.chars();
        match characters.next() {
            Some('n' | 'r' | 't') => words.push('\n'),
            Some('u') => {
                let digits: String = characters
                    .as_str()
                    .chars()
                    .take_while(char::is_ascii_hexdigit)
                    .take(4)
                    .collect();
                let character = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                words.extend(character);
                characters = characters
                    .as_str()
                    .get(digits.len()..)
                    .unwrap_or_default()
                    .chars();
            }
            Some(other) => words.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    words.push_str(rest);
    words
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
        answer_in: None,
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

#[cfg(test)]
mod tests {
    use super::words_of;

    #[test]
    fn words_are_found_in_whatever_was_sent() {
        let check = |body: &str, expect: &str| assert_eq!(words_of(body.as_bytes()), expect, "{body}");
        check(r#"{"id":"7","text":"I can't breathe"}"#, "I can't breathe");
        check(r#"{"id":"7","choice":"\u6551\u547d"}"#, "救命");
        check(r#"{"text":"a \"b\"\nc"#, "{\"text\":\"a \"b\"\nc");
        check(r#"\u6551\u547d \ud83c"#, "救命 ");
        check(r"\", "");
        check(r"\u", "");
    }
}
