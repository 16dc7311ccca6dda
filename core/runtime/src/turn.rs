//! One accepted message from its lease to its end: a function of the message and of what is known of its conversation.

mod admission;
mod answers_off;
mod commands;
mod consent;
mod question;

use std::sync::Arc;

use bedside_contract::{
    ConversationSettings, ConversationState, Disposition, FinishedTurn, InboxItem, Initiative, Language,
    Part, Provenance, QuickReply, Room, StoreError, Turn, TurnRole, TurnState, UpdateKind, asks_for_more,
    is_bare_number,
};
use bedside_triage::Assessment;

use self::{admission::Admission, consent::typed_consent};
pub(crate) use self::{answers_off::answers_off_part, consent::consent_part};
use crate::{
    context::{
        Context,
        command::Command,
        interrupt::Interrupt,
        red_flags::{emergency_part, read_alone},
    },
    delivery::Delivery,
};

/// What turns need beside the context.
pub(crate) struct Turns {
    context: Arc<Context>,
    delivery: Arc<Delivery>,
    admission: Admission,
}

impl Turns {
    pub(crate) fn new(context: Arc<Context>, delivery: Arc<Delivery>) -> Self {
        Self {
            admission: Admission::new(context.config.answers_at_once),
            context,
            delivery,
        }
    }

    /// Works a message off. `None`: the bot is being stopped, the message is to be given back.
    ///
    /// # Errors
    /// [`StoreError`], with the message still leased.
    pub(crate) async fn run(
        &self,
        item: &InboxItem,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        let context = &self.context.now();
        let read = context
            .store
            .conversations
            .conversation(&item.update.conversation, context.config.history_messages)
            .await;
        if item.attempts > context.config.attempts {
            // What is kept of the conversation may be what cannot be read.
            let settings = read.map(|it| it.settings).unwrap_or_default();
            let language = context.language_of(&item.update, &settings);
            return Ok(Some(apology(context, item, language)));
        }
        let state = read?;
        let turn = TurnInWork {
            turns: self,
            context,
            item,
            language: context.language_of(&item.update, &state.settings),
            state: &state,
        };
        Ok(turn.run(interrupt).await?.map(|it| turn.with_offer(it)))
    }

    /// Questions whose answers are in work, and those that wait for that.
    pub(crate) fn questions(&self) -> (usize, usize) {
        self.admission.counts()
    }

    /// The end of an urgent message that a red flag answers; a command in it is obeyed as well.
    pub(crate) fn emergency(
        &self,
        item: &InboxItem,
        state: &ConversationState,
        assessment: &Assessment,
        language: Language,
        has_stopped: bool,
    ) -> FinishedTurn {
        let context = self.context.now();
        let turn = TurnInWork {
            turns: self,
            context: &context,
            item,
            state,
            language,
        };
        let finished = turn.emergency(assessment, has_stopped);
        // The lane may be changing the settings at this moment: they are left alone where nothing has to be typed.
        if finished.parts.iter().all(|it| it.quick_replies.is_empty()) {
            return finished;
        }
        turn.with_offer(finished)
    }
}

/// The end of a message that cannot be answered.
pub(crate) fn apology(context: &Context, item: &InboxItem, language: Language) -> FinishedTurn {
    tracing::error!(seq = %item.seq, attempts = item.attempts, "A message was given up with an apology.");
    let words = context.say_with_number(language, "apology");
    FinishedTurn {
        state: TurnState::Dead,
        ..FinishedTurn::with_parts(item, vec![Part::notice(language, words)])
    }
}

struct TurnInWork<'a> {
    turns: &'a Turns,
    context: &'a Arc<Context>,
    item: &'a InboxItem,
    state: &'a ConversationState,
    language: Language,
}

impl TurnInWork<'_> {
    async fn run(&self, interrupt: &Interrupt) -> Result<Option<FinishedTurn>, StoreError> {
        let settings = &self.state.settings;
        let (typed, text) = match &self.item.update.kind {
            UpdateKind::Joined if self.is_turned_away(None) => {
                return Ok(Some(self.notice_with_number("no-room")));
            }
            UpdateKind::Joined => return Ok(Some(self.welcome())),
            UpdateKind::Unreadable { .. } => return Ok(Some(self.notice_with_number("unreadable"))),
            UpdateKind::Text { text } => (
                text.trim(),
                chosen(text, &settings.offered).unwrap_or(text).trim(),
            ),
            UpdateKind::Choice { data } => (data.trim(), data.trim()),
        };
        if text.is_empty() {
            return Ok(Some(self.notice_with_number("empty-message")));
        }
        // Whoever was faster, this lane or the look on arrival: no command comes before the red flags.
        let assessment = read_alone(self.context.rules, typed).await;
        if assessment.disposition == Disposition::Emergency {
            return Ok(Some(self.emergency(&assessment, false)));
        }
        let command = Command::parse(text);
        if self.is_turned_away(command.as_ref()) {
            return Ok(Some(self.notice_with_number("no-room")));
        }
        if let Some(command) = command {
            return self.command(command, text, interrupt).await;
        }
        if settings.consent_ms.is_none() {
            match typed_consent(text) {
                Some(true) => return self.consent_given(interrupt).await,
                Some(false) => return self.consent_refused().await.map(Some),
                None => {}
            }
        }
        let initiative = self.turns.delivery.initiative(&self.item.update.conversation);
        if answers_a_question(self.state, text) {
            // A number alone says nothing: what it was asked for stands before it.
            let asked_about = self.said_before().last().copied().unwrap_or_default();
            return self.question(&format!("{asked_about}\n{text}"), interrupt).await;
        }
        if initiative != Initiative::Bot && asks_for_more(text) {
            return Ok(Some(self.notice_with_number("nothing-waits")));
        }
        self.question(text, interrupt).await
    }

    /// Where the disk is nearly full no conversation begins, so that those that run can go on.
    fn is_turned_away(&self, command: Option<&Command>) -> bool {
        let begins = matches!(
            command,
            None | Some(Command::Start | Command::ConsentGiven | Command::Other { .. })
        );
        begins && self.state.settings.consent_ms.is_none() && self.context.store.health.room() != Room::Enough
    }

    /// Remembers the quick replies that the turn ends with, where they have to be typed.
    fn with_offer(&self, finished: FinishedTurn) -> FinishedTurn {
        let can = self.turns.delivery.capabilities(finished.conversation.platform());
        let typed = can.is_some_and(|it| !it.buttons);
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

    /// The notice of a red flag: without the model, before everything else.
    fn emergency_notice(&self, assessment: &Assessment) -> FinishedTurn {
        let text = self.item.update.text().unwrap_or_default();
        let finished = self.emergency_about(text, assessment);
        // Before consent nothing of what was said is remembered.
        let turns = match self.state.settings.consent_ms {
            Some(_) => finished.turns,
            None => Vec::new(),
        };
        FinishedTurn { turns, ..finished }
    }

    /// The notice of a red flag in `text`, remembered. It leaves the settings alone: the lane may be changing them at
    /// this moment.
    fn emergency_about(&self, text: &str, assessment: &Assessment) -> FinishedTurn {
        let context = self.context;
        let contacts = context.config.contacts();
        let notice = emergency_part(context.rules, assessment, self.language, &contacts);
        let made_by = Provenance {
            rules: context.rules.version(),
            third_reader: assessment.third_reading.clone(),
            ..Provenance::default()
        };
        FinishedTurn {
            turns: vec![Turn::patient(text), Turn::bot(notice.text.clone(), made_by)],
            urgent: true,
            ..self.finished(vec![notice])
        }
    }

    /// The sentence named `key`, which names the emergency number.
    fn notice_with_number(&self, key: &str) -> FinishedTurn {
        self.notice(self.context.say_with_number(self.language, key))
    }

    fn notice(&self, text: String) -> FinishedTurn {
        self.finished(vec![Part::notice(self.language, text)])
    }

    fn finished(&self, parts: Vec<Part>) -> FinishedTurn {
        FinishedTurn::with_parts(self.item, parts)
    }
}

/// Whether a bare number answers what the bot asked last ("How high is the fever?" – "39").
pub(crate) fn answers_a_question(state: &ConversationState, text: &str) -> bool {
    let said_last = state.turns.last().filter(|it| it.role == TurnRole::Bot);
    is_bare_number(text) && said_last.is_some_and(|it| it.text.contains(['?', '？']))
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

/// How to reach a person.
pub(crate) fn human_text(context: &Context, language: Language) -> String {
    context.say_with_number(language, "human")
}
