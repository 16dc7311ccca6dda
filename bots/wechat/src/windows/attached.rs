use std::sync::Arc;

use bedside_contract::{InboxSeq, Receipt};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{MessageKey, Phase, State, TRIES, Window, Windows};
use crate::incoming::Incoming;

/// Older than this, a message that was taken before is no further try but an old request sent again.
const OLDEST_TRY_SECONDS: i64 = 60;

/// One request, held open for its window. Dropped when the request is over, answered or not.
pub(crate) struct Attached {
    windows: Arc<Windows>,
    key: MessageKey,
    is_last_try: bool,
    /// The hand-over that this request is about to write.
    taking: Option<u64>,
    changed: watch::Receiver<()>,
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Reply(Arc<str>),
    /// Nothing will be said: WeChat's `success`.
    Nothing,
    /// This try found no answer; another one follows.
    NotYet,
}

impl Windows {
    /// Opens a window for this message, or joins the one that an earlier try opened. `None` if too many are
    /// open.
    pub(crate) fn attach(self: &Arc<Self>, incoming: &Incoming) -> Option<Attached> {
        let key = MessageKey {
            conversation: incoming.update.conversation.clone(),
            external_id: incoming.update.external_id.as_str().into(),
        };
        let mut state = self.lock();
        let window = state.window_for(&key, incoming, Instant::now())?;
        window.tries = window.tries.saturating_add(1);
        window.attached += 1;
        Some(Attached {
            windows: Arc::clone(self),
            is_last_try: window.tries >= TRIES,
            taking: None,
            changed: window.changed.subscribe(),
            key,
        })
    }
}

impl Attached {
    /// The message is in the store already.
    pub(crate) fn is_committed(&self) -> bool {
        let state = self.windows.lock();
        state.windows.get(&self.key).is_some_and(|it| it.seq.is_some())
    }

    /// Nothing was put into the window so far, and it is not closed.
    pub(crate) fn is_waiting(&self) -> bool {
        let state = self.windows.lock();
        let window = state.windows.get(&self.key);
        window.is_some_and(|it| matches!(it.phase, Phase::Waiting))
    }

    /// Tells the window its place in the inbox, also after the request has ended.
    pub(crate) fn committer(&self, sent: i64, now: i64) -> impl FnOnce(&Receipt) + Send + 'static {
        let (windows, key) = (Arc::clone(&self.windows), self.key.clone());
        move |receipt| {
            let mut state = windows.lock();
            let Some(window) = state.windows.get_mut(&key) else {
                return;
            };
            let is_new = window.seq.replace(receipt.seq).is_none();
            if is_new && receipt.duplicate && now.saturating_sub(sent) > OLDEST_TRY_SECONDS {
                window.phase = Phase::Ended {
                    reply: None,
                    handover: None,
                };
                window.tell();
            }
        }
    }

    /// Waits for what to answer. Call it after the message is committed.
    pub(crate) async fn answer(&mut self, started: Instant) -> Answer {
        let timing = self.windows.timing;
        let until = if self.is_last_try {
            started + timing.answer_by
        } else {
            started + timing.hold
        };
        loop {
            let wake_at = match self.look(until) {
                Look::Now(answer) => return answer,
                Look::At(when) => when,
            };
            if let Ok(Err(_)) = timeout_at(wake_at, self.changed.changed()).await {
                return Answer::NotYet;
            }
        }
    }

    fn look(&mut self, until: Instant) -> Look {
        let now = Instant::now();
        let mut state = self.windows.lock();
        let Some(window) = state.windows.get_mut(&self.key) else {
            return Look::Now(Answer::NotYet);
        };
        match &mut window.phase {
            Phase::Ended {
                reply: Some(reply), ..
            } => Look::Now(Answer::Reply(Arc::clone(reply))),
            Phase::Ended { reply: None, .. } => Look::Now(Answer::Nothing),
            Phase::Handed(handed) if now >= handed.ready_at || (self.is_last_try && now >= until) => {
                handed.takers += 1;
                self.taking = Some(handed.handover);
                Look::Now(match &window.phase {
                    Phase::Handed(handed) => Answer::Reply(window.reply(handed)),
                    _ => Answer::NotYet,
                })
            }
            Phase::Handed(handed) if now < until => Look::At(handed.ready_at.min(until)),
            Phase::Waiting if now < until => Look::At(until),
            Phase::Waiting if self.is_last_try => {
                window.end_unanswered();
                Look::Now(match &window.phase {
                    Phase::Ended {
                        reply: Some(reply), ..
                    } => Answer::Reply(Arc::clone(reply)),
                    _ => Answer::Nothing,
                })
            }
            Phase::Handed(_) | Phase::Waiting => Look::Now(Answer::NotYet),
        }
    }

    /// The server takes the reply's bytes now.
    pub(crate) fn written(&mut self) {
        let Some(taken) = self.taking.take() else { return };
        let mut state = self.windows.lock();
        let Some(window) = state.windows.get_mut(&self.key) else {
            return;
        };
        let Phase::Handed(handed) = &window.phase else {
            return;
        };
        if handed.handover != taken {
            return;
        }
        let seq = handed.note.seq;
        window.phase = Phase::Ended {
            reply: Some(window.reply(handed)),
            handover: Some(taken),
        };
        window.tell();
        overtake(&mut state, &self.key, seq);
    }
}

/// Turns are ended in order, and what ends one out of order (a stop, an emergency) ends those before it too.
fn overtake(state: &mut State, key: &MessageKey, seq: InboxSeq) {
    let keys = state
        .by_conversation
        .get(&key.conversation)
        .cloned()
        .unwrap_or_default();
    for key in keys {
        if let Some(window) = state.windows.get_mut(&key)
            && window.seq.is_some_and(|it| it <= seq)
        {
            window.overtaken = true;
        }
    }
}

enum Look {
    Now(Answer),
    At(Instant),
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut state = self.windows.lock();
        let Some(window) = state.windows.get_mut(&self.key) else {
            return;
        };
        window.attached = window.attached.saturating_sub(1);
        window.detached_at = Instant::now();
        if let Some(taken) = self.taking {
            put_back(window, taken);
        }
        window.tell();
    }
}

/// The request broke off before it could write the reply.
fn put_back(window: &mut Window, taken: u64) {
    if let Phase::Handed(handed) = &mut window.phase
        && handed.handover == taken
    {
        handed.takers = handed.takers.saturating_sub(1);
        if handed.takers == 0 && handed.orphaned {
            window.phase = Phase::Waiting;
        }
    }
}
