//! One patient: chats, question after question.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use reqwest::Client;
use tokio::time::{Instant, sleep};

use crate::{
    plan::Plan,
    request::{Answer, AskError, Message, ask},
    words::{Place, text},
};

/// After "busy", and after an error before the next chat.
const PAUSE: Duration = Duration::from_millis(500);
/// A patient who is told so often in a row that the server is busy gives up the chat.
const PATIENCE: usize = 120;

/// What patients have lived through.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answers: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) cached_tokens: u64,
    pub(crate) generated_tokens: u64,
    pub(crate) first_ms: Vec<f64>,
    pub(crate) gaps_ms: Vec<f64>,
    pub(crate) busy: u64,
    pub(crate) gave_up: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// What the line of progress shows.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) answers: AtomicU64,
    pub(crate) tokens: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) errors: AtomicU64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.generated_tokens += other.generated_tokens;
        self.first_ms.extend(other.first_ms);
        self.gaps_ms.extend(other.gaps_ms);
        self.busy += other.busy;
        self.gave_up += other.gave_up;
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
    }

    fn answer(&mut self, answer: &Answer, progress: &Progress) {
        self.answers += 1;
        self.prompt_tokens += answer.usage.prompt_tokens;
        self.cached_tokens += answer.usage.prompt_tokens_details.cached_tokens;
        self.generated_tokens += answer.usage.completion_tokens;
        self.first_ms.push(millis(answer.first));
        self.gaps_ms.extend(answer.gaps.iter().copied().map(millis));
        progress.answers.fetch_add(1, Relaxed);
        progress.tokens.fetch_add(answer.usage.completion_tokens, Relaxed);
    }

    fn error(&mut self, error: &AskError, progress: &Progress) {
        // The server has said honestly that it cannot.
        if matches!(error, AskError::Busy) {
            self.gave_up += 1;
            return;
        }
        *self.errors.entry(error.to_string()).or_default() += 1;
        progress.errors.fetch_add(1, Relaxed);
    }
}

/// One chat, or chats until the plan's time is over; a question that is under way is always waited for.
pub(crate) async fn play(client: &Client, plan: &Plan, patient: usize, progress: &Progress) -> Tally {
    let end = plan.duration.map(|it| Instant::now() + it);
    let is_over = || end.is_some_and(|it| Instant::now() >= it);
    let mut tally = Tally::default();
    for chat in 0.. {
        let mut messages = vec![Message {
            role: "system",
            content: text(plan.seed, Place::System, plan.system_tokens),
        }];
        for turn in 0..plan.turns {
            if is_over() {
                return tally;
            }
            let place = Place::Question { patient, chat, turn };
            messages.push(Message {
                role: "user",
                content: text(plan.seed, place, plan.question_tokens),
            });
            match patiently(client, plan, patient, &messages, &mut tally, progress).await {
                Ok(answer) => {
                    tally.answer(&answer, progress);
                    messages.push(Message {
                        role: "assistant",
                        content: answer.text,
                    });
                }
                Err(error) => {
                    tally.error(&error, progress);
                    sleep(PAUSE).await;
                    break;
                }
            }
        }
        if end.is_none() || is_over() {
            break;
        }
    }
    tally
}

/// Asks again while the server is busy.
async fn patiently(
    client: &Client,
    plan: &Plan,
    patient: usize,
    messages: &[Message],
    tally: &mut Tally,
    progress: &Progress,
) -> Result<Answer, AskError> {
    for _ in 0..PATIENCE {
        match ask(client, plan, patient, messages).await {
            Err(AskError::Busy) => {
                tally.busy += 1;
                progress.busy.fetch_add(1, Relaxed);
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
    Err(AskError::Busy)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
