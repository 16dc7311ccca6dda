//! One accepted message from its lease to its end.

mod command;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bedside_contract::{
    Connector, ConversationSettings, ConversationState, Disposition, FinishedTurn, InboxItem, Initiative,
    Language, Part, QuickReply, StoreError, ThirdVerdict, Turn, TurnRole, TurnState, UpdateKind,
    asks_for_more, is_bare_number,
};
use bedside_triage::Assessment;
use tokio::time::MissedTickBehavior;

use crate::{
    admission::Place,
    answer::{Asked, answer},
    bot::Shared,
    commands::Command,
    consent::{consent_part, typed_consent},
    lanes::{Interrupt, InterruptReason},
    live::Live,
    red_flags::{read_alone, read_together},
    third_reader::{self, Message},
    urgent::emergency_turn,
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
    let read = shared
        .store
        .conversation(conversation, shared.config.history_messages)
        .await;
    if item.attempts > shared.config.attempts {
        // What is kept of the conversation may be what cannot be read.
        let settings = read.map(|it| it.settings).unwrap_or_default();
        let language = shared.language_of(&item.update, &settings);
        return Ok(Some(apology(shared, item, language)));
    }
    let state = read?;
    let language = shared.language_of(&item.update, &state.settings);
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
    tracing::error!(seq = %item.seq, attempts = item.attempts, "A message was given up with an apology.");
    FinishedTurn {
        seq: item.seq,
        conversation: item.update.conversation.clone(),
        state: TurnState::Dead,
        turns: Vec::new(),
        parts: vec![Part::notice(
            language,
            shared.say_with_number(language, "apology"),
        )],
        urgent: false,
        settings: None,
        reset: false,
    }
}

const SHOW_PLACE_EVERY: Duration = Duration::from_secs(3);

/// Questions kept until there is consent; of more, the last ones.
const MOST_HELD: usize = 5;

struct TurnInWork<'a> {
    shared: &'a Arc<Shared>,
    item: &'a InboxItem,
    state: &'a ConversationState,
    language: Language,
}

impl TurnInWork<'_> {
    async fn run(&self, interrupt: &Interrupt) -> Result<Option<FinishedTurn>, StoreError> {
        let settings = &self.state.settings;
        let (typed, text) = match &self.item.update.kind {
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
        let assessment = read_alone(self.shared.rules, typed).await;
        if assessment.disposition == Disposition::Emergency {
            return Ok(Some(self.emergency(&assessment, false)));
        }
        if let Some(command) = Command::parse(text) {
            return self.command(command, text, interrupt).await;
        }
        if settings.consent_ms.is_none() {
            match typed_consent(text) {
                Some(true) => return self.consent_given(interrupt).await,
                Some(false) => return self.consent_refused().await.map(Some),
                None => {}
            }
        }
        let initiative = self.shared.initiative(&self.item.update.conversation);
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
        let mut assessment = read_together(shared.rules, &self.said_before(), text).await;
        if state.settings.consent_ms.is_some() {
            let before = self.said_before_without_notice().await;
            assessment = self.read_by_third(before, text, assessment, interrupt).await;
        }
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
        if let Some(finished) = self.other_language(text) {
            return Ok(Some(finished));
        }
        if state.settings.consent_ms.is_none() {
            return Ok(Some(self.hold(text)));
        }
        let Some(answered) = self
            .answer(text, &assessment, &state.turns, true, interrupt)
            .await?
        else {
            return Ok(None);
        };
        Ok(Some(self.answered(vec![answered])))
    }

    /// The fixed answer to a message that is neither in Chinese nor in English: nothing here could read it. It needs no
    /// consent, for nothing of the message is kept.
    fn other_language(&self, text: &str) -> Option<FinishedTurn> {
        let other = self.shared.rules.other_language(text)?;
        Some(self.notice(other.sentence(&self.shared.config.contacts())))
    }

    /// Keeps a question until there is consent, and asks for it.
    fn hold(&self, text: &str) -> FinishedTurn {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        let mut held_questions = state.settings.held_questions.clone();
        let with_welcome = held_questions.is_empty();
        held_questions.push(text.to_owned());
        let too_many = held_questions.len().saturating_sub(MOST_HELD);
        held_questions.drain(..too_many);
        let part = consent_part(
            language,
            shared.operator(&item.update.conversation),
            with_welcome,
            &shared.config,
        );
        FinishedTurn {
            settings: Some(ConversationSettings {
                held_questions,
                last_language: Some(language),
                ..state.settings.clone()
            }),
            ..self.finished(vec![part])
        }
    }

    /// What the patient said just before this message: all that waits for consent, or the last question.
    fn said_before(&self) -> Vec<&str> {
        let settings = &self.state.settings;
        if settings.consent_ms.is_none() {
            return settings.held_questions.iter().map(String::as_str).collect();
        }
        let mut turns = self.state.turns.iter().rev();
        let last = turns.find(|it| it.role == TurnRole::Patient);
        last.map(|it| it.text.as_str()).into_iter().collect()
    }

    /// The last question, unless it had its emergency notice: that would be read out of it again.
    async fn said_before_without_notice(&self) -> Option<&str> {
        let last = self.state.turns.last().and_then(|it| it.made_by.as_ref());
        let reading = last.and_then(|it| it.third_reader.as_ref());
        if reading.is_some_and(|it| it.verdict == ThirdVerdict::Emergency) {
            return None;
        }
        let before = self.said_before().into_iter().next_back()?;
        let read = read_alone(self.shared.rules, before).await;
        (read.disposition < Disposition::Emergency).then_some(before)
    }

    /// The assessment, raised where the served model sees an emergency in the text. Only after consent.
    async fn read_by_third(
        &self,
        before: Option<&str>,
        text: &str,
        assessment: Assessment,
        interrupt: &Interrupt,
    ) -> Assessment {
        let message = Message {
            conversation: &self.item.update.conversation,
            before,
            text,
            language: self.language,
        };
        let loading = self.shared.config.third_reader_deadline();
        third_reader::read(self.shared, &message, assessment, loading, interrupt).await
    }

    /// `None`: the bot is being stopped.
    async fn answer(
        &self,
        text: &str,
        assessment: &Assessment,
        turns: &[Turn],
        live: bool,
        interrupt: &Interrupt,
    ) -> Result<Option<Answered>, StoreError> {
        let Self {
            shared,
            item,
            state,
            language,
        } = *self;
        let conversation = &item.update.conversation;
        let mut live = if live {
            Live::new(shared, conversation, item.seq).await
        } else {
            Live::silent()
        };
        let asked = Asked {
            conversation,
            text,
            language,
            department: state.settings.department.as_deref(),
            turns,
            assessment,
        };
        let place = self.place(&mut live, interrupt).await?;
        let report = answer(shared, &asked, &mut live, interrupt).await;
        drop(place);
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
        let turns = if report.remember {
            let made_by = report.made_by(shared.rules.version(), assessment);
            vec![Turn::patient(text), Turn::bot(report.part.text.clone(), made_by)]
        } else {
            Vec::new()
        };
        Ok(Some(Answered {
            part: report.part,
            turns,
            interrupted: report.interrupted.is_some(),
        }))
    }

    /// Waits until the answer may begin. None: it was interrupted.
    async fn place(&self, live: &mut Live, interrupt: &Interrupt) -> Result<Option<Place<'_>>, StoreError> {
        let Self {
            shared,
            item,
            language,
            ..
        } = *self;
        // It was in work when the process ended, and nobody knows whether because of it.
        let is_suspect = item.attempts > 1;
        let waiting = shared.admission.queue_up(is_suspect);
        if let Some(place) = waiting.at_once() {
            return Ok(Some(place));
        }
        // If the process ends while it waits, it is not to blame.
        shared.store.uncount_attempt(item.seq).await?;
        let mut ticks = tokio::time::interval(SHOW_PLACE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let admitted = waiting.admitted();
        tokio::pin!(admitted);
        let place = loop {
            tokio::select! {
                place = &mut admitted => break Some(place),
                _ = ticks.tick() => live.waiting_behind(waiting.before(), language).await,
                _ = interrupt.interrupted() => break None,
            }
        };
        shared.store.count_attempt(item.seq).await?;
        Ok(place)
    }

    fn answered(&self, answers: Vec<Answered>) -> FinishedTurn {
        let settings = &self.state.settings;
        let (parts, turns): (Vec<_>, Vec<_>) = answers.into_iter().map(|it| (it.part, it.turns)).unzip();
        FinishedTurn {
            turns: turns.concat(),
            settings: Some(ConversationSettings {
                last_language: Some(self.language),
                held_questions: Vec::new(),
                consent_ms: settings.consent_ms.or_else(|| Some(now_ms())),
                ..settings.clone()
            }),
            ..self.finished(parts)
        }
    }

    /// The sentence named `key`, which names the emergency number.
    fn notice_with_number(&self, key: &str) -> FinishedTurn {
        self.notice(self.shared.say_with_number(self.language, key))
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

/// Whether a bare number answers what the bot asked last ("How high is the fever?" – "39").
pub(crate) fn answers_a_question(state: &ConversationState, text: &str) -> bool {
    let said_last = state.turns.last().filter(|it| it.role == TurnRole::Bot);
    is_bare_number(text) && said_last.is_some_and(|it| it.text.contains(['?', '？']))
}

/// The end of an urgent message that a red flag answers; a command in it is obeyed as well.
pub(crate) fn emergency(
    shared: &Arc<Shared>,
    item: &InboxItem,
    state: &ConversationState,
    assessment: &Assessment,
    language: Language,
    has_stopped: bool,
) -> FinishedTurn {
    let turn = TurnInWork {
        shared,
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

/// One question's answer.
struct Answered {
    part: Part,
    turns: Vec<Turn>,
    interrupted: bool,
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
