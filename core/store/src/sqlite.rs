//! The embedded store: one SQLite file.
//!
//! ```text
//! async callers ──▶ writer: one thread, one connection, WAL + synchronous=FULL; up to 64 operations a commit
//!              └──▶ readers: two threads, each with a connection that cannot write
//! ```
//!
//! **Invariant:** no write is answered before its commit is on disk (fsync).
//! **Invariant:** one failed operation undoes itself only; a failed commit ends all writing, since nobody
//! knows what the disk holds then ([`StoreError::Broken`]).
//! **Invariant:** leases and sends belong to one opening of the file. The next one makes leased messages new
//! again (their attempts stay counted) and parts that were being sent unknown: they are sent again, and
//! [`StoreCounters::unknown_sends`] says how often that happened. Hence [`crate::DataDirLock`] comes first.

mod audit;
mod connection;
mod counters;
mod error;
mod inbox;
mod notices;
mod outbox;
mod plugin_kv;
mod readers;
mod schema;
mod transcript;
mod turns;
mod writer;

#[cfg(test)]
mod crash_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bedside_contract::{
    ConversationKey, ConversationState, Cursor, FinishedTurn, InboxItem, InboxSeq, OutboxItem, PartId,
    PlatformMessageId, Receipt, SendOutcome, Store, StoreError, TranscriptEntry, UndeliveredNotice,
    UndeliveredNotices, Update,
};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;
use uuid::Uuid;

pub use audit::{AuditError, AuditHead};
pub use counters::StoreCounters;

use error::OperationError;
use inbox::EncodedUpdate;
use readers::Readers;
use turns::EncodedTurn;
use writer::Writer;

/// [`Store`] in one file.
///
/// A lease or a claim whose future is dropped while its commit is under way stays taken until the store is
/// opened again: let them run to their end.
pub struct SqliteStore {
    path: PathBuf,
    /// Names this opening on the leases it takes.
    owner: Arc<str>,
    readers: Readers,
    writer: Writer,
    duplicates_refused: AtomicU64,
}

impl SqliteStore {
    /// Opens or creates the file (0600, its directory 0700), brings it to this version's schema and voids
    /// the leases of whoever had it open. Blocks; meant for the start of the process.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] before anything is written; [`StoreError::Failed`] for another program's file,
    /// a network file system, missing rights.
    pub fn open(path: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_with(
            path,
            None,
            #[cfg(test)]
            writer::Sabotage::default(),
        )
    }

    /// A store that is deleted when it is dropped, for a single question from the operator's shell.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_temporary() -> Result<Arc<Self>, StoreError> {
        let dir = tempfile::Builder::new()
            .prefix("bedside-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .map_err(|error| StoreError::Failed(format!("cannot make a temporary directory: {error}")))?;
        Self::open_with(
            &dir.path().join("bedside.sqlite3"),
            Some(dir),
            #[cfg(test)]
            writer::Sabotage::default(),
        )
    }

    fn open_with(
        path: &Path,
        keep: Option<TempDir>,
        #[cfg(test)] sabotage: writer::Sabotage,
    ) -> Result<Arc<Self>, StoreError> {
        let mut connection = connection::open_writer(path)?;
        let owner: Arc<str> = Uuid::new_v4().to_string().into();
        recover(&mut connection, &owner)?;
        let readers = Readers::start(path)?;
        let writer = Writer::start(
            connection,
            keep,
            #[cfg(test)]
            sabotage,
        )?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            owner,
            readers,
            writer,
            duplicates_refused: AtomicU64::new(0),
        }))
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Figures for the health page and metrics.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be read.
    pub async fn counters(&self) -> Result<StoreCounters, StoreError> {
        let duplicates = self.duplicates_refused.load(Ordering::Relaxed);
        self.readers
            .run(move |connection| counters::read(connection, duplicates))
            .await
    }

    /// Recomputes the audit log's chain and returns the number of its records.
    ///
    /// # Errors
    /// [`AuditError`] names the first record that does not hold.
    pub async fn verify_audit(&self) -> Result<u64, AuditError> {
        self.readers.run(audit::verify).await?
    }

    /// The newest audit record, to be noted outside the store.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be read.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        self.readers.run(audit::head).await
    }

    /// Commits what waits, writes the log back into the file and closes it. Writing fails afterwards.
    /// Nothing depends on it: a store that is killed instead opens just as well.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        let updates = updates
            .into_iter()
            .map(EncodedUpdate::new)
            .collect::<Result<Vec<_>, _>>()?;
        let accept = move |it: &Connection| inbox::accept(it, &updates, cursor.as_ref(), now_ms());
        let receipts = self.writer.run(accept).await?;
        let duplicates = receipts.iter().filter(|it| it.duplicate).count();
        self.duplicates_refused
            .fetch_add(duplicates as u64, Ordering::Relaxed);
        Ok(receipts)
    }

    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError> {
        let (platform, bot) = (platform.to_owned(), bot.to_owned());
        self.readers
            .run(move |it| inbox::cursor(it, &platform, &bot))
            .await
    }

    async fn unfinished_conversations(&self) -> Result<Vec<ConversationKey>, StoreError> {
        self.readers.run(inbox::unfinished_conversations).await
    }

    /// Also `None` while any message of the conversation is leased out of its order: ask again when that
    /// one has ended.
    async fn lease_next(&self, conversation: &ConversationKey) -> Result<Option<InboxItem>, StoreError> {
        let (owner, conversation) = (Arc::clone(&self.owner), conversation.clone());
        self.writer
            .run(move |it| inbox::lease_next(it, &owner, &conversation))
            .await
    }

    async fn lease(&self, seq: InboxSeq) -> Result<Option<InboxItem>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer.run(move |it| inbox::lease(it, &owner, seq)).await
    }

    async fn uncount_attempt(&self, seq: InboxSeq) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer
            .run(move |it| inbox::add_attempts(it, &owner, seq, -1))
            .await
    }

    async fn count_attempt(&self, seq: InboxSeq) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer
            .run(move |it| inbox::add_attempts(it, &owner, seq, 1))
            .await
    }

    async fn release(&self, seq: InboxSeq) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.writer.run(move |it| inbox::release(it, &owner, seq)).await
    }

    async fn finish(&self, finished: FinishedTurn) -> Result<bool, StoreError> {
        let owner = Arc::clone(&self.owner);
        let finished = EncodedTurn::new(finished)?;
        self.writer
            .run(move |it| turns::finish(it, &owner, &finished, now_ms()))
            .await
    }

    async fn conversation(
        &self,
        conversation: &ConversationKey,
        max_turns: usize,
    ) -> Result<ConversationState, StoreError> {
        let conversation = conversation.clone();
        self.readers
            .run(move |it| turns::conversation(it, &conversation, max_turns))
            .await
    }

    /// While a message of the conversation is leased (the `/delete` itself), what came after it stays.
    async fn delete_conversation(&self, conversation: &ConversationKey) -> Result<(), StoreError> {
        let (owner, conversation) = (Arc::clone(&self.owner), conversation.clone());
        self.writer
            .run(move |it| turns::delete_conversation(it, &owner, &conversation))
            .await
    }

    async fn put_preview(&self, seq: InboxSeq, message: &PlatformMessageId) -> Result<(), StoreError> {
        let (owner, message) = (Arc::clone(&self.owner), message.clone());
        self.writer
            .run(move |it| turns::put_preview(it, &owner, seq, &message))
            .await
    }

    async fn preview(&self, seq: InboxSeq) -> Result<Option<PlatformMessageId>, StoreError> {
        self.readers.run(move |it| turns::preview(it, seq)).await
    }

    async fn undelivered_conversations(&self) -> Result<Vec<ConversationKey>, StoreError> {
        self.readers.run(outbox::undelivered_conversations).await
    }

    async fn claim_part(&self, conversation: &ConversationKey) -> Result<Option<OutboxItem>, StoreError> {
        let conversation = conversation.clone();
        self.writer
            .run(move |it| outbox::claim_part(it, &conversation, now_ms()))
            .await
    }

    async fn settle_part(&self, part: &PartId, outcome: SendOutcome) -> Result<(), StoreError> {
        let part = part.clone();
        self.writer
            .run(move |it| outbox::settle_part(it, &part, &outcome, now_ms()))
            .await
    }

    async fn release_parked(&self, conversation: &ConversationKey) -> Result<usize, StoreError> {
        let conversation = conversation.clone();
        self.writer
            .run(move |it| outbox::release_parked(it, &conversation))
            .await
    }

    async fn resend(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<usize, StoreError> {
        let conversation = conversation.clone();
        self.writer
            .run(move |it| outbox::resend(it, &conversation, seq))
            .await
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        let conversation = conversation.clone();
        self.readers
            .run(move |it| transcript::transcript(it, &conversation, after, limit))
            .await
    }

    async fn plugin_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.readers
            .run(move |it| plugin_kv::get(it, &plugin, &key))
            .await
    }

    async fn plugin_put(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError> {
        let (plugin, key, value) = (plugin.to_owned(), key.to_owned(), value.to_owned());
        self.writer
            .run(move |it| plugin_kv::put(it, &plugin, &key, &value, quota))
            .await
    }

    async fn plugin_delete(&self, plugin: &str, key: &str) -> Result<(), StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.writer
            .run(move |it| plugin_kv::delete(it, &plugin, &key))
            .await
    }

    async fn plugin_list(&self, plugin: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (plugin, prefix) = (plugin.to_owned(), prefix.to_owned());
        self.readers
            .run(move |it| plugin_kv::list(it, &plugin, &prefix))
            .await
    }

    async fn audit(&self, actor: &str, action: &str, target: &str, detail: &str) -> Result<(), StoreError> {
        let entry = audit::Entry {
            actor: actor.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_owned(),
        };
        self.writer
            .run(move |it| audit::append(it, &entry, now_ms()))
            .await
    }

    fn is_healthy(&self) -> bool {
        self.writer.is_healthy()
    }
}

#[async_trait]
impl UndeliveredNotices for SqliteStore {
    async fn undelivered_notices(&self, waiting: Duration) -> Result<Vec<UndeliveredNotice>, StoreError> {
        self.readers
            .run(move |it| notices::undelivered(it, waiting, now_ms()))
            .await
    }

    async fn notice_escalated(&self, part: &PartId) -> Result<(), StoreError> {
        let part = part.clone();
        self.writer.run(move |it| notices::escalated(it, &part)).await
    }
}

/// Takes over from whoever had the file open before.
fn recover(connection: &mut Connection, owner: &str) -> Result<(), StoreError> {
    let mut recover = || -> Result<(usize, usize), OperationError> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let messages = inbox::void_leases(&transaction, owner)?;
        let parts = outbox::doubt_interrupted_sends(&transaction)?;
        transaction.commit()?;
        Ok((messages, parts))
    };
    let (messages, parts) = recover()?;
    if messages + parts > 0 {
        tracing::warn!(
            messages,
            parts,
            "the last run ended in the middle of its work, which is taken up again"
        );
    }
    Ok(())
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}
