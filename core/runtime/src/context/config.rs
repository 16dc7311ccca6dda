//! The `[bot]` section of the configuration.

use std::time::Duration;

use bedside_contract::Language;
use bedside_triage::EmergencyContacts;
use serde::{Deserialize, Serialize};

use super::words::say;

/// How the bot talks to patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// How the hospital is called in the welcome.
    pub hospital: String,
    /// The number for life-threatening emergencies, named in every emergency notice.
    pub emergency_number: String,
    /// The crisis line named when somebody speaks of ending their life.
    pub crisis_line: String,
    /// How to reach a person, as `/human` says it; empty = "call or visit the reception".
    pub human_contact: String,
    /// `en` or `zh`: used until a patient's own language is known.
    pub default_language: Language,
    /// The label under every answer; `off` only where the law does not ask for it.
    pub ai_label: AiLabel,
    /// A hospital's own rule file that adds words, red flags and rules: docs/triage-rules.md. It can only raise urgency.
    pub triage_additions: Option<std::path::PathBuf>,
    /// A second reader trained with the hospital's own messages: `bedside second-reader train`.
    pub second_reader: Option<std::path::PathBuf>,
    /// Whether the served model is asked in one word if a message could be an emergency that rules and second reader do
    /// not see; it may only raise. `auto`: from 3 billion parameters up; `on`, `off`: docs/medical.md.
    pub third_reader: ThirdReader,
    /// Seconds that the third reader has; after them the answer goes on without it.
    pub third_reader_seconds: u64,
    /// Tokens of the whole prompt at most; what is dropped first is written in ARCHITECTURE.md.
    pub prompt_tokens: usize,
    /// Tokens of one answer at most.
    pub answer_tokens: usize,
    /// Earlier messages that are considered at most, both sides counted.
    pub history_messages: usize,
    /// Seconds from a question's turn to its answer; after them what is there is sent.
    pub answer_deadline_seconds: u64,
    /// Seconds without a visible word after which "still working" is shown.
    pub still_working_seconds: u64,
    /// Answers in work at once; other questions wait in the store, and patients see their place in the queue. No more than the engine's
    /// places and queue together.
    pub answers_at_once: usize,
    /// A message whose answer the bot did not survive this often gets an apology instead of another try.
    pub attempts: u32,
    /// Hours for which delivery of a part is tried before it is given up. An emergency notice goes to `[escalation]`
    /// long before.
    pub delivery_hours: u64,
    /// Seconds given to running answers and deliveries when the bot is stopped.
    pub drain_seconds: u64,
    /// Whether patients get emergency notices only: every other question is answered with the sentence that answers are
    /// switched off, and the model is asked nothing. `bedside notices-only on` does the same without the file.
    pub notices_only: bool,
    /// Days after which the hospital's backups of the store are gone for good; `/privacy` and the answer to `/delete`
    /// name them. Unset: no number is named.
    pub backup_days: Option<usize>,
}

/// Whether answers carry the AI label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AiLabel {
    On,
    Off,
}

/// Whether the served model reads messages for emergencies beside rules and second reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThirdReader {
    /// If it is known to be large enough.
    Auto,
    On,
    Off,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            hospital: "our hospital".to_owned(),
            emergency_number: "120".to_owned(),
            crisis_line: "12356".to_owned(),
            human_contact: String::new(),
            default_language: Language::En,
            ai_label: AiLabel::On,
            triage_additions: None,
            second_reader: None,
            third_reader: ThirdReader::Auto,
            third_reader_seconds: 3,
            prompt_tokens: 512,
            answer_tokens: 160,
            history_messages: 12,
            answer_deadline_seconds: 120,
            still_working_seconds: 8,
            answers_at_once: 32,
            attempts: 8,
            delivery_hours: 72,
            drain_seconds: 15,
            notices_only: false,
            backup_days: None,
        }
    }
}

impl RuntimeConfig {
    /// The keys that are read once, at the start; of the others the running bot takes over new values.
    pub const FIXED: [&str; 3] = ["triage_additions", "second_reader", "answers_at_once"];

    /// This configuration with the values that [`Self::FIXED`] have in `running`.
    pub(crate) fn keeping_fixed_of(self, running: &Self) -> Self {
        Self {
            triage_additions: running.triage_additions.clone(),
            second_reader: running.second_reader.clone(),
            answers_at_once: running.answers_at_once,
            ..self
        }
    }

    /// Whom to call.
    #[must_use]
    pub fn contacts(&self) -> EmergencyContacts {
        EmergencyContacts {
            emergency_number: self.emergency_number.clone(),
            crisis_line: self.crisis_line.clone(),
        }
    }

    pub(crate) fn human_contact(&self, language: Language) -> String {
        if self.human_contact.is_empty() {
            say(language, "human-contact-default")
        } else {
            self.human_contact.clone()
        }
    }

    pub(crate) fn label(&self, language: Language) -> Option<String> {
        (self.ai_label == AiLabel::On).then(|| say(language, "label"))
    }

    pub(crate) fn answer_deadline(&self) -> Duration {
        Duration::from_secs(self.answer_deadline_seconds)
    }

    pub(crate) fn third_reader_deadline(&self) -> Duration {
        Duration::from_secs(self.third_reader_seconds)
    }

    pub(crate) fn still_working_after(&self) -> Duration {
        Duration::from_secs(self.still_working_seconds)
    }

    pub(crate) fn delivery_age(&self) -> Duration {
        Duration::from_secs(self.delivery_hours.saturating_mul(3600))
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}
