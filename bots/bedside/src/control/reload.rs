//! Reads the configuration anew: what is good takes effect, what is wrong changes nothing.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bedside_runtime::{LiveConfig, RuntimeConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::server::Progress;
use crate::{
    config::{Config, SetKeys},
    logging,
    reload_state::ReloadState,
    service_manager::{tell_reloaded, tell_reloading},
    whole_config::read_checked,
};

/// What a reload changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// Keys whose new value the running bot uses from now on.
    pub(crate) took_effect: Vec<String>,
    /// Keys that differ from those that the bot was started with and are read at the start only.
    pub(crate) needs_restart: Vec<String>,
}

pub(super) struct Reload {
    file: Option<PathBuf>,
    live: LiveConfig,
    state: Arc<ReloadState>,
    /// What the bot was started with.
    started_with: SetKeys,
    started_bot: Arc<RuntimeConfig>,
    log_level: Mutex<String>,
    /// One after the other.
    turn: tokio::sync::Mutex<()>,
}

/// Plugins are told them at their start and write them into articles.
const ALSO_TOLD_TO_PLUGINS: [&str; 2] = ["bot.emergency_number", "bot.crisis_line"];

impl Reload {
    pub(super) fn new(
        file: Option<PathBuf>,
        config: &Config,
        live: LiveConfig,
        state: Arc<ReloadState>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            started_with: SetKeys::read(file.as_deref())?,
            started_bot: live.config(),
            log_level: Mutex::new(config.log.level.clone()),
            file,
            live,
            state,
            turn: tokio::sync::Mutex::new(()),
        })
    }

    pub(super) fn file(&self) -> Option<String> {
        self.file.as_ref().map(|it| it.display().to_string())
    }

    /// Reads, checks and takes over. The log says what came of it.
    ///
    /// # Errors
    /// What is wrong, with file, line and key; then nothing has changed.
    pub(super) async fn run(&self, progress: &Progress) -> Result<Reloaded, String> {
        let _turn = self.turn.lock().await;
        tell_reloading();
        let done = self.read_and_apply(progress).await;
        tell_reloaded();
        match &done {
            Ok(reloaded) => {
                self.state.accepted(&reloaded.needs_restart);
                tracing::info!(
                    took_effect = reloaded.took_effect.join(", "),
                    needs_restart = reloaded.needs_restart.join(", "),
                    "The configuration was reloaded."
                );
            }
            Err(problem) => {
                self.state.refused(problem);
                tracing::error!(
                    problem,
                    "The configuration was not reloaded: the last good one stays in use."
                );
            }
        }
        done
    }

    async fn read_and_apply(&self, progress: &Progress) -> Result<Reloaded, String> {
        let name = self.file().unwrap_or_else(|| "the environment".to_owned());
        progress.say(format!("reading and checking {name}")).await;
        let file = self.file.clone();
        let read = move || {
            let config = read_checked(file.as_deref())?;
            let keys = SetKeys::read(file.as_deref()).map_err(|error| error.to_string())?;
            Ok::<_, String>((config, keys))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (config, keys) =
            read.map_err(|error| format!("the configuration could not be checked: {error}"))??;

        let mut log_level = self.log_level();
        let mut took_effect = Vec::new();
        if *log_level != config.log.level {
            logging::set_level(&config.log.level).map_err(|error| error.to_string())?;
            log_level.clone_from(&config.log.level);
            took_effect.push("log.level".to_owned());
        }
        let before = self.live.config();
        self.live.change(config.bot);
        let now = self.live.config();
        took_effect.extend(changed_bot_keys(&before, &now));
        took_effect.sort();
        let mut needs_restart: Vec<String> = self
            .started_with
            .changed(&keys)
            .into_iter()
            .filter(|it| !is_live(it))
            .collect();
        let told = changed_bot_keys(&self.started_bot, &now)
            .into_iter()
            .filter(|it| ALSO_TOLD_TO_PLUGINS.contains(&it.as_str()));
        needs_restart.extend(told.map(|it| format!("{it} (for plugins)")));
        Ok(Reloaded {
            took_effect,
            needs_restart,
        })
    }

    fn log_level(&self) -> MutexGuard<'_, String> {
        self.log_level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the running bot takes over a new value of this key.
fn is_live(key: &str) -> bool {
    match key.strip_prefix("bot.") {
        Some(name) => !RuntimeConfig::FIXED.contains(&name),
        None => key == "log.level",
    }
}

fn changed_bot_keys(before: &RuntimeConfig, after: &RuntimeConfig) -> Vec<String> {
    let fields = |it: &RuntimeConfig| match serde_json::to_value(it) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let before = fields(before);
    let changed = fields(after)
        .into_iter()
        .filter(|(key, value)| before.get(key) != Some(value));
    changed.map(|(key, _)| format!("bot.{key}")).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use bedside_runtime::LiveConfig;

    use super::{Reload, Reloaded, is_live};
    use crate::{config::Config, control::server::Progress, reload_state::ReloadState};

    fn started(file: &Path, text: &str) -> (Reload, LiveConfig, Arc<ReloadState>) {
        fs::write(file, text).unwrap();
        let config = Config::load(Some(file)).unwrap();
        let live = LiveConfig::new(config.bot.clone());
        let state = Arc::new(ReloadState::default());
        let reload = Reload::new(Some(file.to_owned()), &config, live.clone(), Arc::clone(&state)).unwrap();
        (reload, live, state)
    }

    fn keys(words: &[&str]) -> Vec<String> {
        words.iter().map(|it| (*it).to_owned()).collect()
    }

    #[tokio::test]
    async fn the_good_takes_effect_and_the_rest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bedside.toml");
        let start = "data_dir = '/x'\n[bot]\nhospital = 'A'\n[web]\nlisten = '127.0.0.1:1'\n";
        let (reload, live, state) = started(&file, start);
        let next = "data_dir = '/x'\n[bot]\nhospital = 'B'\nemergency_number = '911'\nanswers_at_once = 3\n\
                    [web]\nlisten = '127.0.0.1:2'\nmessages_per_minute = 7\n";
        fs::write(&file, next).unwrap();
        let reloaded = reload.run(&Progress::silent()).await.unwrap();
        let expected = Reloaded {
            took_effect: keys(&["bot.emergency_number", "bot.hospital"]),
            needs_restart: keys(&[
                "bot.answers_at_once",
                "web.listen",
                "web.messages_per_minute",
                "bot.emergency_number (for plugins)",
            ]),
        };
        assert_eq!(reloaded, expected);
        let config = live.config();
        assert_eq!(
            (config.hospital.as_str(), config.emergency_number.as_str()),
            ("B", "911")
        );
        assert_eq!(config.answers_at_once, 32);
        assert_eq!(state.problem(), None);
        assert_eq!(state.needs_restart(), expected.needs_restart);

        // What was taken back needs no restart any more.
        fs::write(&file, start).unwrap();
        let reloaded = reload.run(&Progress::silent()).await.unwrap();
        assert_eq!(
            reloaded.took_effect,
            keys(&["bot.emergency_number", "bot.hospital"])
        );
        assert_eq!(reloaded.needs_restart, keys(&[]));
    }

    #[tokio::test]
    async fn of_a_wrong_one_nothing_takes_effect() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bedside.toml");
        let good = "data_dir = '/x'\n[bot]\nhospital = 'A'\n";
        let (reload, live, state) = started(&file, good);
        for wrong in [
            "data_dir = '/x'\n[bot]\nhospital = 'B'\nanswer_tokens = 'many'\n",
            "data_dir = '/x'\n[bot]\nhospital = 'B'\n[web]\npublic_url = 'x'\n",
            "data_dir = '/x'\n[bot]\nhospital = 'B'\n[log]\nlevel = 'bedside=loud'\n",
            "[bot\n",
        ] {
            fs::write(&file, wrong).unwrap();
            let problem = reload.run(&Progress::silent()).await.unwrap_err();
            assert!(problem.contains("bedside.toml"), "{problem}");
            assert_eq!(live.config().hospital, "A");
            assert_eq!(state.problem().as_ref(), Some(&problem));
        }
        fs::write(&file, good).unwrap();
        assert_eq!(reload.run(&Progress::silent()).await, Ok(Reloaded::default()));
        assert_eq!(state.problem(), None);
    }

    #[test]
    fn live_keys_are_those_that_the_runtime_reads_each_time() {
        for (key, live) in [
            ("bot.hospital", true),
            ("bot.notices_only", true),
            ("bot.second_reader", false),
            ("bot.answers_at_once", false),
            ("log.level", true),
            ("log.format", false),
            ("web.listen", false),
            ("data_dir", false),
        ] {
            assert_eq!(is_live(key), live, "{key}");
        }
    }
}
