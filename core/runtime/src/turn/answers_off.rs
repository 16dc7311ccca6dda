//! What a question gets while answers are switched off: one sentence, and the urgency that triage found.

use bedside_contract::{ConversationSettings, FinishedTurn, Language, Part, Provenance, Turn};
use bedside_triage::{Assessment, FindingStatus};

use super::{TurnInWork, question::Answered};
use crate::context::Context;

const MOST_DEPARTMENTS: usize = 3;

/// The sentence that answers are switched off, with the emergency number; below it how urgently to seek care, where the
/// message tells of anything.
pub(crate) fn answers_off_part(context: &Context, language: Language, assessment: &Assessment) -> Part {
    let words = context.say_with_number(language, "answers-off");
    let notice = Part::notice(language, words);
    let mut findings = assessment.findings.iter();
    if !findings.any(|it| it.status == FindingStatus::Present) {
        return notice;
    }
    let rules = context.rules;
    Part {
        disposition: Some(assessment.disposition),
        disposition_text: Some(rules.disposition_text(assessment.disposition, language)),
        departments: assessment
            .departments
            .iter()
            .take(MOST_DEPARTMENTS)
            .map(|it| rules.department_name(it, language))
            .collect(),
        ..notice
    }
}

impl TurnInWork<'_> {
    /// The end of a question. Its words are kept as always, so that a red flag that is spread over several messages is
    /// seen now too.
    pub(super) fn answers_off(&self, text: &str, assessment: &Assessment) -> FinishedTurn {
        let Answered { part, turns, .. } = self.in_place_of_answer(text, assessment);
        if text.is_empty() {
            return self.finished(vec![part]);
        }
        if self.state.settings.consent_ms.is_none() {
            return FinishedTurn {
                parts: vec![part],
                ..self.hold(text)
            };
        }
        FinishedTurn {
            turns,
            settings: Some(ConversationSettings {
                last_language: Some(self.language),
                ..self.state.settings.clone()
            }),
            ..self.finished(vec![part])
        }
    }

    /// What stands where an answer would; further questions of the same turn get no more.
    pub(super) fn in_place_of_answer(&self, text: &str, assessment: &Assessment) -> Answered {
        let part = answers_off_part(self.context, self.language, assessment);
        let made_by = Provenance {
            rules: self.context.rules.version(),
            third_reader: assessment.third_reading.clone(),
            ..Provenance::default()
        };
        Answered {
            turns: vec![Turn::patient(text), Turn::bot(part.text.clone(), made_by)],
            part,
            interrupted: true,
        }
    }
}
