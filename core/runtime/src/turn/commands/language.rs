//! `/language`: the language of the bot's own sentences.

use bedside_contract::{ConversationSettings, FinishedTurn, Language, Part, QuickReply};

use crate::{context::words::say, turn::TurnInWork};

impl TurnInWork<'_> {
    pub(super) fn choose_language(&self, word: Option<&str>) -> FinishedTurn {
        let Self { state, language, .. } = *self;
        let Some(word) = word else {
            let reply = |label: &str, data: &str| QuickReply {
                label: label.to_owned(),
                data: data.to_owned(),
            };
            return self.finished(vec![Part {
                quick_replies: vec![
                    reply("中文", "language:zh"),
                    reply("English", "language:en"),
                    reply(&say(language, "language-auto-button"), "language:auto"),
                ],
                ..Part::notice(language, say(language, "language-question"))
            }]);
        };
        let chosen = Language::parse(word);
        let text = match chosen {
            Some(chosen) => say(chosen, "language-done"),
            None => say(language, "language-auto"),
        };
        let settings = ConversationSettings {
            language: chosen,
            ..state.settings.clone()
        };
        FinishedTurn {
            settings: Some(settings),
            ..self.notice(text)
        }
    }
}
