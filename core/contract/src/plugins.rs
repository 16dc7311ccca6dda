//! What the runtime asks of the installed plugins. Implemented by `core/plugin-host`.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ConversationKey, Language},
    part::Citation,
    prompt::{Passage, Prompt, PromptText},
    store::StoreError,
    triage::Disposition,
};

/// All plugins together: every method runs the hook through all of them in their order, keeps each
/// deadline, and answers for those that fail. It never fails itself and never panics.
#[async_trait]
pub trait Plugins: Send + Sync {
    /// Before anything else is done with a message.
    async fn on_message(&self, facts: &MessageFacts) -> (MessageVerdict, Vec<PluginNote>);

    /// Adds instructions and passages to a prompt that holds the runtime's own parts.
    async fn augment_prompt(&self, facts: &MessageFacts, prompt: &Prompt) -> (Augmented, Vec<PluginNote>);

    /// The adapter to answer with, if a plugin names one.
    async fn choose_adapter(&self, facts: &MessageFacts) -> (Option<String>, Vec<PluginNote>);

    /// Reads the finished answer before it leaves.
    async fn on_answer(
        &self,
        facts: &MessageFacts,
        answer: &str,
        citations: &[Citation],
    ) -> (AnswerVerdict, Vec<PluginNote>);

    /// Whether an active plugin may withhold answers: then nothing is shown before it has spoken.
    fn may_withhold(&self) -> bool;

    /// The chat commands that plugins offer.
    fn commands(&self) -> Vec<CommandInfo>;

    /// Runs a plugin's command.
    ///
    /// # Errors
    /// Words for the person who gave the command.
    async fn command(&self, name: &str, arguments: &str, facts: &MessageFacts) -> Result<String, String>;

    /// This conversation is being deleted: plugins delete what they keep of it. The ids of those that have not
    /// acknowledged it are returned; they are told after their next start, whatever becomes of the process meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]: that could not be noted, so the conversation must not count as deleted.
    async fn forget(&self, conversation: &ConversationKey) -> Result<Vec<String>, StoreError>;

    /// One row a plugin, for `/status`, `bedside plugin list` and the health page.
    fn status(&self) -> Vec<PluginStatus>;
}

/// What plugins are told of a message. Without the conversation's key nothing here identifies a person.
#[derive(Clone, Serialize, Deserialize)]
pub struct MessageFacts {
    pub conversation: ConversationKey,
    pub platform: String,
    pub text: String,
    pub language: Language,
    /// What the gate found before.
    pub disposition: Option<Disposition>,
    /// Names of findings that the gate read as present.
    pub findings: Vec<String>,
    pub departments: Vec<String>,
    /// Names of facts that triage would like to know (age, duration, …).
    pub missing: Vec<String>,
    /// The department that the patient chose.
    pub department: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageVerdict {
    Continue,
    /// The plugin answers itself.
    Reply {
        text: String,
        plugin: String,
    },
    /// A person shall take over.
    Handoff {
        reason: String,
        plugin: String,
    },
    /// A safety plugin failed and its manifest says `refuse`.
    Refuse {
        plugin: String,
    },
}

/// What plugins added to a prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Augmented {
    pub instructions: Vec<PromptText>,
    pub passages: Vec<Passage>,
    /// A safety plugin failed and its manifest says `refuse`.
    pub refused_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerVerdict {
    Pass,
    /// Put below the answer, in order.
    Append {
        texts: Vec<String>,
    },
    Replace {
        text: String,
        plugin: String,
    },
    Withhold {
        reason: String,
        plugin: String,
    },
}

/// Something that went wrong in a plugin, in words without patient text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginNote {
    pub plugin: String,
    pub hook: String,
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandInfo {
    pub plugin: String,
    pub name: String,
    pub help_en: String,
    pub help_zh: String,
    /// Only staff may run it.
    pub staff_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginStatus {
    pub id: String,
    pub version: String,
    /// `ready`, `starting`, `failed`, `quarantined`, `disabled`.
    pub state: String,
    /// `child process` or `in-process (trusted)`.
    pub place: String,
    /// `full`, `partial` or `none`.
    pub sandbox: String,
    pub restarts: u32,
    pub last_problem: Option<String>,
}
