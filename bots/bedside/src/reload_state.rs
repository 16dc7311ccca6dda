//! What came of the last reload of the configuration, for status and health pages.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct ReloadState(Mutex<Outcome>);

#[derive(Default)]
struct Outcome {
    problem: Option<String>,
    needs_restart: Vec<String>,
}

impl ReloadState {
    /// Why the last one was refused, with file, line and key.
    pub(crate) fn problem(&self) -> Option<String> {
        self.outcome().problem.clone()
    }

    /// Keys that the last good one changed and that are read at the start only.
    pub(crate) fn needs_restart(&self) -> Vec<String> {
        self.outcome().needs_restart.clone()
    }

    pub(crate) fn accepted(&self, needs_restart: &[String]) {
        *self.outcome() = Outcome {
            problem: None,
            needs_restart: needs_restart.to_vec(),
        };
    }

    pub(crate) fn refused(&self, problem: &str) {
        self.outcome().problem = Some(problem.to_owned());
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
