//! A request on its way through the engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_contract::{FinishReason, GenerateError, GenerateRequest, GenerationEvent};
use bedside_model::Adapter;
use tokio::sync::mpsc::UnboundedSender;

pub(crate) type Event = Result<GenerationEvent, GenerateError>;

pub(crate) struct Job {
    pub(crate) request: GenerateRequest,
    /// Known already if the model was loaded when the request came.
    pub(crate) prepared: Option<Prepared>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) deadline: Instant,
    pub(crate) events: UnboundedSender<Event>,
}

/// What the model makes of a request.
pub(crate) struct Prepared {
    pub(crate) prompt: Vec<u32>,
    /// With its number. A request that was accepted keeps it, even if it is unloaded while the request waits.
    pub(crate) adapter: Option<(u32, Arc<Adapter>)>,
    /// So many of the prompt's first tokens are the same for everybody: of what stands behind them no other chat may
    /// find anything in the cache. None where all who ask are one, as programs are.
    pub(crate) common: Option<usize>,
}

impl Job {
    pub(crate) fn send(&self, event: GenerationEvent) {
        // Nobody listens any more: the generation has been dropped, which cancels it anyway.
        let _ = self.events.send(Ok(event));
    }

    pub(crate) fn fail(&self, error: GenerateError) {
        let _ = self.events.send(Err(error));
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

/// The end of one that has used up its time before it began.
pub(crate) fn expired() -> GenerationEvent {
    GenerationEvent::Finished {
        reason: FinishReason::Deadline,
        prompt_tokens: 0,
        reused_tokens: 0,
        generated_tokens: 0,
        prompt_time: Duration::ZERO,
        generate_time: Duration::ZERO,
    }
}
