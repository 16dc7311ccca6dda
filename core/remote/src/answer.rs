//! One answer: its turn, its attempts, and the events that come of them.

use std::{sync::Arc, time::Duration};

use bedside_contract::{FinishReason, GenerateRequest, GenerationEvent};
use reqwest::{Response, header};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    body::Body,
    estimate,
    failure::{About, Failure},
    generator::Shared,
    piece::{Ended, Piece, Unreadable, Usage},
    probe::Served,
    sse::EventReader,
    stop::StopGate,
    thought::ThoughtGate,
    turns::{Event, Place},
};

const FIRST_WAIT: Duration = Duration::from_millis(500);
/// A server that asks for more patience is busy.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long the figures behind the last word are waited for.
const FIGURES_WITHIN: Duration = Duration::from_secs(2);

pub(crate) struct Job {
    pub(crate) shared: Arc<Shared>,
    pub(crate) served: Arc<Served>,
    pub(crate) request: GenerateRequest,
    pub(crate) deadline: Instant,
    pub(crate) events: UnboundedSender<Event>,
}

/// What has come of an answer so far.
struct Progress {
    thoughts: ThoughtGate,
    gate: StopGate,
    sent: Option<Instant>,
    first: Option<Instant>,
    /// Each is a token as far as we can tell.
    pieces: usize,
    ended: Option<FinishReason>,
    usage: Option<Usage>,
}

impl Job {
    /// Ends with a last event: the answer's end or an error.
    pub(crate) async fn run(self, mut place: Place) {
        let mut progress = Progress {
            thoughts: ThoughtGate::new(self.served.habits.beginning(self.request.max_tokens)),
            gate: StopGate::new(&self.request.sampling.stop),
            sent: None,
            first: None,
            pieces: 0,
            ended: None,
            usage: None,
        };
        let answer = async {
            place.turn().await;
            self.tell(GenerationEvent::Started);
            self.attempts(&mut progress).await
        };
        let ended = timeout_at(self.deadline, answer).await;
        // The next may speak before the last event of this one is read.
        drop(place);
        match ended.unwrap_or(Ok(FinishReason::Deadline)) {
            Ok(reason) => {
                let is_whole = reason == FinishReason::Stop;
                if !is_whole && progress.thoughts.is_in_doubt() {
                    self.served.habits.tell_of_cut_answer();
                }
                let spoken = progress.thoughts.finish(is_whole);
                let mut rest = progress.gate.push(&spoken);
                rest.push_str(&progress.gate.finish());
                self.tell_text(rest);
                self.learn(&progress);
                self.tell(self.finished(reason, &progress));
            }
            Err(failure) => {
                self.learn(&progress);
                self.fail(failure);
            }
        }
    }

    fn learn(&self, progress: &Progress) {
        if let Some(beginning) = progress.thoughts.shown() {
            self.served.habits.learn(beginning);
        }
    }

    async fn attempts(&self, progress: &mut Progress) -> Result<FinishReason, Failure> {
        let mut body = Body::new(&self.request, &self.served, self.shared.config.disable_thinking);
        let mut left_out = self.served.habits.refused();
        for field in &left_out {
            body.leave_out(*field);
        }
        let mut tries_left = self.shared.config.retries;
        let mut backoff = FIRST_WAIT;
        loop {
            let bytes = serde_json::to_vec(&body).map_err(|_| Failure::Unreadable("our own request"))?;
            let outcome = self.attempt(bytes, progress).await;
            let is_answered = outcome.is_ok() || progress.first.is_some();
            if is_answered {
                self.served.habits.refuses(&left_out);
            }
            let failure = match outcome {
                Ok(reason) => return Ok(reason),
                Err(failure) => failure,
            };
            if !is_answered {
                let fields = failure.refused_fields().iter().copied();
                let before = left_out.len();
                left_out.extend(fields.filter(|it| body.leave_out(*it)));
                if left_out.len() > before {
                    continue;
                }
            }
            let wait = failure.retry_after().unwrap_or(backoff);
            let is_in_time = wait <= LONGEST_WAIT && Instant::now() + wait < self.deadline;
            if progress.first.is_some() || tries_left == 0 || !failure.may_pass() || !is_in_time {
                return Err(failure);
            }
            tracing::warn!(%failure, tries_left, wait_ms = wait.as_millis() as u64, "The model server is asked again.");
            tries_left -= 1;
            backoff *= 2;
            sleep(wait).await;
        }
    }

    async fn attempt(&self, body: Vec<u8>, progress: &mut Progress) -> Result<FinishReason, Failure> {
        let sent = Instant::now();
        progress.sent = Some(sent);
        let first_timeout = Duration::from_secs(self.shared.config.first_token_timeout_seconds);
        let request = self.shared.server.chat();
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let first_by = sent + first_timeout;
        let opened = timeout_at(first_by, open(request)).await;
        let response = opened.map_err(|_| Failure::Silent(first_timeout))??;
        self.read(response, first_by, progress).await
    }

    async fn read(
        &self,
        mut response: Response,
        first_by: Instant,
        progress: &mut Progress,
    ) -> Result<FinishReason, Failure> {
        let first_timeout = Duration::from_secs(self.shared.config.first_token_timeout_seconds);
        let token_timeout = Duration::from_secs(self.shared.config.token_timeout_seconds);
        let mut reader = EventReader::default();
        let mut next_by = first_by;
        loop {
            let come = timeout_at(next_by, response.chunk()).await;
            if let Some(reason) = progress.ended
                && !matches!(come, Ok(Ok(Some(_))))
            {
                return Ok(reason);
            }
            let bytes = match come {
                Ok(Ok(Some(bytes))) => bytes,
                // A last event without its empty line may still hold the end.
                Ok(Ok(None)) => {
                    let last = reader.finish();
                    let ended = last.and_then(|it| self.take(&it, progress).transpose());
                    return ended.unwrap_or(progress.ended.ok_or(Failure::Broken));
                }
                Ok(Err(_)) => return Err(Failure::Broken),
                Err(_) if progress.first.is_some() => return Err(Failure::Stalled(token_timeout)),
                Err(_) => return Err(Failure::Silent(first_timeout)),
            };
            let before = progress.pieces;
            let events = reader
                .push(&bytes)
                .map_err(|_| Failure::Unreadable("a line without end"))?;
            for data in events {
                if let Some(reason) = self.take(&data, progress)? {
                    return Ok(reason);
                }
            }
            if progress.ended.is_some() {
                next_by = next_by.min(Instant::now() + FIGURES_WITHIN);
            } else if progress.pieces > before {
                next_by = Instant::now() + token_timeout;
            }
        }
    }

    /// Passes on what an event brings; `Some` when nothing more is wanted.
    fn take(&self, data: &str, progress: &mut Progress) -> Result<Option<FinishReason>, Failure> {
        if data.trim() == "[DONE]" {
            return Ok(Some(progress.ended.unwrap_or(FinishReason::Stop)));
        }
        let piece = Piece::read(data).map_err(|error| match error {
            Unreadable::Error(error) => Failure::of_event(error),
            Unreadable::NoJson => Failure::Unreadable("an event that is no part of an answer"),
        })?;
        if piece.is_token {
            progress.first.get_or_insert_with(Instant::now);
            progress.pieces += 1;
        }
        if piece.is_token && piece.text.is_empty() {
            progress.thoughts.come_apart();
        }
        let spoken = progress.thoughts.push(&piece.text);
        self.tell_text(progress.gate.push(&spoken));
        if piece.usage.is_some() {
            progress.usage = piece.usage;
        }
        match piece.ended {
            Some(Ended::Aborted) => return Err(Failure::Aborted),
            Some(Ended::Well(reason)) => progress.ended = Some(reason),
            None => {}
        }
        Ok(progress.gate.is_stopped().then_some(FinishReason::Stop))
    }

    fn finished(&self, reason: FinishReason, progress: &Progress) -> GenerationEvent {
        let now = Instant::now();
        let began = progress.first.unwrap_or(now);
        let usage = progress.usage.unwrap_or_else(|| Usage {
            prompt_tokens: progress
                .sent
                .map_or(0, |_| estimate::tokens(&self.request.messages)),
            reused_tokens: 0,
            generated_tokens: progress.pieces,
        });
        GenerationEvent::Finished {
            reason,
            prompt_tokens: usage.prompt_tokens,
            reused_tokens: usage.reused_tokens,
            generated_tokens: usage.generated_tokens,
            prompt_time: progress.sent.map_or(Duration::ZERO, |it| began - it),
            generate_time: now - began,
        }
    }

    fn fail(&self, failure: Failure) {
        let adapter = self.request.adapter.as_deref();
        let is_of_the_server = failure.is_of_the_server(adapter);
        let error = failure.into_error(&About {
            model: &self.served.model,
            adapter,
            key_of_the_api_key: self.shared.config.key_of_the_api_key(),
            prompt_tokens: estimate::tokens(&self.request.messages),
            context_length: self.served.info.context_length,
            queued: self.shared.turns.queued(),
        });
        if is_of_the_server && let bedside_contract::GenerateError::Unavailable { reason } = &error {
            self.shared.lost(reason);
        }
        let _nobody_listens = self.events.send(Err(error));
    }

    fn tell_text(&self, text: String) {
        if !text.is_empty() {
            self.tell(GenerationEvent::Text(text));
        }
    }

    fn tell(&self, event: GenerationEvent) {
        let _nobody_listens = self.events.send(Ok(event));
    }
}

async fn open(request: reqwest::RequestBuilder) -> Result<Response, Failure> {
    let response = request.send().await.map_err(Failure::of_request)?;
    if !response.status().is_success() {
        return Err(Failure::of_refusal(response).await);
    }
    let is_whole = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.starts_with("application/json") || it.starts_with("text/html"));
    if is_whole {
        return Err(Failure::Unreadable("it does not stream"));
    }
    Ok(response)
}
