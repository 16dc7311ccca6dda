//! What stands around the connector in the bot: a store that knows a cursor, and an intake.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bedside_contract::{
    ConversationKey, ConversationState, Cursor, FinishedTurn, InboxItem, InboxSeq, Intake, Language,
    OutboxItem, Part, PartId, PlatformMessageId, Receipt, SendOutcome, Store, StoreError, TranscriptEntry,
    Update,
};
use tokio::sync::Semaphore;

/// Notes what is committed, when the test lets it.
pub(crate) struct GatedIntake {
    pub(crate) gate: Semaphore,
    pub(crate) failures: Mutex<VecDeque<StoreError>>,
    /// External ids and cursor of each commit.
    pub(crate) commits: Mutex<Vec<(Vec<String>, Option<String>)>>,
}

impl GatedIntake {
    pub(crate) fn open() -> Arc<Self> {
        Self::with_permits(Semaphore::MAX_PERMITS)
    }

    pub(crate) fn closed() -> Arc<Self> {
        Self::with_permits(0)
    }

    fn with_permits(permits: usize) -> Arc<Self> {
        let (failures, commits) = Default::default();
        Arc::new(Self {
            gate: Semaphore::new(permits),
            failures,
            commits,
        })
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

    /// The rules are tested where they are; here one phrase stands for all red flags.
    fn emergency_notice(&self, words: &str, language: Option<Language>) -> Option<Part> {
        words
            .contains("I can't breathe")
            .then(|| Part::notice(language.unwrap_or_default(), "Call 120 now."))
    }

    fn greeting(&self, _: &bedside_contract::ConversationKey, language: Option<Language>) -> Part {
        Part::notice(language.unwrap_or_default(), "welcome")
    }

    fn emergency_number(&self) -> &str {
        "120"
    }

    async fn answer_again(
        &self,
        _: &bedside_contract::ConversationKey,
        _: InboxSeq,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Knows a cursor and nothing else.
pub(crate) struct CursorStore(pub(crate) Option<&'static str>);

fn unused<T>() -> Result<T, StoreError> {
    Err(StoreError::Failed("a connector does not ask for this".to_owned()))
}

#[async_trait]
impl Store for CursorStore {
    async fn accept(&self, _: Vec<Update>, _: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        unused()
    }
    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError> {
        assert_eq!((platform, bot), ("telegram", "666"));
        Ok(self.0.map(ToOwned::to_owned))
    }
    async fn unfinished_conversations(&self) -> Result<Vec<ConversationKey>, StoreError> {
        unused()
    }
    async fn lease_next(&self, _: &ConversationKey) -> Result<Option<InboxItem>, StoreError> {
        unused()
    }
    async fn lease(&self, _: InboxSeq) -> Result<Option<InboxItem>, StoreError> {
        unused()
    }
    async fn uncount_attempt(&self, _: InboxSeq) -> Result<(), StoreError> {
        unused()
    }

    async fn count_attempt(&self, _: InboxSeq) -> Result<(), StoreError> {
        unused()
    }

    async fn release(&self, _: InboxSeq) -> Result<(), StoreError> {
        unused()
    }
    async fn finish(&self, _: FinishedTurn) -> Result<bool, StoreError> {
        unused()
    }
    async fn conversation(&self, _: &ConversationKey, _: usize) -> Result<ConversationState, StoreError> {
        unused()
    }
    async fn delete_conversation(&self, _: &ConversationKey) -> Result<(), StoreError> {
        unused()
    }
    async fn put_preview(&self, _: InboxSeq, _: &PlatformMessageId) -> Result<(), StoreError> {
        unused()
    }
    async fn preview(&self, _: InboxSeq) -> Result<Option<PlatformMessageId>, StoreError> {
        unused()
    }
    async fn undelivered_conversations(&self) -> Result<Vec<ConversationKey>, StoreError> {
        unused()
    }
    async fn claim_part(&self, _: &ConversationKey) -> Result<Option<OutboxItem>, StoreError> {
        unused()
    }
    async fn settle_part(&self, _: &PartId, _: SendOutcome) -> Result<(), StoreError> {
        unused()
    }
    async fn release_parked(&self, _: &ConversationKey) -> Result<usize, StoreError> {
        unused()
    }
    async fn resend(&self, _: &ConversationKey, _: InboxSeq) -> Result<usize, StoreError> {
        unused()
    }
    async fn transcript(
        &self,
        _: &ConversationKey,
        _: i64,
        _: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        unused()
    }
    async fn plugin_get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        unused()
    }
    async fn plugin_put(&self, _: &str, _: &str, _: &[u8], _: u64) -> Result<(), StoreError> {
        unused()
    }
    async fn plugin_delete(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unused()
    }
    async fn plugin_list(&self, _: &str, _: &str) -> Result<Vec<String>, StoreError> {
        unused()
    }
    async fn audit(&self, _: &str, _: &str, _: &str, _: &str) -> Result<(), StoreError> {
        unused()
    }
    fn is_healthy(&self) -> bool {
        true
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
