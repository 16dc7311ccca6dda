//! The engine as the rest of the bot sees it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use async_trait::async_trait;
use bedside_contract::{
    AdapterChangeError, ChatMessage, ConversationKey, GenerateError, GenerateRequest, Generation, Generator,
    ModelInfo,
};
use bedside_model::{NoProgress, Progress};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::{
    config::{EngineConfig, ModelConfig},
    generation::{EngineGeneration, Stage},
    job::Job,
    loaded::Loaded,
    queue::Queue,
    worker::{Loader, work},
};

/// Serves one model. Dropping it ends its thread within one token.
pub struct Engine {
    shared: Arc<Shared>,
    queue_limit: usize,
}

/// What has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EngineStats {
    /// Requests that wait now.
    pub queued: usize,
    /// Requests that are answered now.
    pub running: usize,
    /// Blocks of the key-value cache that those use, and how many there are.
    pub blocks_used: usize,
    pub blocks: usize,
    pub finished: u64,
    pub cancelled: u64,
    pub failed: u64,
    /// Turned away because the queue was full.
    pub rejected: u64,
    pub prompt_tokens: u64,
    /// Of these, read already for an earlier prompt.
    pub reused_tokens: u64,
    pub generated_tokens: u64,
    /// Tokens that were guessed, and how many of them were right.
    pub guessed_tokens: u64,
    pub right_guesses: u64,
}

pub(crate) struct Shared {
    queue: Mutex<Queue>,
    pub(crate) wake: Condvar,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) stopping: AtomicBool,
    pub(crate) counters: Counters,
    /// Where adapters may be loaded from.
    adapters_dir: Option<PathBuf>,
    #[cfg(test)]
    pub(crate) probe: Option<Arc<dyn Fn() + Send + Sync>>,
    #[cfg(test)]
    pub(crate) probe_between: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Clone)]
pub(crate) enum Status {
    Loading,
    Ready(Arc<Loaded>),
    Failed(String),
}

/// Written by the engine's thread, read by anyone.
#[derive(Default)]
pub(crate) struct Counters {
    running: AtomicUsize,
    blocks_used: AtomicUsize,
    blocks: AtomicUsize,
    finished: AtomicU64,
    cancelled: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    prompt_tokens: AtomicU64,
    reused_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    guessed_tokens: AtomicU64,
    right_guesses: AtomicU64,
}

impl Engine {
    /// Starts the engine's thread, which fetches and loads the model; returns at once. Requests wait until
    /// the model is there.
    #[must_use]
    pub fn start(config: EngineConfig, model: ModelConfig) -> Arc<Self> {
        Self::start_with_progress(config, model, Box::new(NoProgress))
    }

    /// As [`Engine::start`]; `progress` hears of download and loading, on the engine's thread.
    #[must_use]
    pub fn start_with_progress(
        config: EngineConfig,
        model: ModelConfig,
        progress: Box<dyn Progress + Send>,
    ) -> Arc<Self> {
        let adapters_dir = model.adapters_dir.clone();
        let engine = config.clone();
        let loader: Loader = Box::new(move || Loaded::load(&model, &engine, progress.as_ref()));
        let shared = Shared {
            adapters_dir,
            ..Shared::new()
        };
        Self::spawn(config, loader, shared)
    }

    pub(crate) fn spawn(config: EngineConfig, loader: Loader, shared: Shared) -> Arc<Self> {
        let shared = Arc::new(shared);
        let engine = Self {
            shared: shared.clone(),
            queue_limit: config.queue.max(1),
        };
        let thread = thread::Builder::new().name("bedside-engine".to_owned());
        let in_thread = shared.clone();
        if let Err(error) = thread.spawn(move || work(&in_thread, &config, loader)) {
            shared.status.send_replace(Status::Failed(format!(
                "the engine's thread cannot be started: {error}"
            )));
        }
        Arc::new(engine)
    }

    /// Waits until the model is loaded.
    ///
    /// # Errors
    /// [`GenerateError::Unavailable`] with the reason if it cannot be.
    pub async fn wait_ready(&self) -> Result<ModelInfo, GenerateError> {
        let mut status = self.shared.status.subscribe();
        let settled = status.wait_for(|it| !matches!(it, Status::Loading)).await;
        match settled.map(|it| it.clone()) {
            Ok(Status::Ready(loaded)) => Ok(loaded.info.clone()),
            Ok(Status::Failed(reason)) => Err(GenerateError::Unavailable { reason }),
            Ok(Status::Loading) | Err(_) => Err(GenerateError::NotReady),
        }
    }

    /// Why the model could not be loaded, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match &*self.shared.status.borrow() {
            Status::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Counts for metrics and status pages.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let queued = self.shared.lock().len();
        let counters = &self.shared.counters;
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        EngineStats {
            queued,
            running: counters.running.load(Ordering::Relaxed),
            blocks_used: counters.blocks_used.load(Ordering::Relaxed),
            blocks: counters.blocks.load(Ordering::Relaxed),
            finished: read(&counters.finished),
            cancelled: read(&counters.cancelled),
            failed: read(&counters.failed),
            rejected: read(&counters.rejected),
            prompt_tokens: read(&counters.prompt_tokens),
            reused_tokens: read(&counters.reused_tokens),
            generated_tokens: read(&counters.generated_tokens),
            guessed_tokens: read(&counters.guessed_tokens),
            right_guesses: read(&counters.right_guesses),
        }
    }

    fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }
}

#[async_trait]
impl Generator for Engine {
    fn model(&self) -> Option<ModelInfo> {
        match &*self.shared.status.borrow() {
            Status::Ready(loaded) => Some(loaded.info.clone()),
            _ => None,
        }
    }

    fn adapters(&self) -> Vec<String> {
        match &*self.shared.status.borrow() {
            Status::Ready(loaded) => loaded.adapter_names(),
            _ => Vec::new(),
        }
    }

    async fn load_adapter(&self, name: &str, path: &str) -> Result<(), AdapterChangeError> {
        let Status::Ready(loaded) = self.status() else {
            return Err(AdapterChangeError::NotReady);
        };
        let path = within(self.shared.adapters_dir.as_deref(), path)?;
        let name = name.to_owned();
        let read = tokio::task::spawn_blocking(move || loaded.load_adapter(&name, &path));
        read.await.unwrap_or_else(|_| {
            Err(AdapterChangeError::Refused {
                problem: "reading it panicked".to_owned(),
            })
        })
    }

    async fn unload_adapter(&self, name: &str) -> Result<(), AdapterChangeError> {
        match self.status() {
            Status::Ready(loaded) => loaded.unload_adapter(name),
            _ => Err(AdapterChangeError::NotReady),
        }
    }

    fn count_tokens(&self, messages: &[ChatMessage]) -> Result<usize, GenerateError> {
        let loaded = match self.status() {
            Status::Ready(loaded) => loaded,
            Status::Loading => return Err(GenerateError::NotReady),
            Status::Failed(reason) => return Err(GenerateError::Unavailable { reason }),
        };
        Ok(loaded.tokens(messages)?.len())
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        let (request, prepared) = match self.status() {
            Status::Failed(reason) => return Err(GenerateError::Unavailable { reason }),
            Status::Ready(loaded) => {
                let preparing = tokio::task::spawn_blocking(move || {
                    let prepared = loaded.prepare(&request);
                    (request, prepared)
                });
                let (request, prepared) = preparing
                    .await
                    .map_err(|_| GenerateError::Failed("reading the prompt panicked".to_owned()))?;
                (request, Some(prepared?))
            }
            Status::Loading => (request, None),
        };
        let now = tokio::time::Instant::now();
        // A day stands for "no deadline": adding more could overflow.
        let deadline = now + request.deadline.min(std::time::Duration::from_secs(86_400));
        let cancelled = Arc::new(AtomicBool::new(false));
        let (sender, events) = mpsc::unbounded_channel();
        let priority = request.priority;
        let job = Job {
            request,
            prepared,
            cancelled: cancelled.clone(),
            deadline: deadline.into_std(),
            events: sender,
        };
        {
            let mut queue = self.shared.lock();
            if queue.closed {
                let reason = self
                    .failure()
                    .unwrap_or_else(|| "the engine has stopped".to_owned());
                return Err(GenerateError::Unavailable { reason });
            }
            queue.push(job, priority, self.queue_limit).inspect_err(|_| {
                add(&self.shared.counters.rejected, 1);
            })?;
        }
        self.shared.wake.notify_one();
        let shared = self.shared.clone();
        Ok(Box::new(EngineGeneration {
            shared,
            events,
            cancelled,
            deadline,
            progress: Stage::Waiting,
        }))
    }

    fn forget(&self, conversation: &ConversationKey) {
        self.shared.lock().forget(conversation.clone());
        self.shared.wake.notify_one();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.drain().for_each(drop);
        drop(queue);
        self.shared.wake.notify_all();
    }
}

/// The adapter's place, links resolved, if it lies in that folder.
fn within(folder: Option<&Path>, path: &str) -> Result<PathBuf, AdapterChangeError> {
    let refuse = |problem: &str| AdapterChangeError::Place {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let folder = folder.ok_or_else(|| refuse("model.adapters_dir is not set, so nothing can be loaded"))?;
    let root = folder
        .canonicalize()
        .map_err(|error| refuse(&format!("model.adapters_dir: {error}")))?;
    match root.join(path).canonicalize() {
        Ok(found) if found.starts_with(&root) && found != root => Ok(found),
        Ok(_) => Err(refuse("it does not lie in model.adapters_dir")),
        Err(_) => Err(refuse("there is no such file or folder in model.adapters_dir")),
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::new(Queue::before_loading()),
            wake: Condvar::new(),
            status: watch::Sender::new(Status::Loading),
            stopping: AtomicBool::new(false),
            counters: Counters::default(),
            adapters_dir: None,
            #[cfg(test)]
            probe: None,
            #[cfg(test)]
            probe_between: None,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    pub(crate) fn finish(&self, prompt_tokens: usize, reused_tokens: usize, generated_tokens: usize) {
        add(&self.finished, 1);
        add(&self.prompt_tokens, prompt_tokens);
        add(&self.reused_tokens, reused_tokens);
        add(&self.generated_tokens, generated_tokens);
    }

    pub(crate) fn cancel(&self) {
        add(&self.cancelled, 1);
    }

    pub(crate) fn fail(&self) {
        add(&self.failed, 1);
    }

    pub(crate) fn speculated(&self, guessed: usize, right: usize) {
        add(&self.guessed_tokens, guessed);
        add(&self.right_guesses, right);
    }

    pub(crate) fn show(&self, running: usize, (blocks_used, blocks): (usize, usize)) {
        self.running.store(running, Ordering::Relaxed);
        self.blocks_used.store(blocks_used, Ordering::Relaxed);
        self.blocks.store(blocks, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
