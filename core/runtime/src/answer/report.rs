//! What is told of an answer beside its words.

use std::time::Duration;

use bedside_contract::{Disposition, Part, Passage, Provenance};
use bedside_language::fingerprint;
use bedside_triage::Assessment;
use serde::Serialize;

use super::{
    Answering,
    drafting::Draft,
    grounding::citations_of,
    part::{AnswerWords, answer_part},
    present_findings,
};
use crate::context::{interrupt::InterruptReason, words::say};

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

    /// A fixed sentence in place of an answer.
    pub(crate) fn fixed(part: Part, disposition: Disposition, took: Duration) -> Self {
        Self {
            disposition,
            ..Self::emergency(part, took)
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

impl Answering<'_> {
    /// The answer as it leaves, with what passages and plugins add to it.
    pub(super) async fn report(
        &self,
        draft: Draft,
        passages: &[Passage],
        appended: Option<String>,
    ) -> AnswerReport {
        let Self {
            context,
            asked,
            notes,
            ..
        } = self;
        let language = asked.language;
        let present = !present_findings(asked.assessment).is_empty();
        let mut disposition = asked.assessment.disposition;
        if present {
            // Knowledge may raise urgency, but never to an emergency: that is the red flags' word alone.
            let raised = draft
                .used
                .iter()
                .filter_map(|it| passages.get(*it)?.disposition)
                .max();
            disposition = disposition.raised_to(raised.map(|it| it.min(Disposition::SameDay)));
        }
        let mut departments = asked.assessment.departments.clone();
        if departments.is_empty() {
            departments = draft
                .used
                .first()
                .and_then(|it| passages.get(*it))
                .map_or_else(Vec::new, |it| it.departments.clone());
        }
        departments.truncate(3);
        let mut text = draft.text.trim().to_owned();
        for more in appended.into_iter().filter(|it| !it.trim().is_empty()) {
            text = format!("{text}\n\n{}", more.trim());
        }
        if notes.iter().any(|note| note.hook != "choose_adapter") {
            text = format!("{text}\n\n{}", say(language, "plugin-down"));
        }
        let words = AnswerWords {
            text,
            disposition: present.then_some(disposition),
            departments,
            citations: citations_of(passages, &draft.used),
            ending: match draft.interrupted {
                Some(InterruptReason::Stop | InterruptReason::Shutdown) => {
                    Some(say(language, "stopped-mark"))
                }
                Some(InterruptReason::Emergency) | None => None,
            },
        };
        let part = answer_part(context, language, words).await;
        AnswerReport {
            part,
            disposition,
            passages: draft
                .used
                .iter()
                .filter_map(|it| passages.get(*it).cloned())
                .collect(),
            adapter: draft.model.as_ref().and(self.adapter.clone()),
            model: draft.model,
            timings: self.timings,
            interrupted: draft.interrupted,
            remember: true,
        }
    }
}
