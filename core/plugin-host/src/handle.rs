//! One plugin as the hooks see it.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bedside_contract::PluginStatus;
use bedside_plugin_api::abi::Hook;
use bedside_plugin_runner::SandboxReport;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    calls::Services,
    manifest::{HookRule, Manifest, OnFailure},
    problem::Problem,
    session::Place,
};

/// How long a hook waits for a plugin that starts for the first time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Calls that may wait for one plugin.
pub(crate) const MAILBOX: usize = 64;

/// A plugin that is installed and enabled.
pub(crate) struct Plugin {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) folder: PathBuf,
    pub(crate) place: Place,
    /// The operator's word: every failure counts as one of a safety plugin.
    pub(crate) refuse_on_failure: bool,
    pub(crate) services: Arc<Services>,
    pub(crate) state: watch::Sender<State>,
    facts: Mutex<Facts>,
    mailbox: mpsc::Sender<Call>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// For the first time: hooks wait for it a while.
    Starting,
    Ready,
    /// Waits for its next start.
    Failed,
    Restarting,
    /// Not called any more until the bot is started again.
    Quarantined,
    /// A trusted plugin whose thread does not come back; not called any more either.
    Hung,
    Stopped,
}

/// A hook to run.
pub(crate) struct Call {
    pub(crate) hook: Hook,
    pub(crate) body: Vec<u8>,
    pub(crate) limit: Duration,
    pub(crate) reply: oneshot::Sender<Result<Vec<u8>, Problem>>,
}

#[derive(Default)]
struct Facts {
    sandbox: Option<SandboxReport>,
    restarts: u32,
    last_problem: Option<String>,
    /// Hooks that the manifest lists and the library lacks.
    missing: BTreeSet<Hook>,
}

impl Plugin {
    pub(crate) fn new(
        manifest: Arc<Manifest>,
        folder: PathBuf,
        place: Place,
        refuse_on_failure: bool,
        services: Arc<Services>,
    ) -> (Arc<Self>, mpsc::Receiver<Call>) {
        let (mailbox, calls) = mpsc::channel(MAILBOX);
        let (state, _) = watch::channel(State::Starting);
        let facts = Mutex::default();
        let plugin = Self {
            manifest,
            folder,
            place,
            refuse_on_failure,
            services,
            state,
            facts,
            mailbox,
        };
        (Arc::new(plugin), calls)
    }

    pub(crate) fn id(&self) -> &str {
        &self.manifest.id
    }

    /// The rule of a hook as the operator wants it; `None` if the plugin does not have the hook.
    pub(crate) fn rule(&self, hook: Hook) -> Option<HookRule> {
        let mut rule = *self.manifest.hooks.get(&hook)?;
        if self.refuse_on_failure {
            rule.on_failure = OnFailure::Refuse;
        }
        Some(rule)
    }

    /// Runs a hook, within about twice its deadline whatever the plugin does.
    ///
    /// # Errors
    /// [`Problem`]; a hook that the library lacks is told once and then not called any more.
    pub(crate) async fn ask<O: DeserializeOwned>(
        &self,
        hook: Hook,
        question: &impl Serialize,
    ) -> Result<O, Problem> {
        let limit = self.manifest.deadline(hook);
        let body = serde_json::to_vec(question).map_err(|_| Problem::BadAnswer { hook })?;
        // Somebody at a keyboard would rather wait than be told to try again.
        let patience = if hook == Hook::Command {
            self.start_limit()
        } else {
            PATIENCE
        };
        self.wait_until_started(patience).await?;
        let (reply, answer) = oneshot::channel();
        let call = Call {
            hook,
            body,
            limit,
            reply,
        };
        self.mailbox.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Problem::Busy,
            mpsc::error::TrySendError::Closed(_) => Problem::Unavailable("stopped"),
        })?;
        let answer = timeout(2 * limit + Duration::from_millis(50), answer).await;
        let answer = answer
            .map_err(|_| Problem::Busy)?
            .map_err(|_| Problem::Unavailable("failed"))??;
        serde_json::from_slice(&answer).map_err(|_| {
            let problem = Problem::BadAnswer { hook };
            self.note(&problem);
            problem
        })
    }

    /// Whether the library was found to lack a hook that the manifest lists.
    pub(crate) fn lacks(&self, hook: Hook) -> bool {
        self.facts().missing.contains(&hook)
    }

    /// Will not answer any hook until the bot is started again.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(
            *self.state.borrow(),
            State::Quarantined | State::Hung | State::Stopped
        )
    }

    pub(crate) fn note(&self, problem: &Problem) {
        let mut facts = self.facts();
        if let Problem::MissingHook { hook } = problem {
            facts.missing.insert(*hook);
        }
        facts.last_problem = Some(problem.to_string());
    }

    pub(crate) fn started(&self, sandbox: SandboxReport) {
        self.facts().sandbox = Some(sandbox);
        self.state.send_replace(State::Ready);
    }

    pub(crate) fn restarting(&self) {
        self.facts().restarts += 1;
        self.state.send_replace(State::Restarting);
    }

    pub(crate) fn sandbox(&self) -> Option<SandboxReport> {
        self.facts().sandbox.clone()
    }

    pub(crate) fn status(&self) -> PluginStatus {
        let facts = self.facts();
        let state = match *self.state.borrow() {
            State::Starting | State::Restarting => "starting",
            State::Ready => "ready",
            State::Failed | State::Hung => "failed",
            State::Quarantined => "quarantined",
            State::Stopped => "stopped",
        };
        let place = match self.place {
            Place::Child => "child process",
            Place::InProcess => "in-process (trusted)",
        };
        PluginStatus {
            id: self.manifest.id.clone(),
            version: self.manifest.version.to_string(),
            state: state.to_owned(),
            place: place.to_owned(),
            sandbox: facts
                .sandbox
                .as_ref()
                .map_or("none", |it| it.state.as_str())
                .to_owned(),
            restarts: facts.restarts,
            last_problem: facts.last_problem.clone(),
        }
    }

    fn start_limit(&self) -> Duration {
        Duration::from_secs(self.manifest.limits.start_seconds)
    }

    async fn wait_until_started(&self, patience: Duration) -> Result<(), Problem> {
        let mut state = self.state.subscribe();
        let known = timeout(patience, state.wait_for(|it| *it != State::Starting)).await;
        match known.map(|it| it.map(|it| *it)) {
            Ok(Ok(State::Ready)) => Ok(()),
            Ok(Ok(State::Failed | State::Restarting)) => {
                Err(Problem::Unavailable("failed, will be started again"))
            }
            Ok(Ok(State::Quarantined)) => Err(Problem::Unavailable("quarantined after too many failures")),
            Ok(Ok(State::Hung)) => Err(Problem::Unavailable("hung; restart the bot")),
            Ok(Ok(State::Starting)) | Err(_) => Err(Problem::Unavailable("still starting")),
            Ok(Ok(State::Stopped) | Err(_)) => Err(Problem::Unavailable("stopped")),
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
