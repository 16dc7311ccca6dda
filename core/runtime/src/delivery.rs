//! From the outbox to the platform: in order, retried, never dropped in silence.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bedside_contract::{Connector, ConversationKey, DeliverError, OutboxItem, SendOutcome, StoreError};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::Notify;

use crate::bot::Shared;

/// The conversations that have something to deliver.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    active: Mutex<HashMap<ConversationKey, Arc<Sender>>>,
}

#[derive(Debug, Default)]
struct Sender {
    /// Something new came, maybe an urgent part that does not wait for a retry's pause.
    woken: Notify,
    again: AtomicBool,
    /// The patient wrote since the last part was claimed.
    written: AtomicBool,
}

const SLOWEST_DELIVERY: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Delivery {
    /// Nothing of this conversation is on its way.
    pub(crate) fn is_idle(&self, conversation: &ConversationKey) -> bool {
        !self.lock().contains_key(conversation)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The sender to run, or `None` if one runs already and has been woken.
    fn enter(&self, conversation: &ConversationKey) -> Option<Arc<Sender>> {
        let mut active = self.lock();
        if let Some(sender) = active.get(conversation) {
            sender.again.store(true, Ordering::SeqCst);
            sender.woken.notify_one();
            return None;
        }
        let sender = Arc::new(Sender::default());
        active.insert(conversation.clone(), Arc::clone(&sender));
        Some(sender)
    }

    fn leave(&self, conversation: &ConversationKey, sender: &Sender) -> bool {
        let mut active = self.lock();
        if sender.again.swap(false, Ordering::SeqCst) {
            return false;
        }
        active.remove(conversation);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConversationKey, Arc<Sender>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts delivering a conversation's parts, or tells the task that does it to look again.
pub(crate) fn wake(shared: &Arc<Shared>, conversation: &ConversationKey) {
    if let Some(sender) = shared.delivery.enter(conversation) {
        let conversation = conversation.clone();
        let task = Arc::clone(shared);
        shared
            .tasks
            .spawn(async move { run(&task, &conversation, &sender).await });
    }
}

/// As [`wake`], after the parts that waited for the patient were released.
pub(crate) fn wake_for_patient(shared: &Arc<Shared>, conversation: &ConversationKey) {
    if let Some(sender) = shared.delivery.lock().get(conversation) {
        sender.written.store(true, Ordering::SeqCst);
    }
    wake(shared, conversation);
}

async fn run(shared: &Arc<Shared>, conversation: &ConversationKey, sender: &Sender) {
    let connector = shared.connectors.get(conversation.platform());
    loop {
        // Before the claim, so that an emergency notice that comes meanwhile goes first.
        let distance = connector.map_or(Duration::ZERO, |it| it.pause(conversation));
        if !distance.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(distance.min(LONGEST_PAUSE)) => {}
                () = sender.woken.notified() => {}
            }
        }
        let next = match claim(shared, conversation, sender).await {
            Ok(Some(item)) => deliver_with_urgent(shared, conversation, sender, item).await,
            Ok(None) if shared.delivery.leave(conversation, sender) => return,
            Ok(None) => Ok(Next::AtOnce),
            Err(error) => Err(error),
        };
        let ended = match next {
            Ok(Next::AtOnce) => Ok(()),
            Ok(Next::After(pause)) => {
                tokio::select! {
                    // A little longer than what the store was told, so that the part is due then.
                    () = tokio::time::sleep(pause + Duration::from_millis(20)) => Ok(()),
                    () = sender.woken.notified() => Ok(()),
                    () = shared.shutdown.cancelled() => {
                        shared.delivery.lock().remove(conversation);
                        return;
                    }
                }
            }
            // What the patient wrote while it was being parked released nothing.
            Ok(Next::Parked) if sender.written.load(Ordering::SeqCst) => {
                shared.store.release_parked(conversation).await.map(drop)
            }
            Ok(Next::Parked) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            shared.store_failed(&error);
            shared.delivery.lock().remove(conversation);
            return;
        }
    }
}

/// The next part. What the patient wrote until then has opened the platform's window for it.
async fn claim(
    shared: &Shared,
    conversation: &ConversationKey,
    sender: &Sender,
) -> Result<Option<OutboxItem>, StoreError> {
    let claimed = shared.store.claim_part(conversation).await?;
    if claimed.is_some() {
        sender.written.store(false, Ordering::SeqCst);
    }
    Ok(claimed)
}

/// What the sender of a conversation does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    AtOnce,
    Parked,
    After(Duration),
}

/// Delivers a part. An emergency notice that comes meanwhile does not wait for it: nothing else can be
/// claimed while a part is on its way.
async fn deliver_with_urgent(
    shared: &Arc<Shared>,
    conversation: &ConversationKey,
    sender: &Sender,
    item: OutboxItem,
) -> Result<Next, StoreError> {
    let mut on_their_way = FuturesUnordered::from_iter([deliver(shared, item)]);
    let mut next = Next::AtOnce;
    loop {
        tokio::select! {
            delivered = on_their_way.next() => match delivered {
                Some(delivered) => next = next.max(delivered?),
                None => return Ok(next),
            },
            () = sender.woken.notified() => {
                if let Some(urgent) = claim(shared, conversation, sender).await? {
                    on_their_way.push(deliver(shared, urgent));
                }
            }
        }
    }
}

/// So many failed attempts, a quarter of an hour of them, show that a part's age is not a clock that jumped.
const FEWEST_ATTEMPTS: u32 = 24;

fn is_too_old(item: &OutboxItem, oldest: Duration) -> bool {
    item.waiting >= oldest && item.attempts >= FEWEST_ATTEMPTS
}

/// Delivers one part and settles it.
async fn deliver(shared: &Arc<Shared>, item: OutboxItem) -> Result<Next, StoreError> {
    let result = match shared.connectors.get(item.conversation.platform()) {
        Some(connector) => {
            // A part that was claimed must be settled, whatever its connector does.
            let delivering = AssertUnwindSafe(connector.deliver(&item)).catch_unwind();
            match tokio::time::timeout(SLOWEST_DELIVERY, delivering).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(DeliverError::Unknown("the connector panicked".to_owned())),
                Err(_) => Err(DeliverError::Unknown(format!(
                    "no answer within {SLOWEST_DELIVERY:?}"
                ))),
            }
        }
        None => {
            tracing::warn!(
                platform = item.conversation.platform(),
                "A part waits for a platform that is switched off."
            );
            Err(DeliverError::RetryAfter(LONGEST_PAUSE))
        }
    };
    let backoff = Duration::from_millis(250 << item.attempts.min(8)).min(LONGEST_PAUSE);
    let milliseconds = |pause: Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let retry = |pause, may_have_arrived| SendOutcome::Retry {
        after_ms: milliseconds(pause),
        may_have_arrived,
    };
    let (outcome, next) = match result {
        Ok(message) => (SendOutcome::Sent { message }, Next::AtOnce),
        Err(DeliverError::RetryAfter(wait)) => {
            let after_ms = milliseconds(wait);
            (SendOutcome::Later { after_ms }, Next::After(wait))
        }
        Err(DeliverError::PatientFirst(reason)) => {
            tracing::info!(seq = %item.seq, reason, "A part waits until its patient writes again.");
            (SendOutcome::Parked, Next::Parked)
        }
        Err(DeliverError::Permanent(reason)) => (SendOutcome::Dead { reason }, Next::AtOnce),
        Err(error) if is_too_old(&item, shared.config.delivery_age()) => (
            SendOutcome::Dead {
                reason: error.to_string(),
            },
            Next::AtOnce,
        ),
        Err(DeliverError::NotSent(reason)) => {
            tracing::warn!(seq = %item.seq, attempts = item.attempts, reason, "A part could not be sent; it is tried again.");
            (retry(backoff, false), Next::After(backoff))
        }
        Err(DeliverError::Unknown(reason)) => {
            tracing::warn!(seq = %item.seq, attempts = item.attempts, reason, "Whether a part arrived is unknown; it is tried again.");
            (retry(backoff, true), Next::After(backoff))
        }
    };
    if let SendOutcome::Dead { reason } = &outcome {
        tracing::error!(seq = %item.seq, attempts = item.attempts, reason, "A part could not be delivered and is given up.");
    }
    shared.store.settle_part(&item.id, outcome).await?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_contract::{ConversationKey, InboxSeq, Language, OutboxItem, Part, PartId};

    use super::{FEWEST_ATTEMPTS, is_too_old};

    #[test]
    fn a_part_is_given_up_by_age_never_by_a_count_or_a_clock_alone() {
        let days = |it: u64| Duration::from_secs(it * 24 * 3600);
        let item = |attempts, waiting| OutboxItem {
            id: PartId("p".to_owned()),
            conversation: ConversationKey::new("web", "main", "a"),
            seq: InboxSeq(1),
            part: Part::notice(Language::En, "words"),
            replaces: None,
            attempts,
            waiting,
        };
        for (attempts, waiting, too_old) in [
            (1, Duration::ZERO, false),
            (100_000, days(2), false),
            (1, days(400), false),
            (FEWEST_ATTEMPTS - 1, days(3), false),
            (FEWEST_ATTEMPTS, days(3), true),
        ] {
            let found = is_too_old(&item(attempts, waiting), days(3));
            assert_eq!(found, too_old, "{attempts} attempts, {waiting:?}");
        }
    }
}
