//! What becomes of a question: read, held until there is consent, or answered.

use std::time::{Duration, Instant};

use bedside_contract::{
    ConversationSettings, Disposition, FinishedTurn, Observation, Part, QueueStage, StoreError, ThirdVerdict,
    Turn, TurnRole,
};
use bedside_triage::Assessment;
use tokio::time::MissedTickBehavior;

use super::{TurnInWork, admission::Place, consent::consent_part};
use crate::{
    answer::{
        Asked, answer,
        live::Live,
        third_reader::{self, Message},
    },
    context::{
        interrupt::{Interrupt, InterruptReason},
        red_flags::{read_alone, read_together},
    },
};

const SHOW_PLACE_EVERY: Duration = Duration::from_secs(3);

/// Questions kept until there is consent; of more, the last ones.
const MOST_HELD: usize = 5;

/// One question's answer.
pub(super) struct Answered {
    pub part: Part,
    pub turns: Vec<Turn>,
    pub interrupted: bool,
}

impl TurnInWork<'_> {
    pub(super) async fn question(
        &self,
        text: &str,
        interrupt: &Interrupt,
    ) -> Result<Option<FinishedTurn>, StoreError> {
        let Self {
            context, item, state, ..
        } = *self;
        let mut assessment = read_together(context.rules, &self.said_before(), text).await;
        if state.settings.consent_ms.is_some() {
            let before = self.said_before_without_notice().await;
            assessment = self.read_by_third(before, text, assessment, interrupt).await;
        }
        if assessment.disposition == Disposition::Emergency {
            return Ok(Some(self.emergency_notice(&assessment)));
        }
        // Not earlier: an emergency notice must find the only message that some platforms allow still free.
        self.turns
            .delivery
            .release_parked(&item.update.conversation)
            .await?;
        if let Some(finished) = self.other_language(text) {
            return Ok(Some(finished));
        }
        if context.live.is_notices_only() {
            return Ok(Some(self.answers_off(text, &assessment)));
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
        Ok(Some(self.answered(vec![answered], &state.settings)))
    }

    /// The fixed answer to a message that is neither in Chinese nor in English: nothing here could read it. It needs no
    /// consent, for nothing of the message is kept.
    pub(super) fn other_language(&self, text: &str) -> Option<FinishedTurn> {
        let other = self.context.rules.other_language(text)?;
        Some(self.notice(other.sentence(&self.context.config.contacts())))
    }

    /// Keeps a question until there is consent, and asks for it.
    pub(super) fn hold(&self, text: &str) -> FinishedTurn {
        let Self {
            context,
            item,
            state,
            language,
            ..
        } = *self;
        let mut held_questions = state.settings.held_questions.clone();
        let with_welcome = held_questions.is_empty();
        held_questions.push(text.to_owned());
        let too_many = held_questions.len().saturating_sub(MOST_HELD);
        held_questions.drain(..too_many);
        let part = consent_part(
            context,
            &self.turns.delivery,
            &item.update.conversation,
            language,
            with_welcome,
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
    pub(super) fn said_before(&self) -> Vec<&str> {
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
        let read = read_alone(self.context.rules, before).await;
        (read.disposition < Disposition::Emergency).then_some(before)
    }

    /// The assessment, raised where the served model sees an emergency in the text. Only after consent.
    pub(super) async fn read_by_third(
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
        let loading = self.context.config.third_reader_deadline();
        third_reader::read(self.context, &message, assessment, loading, interrupt).await
    }

    /// `None`: the bot is being stopped.
    pub(super) async fn answer(
        &self,
        text: &str,
        assessment: &Assessment,
        turns: &[Turn],
        live: bool,
        interrupt: &Interrupt,
    ) -> Result<Option<Answered>, StoreError> {
        let Self {
            context,
            item,
            state,
            language,
            ..
        } = *self;
        if context.live.is_notices_only() {
            return Ok(Some(self.in_place_of_answer(text, assessment)));
        }
        let conversation = &item.update.conversation;
        let mut live = if live {
            Live::new(context, &self.turns.delivery, conversation, item.seq).await
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
        let asked_at = Instant::now();
        let place = self.place(&mut live, interrupt).await?;
        // While it waited, answers may have been switched off.
        if context.live.is_notices_only() && interrupt.reason().is_none() {
            return Ok(Some(self.in_place_of_answer(text, assessment)));
        }
        context.observe(Observation::Queued {
            stage: QueueStage::Admission,
            waited: asked_at.elapsed(),
        });
        let report = answer(context, &asked, &mut live, interrupt).await;
        drop(place);
        if report.interrupted == Some(InterruptReason::Shutdown) {
            return Ok(None);
        }
        // While it was written, too.
        if context.live.is_notices_only() && report.interrupted.is_none() {
            return Ok(Some(self.in_place_of_answer(text, assessment)));
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
            let made_by = report.made_by(context.rules.version(), assessment);
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
            context,
            item,
            language,
            ..
        } = *self;
        // It was in work when the process ended, and nobody knows whether because of it.
        let is_suspect = item.attempts > 1;
        let waiting = self.turns.admission.queue_up(is_suspect);
        if let Some(place) = waiting.at_once() {
            return Ok(Some(place));
        }
        // If the process ends while it waits, it is not to blame.
        context.store.inbox.uncount_attempt(item.seq).await?;
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
        context.store.inbox.count_attempt(item.seq).await?;
        Ok(place)
    }

    pub(super) fn answered(&self, answers: Vec<Answered>, settings: &ConversationSettings) -> FinishedTurn {
        let (parts, turns): (Vec<_>, Vec<_>) = answers.into_iter().map(|it| (it.part, it.turns)).unzip();
        FinishedTurn {
            turns: turns.concat(),
            settings: Some(ConversationSettings {
                last_language: Some(self.language),
                held_questions: Vec::new(),
                ..settings.clone()
            }),
            ..self.finished(parts)
        }
    }
}
