//! Whether the store can still be relied on.

use std::sync::OnceLock;

use bedside_contract::StoreError;

use super::error::OperationError;

/// Why the store writes no more, once it does not.
#[derive(Default)]
pub(super) struct Health(OnceLock<String>);

impl Health {
    pub(super) fn is_good(&self) -> bool {
        self.0.get().is_none()
    }

    pub(super) fn end(&self, reason: impl Into<String>) {
        // The first reason is the one that matters.
        let _ = self.0.set(reason.into());
    }

    /// Whoever is told that the store is broken finds it so.
    pub(super) fn error(&self) -> StoreError {
        StoreError::Broken(
            self.0
                .get_or_init(|| "its writing thread has ended".to_owned())
                .clone(),
        )
    }

    /// A reader has met something. What lies on the disk is damaged for the writer too.
    pub(super) fn note_of_reader(&self, error: &OperationError) {
        if !error.is_damage() || !self.is_good() {
            return;
        }
        let reason = format!("read: {}", error.words());
        tracing::error!(
            reason,
            "the store cannot be read, nothing more is accepted: check the disk, then restart; docs/operations.md"
        );
        self.end(reason);
    }
}
