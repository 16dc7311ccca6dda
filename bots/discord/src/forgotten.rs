//! Chats whose conversation was deleted: they leave the stored place, too.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::events::Snowflake;

/// Filled by whoever deletes, emptied by whoever keeps the place.
#[derive(Default)]
pub(crate) struct Forgotten {
    channels: Mutex<BTreeSet<Snowflake>>,
    added: Notify,
}

impl Forgotten {
    pub(crate) fn add(&self, channel: Snowflake) {
        self.channels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(channel);
        self.added.notify_one();
    }

    pub(crate) fn take(&self) -> BTreeSet<Snowflake> {
        mem::take(&mut *self.channels.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Completes when one was added since the last time.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }
}
