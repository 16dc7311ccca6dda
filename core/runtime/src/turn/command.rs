//! Commands: what each does, and what becomes of one that has a red flag among its words.

use bedside_contract::{
    ConversationSettings, Disposition, FinishedTurn, Language, MessageFacts, Part, QuickReply, StoreError,
};
use bedside_triage::Assessment;

use super::{TurnInWork, now_ms};
use crate::{
    answer::{AnswerWords, answer_part, gated_line},
    commands::{Command, question_behind_slash, words_behind},
    consent::consent_part,
    lanes::Interrupt,
    red_flags::{emergency_part, read_together},
    urgent::{emergency_turn, emergency_turns, human_text},
    words::{Variable, say, say_with},
};

/// Characters that a plugin may say of one of its commands.
const LONGEST_HELP: usize = 120;

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
                let commands = self.shared.plugins.commands();
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
        let notice = emergency_turn(
            self.shared,
            self.item,
            &self.state.settings,
            assessment,
            self.language,
        );
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
        let Self {
            shared,
            item,
            language,
            ..
        } = *self;
        let config = &shared.config;
        Some(match command {
            Command::Start => self.welcome(),
            Command::New => FinishedTurn {
                reset: true,
                ..self.notice(say(language, "new-done"))
            },
            // Both are answered on arrival; here only if that failed or a red flag came with them.
            Command::Stop => self.notice(say(language, "stop-nothing")),
            Command::Human => self.notice(human_text(shared, language)),
            Command::Help => self.notice(self.help()),
            Command::Privacy => {
                let contact = config.human_contact(language);
                let operator = shared.operator(&item.update.conversation);
                let variables = [
                    ("operator", Variable::Text(operator)),
                    ("contact", Variable::Text(&contact)),
                ];
                self.notice(say_with(language, "privacy", &variables))
            }
            Command::Language(word) => self.choose_language(word.as_deref()),
            Command::Delete => {
                let reply = |label: String, data: &str| QuickReply {
                    label,
                    data: data.to_owned(),
                };
                self.finished(vec![Part {
                    quick_replies: vec![
                        reply(say(language, "delete-yes"), "delete:yes"),
                        reply(say(language, "delete-no"), "delete:no"),
                    ],
                    ..Part::notice(language, say(language, "delete-question"))
                }])
            }
            Command::DeleteRefused => self.notice(say(language, "delete-kept")),
            Command::DeleteConfirmed
            | Command::ConsentGiven
            | Command::ConsentRefused
            | Command::Other { .. } => return None,
        })
    }

    async fn delete(&self) -> Result<FinishedTurn, StoreError> {
        let store = &self.shared.store;
        store.delete_conversation(&self.item.update.conversation).await?;
        store
            .audit("patient", "delete", "conversation", "on request")
            .await?;
        Ok(FinishedTurn {
            settings: Some(self.no_settings()),
            ..self.notice(say(self.language, "delete-done"))
        })
    }

    pub(super) async fn consent_refused(&self) -> Result<FinishedTurn, StoreError> {
        self.shared
            .store
            .delete_conversation(&self.item.update.conversation)
            .await?;
        Ok(FinishedTurn {
            settings: Some(self.no_settings()),
            ..self.notice_with_number("consent-refused")
        })
    }

    /// Answers what waited for it, one after the other.
    pub(super) async fn consent_given(
        &self,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        let Self {
            shared,
            state,
            language,
            ..
        } = *self;
        let settings = ConversationSettings {
            consent_ms: state.settings.consent_ms.or_else(|| Some(now_ms())),
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
            let assessment = read_together(shared.rules, before, question).await;
            let last = before.last().copied();
            let assessment = self.read_by_third(last, question, assessment, interrupt).await;
            if assessment.disposition == Disposition::Emergency {
                let notice = emergency_part(shared.rules, &assessment, language, &shared.config.contacts());
                return Ok(Some(FinishedTurn {
                    settings: Some(settings),
                    turns: emergency_turns(shared, question, &notice, &assessment),
                    urgent: true,
                    ..self.finished(vec![notice])
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
        Ok(Some(self.answered(answers)))
    }

    async fn plugin_command(&self, name: &str, arguments: &str) -> Result<FinishedTurn, StoreError> {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        let assessment = read_together(shared.rules, &self.said_before(), arguments).await;
        if assessment.disposition == Disposition::Emergency {
            return Ok(emergency_turn(
                shared,
                item,
                &state.settings,
                &assessment,
                language,
            ));
        }
        if state.settings.consent_ms.is_none() {
            if let Some(finished) = self.other_language(arguments) {
                return Ok(finished);
            }
            if !arguments.is_empty() {
                return Ok(self.hold(arguments));
            }
            let operator = shared.operator(&item.update.conversation);
            return Ok(self.finished(vec![consent_part(language, operator, false, &shared.config)]));
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
        let (Ok(text) | Err(text)) = shared.plugins.command(name, arguments, &facts).await;
        let words = AnswerWords {
            text,
            ..AnswerWords::default()
        };
        Ok(self.finished(vec![answer_part(shared, language, words).await]))
    }

    fn unknown(&self, name: &str) -> FinishedTurn {
        let name = format!("/{name}");
        let variables = [
            ("name", Variable::Text(&name)),
            ("emergency", Variable::Text(&self.shared.config.emergency_number)),
        ];
        self.notice(say_with(self.language, "unknown-command", &variables))
    }

    fn no_settings(&self) -> ConversationSettings {
        ConversationSettings {
            last_language: Some(self.language),
            ..ConversationSettings::default()
        }
    }

    fn choose_language(&self, word: Option<&str>) -> FinishedTurn {
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

    pub(super) fn welcome(&self) -> FinishedTurn {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        if state.settings.consent_ms.is_some() {
            return self.notice(say(language, "welcome-back"));
        }
        let settings = ConversationSettings {
            last_language: Some(language),
            ..state.settings.clone()
        };
        let part = consent_part(
            language,
            shared.operator(&item.update.conversation),
            true,
            &shared.config,
        );
        FinishedTurn {
            settings: Some(settings),
            ..self.finished(vec![part])
        }
    }

    fn help(&self) -> String {
        let Self { shared, language, .. } = *self;
        let emergency = Variable::Text(&shared.config.emergency_number);
        let mut text = say_with(language, "help", &[("emergency", emergency)]);
        let gate = shared.rules.output_gate();
        for command in shared.plugins.commands().into_iter().filter(|it| !it.staff_only) {
            let help = match language {
                Language::En => &command.help_en,
                Language::Zh => &command.help_zh,
            };
            let help = gated_line(&gate, help, LONGEST_HELP).unwrap_or_default();
            let variables = [
                ("name", Variable::Text(command.name.as_str())),
                ("help", Variable::Text(&help)),
            ];
            text.push('\n');
            text.push_str(&say_with(language, "help-plugin", &variables));
        }
        text
    }
}
