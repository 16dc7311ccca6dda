//! One request, from its prompt to its last token.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_contract::{FinishReason, GenerateError, GenerateRequest, GenerationEvent};
use bedside_model::{Sampler, Session, StopMatcher, TextStream, decoder::Want};
use tokio::sync::mpsc::UnboundedSender;

use crate::{loaded::Loaded, prefix::PrefixCache};

pub(crate) type Event = Result<GenerationEvent, GenerateError>;

/// A request on its way through the engine.
pub(crate) struct Job {
    pub(crate) request: GenerateRequest,
    /// Known already if the model was loaded when the request came.
    pub(crate) prompt: Option<Vec<u32>>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) deadline: Instant,
    pub(crate) events: UnboundedSender<Event>,
}

impl Job {
    pub(crate) fn send(&self, event: GenerationEvent) {
        // Nobody listens any more: the generation has been dropped, which cancels it anyway.
        let _ = self.events.send(Ok(event));
    }

    pub(crate) fn fail(&self, error: GenerateError) {
        let _ = self.events.send(Err(error));
    }
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// `end` is the event that is still to be sent.
    Finished {
        prompt_tokens: usize,
        reused_tokens: usize,
        generated_tokens: usize,
        end: GenerationEvent,
    },
    Cancelled,
    Failed(GenerateError),
}

/// What a request runs in.
pub(crate) struct Surroundings<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) prompt_chunk: usize,
    /// The engine is to end.
    pub(crate) stopping: &'a AtomicBool,
    /// Called before each pass, so that tests can hold the engine at a known place.
    #[cfg(test)]
    pub(crate) probe: Option<&'a (dyn Fn() + Send + Sync)>,
}

/// Why there is nothing more to compute.
enum End {
    Reason(FinishReason),
    Cancelled,
    Error(GenerateError),
}

pub(crate) fn run(job: &Job, prefix: &mut PrefixCache, surroundings: &Surroundings<'_>) -> Outcome {
    if job.cancelled.load(Ordering::Acquire) {
        return Outcome::Cancelled;
    }
    let prompt = match &job.prompt {
        Some(prompt) => Ok(prompt.clone()),
        None => surroundings.loaded.encode(&job.request.messages),
    };
    let prompt = match prompt {
        Ok(prompt) => prompt,
        Err(error) => return Outcome::Failed(error),
    };
    job.send(GenerationEvent::Started);
    let decoder = &surroundings.loaded.model.decoder;
    let session = prefix.resume(&prompt).unwrap_or_else(|| decoder.session());
    let reused_tokens = session.len();
    let mut run = Run {
        job,
        surroundings,
        prompt_tokens: prompt.len(),
        tokens: prompt,
        session,
    };
    let start = Instant::now();
    let mut generated = 0;
    let read = run.read_prompt();
    let prompt_time = start.elapsed();
    let end = match read {
        ControlFlow::Break(end) => end,
        ControlFlow::Continue(logits) => run.generate(logits, &mut generated),
    };
    prefix.keep(run.tokens, run.session);
    match end {
        End::Cancelled => Outcome::Cancelled,
        End::Error(error) => Outcome::Failed(error),
        End::Reason(reason) => {
            let generate_time = start.elapsed().saturating_sub(prompt_time);
            let prompt_tokens = run.prompt_tokens;
            let end = finished(reason, prompt_tokens, generated, prompt_time, generate_time);
            Outcome::Finished {
                prompt_tokens,
                reused_tokens,
                generated_tokens: generated,
                end,
            }
        }
    }
}

pub(crate) fn finished(
    reason: FinishReason,
    prompt_tokens: usize,
    generated_tokens: usize,
    prompt_time: Duration,
    generate_time: Duration,
) -> GenerationEvent {
    GenerationEvent::Finished {
        reason,
        prompt_tokens,
        generated_tokens,
        prompt_time,
        generate_time,
    }
}

struct Run<'a> {
    job: &'a Job,
    surroundings: &'a Surroundings<'a>,
    prompt_tokens: usize,
    /// Prompt and answer; the session has read them up to its own length.
    tokens: Vec<u32>,
    session: Session,
}

impl Run<'_> {
    /// The logits after the prompt.
    fn read_prompt(&mut self) -> ControlFlow<End, Vec<f32>> {
        loop {
            let unread = self.tokens.len() - self.session.len();
            let now = unread.min(self.surroundings.prompt_chunk.max(1));
            let logits = self.pass(
                now,
                if now == unread {
                    Want::Logits
                } else {
                    Want::Nothing
                },
            )?;
            if now == unread {
                return ControlFlow::Continue(logits);
            }
        }
    }

    fn generate(&mut self, mut logits: Vec<f32>, generated: &mut usize) -> End {
        let Loaded { model, info } = self.surroundings.loaded;
        let request = &self.job.request;
        let mut sampler = Sampler::new(&request.sampling, &self.tokens);
        let mut stream = model.tokenizer.stream(&self.tokens);
        let mut stop = StopMatcher::new(&request.sampling.stop);
        let end = loop {
            if *generated >= request.max_tokens || self.tokens.len() >= info.context_length {
                break End::Reason(FinishReason::Length);
            }
            let token = sampler.sample(&mut logits);
            if model.tokenizer.is_end(token) {
                break End::Reason(FinishReason::Stop);
            }
            *generated += 1;
            self.tokens.push(token);
            self.say(stop.push(&stream.push(token)));
            if stop.is_stopped() {
                return End::Reason(FinishReason::Stop);
            }
            if *generated >= request.max_tokens || self.tokens.len() >= info.context_length {
                break End::Reason(FinishReason::Length);
            }
            match self.pass(1, Want::Logits) {
                ControlFlow::Continue(next) => logits = next,
                ControlFlow::Break(end) => break end,
            }
        };
        if matches!(end, End::Reason(_)) {
            self.say_rest(&mut stream, &mut stop);
        }
        end
    }

    /// Reads the next `count` tokens, unless there is a reason not to.
    fn pass(&mut self, count: usize, want: Want) -> ControlFlow<End, Vec<f32>> {
        #[cfg(test)]
        if let Some(probe) = self.surroundings.probe {
            probe();
        }
        let stopping = self.surroundings.stopping.load(Ordering::Acquire);
        if stopping || self.job.cancelled.load(Ordering::Acquire) {
            return ControlFlow::Break(End::Cancelled);
        }
        if Instant::now() >= self.job.deadline {
            return ControlFlow::Break(End::Reason(FinishReason::Deadline));
        }
        let start = self.session.len();
        let tokens = self.tokens.get(start..start + count).unwrap_or_default();
        match self
            .surroundings
            .loaded
            .model
            .decoder
            .forward(&mut self.session, tokens, want)
        {
            Ok(logits) => ControlFlow::Continue(logits),
            Err(error) => ControlFlow::Break(End::Error(GenerateError::Failed(error.to_string()))),
        }
    }

    fn say(&self, text: String) {
        if !text.is_empty() {
            self.job.send(GenerationEvent::Text(text));
        }
    }

    fn say_rest(&self, stream: &mut TextStream<'_>, stop: &mut StopMatcher) {
        let mut text = stop.push(&stream.finish());
        text.push_str(&stop.finish());
        self.say(text);
    }
}
