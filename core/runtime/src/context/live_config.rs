//! What may change while the bot runs: the configuration, and whether patients get answers at all.

use std::sync::Arc;

use tokio::sync::watch;

use super::config::RuntimeConfig;

/// The configuration as it is now, and the kill switch. Clones share both.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug)]
struct State {
    config: Arc<RuntimeConfig>,
    /// The operator switched answers off.
    switched_off: bool,
}

impl State {
    fn is_notices_only(&self) -> bool {
        self.switched_off || self.config.notices_only
    }
}

impl LiveConfig {
    /// What the bot starts with.
    #[must_use]
    pub fn new(config: RuntimeConfig) -> Self {
        let state = State {
            config: Arc::new(config),
            switched_off: false,
        };
        Self {
            state: Arc::new(watch::Sender::new(state)),
        }
    }

    /// One snapshot: whoever works at something longer takes it once and keeps it to the end.
    #[must_use]
    pub fn config(&self) -> Arc<RuntimeConfig> {
        Arc::clone(&self.state.borrow().config)
    }

    /// Takes over another configuration. Keys that are read once, at the start, keep their values:
    /// [`RuntimeConfig::FIXED`]. What is in work goes on with what it began with.
    pub fn change(&self, config: RuntimeConfig) {
        self.state
            .send_modify(|state| state.config = Arc::new(config.keeping_fixed_of(&state.config)));
    }

    /// The operator's kill switch: while it is on, patients get emergency notices and no answers.
    pub fn switch_answers_off(&self, off: bool) {
        self.state.send_modify(|state| state.switched_off = off);
    }

    /// Whether the operator switched answers off.
    #[must_use]
    pub fn is_switched_off(&self) -> bool {
        self.state.borrow().switched_off
    }

    /// Whether patients get emergency notices only, because the operator or the configuration says so.
    #[must_use]
    pub fn is_notices_only(&self) -> bool {
        self.state.borrow().is_notices_only()
    }

    /// Completes as soon as patients get emergency notices only. Cancel-safe.
    pub async fn answers_switched_off(&self) {
        let mut receiver = self.state.subscribe();
        // It fails only without a sender, and there is one as long as this.
        drop(receiver.wait_for(State::is_notices_only).await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::LiveConfig;
    use crate::context::config::RuntimeConfig;

    #[test]
    fn a_snapshot_stays_as_it_was_taken() {
        let live = LiveConfig::new(RuntimeConfig::default());
        let before = live.config();
        live.clone().change(RuntimeConfig {
            emergency_number: "911".to_owned(),
            answer_tokens: 7,
            ..RuntimeConfig::default()
        });
        assert_eq!(before.emergency_number, "120");
        let after = live.config();
        assert_eq!((after.emergency_number.as_str(), after.answer_tokens), ("911", 7));
        assert!(
            Arc::ptr_eq(&after, &live.config()),
            "nothing is copied without a change"
        );
    }

    #[test]
    fn what_is_read_once_keeps_its_value() {
        let live = LiveConfig::new(RuntimeConfig::default());
        live.change(RuntimeConfig {
            answers_at_once: 1,
            second_reader: Some("/new".into()),
            triage_additions: Some("/new".into()),
            hospital: "St. Mary".to_owned(),
            ..RuntimeConfig::default()
        });
        let expected = RuntimeConfig {
            hospital: "St. Mary".to_owned(),
            ..RuntimeConfig::default()
        };
        assert_eq!(*live.config(), expected);
    }

    #[tokio::test]
    async fn either_reason_switches_answers_off() {
        for by_configuration in [false, true] {
            let live = LiveConfig::new(RuntimeConfig::default());
            let set = |off: bool| {
                if by_configuration {
                    live.change(RuntimeConfig {
                        notices_only: off,
                        ..RuntimeConfig::default()
                    });
                } else {
                    live.switch_answers_off(off);
                }
            };
            assert!(!live.is_notices_only());
            let mut waiting = Box::pin(live.answers_switched_off());
            assert!((&mut waiting).now_or_never().is_none());
            set(true);
            waiting.await;
            assert!(live.is_notices_only());
            live.answers_switched_off().await;
            set(false);
            assert!(!live.is_notices_only());
        }
        let live = LiveConfig::new(RuntimeConfig {
            notices_only: true,
            ..RuntimeConfig::default()
        });
        live.switch_answers_off(false);
        assert!(live.is_notices_only(), "the configuration still says so");
    }
}
