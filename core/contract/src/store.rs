//! What must survive: every accepted message until it is answered, every answer until it is delivered.
//!
//! Three transactions carry the promise: [`Store::accept`] (T1, before the platform's acknowledgement),
//! [`Store::finish`] (T2, the turn, its parts and the inbox row together) and
//! [`Store::claim_part`] / [`Store::settle_part`] (T3, around each delivery).

use std::{fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ids::{ConversationKey, InboxSeq, Language, PartId, PlatformMessageId},
    part::{Part, QuickReply},
    triage::ThirdReading,
    update::Update,
};

#[async_trait]
pub trait Store: Send + Sync {
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

    /// A leased message goes on after [`Store::uncount_attempt`].
    async fn count_attempt(&self, seq: InboxSeq) -> Result<(), StoreError>;

    /// Gives a lease back unfinished (shutdown), without counting the attempt.
    async fn release(&self, seq: InboxSeq) -> Result<(), StoreError>;

    /// T2. Turns, outgoing parts, settings and the message's end in one transaction.
    /// `false`, and nothing written, if this process no longer holds the lease.
    async fn finish(&self, finished: FinishedTurn) -> Result<bool, StoreError>;

    /// The settings and the turns since the last reset, oldest first, at most `max_turns`.
    async fn conversation(
        &self,
        conversation: &ConversationKey,
        max_turns: usize,
    ) -> Result<ConversationState, StoreError>;

    /// Deletes all that is kept of a conversation, undelivered parts included; the inbox keeps only what
    /// dedupe needs.
    async fn delete_conversation(&self, conversation: &ConversationKey) -> Result<(), StoreError>;

    /// Notes the message that is being edited while an answer streams, so that after a crash the same
    /// message is edited and no second one sent. The next [`Store::finish`] of `seq` turns it into part 0.
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

    /// What both sides said, in order, after entry `after` (0 = from the start), at most `limit` entries: what a page
    /// shows on reload.
    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError>;

    async fn plugin_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// # Errors
    /// [`StoreError::QuotaExceeded`] if the plugin's keys and values would take more than `quota` bytes.
    async fn plugin_put(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError>;
    async fn plugin_delete(&self, plugin: &str, key: &str) -> Result<(), StoreError>;
    async fn plugin_list(&self, plugin: &str, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Appends to the audit log; words without patient text.
    async fn audit(&self, actor: &str, action: &str, target: &str, detail: &str) -> Result<(), StoreError>;

    /// Whether the store still takes writes; for the health page.
    fn is_healthy(&self) -> bool;
}

/// Where a polled platform goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub platform: String,
    pub bot: String,
    pub value: String,
}

/// What became of one update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub seq: InboxSeq,
    /// It had been accepted before: acknowledge it, do nothing else.
    pub duplicate: bool,
}

/// An accepted message in work.
#[derive(Debug, Clone)]
pub struct InboxItem {
    pub seq: InboxSeq,
    /// Milliseconds since 1970.
    pub received_ms: i64,
    pub update: Update,
    /// This one included.
    pub attempts: u32,
}

/// Everything that the end of a turn changes, at once.
#[derive(Debug, Clone)]
pub struct FinishedTurn {
    pub seq: InboxSeq,
    pub conversation: ConversationKey,
    pub state: TurnState,
    /// What the conversation remembers: the question, the answer. May be empty (commands, notices).
    pub turns: Vec<Turn>,
    /// Outgoing parts in order; part 0 takes over a preview of this `seq`.
    pub parts: Vec<Part>,
    /// They overtake all that is queued for this conversation.
    pub urgent: bool,
    /// New settings, if they changed.
    pub settings: Option<ConversationSettings>,
    /// Forget the turns before this one (`/new`).
    pub reset: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnState {
    Done,
    /// Given up after too many attempts, with an apology among the parts.
    Dead,
}

/// What is remembered of one side's words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub role: TurnRole,
    pub text: String,
    /// What made the bot's words; nothing for the patient's.
    pub made_by: Option<Provenance>,
}

/// The versions that made an answer, so that it can be judged later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Fingerprints of the triage rules, the second reader and a hospital's additions.
    pub rules: String,
    /// Id and fingerprint of each passage that the answer rests on.
    pub passages: Vec<String>,
    /// Nothing where the passages themselves, a plugin or a gate answered.
    pub model: Option<String>,
    pub adapter: Option<String>,
    /// Nothing where the third reader was not asked.
    #[serde(default)]
    pub third_reader: Option<ThirdReading>,
}

impl Turn {
    #[must_use]
    pub fn patient(text: impl Into<String>) -> Self {
        Self {
            role: TurnRole::Patient,
            text: text.into(),
            made_by: None,
        }
    }

    #[must_use]
    pub fn bot(text: impl Into<String>, made_by: Provenance) -> Self {
        Self {
            role: TurnRole::Bot,
            text: text.into(),
            made_by: Some(made_by),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnRole {
    Patient,
    Bot,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({:?}, [phi len={}])", self.role, self.text.len())
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationState {
    pub settings: ConversationSettings,
    pub turns: Vec<Turn>,
}

/// What a patient chose, kept until `/delete`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConversationSettings {
    /// When consent was given, milliseconds since 1970.
    pub consent_ms: Option<i64>,
    /// What was asked before consent, in order, answered as soon as it is given.
    #[serde(alias = "held_question", deserialize_with = "one_or_many")]
    pub held_questions: Vec<String>,
    /// Chosen with `/language`; detected from each message otherwise.
    pub language: Option<Language>,
    /// The language of the last message that showed one.
    pub last_language: Option<Language>,
    pub department: Option<String>,
    /// The quick replies shown last, for platforms where they are typed.
    pub offered: Vec<QuickReply>,
    /// `/human` was said: the bot stays silent until staff give the chat back or `/new`.
    pub with_human: bool,
}

/// Earlier versions held one question, or none.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Held {
        Many(Vec<String>),
        One(Option<String>),
    }
    Ok(match Held::deserialize(deserializer)? {
        Held::Many(questions) => questions,
        Held::One(question) => question.into_iter().collect(),
    })
}

/// A part in delivery.
#[derive(Debug, Clone)]
pub struct OutboxItem {
    pub id: PartId,
    pub conversation: ConversationKey,
    pub seq: InboxSeq,
    pub part: Part,
    /// Turn this message into the part instead of sending a new one.
    pub replaces: Option<PlatformMessageId>,
    /// This one included; pauses that somebody asked for are no attempts.
    pub attempts: u32,
    /// Since the part was written, by the wall clock, which may have been set meanwhile.
    pub waiting: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    Sent {
        message: PlatformMessageId,
    },
    /// Try again after this many milliseconds; counted as unknown if it may have arrived.
    Retry {
        after_ms: u64,
        may_have_arrived: bool,
    },
    /// As [`SendOutcome::Retry`] where nothing failed: the platform asks for a pause, or is switched off. Not counted
    /// as an attempt.
    Later {
        after_ms: u64,
    },
    /// The patient has to write first: it and what is behind it are due after [`Store::release_parked`]. Not
    /// counted as an attempt.
    Parked,
    /// Given up.
    Dead {
        reason: String,
    },
}

/// One line of what was said, for pages that show the whole conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TranscriptEntry {
    /// Grows within a conversation; pass the last one seen as `after`.
    pub id: i64,
    pub seq: InboxSeq,
    /// The page's own id of a message that the patient sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(flatten)]
    pub said: Said,
}

/// Who said what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Said {
    Patient { text: String },
    Bot { part: Box<Part> },
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A write failed: nothing more may be acknowledged, the process should stop.
    #[error("the store cannot write ({0}); stop, check disk and permissions, start again")]
    Broken(String),
    #[error("the store in {path} is of version {found}, this bot knows {known}: use the newer bot")]
    TooNew { path: String, found: i64, known: i64 },
    #[error("plugin {plugin} may keep {quota} bytes and wanted {wanted}")]
    QuotaExceeded { plugin: String, quota: u64, wanted: u64 },
    #[error("store: {0}")]
    Failed(String),
}
