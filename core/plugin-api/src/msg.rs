//! The messages that cross between the bot and a plugin, as JSON.
//!
//! They only ever grow: new fields have defaults, unknown ones are ignored, unknown enum words become
//! `Unknown`.

use serde::{Deserialize, Serialize};

/// What a plugin is told of a patient's message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// An opaque id of the conversation, other for each plugin; good as a storage key, or a part of one: entries whose
    /// key holds it are deleted together with the conversation.
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
#[serde(
    tag = "verdict",
    content = "text",
    rename_all = "snake_case",
    try_from = "Word"
)]
pub enum Verdict {
    #[default]
    Continue,
    /// The plugin answers itself; the model is not asked.
    Reply(String),
    /// A person shall take over; the text says why, for staff.
    Handoff(String),
    /// A word this side does not know: treated as `Continue`.
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
#[serde(
    tag = "verdict",
    content = "text",
    rename_all = "snake_case",
    try_from = "Word"
)]
pub enum AnswerVerdict {
    #[default]
    Pass,
    /// Put below the answer.
    Append(String),
    Replace(String),
    /// The answer must not leave; the text says why, for the log (no patient text).
    Withhold(String),
    /// A word this side does not know: treated as `Pass`.
    Unknown,
}

/// A verdict as it stands in JSON. `#[serde(other)]` would refuse unknown words that come with a text.
#[derive(Deserialize)]
struct Word {
    verdict: String,
    #[serde(default)]
    text: serde_json::Value,
}

impl Word {
    fn text(self) -> Result<String, &'static str> {
        match self.text {
            serde_json::Value::String(text) => Ok(text),
            _ => Err("this verdict needs a text"),
        }
    }
}

impl TryFrom<Word> for Verdict {
    type Error = &'static str;

    fn try_from(word: Word) -> Result<Self, Self::Error> {
        Ok(match word.verdict.as_str() {
            "continue" => Self::Continue,
            "reply" => Self::Reply(word.text()?),
            "handoff" => Self::Handoff(word.text()?),
            _ => Self::Unknown,
        })
    }
}

impl TryFrom<Word> for AnswerVerdict {
    type Error = &'static str;

    fn try_from(word: Word) -> Result<Self, Self::Error> {
        Ok(match word.verdict.as_str() {
            "pass" => Self::Pass,
            "append" => Self::Append(word.text()?),
            "replace" => Self::Replace(word.text()?),
            "withhold" => Self::Withhold(word.text()?),
            _ => Self::Unknown,
        })
    }
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

/// A conversation that its patient had deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forget {
    /// As in [`Message::conversation`].
    pub conversation: String,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error = 1,
    Warn = 2,
    Info = 3,
    Debug = 4,
}

impl LogLevel {
    /// Reads the number that crosses; unknown ones are the quietest.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// `error`, `warn`, `info` or `debug`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Whom patients shall call, as the hospital has configured it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contacts {
    /// The number for life-threatening emergencies; empty if the bot does not tell.
    pub emergency_number: String,
    /// The line for people who think of ending their life; empty if the bot does not tell.
    pub crisis_line: String,
}

/// What a plugin is made with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setup {
    /// The plugin's id, as in the manifest.
    pub id: String,
    pub package_dir: String,
    pub data_dir: Option<String>,
    /// The plugin's own settings, a table.
    pub config: serde_json::Value,
    pub contacts: Contacts,
}

/// Of `storage.get`, `storage.delete` and, as a prefix, `storage.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageKey {
    pub key: String,
}

/// Of `storage.put`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageEntry {
    pub key: String,
    pub value: serde_json::Value,
}

/// Of `audit.note`; no patient text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditNote {
    /// What was done, e.g. `index.rebuild`.
    pub action: String,
    /// To what, e.g. a file's name.
    pub target: String,
    pub detail: String,
}

/// Of `generate`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerateRequest {
    pub messages: Vec<ChatTurn>,
    /// How long the answer may become, in tokens; 0 takes the bot's own limit for plugins.
    pub max_tokens: usize,
    /// 0, the default, gives the same answer every time.
    pub temperature: f32,
}

/// One message for the language model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatTurn {
    /// `system`, `user` or `assistant`.
    pub role: String,
    pub content: String,
}

/// What `generate` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Generated {
    pub text: String,
    /// `stop`, `length` or `deadline`.
    pub finish: String,
}

/// Of `embed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedRequest {
    pub texts: Vec<String>,
    /// `query`: what is asked or said. `passage`: what is searched through.
    pub purpose: String,
}

/// What `embed` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Embedded {
    /// Vectors of different models must not be compared: keep it beside vectors that are kept.
    pub model: String,
    /// One for each text, of length 1: the dot product of two tells how close their texts are.
    pub vectors: Vec<Vec<f32>>,
}

/// Of `job.progress`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobProgress {
    pub id: String,
    /// From 0 to 1.
    pub done: f32,
    /// What is being done, for people.
    pub what: String,
}

/// What `job.progress` answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobControl {
    #[default]
    Continue,
    /// Clean up and return soon; the process is ended after a while.
    Cancel,
    /// A word this side does not know: treated as `Continue`.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, to_string};

    use super::{AnswerVerdict, JobControl, Message, Verdict};

    #[test]
    fn verdicts_read_as_they_were_written() {
        let check = |verdict: Verdict, json: &str| {
            assert_eq!(to_string(&verdict).unwrap(), json);
            assert_eq!(from_str::<Verdict>(json).unwrap(), verdict);
        };
        check(Verdict::Continue, r#"{"verdict":"continue"}"#);
        check(
            Verdict::Reply("你好".into()),
            r#"{"verdict":"reply","text":"你好"}"#,
        );
        check(
            Verdict::Handoff("asks for staff".into()),
            r#"{"verdict":"handoff","text":"asks for staff"}"#,
        );
    }

    #[test]
    fn answer_verdicts_read_as_they_were_written() {
        let all = ["a", "r", "w"].map(str::to_owned);
        let [append, replace, withhold] = all;
        for verdict in [
            AnswerVerdict::Pass,
            AnswerVerdict::Append(append),
            AnswerVerdict::Replace(replace),
            AnswerVerdict::Withhold(withhold),
        ] {
            assert_eq!(
                from_str::<AnswerVerdict>(&to_string(&verdict).unwrap()).unwrap(),
                verdict
            );
        }
        assert!(from_str::<AnswerVerdict>(r#"{"verdict":"replace"}"#).is_err());
    }

    #[test]
    fn words_of_later_versions_do_no_harm() {
        assert_eq!(
            from_str::<Verdict>(r#"{"verdict":"postpone"}"#).unwrap(),
            Verdict::Unknown
        );
        assert_eq!(
            from_str::<Verdict>(r#"{"verdict":"postpone","text":"1 h"}"#).unwrap(),
            Verdict::Unknown
        );
        assert_eq!(
            from_str::<AnswerVerdict>(r#"{"verdict":"x","text":{"a":1}}"#).unwrap(),
            AnswerVerdict::Unknown
        );
        assert_eq!(from_str::<JobControl>(r#""pause""#).unwrap(), JobControl::Unknown);
        let message: Message = from_str(r#"{"text":"hi","mood":"fine"}"#).unwrap();
        assert_eq!(message.text, "hi");
    }
}
