//! Requests that wait: higher priorities first, in their order within each.

use std::sync::atomic::Ordering;

use bedside_contract::{GenerateError, GenerationEvent, Priority};

use crate::run::Job;

pub(crate) struct Queue {
    waiting: Vec<Waiting>,
    /// The engine works on something else, or on loading the model.
    pub(crate) busy: bool,
    pub(crate) closed: bool,
}

struct Waiting {
    job: Job,
    priority: Priority,
    told: Option<usize>,
}

impl Queue {
    /// Until the model is loaded, even the first must wait.
    pub(crate) fn before_loading() -> Self {
        Self {
            waiting: Vec::new(),
            busy: true,
            closed: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a job behind those of the same priority and tells all whose position changes.
    pub(crate) fn push(&mut self, job: Job, priority: Priority, limit: usize) -> Result<(), GenerateError> {
        // One that nobody waits for any more takes no place.
        self.waiting
            .retain(|it| !it.job.cancelled.load(Ordering::Acquire));
        if self.waiting.len() >= limit {
            return Err(GenerateError::Busy {
                queued: self.waiting.len(),
            });
        }
        let place = self.waiting.partition_point(|it| it.priority >= priority);
        self.waiting.insert(
            place,
            Waiting {
                job,
                priority,
                told: None,
            },
        );
        self.tell();
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<Job> {
        if self.waiting.is_empty() {
            return None;
        }
        let first = self.waiting.remove(0);
        self.busy = true;
        self.tell();
        Some(first.job)
    }

    pub(crate) fn remove_cancelled(&mut self) {
        self.waiting
            .retain(|it| !it.job.cancelled.load(Ordering::Acquire));
        self.tell();
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Job> {
        self.waiting.drain(..).map(|it| it.job)
    }

    fn tell(&mut self) {
        for (position, waiting) in (1..).zip(&mut self.waiting) {
            // An idle engine takes the first at once: it does not wait.
            let waits = self.busy || position > 1;
            if waits && waiting.told != Some(position) {
                waiting.told = Some(position);
                waiting.job.send(GenerationEvent::Queued { position });
            }
        }
    }
}
