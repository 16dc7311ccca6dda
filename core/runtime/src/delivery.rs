//! From the outbox to the platform: in order, retried, never dropped in silence.

pub(crate) mod escalation;
mod pacing;
mod pieces;
pub(crate) mod split;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bedside_contract::{
    Capabilities, Connector, ConversationKey, DeliverError, GivenUp, Initiative, Observation, OutboxItem,
    Part, SendOutcome, SendResult, StoreError,
};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::Notify;

pub(crate) use self::pacing::Paced;
use self::pieces::pieces_of;
use crate::context::{
    Context,
    per_conversation::{PerConversation, Runner},
};

/// The connectors, and the conversations that have something to deliver.
pub(crate) struct Delivery {
    context: Arc<Context>,
    connectors: HashMap<String, Arc<Paced>>,
    senders: Arc<PerConversation<Sender>>,
}

#[derive(Default)]
struct Sender {
    /// Something new came, maybe an urgent part that does not wait for a retry's pause.
    woken: Notify,
    /// The patient wrote since the last part was claimed.
    written: AtomicBool,
}

const SLOWEST_DELIVERY: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Delivery {
    pub(crate) fn new(context: Arc<Context>, connectors: Vec<Arc<dyn Connector>>) -> Arc<Self> {
        let connectors = connectors
            .into_iter()
            .map(|it| (it.platform().to_owned(), Arc::new(Paced::new(it))))
            .collect();
        Arc::new(Self {
            context,
            connectors,
            senders: Arc::default(),
        })
    }

    pub(crate) fn connectors(&self) -> impl Iterator<Item = &Arc<Paced>> {
        self.connectors.values()
    }

    pub(crate) fn connector(&self, platform: &str) -> Option<&Arc<Paced>> {
        self.connectors.get(platform)
    }

    pub(crate) fn capabilities(&self, platform: &str) -> Option<Capabilities> {
        self.connector(platform).map(|it| it.capabilities())
    }

    /// Who may start to speak in this conversation.
    pub(crate) fn initiative(&self, conversation: &ConversationKey) -> Initiative {
        self.capabilities(conversation.platform())
            .map_or(Initiative::Bot, |it| it.initiative)
    }

    /// `outside` where a company outside the hospital can read along, else `none`: the locale files choose by it.
    pub(crate) fn operator(&self, conversation: &ConversationKey) -> &'static str {
        let can = self.capabilities(conversation.platform());
        if can.is_none_or(|it| it.outside_operator) {
            "outside"
        } else {
            "none"
        }
    }

    /// Parts as the conversation's platform can take them.
    pub(crate) fn pieces(&self, conversation: &ConversationKey, parts: Vec<Part>) -> Vec<Part> {
        match self.capabilities(conversation.platform()) {
            Some(can) => parts.into_iter().flat_map(|it| pieces_of(it, &can)).collect(),
            None => parts,
        }
    }

    /// Nothing of this conversation is on its way.
    pub(crate) fn is_idle(&self, conversation: &ConversationKey) -> bool {
        self.senders.is_idle(conversation)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }

    /// Completes when the next conversation after this call becomes idle.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.senders.changed()
    }

    /// Starts delivering a conversation's parts, or tells the task that does it to look again.
    pub(crate) fn wake(self: &Arc<Self>, conversation: &ConversationKey) {
        match self.senders.enter(conversation) {
            Ok(runner) => {
                let delivery = Arc::clone(self);
                self.context
                    .tasks
                    .spawn(async move { delivery.run(runner).await });
            }
            Err(sender) => sender.woken.notify_one(),
        }
    }

    /// Delivers what is due after a start, and whose retry is due.
    pub(crate) async fn sweep(self: &Arc<Self>) -> Result<(), StoreError> {
        for conversation in self.context.store.outbox.undelivered_conversations().await? {
            self.wake(&conversation);
        }
        Ok(())
    }

    /// Lets out what waited for the patient to write, and tells how much that was.
    pub(crate) async fn release_parked(
        self: &Arc<Self>,
        conversation: &ConversationKey,
    ) -> Result<usize, StoreError> {
        if self.initiative(conversation) == Initiative::Bot {
            return Ok(0);
        }
        let released = self.context.store.outbox.release_parked(conversation).await?;
        if released > 0 || !self.is_idle(conversation) {
            if let Some(sender) = self.senders.state(conversation) {
                sender.written.store(true, Ordering::SeqCst);
            }
            self.wake(conversation);
        }
        Ok(released)
    }

    async fn run(self: &Arc<Self>, mut runner: Runner<Sender>) {
        loop {
            self.keep_distance(&runner).await;
            let next = match self.claim(&runner).await {
                Ok(Some(item)) => self.deliver_with_urgent(&runner, item).await,
                Ok(None) => match runner.leave() {
                    Some(again) => {
                        runner = again;
                        continue;
                    }
                    None => return,
                },
                Err(error) => Err(error),
            };
            let sender = runner.state();
            let ended = match next {
                Ok(Next::AtOnce) => Ok(()),
                Ok(Next::After(pause)) => {
                    tokio::select! {
                        // A little longer than what the store was told, so that the part is due then.
                        () = tokio::time::sleep(pause + Duration::from_millis(20)) => Ok(()),
                        () = sender.woken.notified() => Ok(()),
                        () = self.context.shutdown.cancelled() => return,
                    }
                }
                // What the patient wrote while it was being parked released nothing.
                Ok(Next::Parked) if sender.written.load(Ordering::SeqCst) => {
                    let released = self.context.store.outbox.release_parked(runner.conversation());
                    released.await.map(drop)
                }
                Ok(Next::Parked) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                return self.context.store_failed(&error);
            }
        }
    }

    /// Before the claim, so that an emergency notice that comes meanwhile goes first.
    async fn keep_distance(&self, runner: &Runner<Sender>) {
        let connector = self.connector(runner.conversation().platform());
        let distance = connector.map_or(Duration::ZERO, |it| it.pause(runner.conversation()));
        if !distance.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(distance.min(LONGEST_PAUSE)) => {}
                () = runner.state().woken.notified() => {}
            }
        }
    }

    /// The next part. What the patient wrote until then has opened the platform's window for it.
    async fn claim(&self, runner: &Runner<Sender>) -> Result<Option<OutboxItem>, StoreError> {
        let claimed = self
            .context
            .store
            .outbox
            .claim_part(runner.conversation())
            .await?;
        if claimed.is_some() {
            runner.state().written.store(false, Ordering::SeqCst);
        }
        Ok(claimed)
    }

    /// Delivers a part. An emergency notice that comes meanwhile does not wait for it: nothing else can be
    /// claimed while a part is on its way.
    async fn deliver_with_urgent(
        &self,
        runner: &Runner<Sender>,
        item: OutboxItem,
    ) -> Result<Next, StoreError> {
        let mut on_their_way = FuturesUnordered::from_iter([self.deliver(item)]);
        let mut next = Next::AtOnce;
        loop {
            tokio::select! {
                delivered = on_their_way.next() => match delivered {
                    Some(delivered) => next = next.max(delivered?),
                    None => return Ok(next),
                },
                () = runner.state().woken.notified() => {
                    if let Some(urgent) = self.claim(runner).await? {
                        on_their_way.push(self.deliver(urgent));
                    }
                }
            }
        }
    }

    /// Delivers one part and settles it.
    async fn deliver(&self, item: OutboxItem) -> Result<Next, StoreError> {
        let result = match self.connector(item.conversation.platform()) {
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
            Err(error) if is_too_old(&item, self.context.live.config().delivery_age()) => (
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
        self.observe(item.conversation.platform(), &outcome);
        let has_arrived = matches!(outcome, SendOutcome::Sent { .. });
        self.context.store.outbox.settle_part(&item.id, outcome).await?;
        if let Some(connector) = self
            .connector(item.conversation.platform())
            .filter(|_| has_arrived)
        {
            connector.settled(&item);
        }
        Ok(next)
    }

    fn observe(&self, platform: &str, outcome: &SendOutcome) {
        let result = match outcome {
            SendOutcome::Sent { .. } => SendResult::Sent,
            SendOutcome::Later { .. } => SendResult::Later,
            SendOutcome::Parked => SendResult::Parked,
            SendOutcome::Retry {
                may_have_arrived: false,
                ..
            } => SendResult::NotSent,
            SendOutcome::Retry {
                may_have_arrived: true,
                ..
            } => SendResult::Unknown,
            SendOutcome::Dead { .. } => SendResult::Dead,
        };
        self.context.observe(Observation::PartSent { platform, result });
        if result == SendResult::Dead {
            let what = GivenUp::Part;
            self.context.observe(Observation::DeadLetter { platform, what });
        }
    }
}

/// What the sender of a conversation does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    AtOnce,
    Parked,
    After(Duration),
}

/// So many failed attempts, a quarter of an hour of them, show that a part's age is not a clock that jumped.
const FEWEST_ATTEMPTS: u32 = 24;

fn is_too_old(item: &OutboxItem, oldest: Duration) -> bool {
    item.waiting >= oldest && item.attempts >= FEWEST_ATTEMPTS
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
