use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use bedside_contract::{GenerateError, Generation, GenerationEvent};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::{
    ApiError,
    wire::{Delta, Ending, Head},
};

/// A request that waits in the queue says so with a comment, lest a proxy takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// One answer as it is written. Dropping it cancels the generation and frees its slot.
pub(super) struct AnswerStream {
    head: Head,
    running: Option<Running>,
    with_usage: bool,
    has_begun: bool,
    ready: VecDeque<Event>,
    stop: CancellationToken,
}

struct Running {
    generation: Box<dyn Generation>,
    _slot: OwnedSemaphorePermit,
}

pub(super) fn respond(answer: AnswerStream) -> Response {
    let events = futures::stream::unfold(answer, async |mut answer| {
        answer
            .next()
            .await
            .map(|event| (Ok::<_, Infallible>(event), answer))
    });
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("waiting"))
        .into_response();
    let headers = response.headers_mut();
    // nginx would hold the words back otherwise.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl AnswerStream {
    pub(super) fn new(
        head: Head,
        generation: Box<dyn Generation>,
        with_usage: bool,
        stop: CancellationToken,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            head,
            running: Some(Running {
                generation,
                _slot: slot,
            }),
            with_usage,
            has_begun: false,
            ready: VecDeque::new(),
            stop,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let running = self.running.as_mut()?;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => self.break_off(&ApiError::Stopping),
                event = running.generation.next() => self.hear(event),
            }
        }
    }

    fn hear(&mut self, event: Option<Result<GenerationEvent, GenerateError>>) {
        let event = match event {
            Some(Ok(event)) => event,
            Some(Err(error)) => return self.break_off(&error.into()),
            None => return self.break_off(&ApiError::BrokeOff),
        };
        if let Some(ending) = Ending::of(&event) {
            self.end(&ending);
        } else if let GenerationEvent::Text(text) = event {
            self.begin();
            let event = self.chunk(Delta::text(&text), None);
            self.ready.push_back(event);
        }
    }

    /// The first chunk comes with the first word: clients measure how long that takes.
    fn begin(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            let event = self.chunk(Delta::role(), None);
            self.ready.push_back(event);
        }
    }

    fn end(&mut self, ending: &Ending) {
        self.running = None;
        self.begin();
        let event = self.chunk(Delta::default(), Some(ending));
        self.ready.push_back(event);
        if self.with_usage {
            self.ready
                .push_back(event_of(&self.head.usage_chunk(ending.usage)));
        }
        self.ready.push_back(Event::default().data("[DONE]"));
    }

    fn break_off(&mut self, error: &ApiError) {
        self.running = None;
        self.ready.push_back(event_of(&error.body()));
    }

    fn chunk(&self, delta: Delta<'_>, ending: Option<&Ending>) -> Event {
        let chunk = self.head.chunk(delta, ending);
        event_of(&if self.with_usage {
            chunk.with_usage_to_come()
        } else {
            chunk
        })
    }
}

fn event_of(body: &impl Serialize) -> Event {
    Event::default()
        .json_data(body)
        .expect("words and numbers are valid JSON")
}
