//! The polling loop: commit, then confirm.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use bedside_contract::{ConnectorError, Cursor, Intake, StoreError};
use bedside_kit::{Backoff, KeyedLimit};
use serde::Serialize;
use serde_json::Value;
use teloxide::{
    ApiError, Bot, RequestError,
    payloads::SendMessageSetters,
    requests::{JsonRequest, Payload, Request, Requester},
    types::ChatId,
};

use crate::{
    PLATFORM,
    failure::{describe, is_conflict, is_webhook_set},
    groups,
    updates::{Batch, Identity, Mention},
};

const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// After a week without updates Telegram numbers them anew from a random start, possibly below our offset.
/// Before that, polling goes on without one: Telegram then gives all that is unconfirmed, and the store
/// knows what it has.
const OFFSET_IS_GOOD_FOR: Duration = Duration::from_secs(6 * 24 * 3600);

/// `getUpdates`, answered as JSON: see [`crate::updates`].
#[derive(Clone, Serialize)]
struct GetRawUpdates {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    timeout: u64,
    allowed_updates: [&'static str; 3],
}

impl Payload for GetRawUpdates {
    type Output = Vec<Value>;
    const NAME: &'static str = "GetUpdates";
}

pub(crate) struct Polling<'a> {
    bot: &'a Bot,
    polling_bot: &'a Bot,
    poll_timeout: Duration,
    intake: &'a dyn Intake,
    /// Groups that were told lately to write in private.
    notices: KeyedLimit<ChatId>,
}

impl<'a> Polling<'a> {
    pub(crate) fn new(
        bot: &'a Bot,
        polling_bot: &'a Bot,
        poll_timeout: Duration,
        intake: &'a dyn Intake,
    ) -> Self {
        Self {
            bot,
            polling_bot,
            poll_timeout,
            intake,
            notices: KeyedLimit::per_minute(NonZeroU32::MIN),
        }
    }

    /// Runs until it is dropped.
    ///
    /// # Errors
    /// When the token is refused or the store is broken.
    pub(crate) async fn run(&self) -> Result<(), ConnectorError> {
        let identity = self.identity().await?;
        tracing::info!(bot = %identity.id, username = identity.username, "telegram is polled");
        let mut offset = self.stored_offset(&identity).await?;
        let mut last_update = Instant::now();
        let mut backoff = Backoff::new(SHORTEST_WAIT, LONGEST_WAIT);
        loop {
            if last_update.elapsed() > OFFSET_IS_GOOD_FOR {
                offset = None;
            }
            let updates = match self.poll(offset).await {
                Ok(updates) => updates,
                Err(error) => {
                    self.after_failed_poll(&error, &mut backoff).await?;
                    continue;
                }
            };
            let batch = identity.read(updates);
            let Some(next) = batch.next_offset else {
                worked(&mut backoff);
                continue;
            };
            match self.commit(&identity, &batch, next).await {
                Ok(()) => {}
                Err(broken @ StoreError::Broken(_)) => return Err(broken.into()),
                Err(error) => {
                    let wait = backoff.next_wait();
                    tracing::error!(%error, ?wait, "updates were not stored, telegram keeps them");
                    tokio::time::sleep(wait).await;
                    continue;
                }
            }
            worked(&mut backoff);
            offset = Some(next);
            last_update = Instant::now();
            self.after_commit(&identity, batch);
        }
    }

    async fn identity(&self) -> Result<Identity, ConnectorError> {
        let mut backoff = Backoff::new(SHORTEST_WAIT, LONGEST_WAIT);
        loop {
            match self.bot.get_me().await {
                Ok(me) => {
                    let username = me.user.username.unwrap_or_default();
                    return Ok(Identity {
                        id: me.user.id,
                        username,
                    });
                }
                Err(RequestError::Api(ApiError::InvalidToken)) => return Err(refused()),
                Err(error) => wait_after(&error, &mut backoff).await,
            }
        }
    }

    async fn stored_offset(&self, identity: &Identity) -> Result<Option<i64>, ConnectorError> {
        let stored = self.intake.cursor(PLATFORM, &identity.id.to_string()).await?;
        Ok(stored.and_then(|it| it.parse().ok()))
    }

    async fn poll(&self, offset: Option<i64>) -> Result<Vec<Value>, RequestError> {
        let payload = GetRawUpdates {
            offset,
            timeout: self.poll_timeout.as_secs(),
            allowed_updates: ["message", "edited_message", "callback_query"],
        };
        JsonRequest::new(self.polling_bot.clone(), payload).send().await
    }

    async fn commit(&self, identity: &Identity, batch: &Batch, next_offset: i64) -> Result<(), StoreError> {
        if batch.skipped > 0 {
            tracing::debug!(skipped = batch.skipped, "updates that are not for us");
        }
        let cursor = Cursor {
            platform: PLATFORM.to_owned(),
            bot: identity.id.to_string(),
            value: next_offset.to_string(),
        };
        let mut updates = batch.updates.clone();
        // The question that it changes is answered already or in work; an emergency that it adds is not.
        let red_flags = batch.edits.iter().filter(|it| {
            let words = it.text().unwrap_or_default();
            self.intake.emergency_notice(words, it.language_hint).is_some()
        });
        updates.extend(red_flags.cloned());
        self.intake.accept(updates, Some(cursor)).await.map(drop)
    }

    /// Niceties that nothing waits for.
    fn after_commit(&self, identity: &Identity, batch: Batch) {
        for pressed in batch.pressed {
            let bot = self.bot.clone();
            tokio::spawn(async move {
                if let Err(error) = bot.answer_callback_query(pressed).await {
                    tracing::debug!(problem = describe(&error), "a pressed button was not confirmed");
                }
            });
        }
        for mention in batch.mentions {
            self.answer_group(identity, mention);
        }
    }

    fn answer_group(&self, identity: &Identity, mention: Mention) {
        if self.notices.take(&mention.chat.id).is_err() {
            return;
        }
        let sentence = groups::sentence(
            mention.language,
            &identity.username,
            &self.intake.emergency_number(),
        );
        let mut request = self.bot.send_message(mention.chat.id, sentence);
        if let Some(topic) = mention.chat.topic {
            request = request.message_thread_id(topic);
        }
        tokio::spawn(async move {
            if let Err(error) = request.await {
                tracing::debug!(
                    problem = describe(&error),
                    "a group was not told to write in private"
                );
            }
        });
    }

    async fn after_failed_poll(
        &self,
        error: &RequestError,
        backoff: &mut Backoff,
    ) -> Result<(), ConnectorError> {
        if matches!(error, RequestError::Api(ApiError::InvalidToken)) {
            return Err(refused());
        }
        if is_conflict(error) {
            tracing::warn!(
                "another instance polls with this token: stop it, or give this one a bot of its own"
            );
            tokio::time::sleep(LONGEST_WAIT).await;
            return Ok(());
        }
        if is_webhook_set(error) {
            tracing::warn!("a webhook was set for this bot; it is removed, since updates are polled");
            if let Err(error) = self.bot.delete_webhook().await {
                wait_after(&error, backoff).await;
            }
            return Ok(());
        }
        wait_after(error, backoff).await;
        Ok(())
    }
}

fn refused() -> ConnectorError {
    ConnectorError::Refused {
        platform: PLATFORM.to_owned(),
        reason: "telegram refused the token: check telegram.token".to_owned(),
    }
}

fn worked(backoff: &mut Backoff) {
    if backoff.failures() > 0 {
        tracing::info!("Telegram answers again.");
        backoff.reset();
    }
}

async fn wait_after(error: &RequestError, backoff: &mut Backoff) {
    let counted = backoff.next_wait();
    let wait = match error {
        RequestError::RetryAfter(wait) => wait.duration(),
        _ => counted,
    };
    let problem = describe(error);
    // Long polls are cut now and then by what lies between: worth a line only when it goes on.
    if backoff.failures() > 2 {
        tracing::warn!(problem, ?wait, "Telegram cannot be polled, trying again.");
    } else {
        tracing::debug!(problem, ?wait, "Telegram cannot be polled, trying again.");
    }
    tokio::time::sleep(wait).await;
}
