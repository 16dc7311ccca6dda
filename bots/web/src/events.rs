use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use bedside_contract::{InboxSeq, Language, Part, Said, TranscriptEntry};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    messages::accepted_language,
    refusal::Refusal,
    rooms::{Signal, Visit},
    server::Server,
    session::Session,
};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(2);
/// Entries that are read and written at once.
const PAGE: usize = 100;
/// Answers whose late previews are dropped.
const REMEMBERED_ANSWERS: usize = 32;

#[derive(Deserialize)]
pub(crate) struct From {
    /// The last entry that the page has.
    #[serde(default)]
    after: i64,
    /// The language of the page, for the welcome.
    #[serde(default)]
    language: Option<String>,
}

/// `GET /api/events`: what was said after an entry, then what is being said.
pub(crate) async fn stream(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Response {
    let address = server.proxies.client(peer.ip(), &headers);
    open(&server, &from, &headers, address)
        .await
        .unwrap_or_else(|refusal| server.refuse(refusal))
}

async fn open(
    server: &Arc<Server>,
    from: &From,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Response, Refusal> {
    if server.stop.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    // A browser that reconnects repeats the old address and says here how far it got.
    let resumed = headers
        .get("last-event-id")
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.parse().ok());
    let after = resumed.unwrap_or(from.after);
    let session = server.cookies.session(headers);
    // Entered before the transcript is read: what is said in between comes twice at worst, and the ids tell.
    let visit = server
        .rooms
        .enter(&session.conversation, address)
        .ok_or(Refusal::TooManyPages)?;
    let mut page = OpenPage::new(Arc::clone(server), visit, &session, after);
    if after == 0 {
        let language = from
            .language
            .as_deref()
            .and_then(Language::parse)
            .or_else(|| accepted_language(headers));
        page.greet(&server.intake.greeting(&session.conversation, language));
    }
    let events = futures::stream::unfold(page, async |mut page| {
        page.next().await.map(|event| (Ok::<_, Infallible>(event), page))
    });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    // nginx would hold the words back otherwise.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if session.is_new {
        response
            .headers_mut()
            .insert(header::SET_COOKIE, session.set_cookie);
    }
    Ok(response)
}

struct OpenPage {
    server: Arc<Server>,
    visit: Visit,
    /// Before the page's own ids.
    id_prefix: String,
    after: i64,
    ready: VecDeque<Event>,
    answered: VecDeque<InboxSeq>,
    /// The transcript may hold what the page does not have.
    must_look: bool,
    /// An answer that was being written when the page opened is still to be shown.
    is_new: bool,
}

impl OpenPage {
    fn new(server: Arc<Server>, visit: Visit, session: &Session, after: i64) -> Self {
        Self {
            server,
            visit,
            id_prefix: format!("{}:", session.id),
            after,
            // Sent at once, so that the page knows that it is connected.
            ready: VecDeque::from([Event::default().retry(RECONNECT).event("open").data("{}")]),
            answered: VecDeque::new(),
            must_look: true,
            is_new: true,
        }
    }

    /// Begins every page. It is not kept: whoever only looks leaves nothing in the store.
    fn greet(&mut self, part: &Part) {
        let body = json!({"part": part});
        self.ready
            .push_back(Event::default().event("greeting").data(body.to_string()));
    }

    /// `None` ends the stream; the browser comes back with the last id.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if std::mem::take(&mut self.must_look) {
                self.look().await?;
                continue;
            }
            tokio::select! {
                biased;
                () = self.server.stop.cancelled() => return None,
                signal = self.visit.signals.recv() => self.hear(signal)?,
            }
        }
    }

    fn hear(&mut self, signal: Result<Signal, RecvError>) -> Option<()> {
        match signal {
            Ok(Signal::Typing) => self.ready.push_back(Event::default().event("typing").data("{}")),
            Ok(Signal::Preview { seq, text }) => self.push_preview(seq, &text),
            Ok(Signal::Forgotten) => self
                .ready
                .push_back(Event::default().event("forgotten").data("{}")),
            Ok(Signal::Delivered { .. } | Signal::Accepted) | Err(RecvError::Lagged(_)) => {
                self.must_look = true;
            }
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }

    async fn look(&mut self) -> Option<()> {
        let entries = match self
            .server
            .intake
            .transcript(&self.visit.conversation, self.after, PAGE)
            .await
        {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "a transcript could not be read");
                return None;
            }
        };
        // More, when the browser has taken these.
        self.must_look = entries.len() == PAGE;
        for entry in entries {
            self.push_entry(entry);
        }
        if !self.must_look
            && std::mem::take(&mut self.is_new)
            && let Some((seq, text)) = self.visit.preview.take()
        {
            self.push_preview(seq, &text);
        }
        Some(())
    }

    fn push_entry(&mut self, mut entry: TranscriptEntry) {
        if entry.id <= self.after {
            return;
        }
        self.after = entry.id;
        if matches!(entry.said, Said::Bot { .. }) && !self.answered.contains(&entry.seq) {
            if self.answered.len() == REMEMBERED_ANSWERS {
                self.answered.pop_front();
            }
            self.answered.push_back(entry.seq);
        }
        // The page knows its message by the id it gave, without the session in front.
        entry.external_id = entry
            .external_id
            .and_then(|it| it.strip_prefix(&self.id_prefix).map(str::to_owned));
        match Event::default()
            .event("entry")
            .id(entry.id.to_string())
            .json_data(&entry)
        {
            Ok(event) => self.ready.push_back(event),
            Err(error) => tracing::error!(%error, "an entry could not be written as JSON"),
        }
    }

    /// A preview that waited in the channel while its answer was read from the store is old news.
    fn push_preview(&mut self, seq: InboxSeq, text: &str) {
        if !self.answered.contains(&seq) {
            let body = json!({"seq": seq, "text": text});
            self.ready
                .push_back(Event::default().event("preview").data(body.to_string()));
        }
    }
}
