//! What is told of an answer beside its words.

use std::time::Duration;

use bedside_contract::{Disposition, Part, Passage, Provenance};
use bedside_language::fingerprint;
use bedside_triage::Assessment;
use serde::Serialize;

use crate::lanes::InterruptReason;

/// The answer and how it came about.
#[derive(Debug, Clone)]
pub struct AnswerReport {
    pub part: Part,
    pub disposition: Disposition,
    /// The knowledge that the answer rests on.
    pub passages: Vec<Passage>,
    /// `None` where the passages themselves, a plugin or a gate answered.
    pub model: Option<String>,
    pub adapter: Option<String>,
    pub timings: Timings,
    pub(crate) interrupted: Option<InterruptReason>,
    /// Whether question and answer belong into the conversation's memory.
    pub(crate) remember: bool,
}

impl AnswerReport {
    /// A notice in place of an answer.
    pub(crate) fn emergency(notice: Part, took: Duration) -> Self {
        Self {
            part: notice,
            disposition: Disposition::Emergency,
            passages: Vec::new(),
            model: None,
            adapter: None,
            timings: Timings {
                total_ms: milliseconds(took),
                ..Timings::default()
            },
            interrupted: None,
            remember: false,
        }
    }

    /// `rules`: the version of the triage rules.
    pub(crate) fn made_by(&self, rules: String, assessment: &Assessment) -> Provenance {
        let passages = self.passages.iter();
        Provenance {
            rules,
            passages: passages
                .map(|it| format!("{}@{:08x}", it.id, fingerprint(it.text.bytes())))
                .collect(),
            model: self.model.clone(),
            adapter: self.adapter.clone(),
            third_reader: assessment.third_reading.clone(),
        }
    }
}

/// Milliseconds and tokens of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    pub hooks_ms: f64,
    pub queue_ms: f64,
    pub prompt_ms: f64,
    pub generate_ms: f64,
    pub total_ms: f64,
    pub prompt_tokens: usize,
    pub generated_tokens: usize,
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
