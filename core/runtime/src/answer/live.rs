//! What a patient sees while an answer is being written: typing, and the text so far.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_contract::{
    Capabilities, Connector, ConversationKey, DeliverError, InboxSeq, Initiative, Language, OutboxItem, Part,
    PartId, PlatformMessageId,
};

use crate::{
    context::{
        Context,
        words::{Variable, say_with},
    },
    delivery::{Delivery, Paced},
};

/// Shows progress on one platform; [`Paced`] keeps the platform's pace. A failure here harms nobody: the
/// whole answer is delivered through the outbox at the end.
pub(crate) struct Live {
    target: Option<Target>,
    shown_text: String,
    next_preview: Option<Instant>,
    said_waiting: bool,
}

struct Target {
    context: Arc<Context>,
    delivery: Arc<Delivery>,
    connector: Arc<Paced>,
    capabilities: Capabilities,
    conversation: ConversationKey,
    seq: InboxSeq,
    shown: Option<PlatformMessageId>,
}

const SLOWEST: Duration = Duration::from_secs(10);

impl Live {
    /// Shows nothing: `bedside ask`, tests.
    pub(crate) fn silent() -> Self {
        Self {
            target: None,
            shown_text: String::new(),
            next_preview: None,
            said_waiting: false,
        }
    }

    pub(crate) async fn new(
        context: &Arc<Context>,
        delivery: &Arc<Delivery>,
        conversation: &ConversationKey,
        seq: InboxSeq,
    ) -> Self {
        let Some(connector) = delivery.connector(conversation.platform()) else {
            return Self::silent();
        };
        // After a crash the message that was being edited is edited on, so that no second one appears.
        let shown = context.store.outbox.preview(seq).await.unwrap_or_default();
        let target = Some(Target {
            context: Arc::clone(context),
            delivery: Arc::clone(delivery),
            connector: Arc::clone(connector),
            capabilities: connector.capabilities(),
            conversation: conversation.clone(),
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

    /// Says that the answer takes its time: in the preview, else once in a message of its own, unless that
    /// would use up the only message that the platform allows.
    pub(crate) async fn waiting(&mut self, text: &str, language: Language) {
        let Some(target) = &self.target else { return };
        if target.capabilities.edits {
            return self.show(text).await;
        }
        let may_speak = match target.capabilities.initiative {
            Initiative::Bot => true,
            Initiative::Patient { messages } => messages > 1,
        };
        if self.said_waiting || !may_speak || !target.is_first() {
            return;
        }
        self.said_waiting = true;
        let item = OutboxItem {
            id: PartId(format!("waiting-{}", target.seq)),
            conversation: target.conversation.clone(),
            seq: target.seq,
            part: Part::notice(language, text),
            replaces: None,
            attempts: 1,
            waiting: Duration::ZERO,
        };
        let sending = tokio::time::timeout(SLOWEST, target.connector.deliver(&item)).await;
        if !matches!(sending, Ok(Ok(_))) {
            tracing::debug!(seq = %target.seq, "That the answer takes its time could not be said.");
        }
    }

    /// Says how many questions come first.
    pub(crate) async fn waiting_behind(&mut self, before: usize, language: Language) {
        self.typing().await;
        let before = Variable::Number(before);
        let text = say_with(language, "queue-position", &[("position", before)]);
        self.waiting(&text, language).await;
    }

    /// Shows `text` if it is new and the platform's pace allows it.
    pub(crate) async fn show(&mut self, text: &str) {
        let Some(target) = &mut self.target else { return };
        if !target.capabilities.edits
            || !target.is_first()
            || text.trim().is_empty()
            || text == self.shown_text
            || self.next_preview.is_some_and(|it| Instant::now() < it)
        {
            return;
        }
        let sending = target
            .connector
            .preview(&target.conversation, target.seq, target.shown.as_ref(), text);
        match tokio::time::timeout(SLOWEST, sending).await {
            Ok(Ok(message)) => {
                text.clone_into(&mut self.shown_text);
                if target.shown.as_ref() != Some(&message) {
                    let outbox = &target.context.store.outbox;
                    if let Err(error) = outbox.put_preview(target.seq, &message).await {
                        tracing::error!(seq = %target.seq, %error, "A preview could not be noted.");
                    }
                    target.shown = Some(message);
                }
            }
            // Too early, or the platform asked to wait: the pace knows until when.
            Ok(Err(DeliverError::RetryAfter(_))) => {}
            // The first preview may stand in the chat without our knowing its id: a second one would stay
            // there as a double for ever.
            Ok(Err(DeliverError::Unknown(_))) | Err(_) if target.shown.is_none() => {
                tracing::debug!(seq = %target.seq, "Whether a preview arrived is unknown: none is shown any more.");
                target.capabilities.edits = false;
            }
            Ok(Err(error)) => {
                tracing::debug!(seq = %target.seq, %error, "A preview failed.");
                self.next_preview = Some(Instant::now() + SLOWEST);
            }
            Err(_) => self.next_preview = Some(Instant::now() + SLOWEST),
        }
    }
}

impl Target {
    /// Nothing older is still to be delivered, which a preview would appear before.
    fn is_first(&self) -> bool {
        self.shown.is_some() || self.delivery.is_idle(&self.conversation)
    }
}
