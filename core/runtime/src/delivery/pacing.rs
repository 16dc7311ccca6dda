//! One pace for every platform: a wrapper around a connector that keeps what its platform asks for.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Intake, OutboxItem,
    PartKind, PlatformMessageId,
};
use futures::FutureExt;
use tokio::time::Instant;

/// A connector that is written to no faster than its [`bedside_contract::Pace`] and its platform's requests
/// to wait allow. Emergency notices do not wait for the pace, only for the platform.
///
/// It never sleeps: what comes too early is answered with [`DeliverError::RetryAfter`], so that an emergency
/// is not held up behind it. A preview that comes too early is simply not shown.
pub(crate) struct Paced {
    connector: Arc<dyn Connector>,
    capabilities: Capabilities,
    state: Mutex<State>,
    receives: AtomicBool,
}

#[derive(Default)]
struct State {
    /// When anything may be sent on the platform again.
    platform: Option<Instant>,
    chats: HashMap<ConversationKey, Chat>,
}

/// When each kind may come next in one chat; `None` = at any time.
#[derive(Debug, Default)]
struct Chat {
    message: Option<Instant>,
    preview: Option<Instant>,
    typing: Option<Instant>,
    /// The platform asked to wait.
    asked_to_wait: Option<Instant>,
}

/// Chats remembered before those that need no waiting any more are forgotten.
const REMEMBERED: usize = 1024;

impl Paced {
    pub(crate) fn new(connector: Arc<dyn Connector>) -> Self {
        let capabilities = connector.capabilities();
        Self {
            connector,
            capabilities,
            state: Mutex::default(),
            receives: AtomicBool::new(false),
        }
    }

    /// [`Connector::run`], and [`Self::receives`] meanwhile.
    pub(crate) async fn receive(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        self.receives.store(true, Ordering::Relaxed);
        let ended = AssertUnwindSafe(self.connector.run(intake)).catch_unwind().await;
        self.receives.store(false, Ordering::Relaxed);
        ended.unwrap_or_else(|_| {
            Err(ConnectorError::Refused {
                platform: self.platform().to_owned(),
                reason: "its connector panicked".to_owned(),
            })
        })
    }

    pub(crate) fn receives(&self) -> bool {
        self.receives.load(Ordering::Relaxed)
    }

    /// How long an ordinary part of this conversation has to wait.
    pub(crate) fn pause(&self, conversation: &ConversationKey) -> Duration {
        let now = Instant::now();
        let state = self.lock();
        let chat = state.chats.get(conversation);
        let due = [
            state.platform,
            chat.and_then(|it| it.message),
            chat.and_then(|it| it.asked_to_wait),
        ];
        due.into_iter()
            .flatten()
            .max()
            .map_or(Duration::ZERO, |it| it.saturating_duration_since(now))
    }

    /// Books the place of a message or edit that is sent now.
    fn book(&self, conversation: &ConversationKey) {
        let now = Instant::now();
        let pace = self.capabilities.pace;
        let mut state = self.lock();
        state.platform = Some(state.platform.map_or(now, |it| it.max(now)) + pace.platform);
        let chat = state.chat(conversation, now);
        chat.message = Some(now + pace.chat);
        chat.preview = Some(now + pace.previews);
    }

    /// Remembers the platform's request to wait.
    fn learn<T>(
        &self,
        conversation: &ConversationKey,
        result: Result<T, DeliverError>,
    ) -> Result<T, DeliverError> {
        if let Err(DeliverError::RetryAfter(wait)) = &result {
            let now = Instant::now();
            self.lock().chat(conversation, now).asked_to_wait = Some(now + *wait);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn chat(&mut self, conversation: &ConversationKey, now: Instant) -> &mut Chat {
        if self.chats.len() >= REMEMBERED && !self.chats.contains_key(conversation) {
            self.chats.retain(|_, it| it.is_waiting(now));
        }
        self.chats.entry(conversation.clone()).or_default()
    }
}

impl Chat {
    fn is_waiting(&self, now: Instant) -> bool {
        [self.message, self.preview, self.typing, self.asked_to_wait]
            .into_iter()
            .flatten()
            .any(|it| it > now)
    }
}

#[async_trait]
impl Connector for Paced {
    fn platform(&self) -> &str {
        self.connector.platform()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn run(&self, intake: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        self.connector.run(intake).await
    }

    async fn typing(&self, conversation: &ConversationKey) {
        let now = Instant::now();
        {
            let mut state = self.lock();
            let chat = state.chat(conversation, now);
            let due = chat.typing.max(chat.asked_to_wait);
            if due.is_some_and(|it| it > now) {
                return;
            }
            chat.typing = Some(now + self.capabilities.pace.typing);
        }
        self.connector.typing(conversation).await;
    }

    async fn preview(
        &self,
        conversation: &ConversationKey,
        seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        let preview = self.lock().chats.get(conversation).and_then(|it| it.preview);
        let wait = preview
            .map_or(Duration::ZERO, |it| it.saturating_duration_since(Instant::now()))
            .max(self.pause(conversation));
        if !wait.is_zero() {
            return Err(DeliverError::RetryAfter(wait));
        }
        self.book(conversation);
        let result = self.connector.preview(conversation, seq, shown, text).await;
        self.learn(conversation, result)
    }

    fn settled(&self, item: &OutboxItem) {
        self.connector.settled(item);
    }

    fn forgotten(&self, conversation: &ConversationKey) {
        self.connector.forgotten(conversation);
    }

    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        let conversation = &item.conversation;
        if item.part.kind != PartKind::Emergency {
            let wait = self.pause(conversation);
            if !wait.is_zero() {
                return Err(DeliverError::RetryAfter(wait));
            }
        }
        self.book(conversation);
        let result = self.connector.deliver(item).await;
        self.learn(conversation, result)
    }
}

#[cfg(test)]
mod tests;
