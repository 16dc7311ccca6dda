//! At most one task for each conversation, and no wake-up overlooked.

use std::collections::HashMap;

use bedside_contract::ConversationKey;
use tokio::sync::Notify;

use super::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The conversations at which somebody is at work, each with a state that others may look at. An idle conversation takes
/// no memory.
pub(crate) struct PerConversation<T> {
    running: Mutex<HashMap<ConversationKey, Entry<T>>>,
    changed: Notify,
}

struct Entry<T> {
    /// Somebody called since the runner looked last.
    again: bool,
    state: Arc<T>,
}

/// The right to work at a conversation, given back on drop.
pub(crate) struct Runner<T> {
    of: Arc<PerConversation<T>>,
    conversation: ConversationKey,
    state: Arc<T>,
    has_left: bool,
}

impl<T> Default for PerConversation<T> {
    fn default() -> Self {
        Self {
            running: Mutex::new(HashMap::new()),
            changed: Notify::new(),
        }
    }
}

impl<T: Default> PerConversation<T> {
    /// The right to work, or the state of whoever has it and will look again before leaving.
    pub(crate) fn enter(self: &Arc<Self>, conversation: &ConversationKey) -> Result<Runner<T>, Arc<T>> {
        let mut running = self.lock();
        if let Some(entry) = running.get_mut(conversation) {
            entry.again = true;
            return Err(Arc::clone(&entry.state));
        }
        let state = Arc::new(T::default());
        let entry = Entry {
            again: false,
            state: Arc::clone(&state),
        };
        running.insert(conversation.clone(), entry);
        drop(running);
        Ok(Runner {
            of: Arc::clone(self),
            conversation: conversation.clone(),
            state,
            has_left: false,
        })
    }
}

impl<T> PerConversation<T> {
    pub(crate) fn state(&self, conversation: &ConversationKey) -> Option<Arc<T>> {
        self.lock().get(conversation).map(|it| Arc::clone(&it.state))
    }

    pub(crate) fn states(&self) -> Vec<Arc<T>> {
        self.lock().values().map(|it| Arc::clone(&it.state)).collect()
    }

    pub(crate) fn is_idle(&self, conversation: &ConversationKey) -> bool {
        !self.lock().contains_key(conversation)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Completes at the next change of any conversation after this call.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationKey, Entry<T>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Runner<T> {
    pub(crate) fn conversation(&self) -> &ConversationKey {
        &self.conversation
    }

    pub(crate) fn state(&self) -> &T {
        &self.state
    }

    /// Others look at the state anew.
    pub(crate) fn tell_change(&self) {
        self.of.changed.notify_waiters();
    }

    /// With nothing left to do. Gives the right to work back to the caller if somebody called since.
    #[must_use = "whoever called would wait"]
    pub(crate) fn leave(mut self) -> Option<Self> {
        let mut running = self.of.lock();
        let is_called = running
            .get_mut(&self.conversation)
            .is_some_and(|it| std::mem::take(&mut it.again));
        if !is_called {
            running.remove(&self.conversation);
        }
        drop(running);
        if is_called {
            return Some(self);
        }
        self.has_left = true;
        self.tell_change();
        None
    }
}

impl<T> Drop for Runner<T> {
    fn drop(&mut self) {
        if !self.has_left {
            self.of.lock().remove(&self.conversation);
            self.tell_change();
        }
    }
}
