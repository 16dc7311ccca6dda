//! `/delete`: everything that is kept of a conversation, after a question.

use bedside_contract::{
    Connector, ConversationSettings, DELETE_EVERYTHING, FinishedTurn, Part, QuickReply, StoreError,
};

use crate::{
    context::words::{Variable, say, say_with},
    turn::TurnInWork,
};

impl TurnInWork<'_> {
    pub(super) fn ask_to_delete(&self) -> FinishedTurn {
        let language = self.language;
        let reply = |words: &str, data: &str| QuickReply {
            label: say(language, words),
            data: data.to_owned(),
        };
        self.finished(vec![Part {
            quick_replies: vec![
                reply("delete-yes", DELETE_EVERYTHING),
                reply("delete-no", "delete:no"),
            ],
            ..Part::notice(language, say(language, "delete-question"))
        }])
    }

    pub(super) async fn delete(&self) -> Result<FinishedTurn, StoreError> {
        let pending = self.forget("on request").await?;
        let mut text = self.what_stays("delete-done");
        if !pending.is_empty() {
            text.push('\n');
            text.push_str(&say(self.language, "delete-pending"));
        }
        Ok(FinishedTurn {
            settings: Some(self.no_settings()),
            ..self.notice(text)
        })
    }

    /// Deletes the conversation wherever something is kept of it, and tells which plugins are still to follow. The
    /// store comes last: whatever ends before, the message in work begins anew.
    pub(super) async fn forget(&self, reason: &str) -> Result<Vec<String>, StoreError> {
        let (context, conversation) = (self.context, &self.item.update.conversation);
        let pending = context.plugins.forget(conversation).await?;
        context.generator.forget(conversation);
        if let Some(connector) = self.turns.delivery.connector(conversation.platform()) {
            connector.forgotten(conversation);
        }
        let reason = if pending.is_empty() {
            reason.to_owned()
        } else {
            format!("{reason}; plugins still to follow: {}", pending.join(", "))
        };
        let conversations = &context.store.conversations;
        conversations.delete_conversation(conversation, &reason).await?;
        Ok(pending)
    }

    /// The sentence named `key`, which says what a deletion does not reach.
    pub(super) fn what_stays(&self, key: &str) -> String {
        let config = &self.context.config;
        let contact = config.human_contact(self.language);
        let backups = match config.backup_days {
            Some(_) => "dated",
            None => "undated",
        };
        let operator = self.turns.delivery.operator(&self.item.update.conversation);
        let variables = [
            ("operator", Variable::Text(operator)),
            ("model", Variable::Text(self.context.model_place.name())),
            ("contact", Variable::Text(&contact)),
            ("backups", Variable::Text(backups)),
            ("days", Variable::Number(config.backup_days.unwrap_or_default())),
        ];
        say_with(self.language, key, &variables)
    }

    pub(super) fn no_settings(&self) -> ConversationSettings {
        ConversationSettings {
            last_language: Some(self.language),
            ..ConversationSettings::default()
        }
    }
}
