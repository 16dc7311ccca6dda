//! One turn after the other in each conversation, all conversations side by side.

use std::sync::{Arc, Mutex, PoisonError};

use bedside_contract::ConversationKey;

use crate::context::{
    interrupt::{Interrupt, InterruptReason},
    per_conversation::{PerConversation, Runner},
};

/// The conversations whose messages are being worked off.
#[derive(Default)]
pub(crate) struct Lanes(Arc<PerConversation<Lane>>);

#[derive(Default)]
pub(crate) struct Lane {
    running: Mutex<Option<Arc<Interrupt>>>,
}

/// A turn that is running; it ends on drop.
pub(crate) struct RunningTurn<'a> {
    runner: &'a Runner<Lane>,
    pub interrupt: Arc<Interrupt>,
}

impl Lanes {
    /// `None` if the lane is at work; it will look again.
    pub(crate) fn enter(&self, conversation: &ConversationKey) -> Option<Runner<Lane>> {
        self.0.enter(conversation).ok()
    }

    /// Nothing of this conversation is being answered, or about to be.
    pub(crate) fn is_idle(&self, conversation: &ConversationKey) -> bool {
        self.0.is_idle(conversation)
    }

    pub(crate) fn is_running(&self, conversation: &ConversationKey) -> bool {
        self.0
            .state(conversation)
            .is_some_and(|it| it.interrupt().is_some())
    }

    /// Completes at the next change of any lane after this call.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.0.changed()
    }

    /// Ends the running turn of this conversation; false if none was running.
    pub(crate) fn interrupt(&self, conversation: &ConversationKey, reason: InterruptReason) -> bool {
        let running = self.0.state(conversation).and_then(|it| it.interrupt());
        running.inspect(|it| it.raise(reason)).is_some()
    }

    pub(crate) fn interrupt_all(&self, reason: InterruptReason) {
        for interrupt in self.0.states().iter().filter_map(|it| it.interrupt()) {
            interrupt.raise(reason);
        }
    }
}

impl Lane {
    fn interrupt(&self) -> Option<Arc<Interrupt>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, running: Option<Arc<Interrupt>>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}

impl<'a> RunningTurn<'a> {
    pub(crate) fn begin(runner: &'a Runner<Lane>) -> Self {
        let interrupt = Arc::new(Interrupt::default());
        runner.state().set(Some(Arc::clone(&interrupt)));
        runner.tell_change();
        Self { runner, interrupt }
    }
}

impl Drop for RunningTurn<'_> {
    fn drop(&mut self) {
        self.runner.state().set(None);
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::ConversationKey;

    use super::{InterruptReason, Lanes, RunningTurn};

    #[test]
    fn one_runner_per_conversation_and_no_message_overlooked() {
        let lanes = Lanes::default();
        let a = ConversationKey::new("web", "page", "a");
        let b = ConversationKey::new("web", "page", "b");
        let runner = lanes.enter(&a).unwrap();
        assert!(
            lanes.enter(&b).is_some(),
            "conversations do not wait for each other"
        );
        assert!(lanes.enter(&a).is_none(), "a second runner must not start");
        let runner = runner.leave().expect("what came meanwhile must be looked for");
        assert!(runner.leave().is_none() && lanes.is_idle(&a));
        drop(lanes.enter(&a).unwrap());
        assert!(lanes.is_idle(&a), "a runner that is dropped makes room");
    }

    #[test]
    fn only_a_running_turn_is_interrupted() {
        let lanes = Lanes::default();
        let key = ConversationKey::new("web", "page", "a");
        assert!(!lanes.interrupt(&key, InterruptReason::Stop));
        let runner = lanes.enter(&key).unwrap();
        assert!(!lanes.interrupt(&key, InterruptReason::Stop));
        let turn = RunningTurn::begin(&runner);
        assert!(lanes.is_running(&key) && lanes.interrupt(&key, InterruptReason::Emergency));
        assert_eq!(turn.interrupt.reason(), Some(InterruptReason::Emergency));
        drop(turn);
        assert!(!lanes.is_running(&key) && !lanes.interrupt(&key, InterruptReason::Stop));
    }
}
