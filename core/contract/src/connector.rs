//! Our side of one platform.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    ids::{ConversationKey, InboxSeq, Language, PlatformMessageId},
    observer::Observation,
    part::Part,
    store::{Cursor, OutboxItem, Receipt, Room, StoreError, TranscriptEntry},
    update::Update,
};

/// Speaks one platform's protocol and nothing else: it neither queues, nor splits, nor retries.
#[async_trait]
pub trait Connector: Send + Sync {
    /// `telegram`, `web`, `terminal` …: the first word of its conversation keys.
    fn platform(&self) -> &str;

    /// What the platform can do. The rest of the bot asks this, never the platform's name.
    fn capabilities(&self) -> Capabilities;

    /// Receives until the future is dropped at shutdown; returns only on an error that needs the operator
    /// (bad token, port in use). Whatever passes is retried inside.
    ///
    /// # Errors
    /// [`ConnectorError`], with what to do.
    async fn run(&self, intake: std::sync::Arc<dyn Intake>) -> Result<(), ConnectorError>;

    /// Tells the patient that the bot is at work. Shown for some seconds; the runtime repeats it after
    /// [`Pace::typing`].
    async fn typing(&self, conversation: &ConversationKey);

    /// Shows the answer so far. Called only if [`Capabilities::edits`], no more often than
    /// [`Pace::previews`]. `shown` is what an earlier call returned, `text` the whole text so far.
    ///
    /// # Errors
    /// A failed preview harms nobody: the caller goes on and delivers the whole at the end.
    async fn preview(
        &self,
        conversation: &ConversationKey,
        seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError>;

    /// Sends one part, or turns the preview in [`OutboxItem::replaces`] into it, and returns once the
    /// platform has confirmed it.
    ///
    /// # Errors
    /// [`DeliverError`] says whether and when to try again.
    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError>;

    /// The store knows that this part has arrived: whoever reads the transcript from now on sees it so. Most platforms
    /// need not care.
    fn settled(&self, item: &OutboxItem);

    /// This conversation is being deleted: what the connector itself keeps of it has to go, too. May be called more
    /// than once. Most connectors keep nothing.
    fn forgotten(&self, conversation: &ConversationKey) {
        let _ = conversation;
    }
}

/// What a platform can do, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// A message that was sent can be changed: answers are streamed by edits.
    pub edits: bool,
    /// At most this much in one message.
    pub max_length: usize,
    pub length_unit: LengthUnit,
    /// Quick replies are shown as buttons; elsewhere they are numbered under the text and typed.
    pub buttons: bool,
    /// Citations, disposition and label are shown apart: [`crate::Part::plain_text`] is not needed.
    pub rich_parts: bool,
    pub pace: Pace,
    /// How long the platform waits for the acknowledgement of what it delivered, before it counts us as down.
    pub deadline: Option<Duration>,
    pub initiative: Initiative,
    /// A company outside the hospital carries the messages and can read them: consent and privacy say so.
    pub outside_operator: bool,
}

/// How often a platform may be written to. Kept by one wrapper around every connector; emergency notices
/// do not wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one edit of a growing answer to the next.
    pub previews: Duration,
    /// How long a typing notice is shown.
    pub typing: Duration,
    /// From one message or edit to the next in the same chat.
    pub chat: Duration,
    /// From one message or edit to the next in all chats together.
    pub platform: Duration,
}

/// Who may start to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiative {
    /// The bot at any time, once the patient has opened the chat.
    Bot,
    /// The patient: a message of theirs allows so many of ours, for a while.
    Patient { messages: u32 },
}

/// What a platform counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LengthUnit {
    Utf16,
    Chars,
    Bytes,
}

impl LengthUnit {
    /// The length of `text` in this unit.
    #[must_use]
    pub fn length(self, text: &str) -> usize {
        match self {
            Self::Utf16 => text.encode_utf16().count(),
            Self::Chars => text.chars().count(),
            Self::Bytes => text.len(),
        }
    }
}

/// Where connectors put what they receive. Implemented by `core/runtime`.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Takes updates and, for polled platforms, the place to go on from, in one durable transaction.
    /// Only after it returned `Ok` may the connector acknowledge.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was taken, do not acknowledge.
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError>;

    /// Where a polled platform goes on from, as the last [`Intake::accept`] stored it.
    ///
    /// # Errors
    /// [`StoreError`]: the store cannot be read.
    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError>;

    /// What both sides said, in order, after entry `after` (0 = from the start), at most `limit` entries: what a page
    /// shows on reload.
    ///
    /// # Errors
    /// [`StoreError`]: the store cannot be read.
    async fn transcript(
        &self,
        conversation: &ConversationKey,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError>;

    /// For the health page.
    fn health(&self) -> BotHealth;

    /// Counts what only the connector sees.
    fn observe(&self, observation: &Observation<'_>) {
        let _ = observation;
    }

    /// The platform asks again for the answer to an accepted message, so it did not get it, and the connector
    /// does not know any more what it gave (a restart): what counted as sent goes out again.
    ///
    /// # Errors
    /// [`StoreError`]: nothing goes out again.
    async fn answer_again(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<(), StoreError>;

    /// What a patient must be told at once whose words are not taken (refused, or only an edit): the emergency notice,
    /// if they hold a red flag. Needs neither store nor model. `language` is used where the words show none.
    fn emergency_notice(&self, words: &str, language: Option<Language>) -> Option<Part>;

    /// What a newcomer is shown before anything is known or kept of them: who answers here, and the question for consent.
    fn greeting(&self, conversation: &ConversationKey, language: Option<Language>) -> Part;

    /// The hospital's number for life-threatening emergencies, for the connector's own sentences. It may change while
    /// the bot runs: ask for it each time.
    fn emergency_number(&self) -> String;
}

/// How the bot is, without its model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BotHealth {
    /// What is accepted can still be stored.
    pub store: bool,
    /// What the disk under it still takes.
    pub room: Room,
    /// Each connector, and whether it receives; one that was refused for good does not.
    pub connectors: Vec<(String, bool)>,
}

/// Why a connector cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    #[error("{key}: {reason}")]
    Config { key: String, reason: String },
    #[error("{address} ({key}) is in use: set {key} to another port, e.g. {suggestion}")]
    AddressInUse {
        key: String,
        address: String,
        suggestion: String,
    },
    #[error("{platform} refused us: {reason}")]
    Refused { platform: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a part did not get through.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliverError {
    #[error("the platform asks to wait {0:?}")]
    RetryAfter(Duration),
    /// Nothing reached the platform: safe to try again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It may or may not have arrived (the answer was lost): trying again may double it.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The platform takes nothing more until the patient writes again ([`Initiative::Patient`]): the part
    /// is kept until then.
    #[error("waits until the patient writes: {0}")]
    PatientFirst(String),
    /// Will never succeed (blocked by the user, chat deleted).
    #[error("refused for good: {0}")]
    Permanent(String),
}
