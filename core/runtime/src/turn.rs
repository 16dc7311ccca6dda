//! One accepted message from its lease to its end.

use std::{sync::Arc, time::SystemTime};

use bedside_contract::{
    Connector, ConversationSettings, ConversationState, Disposition, FinishedTurn, InboxItem, Initiative,
    Language, Part, PartKind, QuickReply, StoreError, Turn, TurnRole, TurnState, UpdateKind, asks_for_more,
};
use bedside_triage::{Assessment, FindingStatus, PatientFacts};

use crate::{
    answer::{Asked, answer, gated},
    bot::Shared,
    commands::Command,
    consent::{consent_part, typed_consent},
    lanes::{Interrupt, InterruptReason},
    live::Live,
    urgent::{emergency_turn, human_text},
    words::{Variable, say, say_with},
};

/// Works a message off. `None`: the bot is being stopped, the message is to be given back.
///
/// # Errors
/// [`StoreError`], with the message still leased.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    item: &InboxItem,
    interrupt: &Interrupt,
) -> Result<Option<FinishedTurn>, StoreError> {
    let conversation = &item.update.conversation;
    let state = shared
        .store
        .conversation(conversation, shared.config.history_messages)
        .await?;
    let language = shared.language_of(&item.update, &state.settings);
    if item.attempts > shared.config.attempts {
        return Ok(Some(apology(shared, item, language)));
    }
    let turn = TurnInWork {
        shared,
        item,
        state: &state,
        language,
    };
    Ok(turn.run(interrupt).await?.map(|it| turn.with_offer(it)))
}

/// The end of a message that cannot be answered.
pub(crate) fn apology(shared: &Shared, item: &InboxItem, language: Language) -> FinishedTurn {
    let contact = shared.config.human_contact(language);
    let variables = [
        ("contact", Variable::Text(&contact)),
        ("emergency", Variable::Text(&shared.config.emergency_number)),
    ];
    tracing::error!(seq = %item.seq, attempts = item.attempts, "A message was given up with an apology.");
    FinishedTurn {
        seq: item.seq,
        conversation: item.update.conversation.clone(),
        state: TurnState::Dead,
        turns: Vec::new(),
        parts: vec![Part::notice(language, say_with(language, "apology", &variables))],
        urgent: false,
        settings: None,
        reset: false,
    }
}

struct TurnInWork<'a> {
    shared: &'a Arc<Shared>,
    item: &'a InboxItem,
    state: &'a ConversationState,
    language: Language,
}

impl TurnInWork<'_> {
    async fn run(&self, interrupt: &Interrupt) -> Result<Option<FinishedTurn>, StoreError> {
        let settings = &self.state.settings;
        let text = match &self.item.update.kind {
            UpdateKind::Joined => return Ok(Some(self.welcome())),
            UpdateKind::Unreadable { .. } => {
                return Ok(Some(self.notice(say(self.language, "unreadable"))));
            }
            UpdateKind::Text { text } => chosen(text, &settings.offered).unwrap_or(text).trim(),
            UpdateKind::Choice { data } => data.trim(),
        };
        if text.is_empty() {
            return Ok(Some(self.notice(say(self.language, "empty-message"))));
        }
        if let Some(command) = Command::parse(text) {
            return self.command(command, interrupt).await;
        }
        if settings.consent_ms.is_none() {
            match typed_consent(text) {
                Some(true) => return self.command(Command::ConsentGiven, interrupt).await,
                Some(false) => return self.command(Command::ConsentRefused, interrupt).await,
                None => {}
            }
        }
        let initiative = self.shared.initiative(&self.item.update.conversation);
        if initiative != Initiative::Bot && asks_for_more(text) {
            return Ok(Some(self.notice(say(self.language, "nothing-waits"))));
        }
        self.question(text, interrupt).await
    }

    /// Remembers the quick replies that the turn ends with, where they have to be typed.
    fn with_offer(&self, finished: FinishedTurn) -> FinishedTurn {
        let connector = self.shared.connectors.get(finished.conversation.platform());
        let typed = connector.is_some_and(|it| !it.capabilities().buttons);
        let offered = match finished.parts.last() {
            Some(part) if typed => part.quick_replies.clone(),
            _ => Vec::new(),
        };
        if offered == self.state.settings.offered {
            return finished;
        }
        let settings = finished.settings.unwrap_or_else(|| self.state.settings.clone());
        FinishedTurn {
            settings: Some(ConversationSettings { offered, ..settings }),
            ..finished
        }
    }

    async fn question(&self, text: &str, interrupt: &Interrupt) -> Result<Option<FinishedTurn>, StoreError> {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        let assessment = self.assess(text);
        if assessment.disposition == Disposition::Emergency {
            return Ok(Some(emergency_turn(
                shared,
                item,
                &state.settings,
                &assessment,
                language,
            )));
        }
        // Not earlier: an emergency notice must find the only message that some platforms allow still free.
        shared.release_parked(&item.update.conversation).await?;
        if state.settings.consent_ms.is_none() {
            let settings = ConversationSettings {
                held_question: Some(text.to_owned()),
                last_language: Some(language),
                ..state.settings.clone()
            };
            let first = state.settings.held_question.is_none();
            let part = consent_part(
                language,
                shared.operator(&item.update.conversation),
                first,
                &shared.config,
            );
            return Ok(Some(FinishedTurn {
                settings: Some(settings),
                ..self.finished(vec![part])
            }));
        }
        self.answer(text, &assessment, None, interrupt).await
    }

    /// `before` is put before the answer ("Thank you. About your question:").
    async fn answer(
        &self,
        text: &str,
        assessment: &Assessment,
        before: Option<String>,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        let conversation = &item.update.conversation;
        let mut live = Live::new(shared, conversation, item.seq).await;
        let asked = Asked {
            conversation,
            text,
            language,
            department: state.settings.department.as_deref(),
            turns: &state.turns,
            assessment,
        };
        let report = answer(shared, &asked, &mut live, interrupt).await;
        if report.interrupted == Some(InterruptReason::Shutdown) {
            return Ok(None);
        }
        tracing::info!(
            seq = %item.seq,
            disposition = report.disposition.name(),
            model = report.model.as_deref().unwrap_or("none"),
            passages = report.passages.len(),
            prompt_tokens = report.timings.prompt_tokens,
            generated_tokens = report.timings.generated_tokens,
            total_ms = report.timings.total_ms,
            "A question was answered."
        );
        let mut turns = Vec::new();
        if report.remember {
            turns.push(Turn {
                role: TurnRole::Patient,
                text: text.to_owned(),
            });
            turns.push(Turn {
                role: TurnRole::Bot,
                text: report.part.text.clone(),
            });
        }
        let mut part = report.part;
        if let Some(before) = before {
            part.text = format!("{before}\n\n{}", part.text);
        }
        let settings = ConversationSettings {
            last_language: Some(language),
            held_question: None,
            consent_ms: state.settings.consent_ms.or_else(|| Some(now_ms())),
            ..state.settings.clone()
        };
        Ok(Some(FinishedTurn {
            turns,
            settings: Some(settings),
            ..self.finished(vec![part])
        }))
    }

    async fn command(
        &self,
        command: Command,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        let Self {
            shared,
            item,
            language,
            ..
        } = *self;
        let config = &shared.config;
        let conversation = &item.update.conversation;
        let emergency = Variable::Text(&config.emergency_number);
        let finished = match command {
            Command::Start => self.welcome(),
            Command::New => FinishedTurn {
                reset: true,
                ..self.notice(say(language, "new-done"))
            },
            // Both are answered at once on arrival; here only if that failed.
            Command::Stop => self.notice(say(language, "stop-nothing")),
            Command::Human => self.notice(human_text(shared, language)),
            Command::Help => self.notice(self.help()),
            Command::Privacy => {
                let contact = config.human_contact(language);
                let variables = [
                    ("operator", Variable::Text(shared.operator(conversation))),
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
            Command::DeleteConfirmed => {
                shared.store.delete_conversation(conversation).await?;
                shared
                    .store
                    .audit("patient", "delete", "conversation", "on request")
                    .await?;
                let settings = ConversationSettings {
                    last_language: Some(language),
                    ..ConversationSettings::default()
                };
                FinishedTurn {
                    settings: Some(settings),
                    ..self.notice(say(language, "delete-done"))
                }
            }
            Command::DeleteRefused => self.notice(say(language, "delete-kept")),
            Command::ConsentGiven => return self.consent_given(interrupt).await,
            Command::ConsentRefused => {
                shared.store.delete_conversation(conversation).await?;
                let settings = ConversationSettings {
                    last_language: Some(language),
                    ..ConversationSettings::default()
                };
                let text = say_with(language, "consent-refused", &[("emergency", emergency)]);
                FinishedTurn {
                    settings: Some(settings),
                    ..self.notice(text)
                }
            }
            Command::Other { name, arguments } => {
                return self.plugin_command(&name, &arguments).await.map(Some);
            }
        };
        Ok(Some(finished))
    }

    async fn consent_given(&self, interrupt: &Interrupt) -> Result<Option<FinishedTurn>, StoreError> {
        let Self { state, language, .. } = *self;
        let thanks = say(language, "consent-thanks");
        let settings = ConversationSettings {
            consent_ms: state.settings.consent_ms.or_else(|| Some(now_ms())),
            held_question: None,
            last_language: Some(language),
            ..state.settings.clone()
        };
        match &state.settings.held_question {
            None => Ok(Some(FinishedTurn {
                settings: Some(settings),
                ..self.notice(thanks)
            })),
            Some(held) => {
                let assessment = self.assess(held);
                self.answer(
                    held,
                    &assessment,
                    Some(say(language, "consent-thanks-held")),
                    interrupt,
                )
                .await
            }
        }
    }

    async fn plugin_command(&self, name: &str, arguments: &str) -> Result<FinishedTurn, StoreError> {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        let known = shared
            .plugins
            .commands()
            .into_iter()
            .find(|it| it.name == name && !it.staff_only);
        if known.is_none() {
            return Ok(self.notice(say_with(
                language,
                "unknown-command",
                &[("name", Variable::Text(&format!("/{name}")))],
            )));
        }
        if state.settings.consent_ms.is_none() {
            return Ok(self.finished(vec![consent_part(
                language,
                shared.operator(&item.update.conversation),
                false,
                &shared.config,
            )]));
        }
        let assessment = self.assess(arguments);
        if assessment.disposition == Disposition::Emergency {
            return Ok(emergency_turn(
                shared,
                item,
                &state.settings,
                &assessment,
                language,
            ));
        }
        let facts = bedside_contract::MessageFacts {
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
        let text = match shared.plugins.command(name, arguments, &facts).await {
            Ok(text) => gated(&text).0,
            Err(words) => words,
        };
        let part = Part {
            kind: PartKind::Answer,
            label: shared.config.label(language),
            ..Part::notice(language, text)
        };
        Ok(self.finished(vec![part]))
    }

    /// The gate's look at a message, and at it together with what was said just before, since a patient may
    /// spread a red flag over two messages.
    fn assess(&self, text: &str) -> Assessment {
        let alone = self.shared.rules.assess(text, &PatientFacts::default());
        let found = alone
            .findings
            .iter()
            .any(|it| it.status == FindingStatus::Present);
        if alone.disposition == Disposition::Emergency || !found {
            return alone;
        }
        let last = self
            .state
            .turns
            .iter()
            .rev()
            .find(|it| it.role == TurnRole::Patient);
        let Some(last) = last else { return alone };
        let before = self.shared.rules.assess(&last.text, &PatientFacts::default());
        if before.disposition == Disposition::Emergency {
            return alone; // It had its notice.
        }
        let together = self
            .shared
            .rules
            .assess(&format!("{}\n{text}", last.text), &PatientFacts::default());
        if together.disposition > alone.disposition {
            // Offsets of findings refer to the text that the patient just wrote.
            return Assessment {
                findings: alone.findings,
                ..together
            };
        }
        alone
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

    fn welcome(&self) -> FinishedTurn {
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
        for command in shared.plugins.commands().into_iter().filter(|it| !it.staff_only) {
            let help = match language {
                Language::En => &command.help_en,
                Language::Zh => &command.help_zh,
            };
            let variables = [
                ("name", Variable::Text(command.name.as_str())),
                ("help", Variable::Text(help)),
            ];
            text.push('\n');
            text.push_str(&say_with(language, "help-plugin", &variables));
        }
        text
    }

    fn notice(&self, text: String) -> FinishedTurn {
        self.finished(vec![Part::notice(self.language, text)])
    }

    fn finished(&self, parts: Vec<Part>) -> FinishedTurn {
        let item = self.item;
        FinishedTurn {
            seq: item.seq,
            conversation: item.update.conversation.clone(),
            state: TurnState::Done,
            turns: Vec::new(),
            parts,
            urgent: false,
            settings: None,
            reset: false,
        }
    }
}

/// The data of the quick reply whose number or label was typed.
fn chosen<'a>(text: &str, offered: &'a [QuickReply]) -> Option<&'a str> {
    let text = text.trim().trim_end_matches(['.', '。', '．', '、']);
    let number = text.parse::<usize>().ok().and_then(|it| it.checked_sub(1));
    let reply = match number {
        Some(index) => offered.get(index),
        None => offered
            .iter()
            .find(|it| it.label.to_lowercase() == text.to_lowercase()),
    };
    reply.map(|it| it.data.as_str())
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
