//! The messages that cross between the bot and a plugin, as JSON.
//!
//! They only ever grow: new fields have defaults, unknown ones are ignored, unknown enum words become
//! `Unknown`.

use serde::{Deserialize, Serialize};

/// What a plugin is told of a patient's message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// An opaque id of the conversation, other for each plugin; good as a storage key.
    pub conversation: String,
    /// `web`, `telegram` …
    pub platform: String,
    pub text: String,
    /// `en` or `zh`.
    pub language: String,
    /// `emergency`, `same-day`, `out-patient` or `self-care`, if the safety rules found one.
    pub disposition: Option<String>,
    /// Names of findings that the safety rules read as present, e.g. `fever`.
    pub findings: Vec<String>,
    /// Departments that the safety rules point to.
    pub departments: Vec<String>,
    /// What triage would still like to know, e.g. `age`, `duration`.
    pub missing: Vec<String>,
    /// The department that the patient chose.
    pub department: Option<String>,
}

/// Answer of `on_message`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "text", rename_all = "snake_case")]
pub enum Verdict {
    #[default]
    Continue,
    /// The plugin answers itself; the model is not asked.
    Reply(String),
    /// A person shall take over; the text says why, for staff.
    Handoff(String),
    /// A word this side does not know: treated as `Continue`.
    #[serde(other)]
    Unknown,
}

/// The prompt as it stands when `augment_prompt` is called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptRequest {
    pub message: Message,
    pub instructions: Vec<String>,
    /// Earlier questions and answers, oldest first.
    pub history: Vec<HistoryTurn>,
    /// How many more tokens the prompt may take, about.
    pub token_budget: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryTurn {
    /// `patient` or `bot`.
    pub role: String,
    pub text: String,
}

/// What a plugin adds to the prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptAdditions {
    pub instructions: Vec<String>,
    /// Best first.
    pub passages: Vec<Passage>,
}

/// A piece of knowledge with its source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Passage {
    /// Stable within its source, e.g. `common-cold/treatment`.
    pub id: String,
    /// e.g. "Common cold – Treatment".
    pub title: String,
    pub text: String,
    /// `en` or `zh`.
    pub language: String,
    /// Source and edition.
    pub source: String,
    /// Confidence, 0 to 1.
    pub score: f32,
    pub departments: Vec<String>,
    /// May raise urgency, never lowers it.
    pub disposition: Option<String>,
}

/// The finished answer, for `on_answer`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    pub message: Message,
    pub text: String,
    /// Titles of the passages that it cites.
    pub citations: Vec<String>,
}

/// Answer of `on_answer`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", content = "text", rename_all = "snake_case")]
pub enum AnswerVerdict {
    #[default]
    Pass,
    /// Put below the answer.
    Append(String),
    Replace(String),
    /// The answer must not leave; the text says why, for the log (no patient text).
    Withhold(String),
    /// A word this side does not know: treated as `Pass`.
    #[serde(other)]
    Unknown,
}

/// Answer of `describe`; must agree with the manifest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Description {
    /// Names of the hooks that the plugin implements, as in the manifest.
    pub hooks: Vec<String>,
    /// Names of the chat commands that it offers.
    pub commands: Vec<String>,
    /// Ids of adapters that `choose_adapter` may name.
    pub adapters: Vec<String>,
}

/// A command from a chat or from `bedside <plugin's word> …`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Command {
    pub name: String,
    pub arguments: String,
    pub message: Message,
    /// The caller wants JSON.
    pub json: bool,
}

/// Answer of `command`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandReply {
    pub text: String,
    /// The command could not be carried out; `text` says why and what to do.
    pub failed: bool,
}

/// A long piece of work in a process of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    pub id: String,
    pub name: String,
    pub arguments: serde_json::Value,
}

/// How a job ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobResult {
    pub ok: bool,
    pub summary: String,
    pub output: serde_json::Value,
}

/// Answer of `health`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub ok: bool,
    pub reason: String,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}
