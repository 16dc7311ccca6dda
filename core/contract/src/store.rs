//! What must survive: every accepted message until it is answered, every answer until it is delivered.
//!
//! Three transactions carry the promise: [`Inbox::accept`] (T1, before the platform's acknowledgement),
//! [`Inbox::finish`] (T2, the turn, its parts and the inbox row together) and
//! [`Outbox::claim_part`] / [`Outbox::settle_part`] (T3, around each delivery).
//!
//! One trait for each role, so that whoever holds one can do no more than it needs; a [`Store`] plays them all.

mod records;

use async_trait::async_trait;

pub use self::records::{
    ConversationSettings, ConversationState, Cursor, FinishedTurn, InboxItem, OutboxItem, Provenance,
    Receipt, Room, Said, SendOutcome, StoreError, TranscriptEntry, Turn, TurnRole, TurnState,
};
use crate::{
    escalation::UndeliveredNotices,
    ids::{ConversationKey, InboxSeq, PartId, PlatformMessageId},
    update::Update,
};

/// Every role at once: what an implementation offers, and only the binary holds.
pub trait Store:
    Inbox + Outbox + Conversations + Transcripts + PluginStorage + AuditLog + StoreHealth + UndeliveredNotices
{
}

impl<T> Store for T where
    T: Inbox
        + Outbox
        + Conversations
        + Transcripts
        + PluginStorage
        + AuditLog
        + StoreHealth
        + UndeliveredNotices
{
}

/// Accepted messages, until each has its end.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// T1. Inserts each update once by (platform, bot, external id), and the cursor, durably.
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError>;

    /// Where a polled platform goes on from.
    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError>;

    /// Conversations that have accepted messages without an end, oldest first.
    async fn unfinished_conversations(&self) -> Result<Vec<ConversationKey>, StoreError>;

    /// Leases the oldest unfinished message of a conversation and counts the attempt, durably, before any
    /// work is done with it. `None` if there is none, or if the oldest is leased already.
    async fn lease_next(&self, conversation: &ConversationKey) -> Result<Option<InboxItem>, StoreError>;

    /// Leases this very message, out of order (emergencies, `/stop`, `/human`). `None` if it is not new.
    async fn lease(&self, seq: InboxSeq) -> Result<Option<InboxItem>, StoreError>;

    /// A leased message waits: if the process ends meanwhile, that is not counted.
    async fn uncount_attempt(&self, seq: InboxSeq) -> Result<(), StoreError>;

    /// A leased message goes on after [`Inbox::uncount_attempt`].
    async fn count_attempt(&self, seq: InboxSeq) -> Result<(), StoreError>;

    /// Gives a lease back unfinished (shutdown), without counting the attempt.
    async fn release(&self, seq: InboxSeq) -> Result<(), StoreError>;

    /// T2. Turns, outgoing parts, settings and the message's end in one transaction.
    /// `false`, and nothing written, if this process no longer holds the lease.
    async fn finish(&self, finished: FinishedTurn) -> Result<bool, StoreError>;
}

/// Parts on their way to patients.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Notes the message that is being edited while an answer streams, so that after a crash the same
    /// message is edited and no second one sent. The next [`Inbox::finish`] of `seq` turns it into part 0.
    async fn put_preview(&self, seq: InboxSeq, message: &PlatformMessageId) -> Result<(), StoreError>;

    async fn preview(&self, seq: InboxSeq) -> Result<Option<PlatformMessageId>, StoreError>;

    /// Conversations with parts to deliver; those where all of them are parked are left out.
    async fn undelivered_conversations(&self) -> Result<Vec<ConversationKey>, StoreError>;

    /// T3, first half. Marks the conversation's next part as being sent: urgent ones first, then in order.
    async fn claim_part(&self, conversation: &ConversationKey) -> Result<Option<OutboxItem>, StoreError>;

    /// T3, second half.
    async fn settle_part(&self, part: &PartId, outcome: SendOutcome) -> Result<(), StoreError>;

    /// Makes parts due that were [`SendOutcome::Parked`], and tells how many there were.
    async fn release_parked(&self, conversation: &ConversationKey) -> Result<usize, StoreError>;

    /// Makes parts of `seq` due again that counted as sent, and tells how many there were.
    async fn resend(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<usize, StoreError>;
}

/// What is remembered of each conversation.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// The settings and the turns since the last reset, oldest first, at most `max_turns`.
    async fn conversation(
        &self,
        conversation: &ConversationKey,
        max_turns: usize,
    ) -> Result<ConversationState, StoreError>;

    /// Deletes all that is kept of a conversation, undelivered parts included. What stays: a keyed hash for each
    /// message, by which its repeat is known, and a line in the audit log with `reason` (no words of the patient) and
    /// a keyed hash of the conversation, written in the same transaction.
    async fn delete_conversation(
        &self,
        conversation: &ConversationKey,
        reason: &str,
    ) -> Result<(), StoreError>;
}

/// What both sides said, for pages that show a whole conversation.
#[async_trait]
pub trait Transcripts: Send + Sync {
    /// In order, after entry `after` (0 = from the start), at most `limit` entries.
    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError>;
}

/// What plugins keep, each under its own name.
#[async_trait]
pub trait PluginStorage: Send + Sync {
    async fn plugin_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// # Errors
    /// [`StoreError::QuotaExceeded`] if the plugin's keys and values would take more than `quota` bytes.
    async fn plugin_put(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError>;

    async fn plugin_delete(&self, plugin: &str, key: &str) -> Result<(), StoreError>;

    async fn plugin_list(&self, plugin: &str, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Deletes what a plugin keeps under keys that hold `part`, and tells how many there were.
    async fn plugin_forget(&self, plugin: &str, part: &str) -> Result<usize, StoreError>;

    /// The names under which anything is kept.
    async fn plugins_with_data(&self) -> Result<Vec<String>, StoreError>;
}

/// Who did what, in a log that only grows.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Words without patient text.
    async fn audit(&self, actor: &str, action: &str, target: &str, detail: &str) -> Result<(), StoreError>;
}

/// Whether the store still takes writes, and for how long.
pub trait StoreHealth: Send + Sync {
    fn is_healthy(&self) -> bool;

    /// What the disk under it still takes.
    fn room(&self) -> Room {
        Room::Enough
    }
}
