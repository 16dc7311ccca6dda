//! `/delete`: everything that is kept of a conversation, after a question.

use bedside_contract::{ConversationSettings, FinishedTurn, Part, QuickReply, StoreError};

use crate::{context::words::say, turn::TurnInWork};

impl TurnInWork<'_> {
    pub(super) fn ask_to_delete(&self) -> FinishedTurn {
        let language = self.language;
        let reply = |words: &str, data: &str| QuickReply {
            label: say(language, words),
            data: data.to_owned(),
        };
        self.finished(vec![Part {
            quick_replies: vec![reply("delete-yes", "delete:yes"), reply("delete-no", "delete:no")],
            ..Part::notice(language, say(language, "delete-question"))
        }])
    }

    pub(super) async fn delete(&self) -> Result<FinishedTurn, StoreError> {
        let store = &self.context.store;
        let conversation = &self.item.update.conversation;
        store.conversations.delete_conversation(conversation).await?;
        store
            .audit
            .audit("patient", "delete", "conversation", "on request")
            .await?;
        Ok(FinishedTurn {
            settings: Some(self.no_settings()),
            ..self.notice(say(self.language, "delete-done"))
        })
    }

    pub(super) fn no_settings(&self) -> ConversationSettings {
        ConversationSettings {
            last_language: Some(self.language),
            ..ConversationSettings::default()
        }
    }
}
