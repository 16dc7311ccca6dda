//! Commands, and what becomes of one that has a red flag among its words. What each does stands in a file of its own.

mod consent;
mod delete;
mod help;
mod language;
mod plugin;
mod start;

use bedside_contract::{FinishedTurn, Language, StoreError};
use bedside_triage::Assessment;

use super::{TurnInWork, human_text};
use crate::context::{
    command::{Command, question_behind_slash, words_behind},
    interrupt::Interrupt,
    words::{Variable, say, say_with},
};

impl TurnInWork<'_> {
    pub(super) async fn command(
        &self,
        command: Command,
        text: &str,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        if let Some(finished) = self.at_once(&command) {
            // Some apps send `/start` for whoever opens the chat, and some people go on writing behind it.
            let words = words_behind(text);
            return match command {
                Command::Start
                    if words.split_whitespace().count() > 1
                        || Language::detect(words) == Some(Language::Zh) =>
                {
                    self.question(words, interrupt).await
                }
                _ => Ok(Some(finished)),
            };
        }
        match command {
            Command::ConsentGiven => self.consent_given(interrupt).await,
            Command::ConsentRefused => self.consent_refused().await.map(Some),
            Command::DeleteConfirmed => self.delete().await.map(Some),
            Command::Other { name, arguments } => {
                let commands = self.context.plugins.commands();
                let is_known = commands.iter().any(|it| it.name == name && !it.staff_only);
                match question_behind_slash(text) {
                    _ if is_known => self.plugin_command(&name, &arguments).await.map(Some),
                    Some(question) => self.question(question, interrupt).await,
                    None => Ok(Some(self.unknown(&name))),
                }
            }
            _ => Ok(None),
        }
    }

    /// The notice, and the end of the command that stands before the red flag, if it is one that needs nothing but
    /// the conversation's settings. `has_stopped`: an answer was being written.
    pub(super) fn emergency(&self, assessment: &Assessment, has_stopped: bool) -> FinishedTurn {
        let text = self.item.update.text().unwrap_or_default();
        let notice = self.emergency_notice(assessment);
        let also = match Command::parse(text) {
            Some(Command::Stop) if has_stopped => Some(self.notice(say(self.language, "stop-done"))),
            // A word that is no language is none of theirs.
            Some(Command::Language(Some(word))) if Language::parse(&word).is_none() => None,
            Some(command) => self.at_once(&command),
            None => None,
        };
        let Some(also) = also else { return notice };
        FinishedTurn {
            parts: notice.parts.into_iter().chain(also.parts).collect(),
            reset: also.reset,
            settings: also.settings,
            ..notice
        }
    }

    /// The end of a command that waits for nobody; `None` for the others.
    fn at_once(&self, command: &Command) -> Option<FinishedTurn> {
        let language = self.language;
        Some(match command {
            Command::Start => self.welcome(),
            Command::New => FinishedTurn {
                reset: true,
                ..self.notice(say(language, "new-done"))
            },
            // Both are answered on arrival; here only if that failed or a red flag came with them.
            Command::Stop => self.notice(say(language, "stop-nothing")),
            Command::Human => self.notice(human_text(self.context, language)),
            Command::Help => self.notice(self.help()),
            Command::Privacy => self.privacy(),
            Command::Language(word) => self.choose_language(word.as_deref()),
            Command::Delete => self.ask_to_delete(),
            Command::DeleteRefused => self.notice(say(language, "delete-kept")),
            Command::DeleteConfirmed
            | Command::ConsentGiven
            | Command::ConsentRefused
            | Command::Other { .. } => return None,
        })
    }

    fn unknown(&self, name: &str) -> FinishedTurn {
        let name = format!("/{name}");
        let variables = [
            ("name", Variable::Text(&name)),
            ("emergency", Variable::Text(&self.context.config.emergency_number)),
        ];
        self.notice(say_with(self.language, "unknown-command", &variables))
    }
}
