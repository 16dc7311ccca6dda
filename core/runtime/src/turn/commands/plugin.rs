//! A command that a plugin brought.

use bedside_contract::{Disposition, FinishedTurn, MessageFacts, StoreError};

use crate::{
    answer::{AnswerWords, answer_part},
    context::red_flags::read_together,
    turn::{TurnInWork, consent_part},
};

impl TurnInWork<'_> {
    pub(super) async fn plugin_command(
        &self,
        name: &str,
        arguments: &str,
    ) -> Result<FinishedTurn, StoreError> {
        let Self {
            context,
            item,
            state,
            language,
            ..
        } = *self;
        let assessment = read_together(context.rules, &self.said_before(), arguments).await;
        if assessment.disposition == Disposition::Emergency {
            return Ok(self.emergency_notice(&assessment));
        }
        if context.live.is_notices_only() {
            return Ok(self.answers_off(arguments, &assessment));
        }
        if state.settings.consent_ms.is_none() {
            if let Some(finished) = self.other_language(arguments) {
                return Ok(finished);
            }
            if !arguments.is_empty() {
                return Ok(self.hold(arguments));
            }
            let (delivery, conversation) = (&self.turns.delivery, &item.update.conversation);
            let part = consent_part(context, delivery, conversation, language, false);
            return Ok(self.finished(vec![part]));
        }
        let facts = MessageFacts {
            conversation: item.update.conversation.clone(),
            platform: item.update.platform.clone(),
            text: arguments.to_owned(),
            language,
            disposition: None,
            findings: Vec::new(),
            departments: Vec::new(),
            missing: Vec::new(),
            department: state.settings.department.clone(),
        };
        let (Ok(text) | Err(text)) = context.plugins.command(name, arguments, &facts).await;
        let words = AnswerWords {
            text,
            ..AnswerWords::default()
        };
        Ok(self.finished(vec![answer_part(context, language, words).await]))
    }
}
