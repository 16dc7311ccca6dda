use std::sync::Arc;

use bedside_contract::{ConversationKey, InboxSeq, Language};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{Handed, MessageKey, Phase, State, Timing, Window, Windows};

/// One part that wants to travel.
pub(crate) struct Note {
    pub(crate) conversation: ConversationKey,
    pub(crate) seq: InboxSeq,
    pub(crate) text: String,
    pub(crate) language: Language,
    /// Another piece of the same message follows.
    pub(crate) more: bool,
    pub(crate) is_emergency: bool,
}

/// Why a part has to wait for the patient's next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoWindow {
    #[error("no request of this patient is open")]
    NoneOpen,
    #[error("wechat's request broke off and did not come again")]
    BrokeOff,
}

impl Windows {
    /// Puts a part into the reply of an open request and returns once it is written.
    ///
    /// The window of the part's own message is taken if it is open, else the oldest. An emergency notice
    /// may also take the place of a part that has not been written yet.
    pub(crate) async fn hand_over(&self, note: Note) -> Result<(), NoWindow> {
        let note = Arc::new(note);
        loop {
            let Some(mut handover) = self.place(&note) else {
                return Err(NoWindow::NoneOpen);
            };
            match handover.outcome().await {
                Outcome::Written => return Ok(()),
                // An emergency notice took the place; perhaps another window is open.
                Outcome::Displaced => {}
                Outcome::BrokeOff => return Err(NoWindow::BrokeOff),
            }
        }
    }

    fn place(&self, note: &Arc<Note>) -> Option<Handover<'_>> {
        let now = Instant::now();
        let mut state = self.lock();
        let key = find(&state, note, self.timing, now)?;
        state.last_handover += 1;
        let id = state.last_handover;
        let window = state.windows.get_mut(&key)?;
        let grace = if note.is_emergency {
            std::time::Duration::ZERO
        } else {
            self.timing.grace
        };
        window.phase = Phase::Handed(Handed {
            handover: id,
            note: Arc::clone(note),
            displaced: matches!(window.phase, Phase::Handed(_)),
            ready_at: now + grace,
            takers: 0,
            orphaned: false,
        });
        window.tell();
        Some(Handover {
            windows: self,
            id,
            changed: window.changed.subscribe(),
            key,
        })
    }
}

fn find(state: &State, note: &Note, timing: Timing, now: Instant) -> Option<MessageKey> {
    let best = |may_take: fn(&Window) -> bool| {
        let open = || {
            state
                .of(&note.conversation)
                .filter(|(_, it)| may_take(it) && it.is_reachable(timing, now))
        };
        // An urgent part may be faster than the commit of the message it answers.
        let being_committed = || {
            open()
                .filter(|(_, it)| note.is_emergency && it.seq.is_none())
                .last()
        };
        open()
            .find(|(_, it)| it.seq == Some(note.seq))
            .or_else(being_committed)
            .or_else(|| open().next())
            .map(|(key, _)| key.clone())
    };
    let waiting = best(|it| matches!(it.phase, Phase::Waiting));
    if waiting.is_some() || !note.is_emergency {
        return waiting;
    }
    best(|it| match &it.phase {
        Phase::Handed(handed) => handed.takers == 0 && !handed.note.is_emergency,
        Phase::Waiting | Phase::Ended { .. } => false,
    })
}

/// A part in a window. Dropped before it is written, it is taken out again: its delivery did not happen.
struct Handover<'a> {
    windows: &'a Windows,
    key: MessageKey,
    id: u64,
    changed: watch::Receiver<()>,
}

enum Outcome {
    Written,
    Displaced,
    BrokeOff,
}

enum Look {
    Ended(Outcome),
    At(Instant),
    OnChange,
}

impl Handover<'_> {
    async fn outcome(&mut self) -> Outcome {
        loop {
            let change = match self.look() {
                Look::Ended(outcome) => return outcome,
                Look::At(when) => timeout_at(when, self.changed.changed()).await.unwrap_or(Ok(())),
                Look::OnChange => self.changed.changed().await,
            };
            if change.is_err() {
                return Outcome::BrokeOff;
            }
        }
    }

    fn look(&self) -> Look {
        let state = self.windows.lock();
        let Some(window) = state.windows.get(&self.key) else {
            return Look::Ended(Outcome::BrokeOff);
        };
        match &window.phase {
            Phase::Ended { handover, .. } if *handover == Some(self.id) => Look::Ended(Outcome::Written),
            Phase::Handed(handed) if handed.handover == self.id => {
                if handed.takers > 0 || window.attached > 0 {
                    return Look::OnChange;
                }
                match window.next_try_until(self.windows.timing) {
                    Some(until) if Instant::now() < until => Look::At(until),
                    _ => Look::Ended(Outcome::BrokeOff),
                }
            }
            Phase::Waiting | Phase::Handed(_) | Phase::Ended { .. } => Look::Ended(Outcome::Displaced),
        }
    }
}

impl Drop for Handover<'_> {
    fn drop(&mut self) {
        let mut state = self.windows.lock();
        let Some(window) = state.windows.get_mut(&self.key) else {
            return;
        };
        let Phase::Handed(handed) = &mut window.phase else {
            return;
        };
        if handed.handover != self.id {
            return;
        }
        if handed.takers > 0 {
            handed.orphaned = true;
        } else {
            window.phase = Phase::Waiting;
            window.tell();
        }
    }
}
