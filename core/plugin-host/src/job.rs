//! Long work in a process of its own.

use std::{sync::Arc, time::Duration};

use bedside_plugin_api::{
    abi::Hook,
    msg::{Job, JobProgress, JobResult},
};
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    calls::JobLink,
    handle::Plugin,
    problem::Problem,
    session::{Launch, Session},
};

/// How long a job may take to stop by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// A job that runs in a process of its own.
pub struct JobHandle {
    cancel: CancellationToken,
    progress: watch::Receiver<JobProgress>,
    result: oneshot::Receiver<Result<JobResult, String>>,
}

impl JobHandle {
    /// Asks the job to stop; after 10 seconds its process is ended.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// How far it is, as it last said.
    #[must_use]
    pub fn progress(&self) -> JobProgress {
        self.progress.borrow().clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Words: the job crashed, took too long or was cancelled.
    pub async fn result(self) -> Result<JobResult, String> {
        self.result
            .await
            .unwrap_or_else(|_| Err("the bot is ending".to_owned()))
    }
}

/// Starts it; `cancel` asks it to stop.
pub(crate) fn start(
    plugin: Arc<Plugin>,
    launch: Launch,
    job: Job,
    tasks: &TaskTracker,
    cancel: CancellationToken,
) -> JobHandle {
    let (report, progress) = watch::channel(JobProgress::default());
    let link = JobLink {
        cancel: cancel.clone(),
        progress: Arc::new(report),
    };
    let (reply, result) = oneshot::channel();
    tasks.spawn(async move {
        let _ = reply.send(work(&plugin, &launch, job, link).await);
    });
    JobHandle {
        cancel,
        progress,
        result,
    }
}

async fn work(plugin: &Plugin, launch: &Launch, job: Job, link: JobLink) -> Result<JobResult, String> {
    let words = |problem: Problem| format!("{}: {problem}", plugin.id());
    let services = Arc::new(plugin.services.for_job(link.clone()));
    let (mut session, _) = Session::start(launch, services).await.map_err(words)?;
    let body = serde_json::to_vec(&job).map_err(|error| error.to_string())?;
    let limit = Duration::from_secs(plugin.manifest.limits.job_seconds);
    let overdue = async {
        link.cancel.cancelled().await;
        sleep(CANCEL_GRACE).await;
    };
    let ended = tokio::select! {
        ended = session.call(Hook::RunJob, body, limit) => Some(ended),
        () = overdue => None,
    };
    match ended {
        Some(Ok(answer)) => {
            session.end().await;
            serde_json::from_slice(&answer).map_err(|_| words(Problem::BadAnswer { hook: Hook::RunJob }))
        }
        Some(Err(problem)) => {
            session.abandon(&problem).await;
            clean_up(plugin, &job).await;
            Err(words(problem))
        }
        None => {
            drop(session);
            clean_up(plugin, &job).await;
            Err(format!(
                "{}: cancelled; it did not stop by itself and was ended",
                plugin.id()
            ))
        }
    }
}

async fn clean_up(plugin: &Plugin, job: &Job) {
    let _: Result<(), _> = plugin.ask(Hook::CancelJob, &job.id).await;
}
