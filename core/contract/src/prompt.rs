//! What goes into the model, in parts that can be budgeted and dropped one by one.

use serde::{Deserialize, Serialize};

use crate::{generator::ChatMessage, ids::Language, triage::Disposition};

/// The parts of a prompt, stable ones first: only identical prefixes share KV cache.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// Instructions, in order; the runtime's own first, then what plugins added.
    pub instructions: Vec<PromptText>,
    /// Knowledge that the answer may rest on, best first.
    pub passages: Vec<Passage>,
    /// Earlier turns, oldest first.
    pub history: Vec<ChatMessage>,
    /// What the patient asks now.
    pub question: String,
}

/// An instruction and who gave it (`runtime` or a plugin's id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptText {
    pub from: String,
    pub text: String,
}

/// A piece of knowledge with its source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// Stable within its source, e.g. `common-cold/treatment`.
    pub id: String,
    /// e.g. "Common cold – Treatment".
    pub title: String,
    pub text: String,
    pub language: Language,
    /// Source and edition, e.g. "Bedside starter knowledge, 2026-11".
    pub source: String,
    /// The retriever's own confidence, 0 to 1, for audit and tests.
    pub score: f32,
    /// Departments that treat this, in the knowledge base's names.
    #[serde(default)]
    pub departments: Vec<String>,
    /// May raise the turn's urgency, never lower it.
    #[serde(default)]
    pub disposition: Option<Disposition>,
}
