//! The receiving end of one request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bedside_contract::{GenerateError, Generation, GenerationEvent};
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};

use crate::{
    engine::Shared,
    job::{Event, expired},
};

pub(crate) struct EngineGeneration {
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) deadline: Instant,
    pub(crate) progress: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Waiting,
    Running,
    Over,
}

#[async_trait]
impl Generation for EngineGeneration {
    async fn next(&mut self) -> Option<Event> {
        let event = match self.progress {
            Stage::Over => return None,
            Stage::Running => self.events.recv().await,
            // The engine may be at another's long answer; a deadline holds all the same.
            Stage::Waiting => match tokio::time::timeout_at(self.deadline, self.events.recv()).await {
                Ok(event) => event,
                Err(_) => {
                    self.cancel();
                    self.progress = Stage::Over;
                    return Some(Ok(expired()));
                }
            },
        };
        self.progress = match &event {
            Some(Ok(GenerationEvent::Queued { .. })) => self.progress,
            Some(Ok(GenerationEvent::Started | GenerationEvent::Text(_))) => Stage::Running,
            Some(Ok(GenerationEvent::Finished { .. }) | Err(_)) | None => Stage::Over,
        };
        Some(event.unwrap_or_else(|| Err(GenerateError::Failed("the engine has stopped".to_owned()))))
    }
}

impl EngineGeneration {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.shared.lock().remove_cancelled();
    }
}

impl Drop for EngineGeneration {
    fn drop(&mut self) {
        if self.progress != Stage::Over {
            self.cancel();
        }
    }
}
