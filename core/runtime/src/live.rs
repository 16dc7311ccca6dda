//! What a patient sees while an answer is being written: typing, and the text so far.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_contract::{
    Capabilities, Connector, ConversationKey, DeliverError, InboxSeq, PlatformMessageId, Store,
};

/// Shows progress on one platform, at the platform's pace. A failure here harms nobody: the whole answer is
/// delivered through the outbox at the end.
pub(crate) struct Live {
    target: Option<Target>,
    shown_text: String,
    next_preview: Instant,
    next_typing: Instant,
}

struct Target {
    connector: Arc<dyn Connector>,
    capabilities: Capabilities,
    store: Arc<dyn Store>,
    conversation: ConversationKey,
    seq: InboxSeq,
    shown: Option<PlatformMessageId>,
}

const SLOWEST: Duration = Duration::from_secs(10);

impl Live {
    /// Shows nothing: `bedside ask`, tests.
    pub(crate) fn silent() -> Self {
        let now = Instant::now();
        Self {
            target: None,
            shown_text: String::new(),
            next_preview: now,
            next_typing: now,
        }
    }

    pub(crate) async fn new(
        connector: Arc<dyn Connector>,
        store: Arc<dyn Store>,
        conversation: ConversationKey,
        seq: InboxSeq,
    ) -> Self {
        // After a crash the message that was being edited is edited on, so that no second one appears.
        let shown = store.preview(seq).await.unwrap_or_default();
        let capabilities = connector.capabilities();
        let target = Some(Target {
            connector,
            capabilities,
            store,
            conversation,
            seq,
            shown,
        });
        Self {
            target,
            ..Self::silent()
        }
    }

    pub(crate) async fn typing(&mut self) {
        let Some(target) = &self.target else { return };
        let now = Instant::now();
        if now < self.next_typing {
            return;
        }
        self.next_typing = now + target.capabilities.typing_every;
        if tokio::time::timeout(SLOWEST, target.connector.typing(&target.conversation))
            .await
            .is_err()
        {
            tracing::debug!(
                platform = target.connector.platform(),
                "The typing notice took too long."
            );
        }
    }

    /// Shows `text` if it is new and the platform's pace allows it.
    pub(crate) async fn show(&mut self, text: &str) {
        let Some(target) = &mut self.target else { return };
        let now = Instant::now();
        if !target.capabilities.edits
            || text.trim().is_empty()
            || text == self.shown_text
            || now < self.next_preview
        {
            return;
        }
        self.next_preview = now + target.capabilities.preview_every;
        let sending = target
            .connector
            .preview(&target.conversation, target.seq, target.shown.as_ref(), text);
        match tokio::time::timeout(SLOWEST, sending).await {
            Ok(Ok(message)) => {
                text.clone_into(&mut self.shown_text);
                if target.shown.as_ref() != Some(&message) {
                    if let Err(error) = target.store.put_preview(target.seq, &message).await {
                        tracing::error!(seq = %target.seq, %error, "A preview could not be noted.");
                    }
                    target.shown = Some(message);
                }
            }
            Ok(Err(DeliverError::RetryAfter(wait))) => self.next_preview = now + wait,
            // The first preview may stand in the chat without our knowing its id: a second one would stay
            // there as a double for ever.
            Ok(Err(DeliverError::Unknown(_))) | Err(_) if target.shown.is_none() => {
                tracing::debug!(seq = %target.seq, "Whether a preview arrived is unknown: none is shown any more.");
                target.capabilities.edits = false;
            }
            Ok(Err(error)) => {
                tracing::debug!(seq = %target.seq, %error, "A preview failed.");
                self.next_preview = now + SLOWEST;
            }
            Err(_) => self.next_preview = now + SLOWEST,
        }
    }
}
