//! What stands around the connector in the bot: an intake.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bedside_contract::{
    BotHealth, ConversationKey, Cursor, InboxSeq, Intake, Language, OutboxItem, Part, PartId,
    PlatformMessageId, Receipt, StoreError, TranscriptEntry, Update,
};
use tokio::sync::Semaphore;

/// Notes what is committed, when the test lets it.
pub(crate) struct GatedIntake {
    pub(crate) gate: Semaphore,
    pub(crate) failures: Mutex<VecDeque<StoreError>>,
    /// External ids and cursor of each commit.
    pub(crate) commits: Mutex<Vec<(Vec<String>, Option<String>)>>,
    /// Whose each committed update is.
    pub(crate) conversations: Mutex<Vec<ConversationKey>>,
    /// From an earlier run.
    pub(crate) stored_cursor: Option<&'static str>,
}

impl GatedIntake {
    pub(crate) fn open() -> Arc<Self> {
        Self::after(None)
    }

    pub(crate) fn after(stored_cursor: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self::with_permits(Semaphore::MAX_PERMITS, stored_cursor))
    }

    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self::with_permits(0, None))
    }

    fn with_permits(permits: usize, stored_cursor: Option<&'static str>) -> Self {
        let (failures, commits, conversations) = Default::default();
        Self {
            gate: Semaphore::new(permits),
            failures,
            commits,
            conversations,
            stored_cursor,
        }
    }

    pub(crate) fn committed(&self) -> Vec<(Vec<String>, Option<String>)> {
        self.commits.lock().unwrap().clone()
    }
}

#[async_trait]
impl Intake for GatedIntake {
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        self.gate.acquire().await.unwrap().forget();
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Err(failure);
        }
        let ids = updates.iter().map(|it| it.external_id.clone()).collect();
        let keys = updates.iter().map(|it| it.conversation.clone());
        self.conversations.lock().unwrap().extend(keys);
        self.commits
            .lock()
            .unwrap()
            .push((ids, cursor.map(|it| it.value)));
        Ok(updates
            .iter()
            .map(|_| Receipt {
                seq: InboxSeq(1),
                duplicate: false,
            })
            .collect())
    }

    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError> {
        assert_eq!((platform, bot), ("telegram", "666"));
        Ok(self.stored_cursor.map(ToOwned::to_owned))
    }

    async fn transcript(
        &self,
        _: &ConversationKey,
        _: i64,
        _: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        Err(StoreError::Failed(
            "this platform shows no transcripts".to_owned(),
        ))
    }

    fn health(&self) -> BotHealth {
        BotHealth::default()
    }

    /// The rules are tested where they are; here one phrase stands for all red flags.
    fn emergency_notice(&self, words: &str, language: Option<Language>) -> Option<Part> {
        words
            .contains("I can't breathe")
            .then(|| Part::notice(language.unwrap_or_default(), "Call 120 now."))
    }

    fn greeting(&self, _: &bedside_contract::ConversationKey, language: Option<Language>) -> Part {
        Part::notice(language.unwrap_or_default(), "welcome")
    }

    fn emergency_number(&self) -> String {
        "120".to_owned()
    }

    async fn answer_again(
        &self,
        _: &bedside_contract::ConversationKey,
        _: InboxSeq,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A part on its way to chat 42.
pub(crate) fn outbox_item(part: Part, replaces: Option<&str>) -> OutboxItem {
    OutboxItem {
        id: PartId("part".to_owned()),
        conversation: conversation(),
        seq: InboxSeq(1),
        part,
        replaces: replaces.map(|it| PlatformMessageId(it.to_owned())),
        attempts: 1,
        waiting: std::time::Duration::ZERO,
    }
}

pub(crate) fn conversation() -> ConversationKey {
    ConversationKey::new("telegram", "666", "42")
}
