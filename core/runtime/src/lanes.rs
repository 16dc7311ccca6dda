//! One turn after the other in each conversation, all conversations side by side.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bedside_contract::ConversationKey;
use tokio_util::sync::CancellationToken;

/// The conversations that have something to do. An idle one takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    active: Mutex<HashMap<ConversationKey, Lane>>,
}

#[derive(Debug, Default)]
struct Lane {
    /// More came while the lane was at work: look again before it ends.
    again: bool,
    running: Option<Arc<Interrupt>>,
}

/// Ends the turn that is running, from outside.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    token: CancellationToken,
    reason: OnceLock<InterruptReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InterruptReason {
    /// The patient said so.
    Stop,
    /// A red flag in a later message.
    Emergency,
    /// The bot is being stopped: the message is given back unanswered.
    Shutdown,
}

impl Interrupt {
    pub(crate) async fn interrupted(&self) -> InterruptReason {
        self.token.cancelled().await;
        self.reason().unwrap_or(InterruptReason::Stop)
    }

    pub(crate) fn reason(&self) -> Option<InterruptReason> {
        self.reason.get().copied()
    }

    fn raise(&self, reason: InterruptReason) {
        // The first reason stays: an emergency that follows a stop finds the turn ended already.
        if self.reason.set(reason).is_ok() {
            self.token.cancel();
        }
    }
}

impl Lanes {
    /// True if the caller must run the lane now; false if it runs already and will look again.
    pub(crate) fn enter(&self, conversation: &ConversationKey) -> bool {
        let mut active = self.lock();
        if let Some(lane) = active.get_mut(conversation) {
            lane.again = true;
            return false;
        }
        active.insert(conversation.clone(), Lane::default());
        true
    }

    /// Something of this conversation is being answered or about to be.
    pub(crate) fn is_active(&self, conversation: &ConversationKey) -> bool {
        self.lock().contains_key(conversation)
    }

    /// A turn of this conversation is running.
    pub(crate) fn is_running(&self, conversation: &ConversationKey) -> bool {
        self.lock()
            .get(conversation)
            .is_some_and(|lane| lane.running.is_some())
    }

    /// Before each turn.
    pub(crate) fn begin(&self, conversation: &ConversationKey) -> Arc<Interrupt> {
        let interrupt = Arc::new(Interrupt::default());
        if let Some(lane) = self.lock().get_mut(conversation) {
            lane.running = Some(Arc::clone(&interrupt));
        }
        interrupt
    }

    /// After each turn.
    pub(crate) fn end(&self, conversation: &ConversationKey) {
        if let Some(lane) = self.lock().get_mut(conversation) {
            lane.running = None;
        }
    }

    /// When the lane finds nothing to do: true if it may end, false if it must look again.
    pub(crate) fn leave(&self, conversation: &ConversationKey) -> bool {
        let mut active = self.lock();
        if let Some(lane) = active.get_mut(conversation)
            && std::mem::take(&mut lane.again)
        {
            return false;
        }
        active.remove(conversation);
        true
    }

    /// Ends the running turn of this conversation; false if none was running.
    pub(crate) fn interrupt(&self, conversation: &ConversationKey, reason: InterruptReason) -> bool {
        let running = self
            .lock()
            .get(conversation)
            .and_then(|lane| lane.running.clone());
        running.inspect(|it| it.raise(reason)).is_some()
    }

    pub(crate) fn interrupt_all(&self, reason: InterruptReason) {
        let running: Vec<_> = self
            .lock()
            .values()
            .filter_map(|lane| lane.running.clone())
            .collect();
        for interrupt in running {
            interrupt.raise(reason);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ConversationKey, Lane>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::ConversationKey;

    use super::{InterruptReason, Lanes};

    #[test]
    fn one_runner_per_conversation_and_no_message_overlooked() {
        let lanes = Lanes::default();
        let a = ConversationKey::new("web", "page", "a");
        let b = ConversationKey::new("web", "page", "b");
        assert!(lanes.enter(&a));
        assert!(lanes.enter(&b), "conversations do not wait for each other");
        assert!(!lanes.enter(&a), "a second runner must not start");
        assert!(!lanes.leave(&a), "what came meanwhile must be looked for");
        assert!(lanes.leave(&a));
        assert!(lanes.enter(&a));
    }

    #[test]
    fn only_a_running_turn_is_interrupted() {
        let lanes = Lanes::default();
        let key = ConversationKey::new("web", "page", "a");
        assert!(!lanes.interrupt(&key, InterruptReason::Stop));
        assert!(lanes.enter(&key));
        let interrupt = lanes.begin(&key);
        assert!(lanes.interrupt(&key, InterruptReason::Emergency));
        assert!(lanes.interrupt(&key, InterruptReason::Stop));
        assert_eq!(
            interrupt.reason(),
            Some(InterruptReason::Emergency),
            "the first reason stays"
        );
        lanes.end(&key);
        assert!(!lanes.interrupt(&key, InterruptReason::Stop));
    }
}
