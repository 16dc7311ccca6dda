//! One life of a plugin: from its start to its end or its first failure.

use std::{os::unix::process::ExitStatusExt, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use bedside_plugin_api::{
    abi::{Hook, MAX_MESSAGE, Status},
    msg::{Description, Health},
};
use bedside_plugin_runner::{Frame, FrameKind, Outcome, RunnerHello, RunnerSetup, SandboxReport};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Child,
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    calls::Services,
    child::{self, Spawner},
    inprocess,
    manifest::Manifest,
    problem::{Problem, cut},
};

/// Calls of the bot that a plugin's threads may have open.
const CALLS_AT_ONCE: usize = 8;
/// How long an ended plugin may take for its last words, per step.
const GRACE: Duration = Duration::from_secs(2);

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Child,
    InProcess,
}

/// All that it takes to start a plugin, again and again.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) place: Place,
    pub(crate) runner: PathBuf,
    pub(crate) spawner: Spawner,
    pub(crate) setup: RunnerSetup,
    pub(crate) manifest: Arc<Manifest>,
}

/// A plugin that runs. Dropping it kills its process.
pub(crate) struct Session {
    to: mpsc::Sender<Frame>,
    from: mpsc::Receiver<Result<Frame, String>>,
    /// `None` for a thread.
    process: Option<Child>,
    services: Arc<Services>,
    /// Calls of the bot that are under way; they end with the session.
    calls: JoinSet<()>,
    open_calls: Arc<Semaphore>,
    in_hand: Option<Hook>,
    next_id: u64,
}

impl Session {
    /// Starts the plugin and asks it what it is and how it is.
    ///
    /// # Errors
    /// [`Problem::Start`] and what else can go wrong in a session.
    pub(crate) async fn start(
        launch: &Launch,
        services: Arc<Services>,
    ) -> Result<(Self, SandboxReport), Problem> {
        let seconds = launch.manifest.limits.start_seconds;
        let starting = async {
            let mut session = Self::connect(launch, services).await?;
            let sandbox = session.set_up(&launch.setup).await?;
            session.check_description(&launch.manifest).await?;
            session.check_health().await?;
            Ok((session, sandbox))
        };
        timeout(Duration::from_secs(seconds), starting)
            .await
            .unwrap_or(Err(Problem::StartDeadline { seconds }))
    }

    /// Runs a hook to its end or its deadline.
    ///
    /// # Errors
    /// [`Problem`]; after one that [`Problem::ends_the_session`] call [`Session::abandon`].
    pub(crate) async fn call(
        &mut self,
        hook: Hook,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Vec<u8>, Problem> {
        if body.len() > MAX_MESSAGE {
            return Err(Problem::Status {
                hook,
                status: Status::TOO_LARGE,
            });
        }
        self.next_id += 1;
        let id = self.next_id;
        self.in_hand = Some(hook);
        let work = async {
            self.send(Frame::new(FrameKind::Request, id, hook.number(), body))
                .await?;
            self.next().await
        };
        let answer = timeout(limit, work).await;
        self.in_hand = None;
        let frame = answer.map_err(|_| Problem::Deadline { hook, limit })??;
        if (frame.kind, frame.id) != (FrameKind::Response, id) {
            return Err(Problem::Protocol("an answer to another question".to_owned()));
        }
        let outcome = Outcome {
            status: status(frame.code),
            body: frame.body,
        };
        if outcome.status != Status::OK {
            self.services.log(1, &outcome.body);
            return Err(Problem::of(hook, &outcome));
        }
        // Ignored strings are not checked by serde.
        let text = std::str::from_utf8(&outcome.body).ok();
        match text.and_then(|it| serde_json::from_str::<serde::de::IgnoredAny>(it).ok()) {
            Some(_) => Ok(outcome.body),
            None => Err(Problem::BadAnswer { hook }),
        }
    }

    /// Serves the plugin while no hook runs; returns only when something is wrong. Cancel-safe.
    pub(crate) async fn idle(&mut self) -> Problem {
        match self.next().await {
            Ok(_) => Problem::Protocol("an answer to no question".to_owned()),
            Err(problem) => problem,
        }
    }

    /// # Errors
    /// [`Problem::Unhealthy`], and as [`Session::call`].
    pub(crate) async fn check_health(&mut self) -> Result<(), Problem> {
        let answer = self
            .call(Hook::Health, Vec::new(), Duration::from_secs(1))
            .await?;
        let health: Health =
            serde_json::from_slice(&answer).map_err(|_| Problem::BadAnswer { hook: Hook::Health })?;
        if health.ok {
            Ok(())
        } else {
            Err(Problem::Unhealthy(cut(&health.reason, 200)))
        }
    }

    /// Ends a plugin that works: its own end first, then signals.
    pub(crate) async fn end(mut self) {
        let asked = async {
            self.send(Frame::new(FrameKind::Destroy, 0, 0, Vec::new()))
                .await?;
            // Late answers may come before it.
            while self.next().await?.kind != FrameKind::Destroyed {}
            Ok::<_, Problem>(())
        };
        let _ = timeout(GRACE, asked).await;
        let Some(mut process) = self.process else { return };
        if timeout(GRACE / 4, process.wait()).await.is_ok() {
            return;
        }
        if let Some(pid) = process.id().and_then(|it| i32::try_from(it).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if timeout(GRACE, process.wait()).await.is_err() {
            let _ = timeout(GRACE, process.kill()).await;
        }
    }

    /// Gives up a plugin that failed. `true` if its thread is lost: it may never be called again.
    pub(crate) async fn abandon(self, problem: &Problem) -> bool {
        match self.process {
            Some(mut process) => {
                let _ = timeout(GRACE, process.kill()).await;
                false
            }
            None => matches!(problem, Problem::Deadline { .. }),
        }
    }

    async fn connect(launch: &Launch, services: Arc<Services>) -> Result<Self, Problem> {
        let id = &launch.setup.setup.id;
        let (to, from, process) = match launch.place {
            Place::Child => {
                let pipes = child::launch(&launch.spawner, &launch.runner, id)
                    .await
                    .map_err(Problem::Start)?;
                (pipes.to, pipes.from, Some(pipes.child))
            }
            Place::InProcess => {
                let failed = |error: std::io::Error| Problem::Start(error.to_string());
                let thread = inprocess::launch(id, services.clone()).map_err(failed)?;
                (thread.to, thread.from, None)
            }
        };
        let open_calls = Arc::new(Semaphore::new(CALLS_AT_ONCE));
        Ok(Self {
            to,
            from,
            process,
            services,
            calls: JoinSet::new(),
            open_calls,
            in_hand: None,
            next_id: 0,
        })
    }

    async fn set_up(&mut self, setup: &RunnerSetup) -> Result<SandboxReport, Problem> {
        let body = serde_json::to_vec(setup).map_err(|error| Problem::Start(error.to_string()))?;
        self.send(Frame::new(FrameKind::Setup, 0, 0, body)).await?;
        let hello = self.next().await?;
        let hello: RunnerHello = serde_json::from_slice(&hello.body)
            .map_err(|_| Problem::Start("the runner is of another version than the bot".to_owned()))?;
        let created = self.next().await?;
        match status(created.code) {
            _ if created.kind != FrameKind::Created => {
                Err(Problem::Protocol("no word of its creation".to_owned()))
            }
            Status::OK => Ok(hello.sandbox),
            status => {
                let words = cut(&String::from_utf8_lossy(&created.body), 300);
                let words = if status == Status::PANICKED {
                    format!("panicked at {words}")
                } else {
                    words
                };
                Err(Problem::Start(words))
            }
        }
    }

    async fn check_description(&mut self, manifest: &Manifest) -> Result<(), Problem> {
        let limit = manifest.deadline(Hook::Describe);
        let answer = self.call(Hook::Describe, Vec::new(), limit).await?;
        let description: Description =
            serde_json::from_slice(&answer).map_err(|_| Problem::BadAnswer { hook: Hook::Describe })?;
        let hooks = manifest.hooks.keys().map(|it| it.name()).collect::<Vec<_>>();
        let commands = manifest
            .commands
            .iter()
            .map(|it| it.name.as_str())
            .collect::<Vec<_>>();
        for (key, said, listed) in [
            ("hooks", description.hooks, hooks),
            ("commands", description.commands, commands),
        ] {
            if let Some(unknown) = said.iter().find(|it| !listed.contains(&it.as_str())) {
                let unknown = cut(unknown, 40);
                return Err(Problem::Start(format!(
                    "offers {unknown:?}, which is not among its manifest's {key}"
                )));
            }
        }
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Problem> {
        match self.to.send(frame).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.how_it_ended().await),
        }
    }

    /// The next frame that is not a call of the bot or a log line.
    async fn next(&mut self) -> Result<Frame, Problem> {
        loop {
            let frame = match self.from.recv().await {
                Some(Ok(frame)) => frame,
                Some(Err(words)) => return Err(Problem::Protocol(words)),
                None => return Err(self.how_it_ended().await),
            };
            match frame.kind {
                FrameKind::SubRequest => self.answer(frame),
                FrameKind::Log => self.services.log(frame.code, &frame.body),
                FrameKind::Hello | FrameKind::Created | FrameKind::Response | FrameKind::Destroyed => {
                    return Ok(frame);
                }
                FrameKind::Setup | FrameKind::Request | FrameKind::SubResponse | FrameKind::Destroy => {
                    return Err(Problem::Protocol("a frame that only the bot sends".to_owned()));
                }
            }
        }
    }

    fn answer(&mut self, request: Frame) {
        while self.calls.try_join_next().is_some() {}
        let (to, services, during) = (self.to.clone(), self.services.clone(), self.in_hand);
        let respond = move |(status, body): (Status, Vec<u8>)| async move {
            let (status, body) = if body.len() > MAX_MESSAGE {
                (Status::TOO_LARGE, Vec::new())
            } else {
                (status, body)
            };
            let _ = to
                .send(Frame::new(
                    FrameKind::SubResponse,
                    request.id,
                    status.0.unsigned_abs(),
                    body,
                ))
                .await;
        };
        match self.open_calls.clone().try_acquire_owned() {
            Ok(permit) => {
                self.calls.spawn(async move {
                    respond(services.call(request.code, &request.body, during).await).await;
                    drop(permit);
                });
            }
            Err(_) if self.calls.len() < 2 * CALLS_AT_ONCE => {
                let words = format!("at most {CALLS_AT_ONCE} calls at once are possible");
                self.calls.spawn(respond((Status::FAILED, words.into_bytes())));
            }
            // It does not read its answers: its threads may wait.
            Err(_) => {}
        }
    }

    async fn how_it_ended(&mut self) -> Problem {
        let Some(process) = &mut self.process else {
            return Problem::Ended("(a thread) ended".to_owned());
        };
        // It may have closed its pipe and live on.
        let exit = tokio::select! {
            exit = process.wait() => exit.ok(),
            () = sleep(GRACE / 4) => None,
        };
        Problem::Ended(exit.map_or_else(|| "closed its pipe".to_owned(), exit_words))
    }
}

fn status(code: u32) -> Status {
    Status(i32::try_from(code).unwrap_or(i32::MAX))
}

fn exit_words(exit: ExitStatus) -> String {
    match (exit.signal().map(Signal::try_from), exit.signal(), exit.code()) {
        (Some(Ok(signal)), _, _) => format!("was ended by {signal}"),
        (_, Some(number), _) => format!("was ended by signal {number}"),
        (_, _, Some(code)) => format!("exited with code {code}"),
        _ => "ended".to_owned(),
    }
}
