//! From a question to an answer: hooks, prompt, model, gates.

use std::time::{Duration, Instant};

use bedside_contract::{
    AnswerMode, AnswerVerdict, Augmented, ConversationKey, Disposition, FinishReason, GenerateError,
    GenerateRequest, GenerationEvent, Language, MessageFacts, MessageVerdict, Part, Passage, PluginNote,
    Priority, Prompt, PromptText, Turn,
};
use bedside_triage::{Assessment, FindingStatus};
use tokio::time::MissedTickBehavior;

#[cfg(test)]
pub(crate) use self::part::gated;
pub(crate) use self::part::{AnswerWords, answer_part, gated_line};
pub use self::report::{AnswerReport, Timings};
use self::{
    instructions::Instructions,
    part::gated_text,
    report::milliseconds,
    writer::{Writer, passages_text},
};
use crate::{
    bot::Shared,
    grounding::citations_of,
    lanes::{Interrupt, InterruptReason},
    live::Live,
    prompt::{FittedPrompt, fit, history_of, instruction},
    words::say,
};

mod instructions;
mod part;
mod report;
mod writer;

/// What is asked, by whom it is known, and what the gate found.
pub(crate) struct Asked<'a> {
    pub conversation: &'a ConversationKey,
    pub text: &'a str,
    pub language: Language,
    pub department: Option<&'a str>,
    /// Earlier turns, oldest first.
    pub turns: &'a [Turn],
    pub assessment: &'a Assessment,
}

/// Answers one question. `live` shows progress; `interrupt` ends it early with what is there.
pub(crate) async fn answer(
    shared: &Shared,
    asked: &Asked<'_>,
    live: &mut Live,
    interrupt: &Interrupt,
) -> AnswerReport {
    let started = Instant::now();
    live.typing().await;
    let mut answering = Answering {
        shared,
        asked,
        timings: Timings::default(),
        adapter: None,
        notes: Vec::new(),
    };
    let mut report = answering.run(live, interrupt).await;
    report.timings = Timings {
        total_ms: milliseconds(started.elapsed()),
        ..answering.timings
    };
    for note in &answering.notes {
        tracing::warn!(
            plugin = note.plugin,
            hook = note.hook,
            problem = note.problem,
            "A plugin's hook failed."
        );
    }
    report
}

struct Answering<'a> {
    shared: &'a Shared,
    asked: &'a Asked<'a>,
    timings: Timings,
    notes: Vec<PluginNote>,
    /// What a plugin chose, if the model has it.
    adapter: Option<String>,
}

/// The words of an answer before plugins have read it.
struct Draft {
    text: String,
    /// Indices of the passages that it cites, in the order of their numbers.
    used: Vec<usize>,
    model: Option<String>,
    interrupted: Option<InterruptReason>,
}

impl Answering<'_> {
    async fn run(&mut self, live: &mut Live, interrupt: &Interrupt) -> AnswerReport {
        let Self { shared, asked, .. } = *self;
        let language = asked.language;
        // Neither knowledge nor gates could tell whether an answer fits.
        if let Some(other) = shared.rules.other_language(asked.text) {
            return self.notice(other.sentence(&shared.config.contacts()));
        }
        let hooks_started = Instant::now();
        let facts = self.facts();
        let (verdict, notes) = shared.plugins.on_message(&facts).await;
        self.notes.extend(notes);
        match verdict {
            MessageVerdict::Continue => {}
            MessageVerdict::Reply { text, .. } => {
                let (text, withheld) = gated_text(shared.rules, text).await;
                let text = if withheld {
                    format!("{text}\n{}", say(language, "no-doses"))
                } else {
                    text
                };
                return self
                    .report(
                        Draft {
                            text,
                            used: Vec::new(),
                            model: None,
                            interrupted: None,
                        },
                        &[],
                        None,
                    )
                    .await;
            }
            MessageVerdict::Handoff { .. } => {
                return self.notice(shared.say_with_number(language, "handoff"));
            }
            MessageVerdict::Refuse { .. } => return self.refusal(),
        }
        let mode = shared
            .generator
            .model()
            .map_or(AnswerMode::Grounded, |it| it.answer_mode);
        let runtime_instruction = PromptText {
            from: "runtime".to_owned(),
            text: instruction(language, &shared.config.hospital, mode == AnswerMode::Grounded),
        };
        let mut prompt = Prompt {
            instructions: vec![runtime_instruction],
            passages: Vec::new(),
            history: history_of(asked.turns),
            question: asked.text.to_owned(),
        };
        let (augmented, notes) = shared.plugins.augment_prompt(&facts, &prompt).await;
        self.notes.extend(notes);
        let Augmented {
            instructions,
            passages,
            refused_by,
        } = augmented;
        if refused_by.is_some() {
            return self.refusal();
        }
        prompt.instructions.extend(instructions);
        prompt.passages.clone_from(&passages);
        let (adapter, notes) = shared.plugins.choose_adapter(&facts).await;
        self.notes.extend(notes);
        match adapter {
            Some(adapter) if shared.generator.adapters().contains(&adapter) => self.adapter = Some(adapter),
            Some(adapter) => tracing::warn!(
                adapter,
                "The adapter that a plugin chose is not loaded: the base model answers."
            ),
            None => {}
        }
        self.timings.hooks_ms = milliseconds(hooks_started.elapsed());

        let draft = self.draft(prompt, &passages, live, interrupt).await;
        if draft.interrupted.is_some() {
            return self.report(draft, &passages, None).await;
        }
        let citations = citations_of(&passages, &draft.used);
        let (verdict, notes) = shared.plugins.on_answer(&facts, &draft.text, &citations).await;
        self.notes.extend(notes);
        let mut appended = None;
        let draft = match verdict {
            AnswerVerdict::Pass => draft,
            AnswerVerdict::Append { texts } => {
                let (text, _) = gated_text(shared.rules, texts.join("\n")).await;
                appended = Some(text);
                draft
            }
            AnswerVerdict::Replace { text, .. } => Draft {
                text: gated_text(shared.rules, text).await.0,
                used: Vec::new(),
                model: None,
                ..draft
            },
            AnswerVerdict::Withhold { reason, plugin } => {
                tracing::warn!(plugin, reason, "A plugin withheld an answer.");
                return self.notice(shared.say_with_number(language, "withheld"));
            }
        };
        self.report(draft, &passages, appended).await
    }

    /// The model's words, the passages themselves, or the honest admission of knowing nothing.
    async fn draft(
        &mut self,
        prompt: Prompt,
        passages: &[Passage],
        live: &mut Live,
        interrupt: &Interrupt,
    ) -> Draft {
        // Without a passage a grounded answer is not possible, whatever the model might say; and no model that
        // is not loaded yet needs to be waited for.
        let mode = self
            .shared
            .generator
            .model()
            .map_or(AnswerMode::Grounded, |it| it.answer_mode);
        if passages.is_empty() && mode == AnswerMode::Grounded {
            return self.abstention();
        }
        match self.generate(prompt, live, interrupt).await {
            Ok(Some(draft)) => draft,
            Ok(None) => self.passages_alone(passages, "passages-intro").await,
            Err(error) => {
                tracing::error!(%error, "No answer came from the model.");
                if passages.is_empty() {
                    return self.abstention();
                }
                self.passages_alone(passages, "no-model").await
            }
        }
    }

    /// `Ok(None)`: the model does not speak this language, or nothing of what it said was supported.
    async fn generate(
        &mut self,
        prompt: Prompt,
        live: &mut Live,
        interrupt: &Interrupt,
    ) -> Result<Option<Draft>, GenerateError> {
        let Self { shared, asked, .. } = *self;
        let deadline = Instant::now() + shared.config.answer_deadline();
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Waiting {
            since: Instant::now(),
            patience: shared.config.still_working_after(),
        };
        let (model, fitted) = loop {
            let info = shared.generator.model();
            if let Some(info) = &info
                && !info.languages.contains(&asked.language)
                && !prompt.passages.is_empty()
            {
                return Ok(None);
            }
            match fit(
                prompt.clone(),
                asked.language,
                shared.config.prompt_tokens,
                &*shared.generator,
            ) {
                Ok(fitted) => break (info, fitted),
                Err(GenerateError::NotReady) if Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                _ = ticks.tick() => waiting.show(live, asked.language, "").await,
                reason = interrupt.interrupted() => return Ok(Some(stopped(String::new(), reason, asked.language))),
            }
        };
        let FittedPrompt {
            messages,
            passages,
            tokens,
        } = fitted;
        let grounded = model
            .as_ref()
            .is_none_or(|it| it.answer_mode == AnswerMode::Grounded);
        let given = prompt.instructions.iter().map(|it| it.text.as_str());
        let mut writer = Writer::new(&passages, grounded, shared.rules.output_gate())
            .without(Instructions::new(given, &shared.config.hospital));
        let admitted = Instant::now();
        let request = GenerateRequest {
            conversation: asked.conversation.clone(),
            messages,
            adapter: self.adapter.clone(),
            sampling: shared.sampling.clone(),
            max_tokens: shared.config.answer_tokens,
            priority: Priority::Patient,
            deadline: deadline.saturating_duration_since(Instant::now()),
        };
        let mut generation = loop {
            match shared.generator.generate(request.clone()).await {
                // Programs may have filled the queue for a moment.
                Err(GenerateError::Busy { .. }) if Instant::now() < deadline => {}
                generation => break generation?,
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN_AFTER) => waiting.show(live, asked.language, "").await,
                reason = interrupt.interrupted() => return Ok(Some(stopped(String::new(), reason, asked.language))),
            }
        };
        let show_live = !shared.plugins.may_withhold();
        let mut position = 1;
        let finish = loop {
            if writer.is_looping() {
                break None;
            }
            tokio::select! {
                event = generation.next() => match event {
                    Some(Ok(GenerationEvent::Queued { position: now })) => position = now,
                    Some(Ok(GenerationEvent::Started)) => {
                        position = 0;
                        self.timings.queue_ms = milliseconds(admitted.elapsed());
                    }
                    Some(Ok(GenerationEvent::Text(text))) => writer.push(&text).await,
                    Some(Ok(finished @ GenerationEvent::Finished { .. })) => break Some(finished),
                    Some(Err(error)) => return Err(error),
                    None => return Err(GenerateError::Failed("the engine ended without a word".to_owned())),
                },
                _ = ticks.tick() => {
                    let visible = if show_live { writer.visible() } else { "" };
                    if position > 1 && visible.is_empty() {
                        live.waiting_behind(position - 1, asked.language).await;
                    } else {
                        waiting.show(live, asked.language, visible).await;
                    }
                }
                reason = interrupt.interrupted() => {
                    drop(generation);
                    return Ok(Some(stopped(writer.finish().await.text, reason, asked.language)));
                }
            }
        };
        if let Some(GenerationEvent::Finished {
            reason,
            prompt_tokens,
            generated_tokens,
            prompt_time,
            generate_time,
            ..
        }) = finish
        {
            self.timings.prompt_tokens = prompt_tokens.max(tokens);
            self.timings.generated_tokens = generated_tokens;
            self.timings.prompt_ms = milliseconds(prompt_time);
            self.timings.generate_ms = milliseconds(generate_time);
            writer.set_cut(reason != FinishReason::Stop);
        }
        let written = writer.finish().await;
        tracing::debug!(
            kept = written.kept,
            dropped = written.dropped,
            withheld = written.withheld,
            "The gates read the answer."
        );
        if written.text.trim().is_empty() {
            return Ok(None);
        }
        let mut text = written.text;
        if written.withheld > 0 {
            text = format!("{}\n{}", text.trim_end(), say(asked.language, "no-doses"));
        }
        Ok(Some(Draft {
            text,
            used: written.used,
            model: model.map(|it| it.name),
            interrupted: None,
        }))
    }

    fn facts(&self) -> MessageFacts {
        let asked = self.asked;
        MessageFacts {
            conversation: asked.conversation.clone(),
            platform: asked.conversation.platform().to_owned(),
            text: asked.text.to_owned(),
            language: asked.language,
            disposition: asked.assessment.medical.then_some(asked.assessment.disposition),
            findings: present_findings(asked.assessment),
            departments: asked.assessment.departments.clone(),
            missing: asked.assessment.missing.clone(),
            department: asked.department.map(str::to_owned),
        }
    }

    fn abstention(&self) -> Draft {
        let language = self.asked.language;
        let has_not_searched = self.notes.iter().any(|it| it.hook == "augment_prompt");
        let text = if has_not_searched {
            self.shared.say_with_number(language, "search-down")
        } else if present_findings(self.asked.assessment).is_empty() {
            self.shared.say_with_number(language, "abstain")
        } else {
            self.shared.say_with_number(language, "abstain-medical")
        };
        Draft {
            text,
            used: Vec::new(),
            model: None,
            interrupted: None,
        }
    }

    /// The passages themselves, behind the words of `intro`.
    async fn passages_alone(&self, passages: &[Passage], intro: &str) -> Draft {
        let (text, used) = passages_text(self.shared.rules, passages).await;
        let intro = self.shared.say_with_number(self.asked.language, intro);
        Draft {
            text: format!("{intro}\n\n{text}"),
            used,
            model: None,
            interrupted: None,
        }
    }

    fn refusal(&self) -> AnswerReport {
        self.notice(self.shared.say_with_number(self.asked.language, "plugin-refused"))
    }

    fn notice(&self, text: String) -> AnswerReport {
        AnswerReport {
            part: Part::notice(self.asked.language, text),
            disposition: self.asked.assessment.disposition,
            passages: Vec::new(),
            model: None,
            adapter: None,
            timings: self.timings,
            interrupted: None,
            remember: false,
        }
    }

    async fn report(&self, draft: Draft, passages: &[Passage], appended: Option<String>) -> AnswerReport {
        let Self {
            shared, asked, notes, ..
        } = self;
        let language = asked.language;
        let present = !present_findings(asked.assessment).is_empty();
        let mut disposition = asked.assessment.disposition;
        if present {
            // Knowledge may raise urgency, but never to an emergency: that is the red flags' word alone.
            let raised = draft
                .used
                .iter()
                .filter_map(|it| passages.get(*it)?.disposition)
                .max();
            disposition = disposition.raised_to(raised.map(|it| it.min(Disposition::SameDay)));
        }
        let mut departments = asked.assessment.departments.clone();
        if departments.is_empty() {
            departments = draft
                .used
                .first()
                .and_then(|it| passages.get(*it))
                .map_or_else(Vec::new, |it| it.departments.clone());
        }
        departments.truncate(3);
        let mut text = draft.text.trim().to_owned();
        for more in appended.into_iter().filter(|it| !it.trim().is_empty()) {
            text = format!("{text}\n\n{}", more.trim());
        }
        if notes.iter().any(|note| note.hook != "choose_adapter") {
            text = format!("{text}\n\n{}", say(language, "plugin-down"));
        }
        let words = AnswerWords {
            text,
            disposition: present.then_some(disposition),
            departments,
            citations: citations_of(passages, &draft.used),
            ending: match draft.interrupted {
                Some(InterruptReason::Stop | InterruptReason::Shutdown) => {
                    Some(say(language, "stopped-mark"))
                }
                Some(InterruptReason::Emergency) | None => None,
            },
        };
        let part = answer_part(shared, language, words).await;
        AnswerReport {
            part,
            disposition,
            passages: draft
                .used
                .iter()
                .filter_map(|it| passages.get(*it).cloned())
                .collect(),
            adapter: draft.model.as_ref().and(self.adapter.clone()),
            model: draft.model,
            timings: self.timings,
            interrupted: draft.interrupted,
            remember: true,
        }
    }
}

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Shows that something is going on while there is no word of the answer yet.
struct Waiting {
    since: Instant,
    patience: Duration,
}

impl Waiting {
    async fn show(&mut self, live: &mut Live, language: Language, visible: &str) {
        live.typing().await;
        if !visible.is_empty() {
            live.show(visible).await;
        } else if self.since.elapsed() > self.patience {
            live.waiting(&say(language, "still-working"), language).await;
        }
    }
}

fn stopped(text: String, reason: InterruptReason, language: Language) -> Draft {
    let text = match reason {
        InterruptReason::Emergency => say(language, "stopped-for-emergency"),
        InterruptReason::Stop | InterruptReason::Shutdown => text,
    };
    Draft {
        text,
        used: Vec::new(),
        model: None,
        interrupted: Some(reason),
    }
}

fn present_findings(assessment: &Assessment) -> Vec<String> {
    assessment
        .findings
        .iter()
        .filter(|it| it.status == FindingStatus::Present)
        .map(|it| it.name.clone())
        .collect()
}
