use std::time::Duration;

use async_trait::async_trait;
use bedside_contract::{BotHealth, ModelInfo, PluginStatus, Room};

/// What is read of the bot at the moment when somebody asks. Given by the binary, which knows all parts.
#[async_trait]
pub trait Figures: Send + Sync {
    /// Whether the process is worth keeping: its store takes writes.
    fn is_alive(&self) -> bool;

    async fn snapshot(&self) -> Snapshot;
}

/// The bot at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Of the program.
    pub version: String,
    /// None while it is being loaded, and where it could not be.
    pub model: Option<ModelInfo>,
    /// None where another server runs the model.
    pub engine: Option<EngineFigures>,
    /// Store and connectors.
    pub health: BotHealth,
    /// None if the store cannot be read.
    pub store: Option<StoreFigures>,
    pub plugins: Vec<PluginStatus>,
}

impl Snapshot {
    /// Whether patients can be answered now. Plugins and single platforms do not count: the bot answers without them.
    pub(crate) fn is_ready(&self) -> bool {
        self.health.store && self.health.room == Room::Enough && self.model.is_some()
    }
}

/// The model's engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineFigures {
    /// Requests that are answered now.
    pub running: usize,
    /// Requests that wait now.
    pub waiting: usize,
    /// Blocks of the key-value cache that those use, and how many there are.
    pub blocks_used: usize,
    pub blocks: usize,
    pub finished: u64,
    pub cancelled: u64,
    pub failed: u64,
    /// Turned away because the queue was full.
    pub rejected: u64,
    pub prompt_tokens: u64,
    /// Of these, read already for an earlier prompt.
    pub reused_tokens: u64,
    pub generated_tokens: u64,
    /// Tokens that were guessed, and how many of them were right.
    pub guessed_tokens: u64,
    pub right_guesses: u64,
}

/// What waits in the store, and what went wrong in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreFigures {
    /// Accepted messages without an end.
    pub inbox_depth: u64,
    pub inbox_oldest: Option<Duration>,
    /// Parts that are due or tried again later.
    pub outbox_pending: u64,
    pub outbox_sending: u64,
    /// Parts that may have arrived and are tried again.
    pub outbox_unknown: u64,
    /// Parts that wait until their patient writes.
    pub outbox_parked: u64,
    /// Of the parts that do not wait for their patient.
    pub outbox_oldest: Option<Duration>,
    /// Messages and parts that were given up and are kept.
    pub dead_messages: u64,
    pub dead_parts: u64,
    /// The number of the newest audit record.
    pub audit_head: u64,
}
