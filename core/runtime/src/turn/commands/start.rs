//! `/start`, and whoever opens the chat.

use bedside_contract::{ConversationSettings, FinishedTurn};

use crate::{
    context::words::say,
    turn::{TurnInWork, consent_part},
};

impl TurnInWork<'_> {
    pub(in crate::turn) fn welcome(&self) -> FinishedTurn {
        let Self {
            context,
            item,
            state,
            language,
            ..
        } = *self;
        if state.settings.consent_ms.is_some() {
            return self.notice(say(language, "welcome-back"));
        }
        let settings = ConversationSettings {
            last_language: Some(language),
            ..state.settings.clone()
        };
        let part = consent_part(
            context,
            &self.turns.delivery,
            &item.update.conversation,
            language,
            true,
        );
        FinishedTurn {
            settings: Some(settings),
            ..self.finished(vec![part])
        }
    }
}
