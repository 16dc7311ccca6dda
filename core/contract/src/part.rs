//! What leaves towards a patient.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ids::Language, triage::Disposition};

/// One outgoing message, small enough for its platform, and all that a page may want to show apart.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub kind: PartKind,
    pub language: Language,
    /// The words themselves, plain text with Markdown's lists, bold and fences at most.
    pub text: String,
    /// How urgently to seek care, if this part says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// The disposition in the patient's words, e.g. "Be seen by a doctor today".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition_text: Option<String>,
    /// The hospital's own names of departments to go to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub departments: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quick_replies: Vec<QuickReply>,
    /// "Written by AI …", on every answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Another piece of the same message follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// An answer to a question.
    Answer,
    /// Overtakes everything that is queued.
    Emergency,
    /// What the bot says of itself: consent, queue position, help, errors.
    Notice,
}

/// Where a statement comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The number by which the text refers to it, from 1.
    pub number: u32,
    /// e.g. "Common cold – Treatment".
    pub title: String,
    /// e.g. "Bedside starter knowledge, 2026-11".
    pub source: String,
}

/// A button; on platforms without buttons the patient types its label or number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuickReply {
    pub label: String,
    /// What comes back as [`crate::UpdateKind::Choice`]; at most 64 bytes (Telegram's callback_data).
    pub data: String,
}

impl Part {
    /// A notice without any extras.
    #[must_use]
    pub fn notice(language: Language, text: impl Into<String>) -> Self {
        Self {
            kind: PartKind::Notice,
            language,
            text: text.into(),
            disposition: None,
            disposition_text: None,
            departments: Vec::new(),
            citations: Vec::new(),
            quick_replies: Vec::new(),
            label: None,
            more: false,
        }
    }

    /// All of it as plain text, for platforms that show nothing else. Quick replies are not in it.
    #[must_use]
    pub fn plain_text(&self) -> String {
        let mut out = self.text.clone();
        let footer = self.footer();
        if !footer.is_empty() {
            out.push_str("\n\n");
            out.push_str(&footer);
        }
        out
    }

    /// What [`Part::plain_text`] puts under the words: urgency, departments, sources, AI label.
    #[must_use]
    pub fn footer(&self) -> String {
        let (arrow, departments, sources) = match self.language {
            Language::En => ("➜ ", "Department: ", "Sources:"),
            Language::Zh => ("➜ ", "建议就诊科室：", "资料来源："),
        };
        let mut lines = Vec::new();
        if let Some(text) = &self.disposition_text {
            lines.push(format!("{arrow}{text}"));
        }
        if !self.departments.is_empty() {
            let separator = if self.language == Language::Zh {
                "、"
            } else {
                ", "
            };
            lines.push(format!("{departments}{}", self.departments.join(separator)));
        }
        if !self.citations.is_empty() {
            lines.push(sources.to_owned());
            lines.extend(
                self.citations
                    .iter()
                    .map(|it| format!("[{}] {} ({})", it.number, it.title, it.source)),
            );
        }
        if let Some(label) = &self.label {
            lines.push(label.clone());
        }
        lines.join("\n")
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({:?}, [phi len={}])", self.kind, self.text.len())
    }
}
