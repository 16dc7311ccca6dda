//! The words and traits that all parts of Bedside share.
//!
//! This crate holds no implementation and no async runtime, so that synchronous crates
//! (`core/triage`, `core/model`) may use its words too.
//!
//! A message's way, with the types on its arrows:
//! [`Update`] → [`Intake`] → [`Store`] → [`Prompt`] → [`Generator`] → [`Part`] → [`Connector`].
#![forbid(unsafe_code)]

pub mod clock;
pub mod connector;
pub mod embedder;
pub mod escalation;
pub mod generator;
pub mod ids;
pub mod observer;
pub mod part;
pub mod plugins;
pub mod prompt;
pub mod store;
pub mod triage;
pub mod update;

pub use clock::{Clock, SystemClock};
pub use connector::{
    BotHealth, Capabilities, Connector, ConnectorError, DeliverError, Initiative, Intake, LengthUnit, Pace,
};
pub use embedder::{EmbedError, Embedder, EmbeddingModel, EmbeddingPurpose};
pub use escalation::{Escalation, EscalationError, UndeliveredNotice, UndeliveredNotices};
pub use generator::{
    AdapterChangeError, AnswerMode, ChatMessage, ChatRole, FinishReason, GenerateError, GenerateRequest,
    Generation, GenerationEvent, Generator, ModelInfo, Priority, Sampling,
};
pub use ids::{ConversationKey, InboxSeq, Language, PartId, PlatformMessageId};
pub use observer::{
    EscalationResult, GivenUp, Observation, Observer, QueueStage, SendResult, TurnOutcome, Unobserved,
};
pub use part::{Citation, Part, PartKind, QuickReply};
pub use plugins::{
    AnswerVerdict, Augmented, CommandInfo, MessageFacts, MessageVerdict, PluginNote, PluginStatus, Plugins,
};
pub use prompt::{Passage, Prompt, PromptText};
pub use store::{
    AuditLog, ConversationSettings, ConversationState, Conversations, Cursor, FinishedTurn, Inbox, InboxItem,
    Outbox, OutboxItem, PluginStorage, Provenance, Receipt, Room, Said, SendOutcome, Store, StoreError,
    StoreHealth, TranscriptEntry, Transcripts, Turn, TurnRole, TurnState,
};
pub use triage::{Disposition, ThirdReading, ThirdVerdict};
pub use update::{DELETE_EVERYTHING, Update, UpdateKind, asks_for_more, is_bare_number};
