//! The two answers to the question for consent.

use bedside_contract::{ConversationSettings, Disposition, FinishedTurn, StoreError};

use crate::{
    context::{interrupt::Interrupt, red_flags::read_together, words::say},
    turn::{TurnInWork, consent::consent_version},
};

impl TurnInWork<'_> {
    /// Answers what waited for it, one after the other.
    pub(in crate::turn) async fn consent_given(
        &self,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        let Self {
            context,
            state,
            language,
            ..
        } = *self;
        let (delivery, conversation) = (&self.turns.delivery, &self.item.update.conversation);
        let settings = ConversationSettings {
            consent_version: Some(consent_version(context, delivery, conversation, language)),
            consent_ms: state.settings.consent_ms.or_else(|| Some(context.clock.now_ms())),
            held_questions: Vec::new(),
            last_language: Some(language),
            ..state.settings.clone()
        };
        let held: Vec<&str> = state.settings.held_questions.iter().map(String::as_str).collect();
        if held.is_empty() {
            return Ok(Some(FinishedTurn {
                settings: Some(settings),
                ..self.notice(say(language, "consent-thanks"))
            }));
        }
        let mut answers = Vec::new();
        let mut turns = state.turns.clone();
        for (index, question) in held.iter().enumerate() {
            let before = held.get(..index).unwrap_or_default();
            let assessment = read_together(context.rules, before, question).await;
            let last = before.last().copied();
            let assessment = self.read_by_third(last, question, assessment, interrupt).await;
            if assessment.disposition == Disposition::Emergency {
                return Ok(Some(FinishedTurn {
                    settings: Some(settings),
                    ..self.emergency_about(question, &assessment)
                }));
            }
            let answered = self
                .answer(question, &assessment, &turns, index == 0, interrupt)
                .await?;
            let Some(mut answered) = answered else {
                return Ok(None);
            };
            if index == 0 {
                let thanks = say(language, "consent-thanks-held");
                answered.part.text = format!("{thanks}\n\n{}", answered.part.text);
            }
            turns.extend(answered.turns.iter().cloned());
            let is_interrupted = answered.interrupted;
            answers.push(answered);
            if is_interrupted {
                break;
            }
        }
        Ok(Some(self.answered(answers, &settings)))
    }

    pub(in crate::turn) async fn consent_refused(&self) -> Result<FinishedTurn, StoreError> {
        self.forget("consent refused").await?;
        Ok(FinishedTurn {
            settings: Some(self.no_settings()),
            ..self.notice_with_number("consent-refused")
        })
    }
}
