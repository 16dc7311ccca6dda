//! The control of the running bot: what the command line, through a socket in the data directory, and signals ask of it.

mod client;
mod handed_over;
mod protocol;
mod reload;
mod server;
mod socket;
mod status;
mod switch_file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use anyhow::Context as _;
use bedside_contract::AuditLog;
use bedside_plugin_host::PluginHost;
use bedside_runtime::{Bot, LiveConfig};
use bedside_store::SqliteStore;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::{
    client::{CallError, call},
    protocol::{PluginCommand, Request},
    reload::Reloaded,
    status::{NoticesOnly, Status},
};
use self::{
    handed_over::HandedOver, reload::Reload, server::Progress, socket::Socket, switch_file::SwitchFile,
};
use crate::{language_model::LanguageModel, reload_state::ReloadState, wiring::Parts};

/// What can be asked, and what it is asked of.
pub(crate) struct Control {
    started: SystemTime,
    running_since: Instant,
    bot: Bot,
    store: Arc<SqliteStore>,
    plugins: Arc<PluginHost>,
    plugins_dir: PathBuf,
    model: LanguageModel,
    live: LiveConfig,
    switch_file: SwitchFile,
    reload: Reload,
    reload_state: Arc<ReloadState>,
}

/// Holds the socket and the handler of SIGHUP; dropping it ends both.
pub(crate) struct Controlled {
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// SIGHUP, which from now on ends the process no more. Call within a tokio runtime.
pub(crate) fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("cannot listen for SIGHUP")
}

impl Control {
    /// Makes the bot controllable; before it takes its first message, so that answers that were switched off stay off.
    /// Without its socket the bot serves patients all the same. Call within a tokio runtime.
    pub(crate) fn start(
        parts: &Parts,
        bot: Bot,
        file: Option<PathBuf>,
        data_dir: &Path,
        hangups: Signal,
    ) -> anyhow::Result<Controlled> {
        let control = Arc::new(Self {
            started: SystemTime::now(),
            running_since: Instant::now(),
            bot,
            store: Arc::clone(&parts.store),
            plugins: Arc::clone(&parts.plugins),
            plugins_dir: data_dir.join("plugins"),
            model: parts.model.clone(),
            live: parts.live.clone(),
            switch_file: SwitchFile::new(data_dir),
            reload: Reload::new(
                file,
                &parts.config,
                parts.live.clone(),
                Arc::clone(&parts.reload_state),
            )?,
            reload_state: Arc::clone(&parts.reload_state),
        });
        control.live.switch_answers_off(control.switch_file.is_on());
        if control.live.is_notices_only() {
            tracing::warn!("Answers are switched off: patients get emergency notices only.");
        }
        let mut tasks = vec![tokio::spawn(reload_on_hangup(Arc::clone(&control), hangups))];
        match Socket::bind(data_dir) {
            Ok(socket) => tasks.push(tokio::spawn(server::serve(socket, control))),
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "The command line cannot reach this bot."
            ),
        }
        Ok(Controlled {
            _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect(),
        })
    }

    /// `Err`: words for the caller, whose user id is `caller`.
    async fn answer(&self, request: Request, caller: u32, progress: Progress) -> Result<Value, String> {
        match request {
            Request::Status => encoded(&self.status().await),
            Request::Reload => {
                let reloaded = self.reload.run(&progress).await;
                let outcome = match &reloaded {
                    Ok(_) => "done",
                    Err(_) => "refused",
                };
                self.note(caller, "configuration.reload", outcome).await;
                encoded(&reloaded?)
            }
            Request::NoticesOnly { on } => {
                let set = self.set_notices_only(on);
                let detail = if self.live.is_notices_only() { "on" } else { "off" };
                self.note(caller, "notices-only", detail).await;
                set?;
                encoded(&self.notices_only_status())
            }
            Request::PluginCommand(command) => self.plugin_command(command, &progress).await,
        }
    }

    fn set_notices_only(&self, on: bool) -> Result<(), String> {
        if !on && self.live.config().notices_only {
            return Err(
                "answers stay off while the configuration says bot.notices_only = true: change it and reload"
                    .to_owned(),
            );
        }
        // Off at once, and on again only when it is certain that a restart knows of it.
        if on {
            self.live.switch_answers_off(true);
        }
        self.switch_file.set(on).map_err(|error| {
            let state = if on {
                "answers are off until the next start only"
            } else {
                "answers stay off"
            };
            format!("{state}: the file notices-only in the data directory cannot be changed: {error}")
        })?;
        self.live.switch_answers_off(on);
        tracing::warn!(on, "Answers were switched: on means emergency notices only.");
        Ok(())
    }

    async fn plugin_command(&self, asked: PluginCommand, progress: &Progress) -> Result<Value, String> {
        let PluginCommand {
            plugin,
            command,
            mut arguments,
            json,
            path,
        } = asked;
        let is_known = self.plugins.list().iter().any(|it| it.id == plugin);
        let handed = match path {
            Some(path) if is_known => {
                progress
                    .say(format!("copying {} for the plugin", path.display()))
                    .await;
                let plugin_dir = self.plugins_dir.join(&plugin);
                let copied = tokio::task::spawn_blocking(move || HandedOver::copy(&path, &plugin_dir)).await;
                Some(copied.map_err(|error| error.to_string())??)
            }
            _ => None,
        };
        if let Some(handed) = &handed {
            arguments = format!("{arguments} {}", handed.path());
        }
        let own_words = |text: &str| match &handed {
            Some(handed) => handed.in_own_words(text),
            None => text.to_owned(),
        };
        let reply = self
            .plugins
            .run_command(&plugin, &command, &arguments, json)
            .await;
        let reply = reply.map_err(|words| own_words(&words))?;
        Ok(json!({ "text": own_words(&reply.text), "failed": reply.failed }))
    }

    async fn note(&self, caller: u32, action: &str, detail: &str) {
        let actor = format!("user {caller}");
        if let Err(error) = self.store.audit(&actor, action, "bot", detail).await {
            tracing::error!(%error, action, "The audit log does not know of it.");
        }
    }
}

fn encoded(value: &impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

async fn reload_on_hangup(control: Arc<Control>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        // The log says what came of it.
        let _logged = control.reload.run(&Progress::silent()).await;
    }
}
