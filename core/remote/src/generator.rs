//! The server as the rest of the bot sees it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{
    ChatMessage, GenerateError, GenerateRequest, Generation, GenerationEvent, Generator, ModelInfo,
};
use tokio::{
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, unbounded_channel},
        watch,
    },
    task::AbortHandle,
    time::Instant,
};

use crate::{
    answer::Job,
    config::RemoteConfig,
    estimate,
    probe::{Served, probe},
    server::Server,
    turns::{Event, Turns},
};

/// Has a server on another machine answer. Dropping it ends its background task; generations that run go on.
pub struct RemoteGenerator {
    shared: Arc<Shared>,
    probing: AbortHandle,
}

pub(crate) struct Shared {
    pub(crate) config: RemoteConfig,
    pub(crate) server: Server,
    pub(crate) turns: Arc<Turns>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) ask_again: Notify,
}

#[derive(Clone)]
pub(crate) enum Status {
    /// Not asked yet.
    Asking,
    Ready(Arc<Served>),
    /// It did not answer, and is asked again in the background.
    Failed(String),
}

impl RemoteGenerator {
    pub(crate) fn start(config: RemoteConfig, server: Server) -> Arc<Self> {
        let shared = Arc::new(Shared {
            turns: Turns::new(config.concurrent, config.queue),
            config,
            server,
            status: watch::Sender::new(Status::Asking),
            ask_again: Notify::new(),
        });
        let probing = tokio::spawn(probe(shared.clone())).abort_handle();
        Arc::new(Self { shared, probing })
    }

    /// Waits until the server has been asked for the first time.
    ///
    /// # Errors
    /// [`GenerateError::Unavailable`] with the reason if it did not answer; it is asked again all the same.
    pub async fn wait_ready(&self) -> Result<ModelInfo, GenerateError> {
        let mut status = self.shared.status.subscribe();
        let asked = status.wait_for(|it| !matches!(it, Status::Asking)).await;
        let asked = asked.map(|it| it.clone());
        asked
            .map_err(|_| GenerateError::NotReady)?
            .served()
            .map(|it| it.info.clone())
    }

    fn served(&self) -> Result<Arc<Served>, GenerateError> {
        self.shared.status.borrow().served()
    }
}

impl Status {
    fn served(&self) -> Result<Arc<Served>, GenerateError> {
        match self {
            Self::Asking => Err(GenerateError::NotReady),
            Self::Failed(reason) => Err(GenerateError::Unavailable {
                reason: reason.clone(),
            }),
            Self::Ready(served) => Ok(served.clone()),
        }
    }
}

impl Shared {
    /// Has the server asked anew; until it answers, nobody has to wait for it in vain.
    pub(crate) fn lost(&self, reason: &str) {
        let failed = Status::Failed(reason.to_owned());
        self.status.send_if_modified(|it| {
            let was_ready = matches!(it, Status::Ready(_));
            if was_ready {
                *it = failed;
            }
            was_ready
        });
        self.ask_again.notify_one();
    }
}

#[async_trait]
impl Generator for RemoteGenerator {
    fn model(&self) -> Option<ModelInfo> {
        self.served().ok().map(|it| it.info.clone())
    }

    fn adapters(&self) -> Vec<String> {
        self.served()
            .map_or_else(|_| Vec::new(), |it| it.adapters.clone())
    }

    /// An estimate, seldom below what the server counts: there is no tokenizer here, and asking the server
    /// would take a way over the network for each try of a prompt.
    fn count_tokens(&self, messages: &[ChatMessage]) -> Result<usize, GenerateError> {
        self.served().map(|_| estimate::tokens(messages))
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        let served = self.served()?;
        if let Some(name) = request
            .adapter
            .as_ref()
            .filter(|it| !served.adapters.contains(it))
        {
            return Err(GenerateError::UnknownAdapter { name: name.clone() });
        }
        // A day stands for "no deadline": adding more could overflow.
        let deadline = Instant::now() + request.deadline.min(Duration::from_secs(86_400));
        let (sender, events) = unbounded_channel();
        let place = self.shared.turns.join(request.priority, sender.clone())?;
        let job = Job {
            shared: self.shared.clone(),
            served,
            request,
            deadline,
            events: sender,
        };
        let task = tokio::spawn(job.run(place)).abort_handle();
        Ok(Box::new(RemoteGeneration {
            events,
            task,
            is_over: false,
        }))
    }
}

impl Drop for RemoteGenerator {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

struct RemoteGeneration {
    events: UnboundedReceiver<Event>,
    task: AbortHandle,
    is_over: bool,
}

#[async_trait]
impl Generation for RemoteGeneration {
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        let event = self.events.recv().await;
        self.is_over = matches!(event, Some(Ok(GenerationEvent::Finished { .. }) | Err(_)) | None);
        Some(event.unwrap_or_else(|| Err(GenerateError::Failed("the request has been ended".to_owned()))))
    }
}

/// The task owns the HTTP request: its connection closes, and the server stops.
impl Drop for RemoteGeneration {
    fn drop(&mut self) {
        self.task.abort();
    }
}
