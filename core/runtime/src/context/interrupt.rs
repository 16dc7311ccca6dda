//! Ending a turn from outside.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

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

    pub(crate) fn raise(&self, reason: InterruptReason) {
        // The first reason stays: an emergency that follows a stop finds the turn ended already.
        if self.reason.set(reason).is_ok() {
            self.token.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interrupt, InterruptReason};

    #[tokio::test]
    async fn the_first_reason_stays() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.reason(), None);
        interrupt.raise(InterruptReason::Emergency);
        interrupt.raise(InterruptReason::Stop);
        assert_eq!(interrupt.interrupted().await, InterruptReason::Emergency);
    }
}
