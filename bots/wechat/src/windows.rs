//! Open passive-reply windows: the requests in whose answer a part may travel.
//!
//! WeChat sends a message, waits 5 s, and sends it twice more if nothing came. All tries of one message share
//! one window, and one window carries one reply.
//!
//! **When a reply counts as delivered:** when the server has taken its bytes to write them into the answer of
//! a request that is still open. A part that was handed to a window whose request broke off before stays
//! there for the next try; if none comes, its delivery fails and the part waits for the patient's next
//! message. What was delivered is remembered, so that a further try (WeChat did not get the answer) is given
//! the very same; after a restart, which forgets, the outbox is asked to send it again. What remains is the
//! platform's own gap: an answer to the third try that is lost on the way.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bedside_contract::{ConversationKey, InboxSeq, Language};
use tokio::{sync::watch, time::Instant};

use crate::{
    incoming::Incoming,
    words::{more_hint, still_thinking},
};

mod attached;
mod handover;

pub(crate) use attached::{Answer, Attached};
pub(crate) use handover::Note;

/// How WeChat's 5 seconds × 3 tries are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// On the last try, from the request until the patient is told that the answer takes longer.
    pub answer_by: Duration,
    /// An earlier try that found no answer is held until WeChat cuts it, at most this long.
    pub hold: Duration,
    /// How long a reply waits for an emergency notice that takes its place.
    pub grace: Duration,
    /// How long after a try has ended the next one may still come.
    pub next_try: Duration,
}

impl Default for Timing {
    /// WeChat cuts after 5 s and asks again at once.
    fn default() -> Self {
        Self {
            answer_by: Duration::from_millis(4_600),
            hold: Duration::from_secs(6),
            grace: Duration::from_millis(150),
            next_try: Duration::from_secs(5),
        }
    }
}

/// WeChat tries this often in all.
const TRIES: u32 = 3;
/// Tries of one message come within 15 s; an answer is remembered well beyond.
const REMEMBERED: Duration = Duration::from_secs(90);
/// Windows at most; beyond it the oldest that nobody waits for go.
const MOST: usize = 10_000;

/// All windows.
pub(crate) struct Windows {
    timing: Timing,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    windows: HashMap<MessageKey, Window>,
    by_conversation: HashMap<ConversationKey, Vec<MessageKey>>,
    /// By age, oldest first.
    order: VecDeque<MessageKey>,
    last_handover: u64,
}

/// A message of one patient. The conversation is part of it, so that no coincidence of ids can show one
/// patient another's reply.
#[derive(Clone, PartialEq, Eq, Hash)]
struct MessageKey {
    conversation: ConversationKey,
    external_id: Arc<str>,
}

struct Window {
    /// Unknown until the message is committed.
    seq: Option<InboxSeq>,
    language: Language,
    is_event: bool,
    only_asks_for_more: bool,
    opened: Instant,
    tries: u32,
    attached: u32,
    detached_at: Instant,
    /// A part of a later message was delivered: this one's turn is over.
    overtaken: bool,
    phase: Phase,
    changed: watch::Sender<()>,
}

enum Phase {
    Waiting,
    Handed(Handed),
    /// `reply` is given to every further try; `None` is WeChat's word for nothing to say.
    Ended {
        reply: Option<Arc<str>>,
        handover: Option<u64>,
    },
}

struct Handed {
    handover: u64,
    note: Arc<Note>,
    /// Another part made room and waits now.
    displaced: bool,
    ready_at: Instant,
    /// Requests that are about to write it.
    takers: u32,
    /// Its delivery was given up while a request was about to write it.
    orphaned: bool,
}

impl Windows {
    pub(crate) fn new(timing: Timing) -> Self {
        Self {
            timing,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The window of this message, made if it is new. `None` if there are too many.
    fn window_for(&mut self, key: &MessageKey, incoming: &Incoming, now: Instant) -> Option<&mut Window> {
        if !self.windows.contains_key(key) {
            self.forget_old(now);
            if self.windows.len() >= MOST {
                return None;
            }
            self.windows.insert(key.clone(), Window::new(incoming, now));
            self.order.push_back(key.clone());
            self.by_conversation
                .entry(key.conversation.clone())
                .or_default()
                .push(key.clone());
        }
        self.windows.get_mut(key)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front() {
            let may_go = self.windows.get(oldest).is_none_or(|it| {
                it.attached == 0 && (now - it.opened > REMEMBERED || self.windows.len() >= MOST)
            });
            if !may_go {
                return;
            }
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.windows.remove(&oldest);
            if let Some(keys) = self.by_conversation.get_mut(&oldest.conversation) {
                keys.retain(|it| *it != oldest);
                if keys.is_empty() {
                    self.by_conversation.remove(&oldest.conversation);
                }
            }
        }
    }

    /// This conversation's windows, oldest first.
    fn of(&self, conversation: &ConversationKey) -> impl Iterator<Item = (&MessageKey, &Window)> {
        let keys = self.by_conversation.get(conversation).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.windows.get(key)?)))
    }
}

impl Window {
    fn new(incoming: &Incoming, now: Instant) -> Self {
        Self {
            seq: None,
            language: incoming.language,
            is_event: incoming.is_event,
            only_asks_for_more: incoming.only_asks_for_more,
            opened: now,
            tries: 0,
            attached: 0,
            detached_at: now,
            overtaken: false,
            phase: Phase::Waiting,
            changed: watch::Sender::new(()),
        }
    }

    /// Until when a further try may come, if no request is open; `None` if none will.
    fn next_try_until(&self, timing: Timing) -> Option<Instant> {
        (self.tries < TRIES).then(|| self.detached_at + timing.next_try)
    }

    /// A reply that is put here now can still reach the patient.
    fn is_reachable(&self, timing: Timing, now: Instant) -> bool {
        self.attached > 0 || self.next_try_until(timing).is_some_and(|until| now < until)
    }

    /// Ends it with what is said when no answer came.
    fn end_unanswered(&mut self) {
        let silent = self.is_event || self.overtaken;
        self.phase = Phase::Ended {
            reply: (!silent).then(|| still_thinking(self.language).into()),
            handover: None,
        };
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    /// The text that is sent: with a hint, if more waits.
    fn reply(&self, handed: &Handed) -> Arc<str> {
        let note = &handed.note;
        let is_other = self.seq != Some(note.seq) && !self.only_asks_for_more && !note.is_emergency;
        if note.more || is_other || handed.displaced {
            format!("{}\n\n{}", note.text, more_hint(note.language)).into()
        } else {
            note.text.as_str().into()
        }
    }
}

#[cfg(test)]
mod tests;
