//! What the store's operations take and give back.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ids::{ConversationKey, InboxSeq, Language, PartId, PlatformMessageId},
    part::{Part, QuickReply},
    triage::ThirdReading,
    update::Update,
};

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

impl FinishedTurn {
    /// A turn that ends with `parts` and changes nothing else.
    #[must_use]
    pub fn with_parts(item: &InboxItem, parts: Vec<Part>) -> Self {
        Self {
            seq: item.seq,
            conversation: item.update.conversation.clone(),
            state: TurnState::Done,
            turns: Vec::new(),
            parts,
            urgent: false,
            settings: None,
            reset: false,
        }
    }
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
    /// Which words were agreed to.
    pub consent_version: Option<String>,
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
    /// The patient has to write first: it and what is behind it are due after [`Outbox::release_parked`](super::Outbox::release_parked). Not
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

/// What the disk under the store still takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Room {
    #[default]
    Enough,
    /// Less than the hospital wants to be free: nothing new is begun, what runs goes on.
    Low,
    /// None: only the reserve is left, for what has begun and for emergencies.
    Reserve,
}

impl Room {
    /// As health pages show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enough => "ok",
            Self::Low => "low",
            Self::Reserve => "full",
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A write failed: nothing more may be acknowledged, the process should stop.
    #[error("the store cannot write ({0}); stop, check disk and permissions, start again")]
    Broken(String),
    /// What lies on the disk is not what was written: nothing in it can be relied on.
    #[error(
        "the store {path} is damaged ({problem}): keep its folder as it is, check the disk, and put the newest backup \
         in its place (docs/operations.md)"
    )]
    Damaged { path: String, problem: String },
    #[error("the store in {path} is of version {found}, this bot knows {known}: use the newer bot")]
    TooNew { path: String, found: i64, known: i64 },
    #[error("plugin {plugin} may keep {quota} bytes and wanted {wanted}")]
    QuotaExceeded { plugin: String, quota: u64, wanted: u64 },
    #[error("store: {0}")]
    Failed(String),
}
