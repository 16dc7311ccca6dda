//! The words of an answer: the model's, the passages' own, or the admission of knowing nothing.

use std::time::{Duration, Instant};

use bedside_contract::{
    AnswerMode, FinishReason, GenerateError, GenerateRequest, GenerationEvent, Language, Observation,
    Passage, Priority, Prompt, QueueStage,
};
use tokio::time::MissedTickBehavior;

use super::{
    Answering,
    instructions::Instructions,
    live::Live,
    present_findings,
    prompt::{FittedPrompt, fit},
    report::milliseconds,
    writer::{Writer, passages_text},
};
use crate::context::{
    interrupt::{Interrupt, InterruptReason},
    words::say,
};

/// The words of an answer before plugins have read it.
pub(super) struct Draft {
    pub text: String,
    /// Indices of the passages that it cites, in the order of their numbers.
    pub used: Vec<usize>,
    pub model: Option<String>,
    pub interrupted: Option<InterruptReason>,
}

impl Draft {
    /// Words that neither the model nor a passage said.
    pub(super) fn of_ours(text: String) -> Self {
        Self {
            text,
            used: Vec::new(),
            model: None,
            interrupted: None,
        }
    }
}

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

impl Answering<'_> {
    /// The model's words, the passages themselves, or the honest admission of knowing nothing.
    pub(super) async fn draft(&mut self, prompt: Prompt, live: &mut Live, interrupt: &Interrupt) -> Draft {
        // Without a passage a grounded answer is not possible, whatever the model might say; and no model that
        // is not loaded yet needs to be waited for.
        let mode = self
            .context
            .generator
            .model()
            .map_or(AnswerMode::Grounded, |it| it.answer_mode);
        let passages = prompt.passages.clone();
        if passages.is_empty() && mode == AnswerMode::Grounded {
            return self.abstention();
        }
        match self.generate(prompt, live, interrupt).await {
            Ok(Some(draft)) => draft,
            Ok(None) => self.passages_alone(&passages, "passages-intro").await,
            // Its turn ends with the sentence that says so.
            Err(GenerateError::SwitchedOff) => self.passages_alone(&passages, "no-model").await,
            Err(error) => {
                tracing::error!(%error, "No answer came from the model.");
                if passages.is_empty() {
                    return self.abstention();
                }
                self.passages_alone(&passages, "no-model").await
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
        let Self { context, asked, .. } = *self;
        let deadline = Instant::now() + context.config.answer_deadline();
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Waiting {
            since: Instant::now(),
            patience: context.config.still_working_after(),
        };
        let (model, fitted) = loop {
            let info = context.generator.model();
            if let Some(info) = &info
                && !info.languages.contains(&asked.language)
                && !prompt.passages.is_empty()
            {
                return Ok(None);
            }
            match fit(
                prompt.clone(),
                asked.language,
                context.config.prompt_tokens,
                &context.generator,
            )
            .await
            {
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
        let mut writer = Writer::new(&passages, grounded, context.rules.output_gate())
            .without(Instructions::new(given, &context.config.hospital));
        let admitted = Instant::now();
        let request = GenerateRequest {
            conversation: asked.conversation.clone(),
            messages,
            adapter: self.adapter.clone(),
            sampling: context.sampling.clone(),
            max_tokens: context.config.answer_tokens,
            priority: Priority::Patient,
            deadline: deadline.saturating_duration_since(Instant::now()),
        };
        let mut generation = loop {
            match context.generator.generate(request.clone()).await {
                // Programs may have filled the queue for a moment.
                Err(GenerateError::Busy { .. }) if Instant::now() < deadline => {}
                generation => break generation?,
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN_AFTER) => waiting.show(live, asked.language, "").await,
                reason = interrupt.interrupted() => return Ok(Some(stopped(String::new(), reason, asked.language))),
            }
        };
        let show_live = !context.plugins.may_withhold();
        let mut position = 1;
        let mut has_spoken = false;
        let finish = loop {
            if writer.is_looping() {
                break None;
            }
            tokio::select! {
                event = generation.next() => match event {
                    Some(Ok(GenerationEvent::Queued { position: now })) => position = now,
                    Some(Ok(GenerationEvent::Started)) => {
                        position = 0;
                        let waited = admitted.elapsed();
                        self.timings.queue_ms = milliseconds(waited);
                        let stage = QueueStage::Model;
                        context.observe(Observation::Queued { stage, waited });
                    }
                    Some(Ok(GenerationEvent::Text(text))) => {
                        if !std::mem::replace(&mut has_spoken, true) {
                            let after = self.started.elapsed();
                            context.observe(Observation::FirstWords { after });
                        }
                        writer.push(&text).await;
                    }
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
            let tokens = u32::try_from(generated_tokens).unwrap_or(u32::MAX);
            if let Some(mean) = generate_time.checked_div(tokens) {
                context.observe(Observation::InterToken { mean });
            }
            writer.set_cut(reason != FinishReason::Stop);
        }
        let written = writer.finish().await;
        context.observe(Observation::Sentences {
            kept: written.kept,
            dropped: written.dropped,
            withheld: written.withheld,
        });
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

    fn abstention(&self) -> Draft {
        let language = self.asked.language;
        let has_not_searched = self.notes.iter().any(|it| it.hook == "augment_prompt");
        let text = if has_not_searched {
            self.context.say_with_number(language, "search-down")
        } else if present_findings(self.asked.assessment).is_empty() {
            self.context.say_with_number(language, "abstain")
        } else {
            self.context.say_with_number(language, "abstain-medical")
        };
        Draft::of_ours(text)
    }

    /// The passages themselves, behind the words of `intro`.
    async fn passages_alone(&self, passages: &[Passage], intro: &str) -> Draft {
        let (text, used) = passages_text(self.context.rules, passages).await;
        let intro = self.context.say_with_number(self.asked.language, intro);
        Draft {
            used,
            ..Draft::of_ours(format!("{intro}\n\n{text}"))
        }
    }
}

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
        interrupted: Some(reason),
        ..Draft::of_ours(text)
    }
}
