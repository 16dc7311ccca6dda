//! How the running bot is, for `bedside status` and whatever watches it.

use std::time::{Duration, SystemTime};

use bedside_contract::{BotHealth, Intake as _, PluginStatus};
use serde::{Deserialize, Serialize};

use super::Control;
use crate::language_model::LanguageModel;

/// Plugins in these states need nobody's care.
const FINE: [&str; 3] = ["ready", "starting", "disabled"];

/// All that is told. `problems` is empty where all is well.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) process: u32,
    /// Seconds since 1970.
    pub(crate) started: u64,
    pub(crate) up_seconds: u64,
    pub(crate) problems: Vec<String>,
    pub(crate) notices_only: NoticesOnly,
    pub(crate) model: ModelStatus,
    pub(crate) questions: Questions,
    pub(crate) store: StoreStatus,
    pub(crate) connectors: Vec<ConnectorStatus>,
    pub(crate) plugins: Vec<PluginStatus>,
    pub(crate) configuration: ConfigurationStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NoticesOnly {
    pub(crate) on: bool,
    /// Because the operator switched answers off.
    pub(crate) by_operator: bool,
    /// Because `bot.notices_only` says so.
    pub(crate) by_configuration: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModelStatus {
    /// `ready`, `loading`, `none`.
    pub(crate) state: String,
    pub(crate) name: Option<String>,
    pub(crate) problem: Option<String>,
    /// Requests that are answered and that wait, where the model runs in this process.
    pub(crate) running: Option<usize>,
    pub(crate) queued: Option<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Questions {
    pub(crate) in_work: usize,
    pub(crate) waiting: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoreStatus {
    pub(crate) writes: bool,
    /// `ok`, `low` or `full`.
    pub(crate) disk: String,
    /// Messages that were taken and are not answered yet.
    pub(crate) open_messages: u64,
    pub(crate) oldest_open_seconds: Option<u64>,
    /// Parts of answers that no platform has confirmed yet.
    pub(crate) waiting_parts: u64,
    /// Parts and messages that were given up, since the store exists.
    pub(crate) dead_parts: u64,
    pub(crate) dead_messages: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConnectorStatus {
    pub(crate) platform: String,
    pub(crate) receives: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigurationStatus {
    pub(crate) file: Option<String>,
    /// Why the last reload was refused.
    pub(crate) problem: Option<String>,
    pub(crate) needs_restart: Vec<String>,
}

impl Control {
    pub(super) async fn status(&self) -> Status {
        let BotHealth {
            store,
            room,
            connectors,
        } = self.bot.health();
        let connectors = connectors
            .into_iter()
            .map(|(platform, receives)| ConnectorStatus { platform, receives })
            .collect();
        let questions = self.bot.questions();
        let since_1970 = |it: SystemTime| it.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            started: since_1970(self.started).as_secs(),
            up_seconds: self.running_since.elapsed().as_secs(),
            problems: Vec::new(),
            notices_only: self.notices_only_status(),
            model: self.model_status(),
            questions: Questions {
                in_work: questions.in_work,
                waiting: questions.waiting,
            },
            store: StoreStatus {
                writes: store,
                disk: room.name().to_owned(),
                ..StoreStatus::default()
            },
            connectors,
            plugins: self.plugins.list(),
            configuration: ConfigurationStatus {
                file: self.reload.file(),
                problem: self.reload_state.problem(),
                needs_restart: self.reload_state.needs_restart(),
            },
        };
        match self.store.counters().await {
            Ok(counters) => {
                let now = since_1970(SystemTime::now());
                let age = |ms: i64| {
                    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
                    now.saturating_sub(since).as_secs()
                };
                status.store.open_messages = counters.inbox_depth;
                status.store.oldest_open_seconds = counters.inbox_oldest_ms.map(age);
                status.store.waiting_parts = counters.outbox_depth;
                status.store.dead_parts = counters.dead_parts;
                status.store.dead_messages = counters.dead_messages;
            }
            Err(error) => status.problems.push(format!("the store cannot be read: {error}")),
        }
        let problems = status.found_problems();
        status.problems.extend(problems);
        status
    }

    pub(super) fn notices_only_status(&self) -> NoticesOnly {
        NoticesOnly {
            on: self.live.is_notices_only(),
            by_operator: self.live.is_switched_off(),
            by_configuration: self.live.config().notices_only,
        }
    }

    fn model_status(&self) -> ModelStatus {
        let name = self.model.generator().model().map(|it| it.name);
        let (problem, running, queued) = match &self.model {
            LanguageModel::Here(engine) => {
                let stats = engine.stats();
                (engine.failure(), Some(stats.running), Some(stats.queued))
            }
            LanguageModel::Remote(_) => {
                let problem = name.is_none().then(|| "its server has not answered".to_owned());
                (problem, None, None)
            }
        };
        let state = match (&name, &problem) {
            (Some(_), _) => "ready",
            (None, Some(_)) => "none",
            (None, None) => "loading",
        };
        ModelStatus {
            state: state.to_owned(),
            name,
            problem,
            running,
            queued,
        }
    }
}

impl Status {
    /// What somebody should look after. That answers are switched off is no fault.
    fn found_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.store.writes {
            problems.push("the store takes no more writes: check the disk, restart".to_owned());
        }
        if ["low", "full"].contains(&self.store.disk.as_str()) {
            problems.push(format!("the disk of data_dir is {}: make room", self.store.disk));
        }
        if self.model.state == "none" {
            let why = self.model.problem.as_deref().unwrap_or("unknown");
            problems.push(format!("there is no model: {why}"));
        }
        let out = self.connectors.iter().filter(|it| !it.receives);
        problems
            .extend(out.map(|it| format!("{} is out until the next start; the log says why", it.platform)));
        let ill = self
            .plugins
            .iter()
            .filter(|it| !FINE.contains(&it.state.as_str()));
        problems.extend(ill.map(|it| {
            let why = it.last_problem.as_deref().unwrap_or("the log says why");
            format!("the plugin {} is {}: {why}", it.id, it.state)
        }));
        if let Some(problem) = &self.configuration.problem {
            problems.push(format!(
                "the last reload of the configuration was refused, the one before it is in use: {problem}"
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::PluginStatus;

    use super::{ConfigurationStatus, ConnectorStatus, ModelStatus, Status, StoreStatus};

    fn well() -> Status {
        Status {
            model: ModelStatus {
                state: "ready".to_owned(),
                ..ModelStatus::default()
            },
            store: StoreStatus {
                writes: true,
                ..StoreStatus::default()
            },
            ..Status::default()
        }
    }

    fn plugin(state: &str) -> PluginStatus {
        PluginStatus {
            id: "org.example.a".to_owned(),
            version: "1.0.0".to_owned(),
            state: state.to_owned(),
            place: "child process".to_owned(),
            sandbox: "full".to_owned(),
            restarts: 0,
            last_problem: None,
        }
    }

    #[test]
    fn each_fault_is_named_and_nothing_else_is_one() {
        let mut fine = well();
        fine.notices_only.on = true;
        fine.plugins = ["ready", "starting", "disabled"].map(plugin).to_vec();
        fine.model.state = "loading".to_owned();
        fine.configuration.needs_restart = vec!["web.listen".to_owned()];
        assert_eq!(fine.found_problems(), Vec::<String>::new());

        let faults = [
            (
                Status {
                    store: StoreStatus::default(),
                    ..well()
                },
                "the store",
            ),
            (
                Status {
                    model: ModelStatus {
                        state: "none".to_owned(),
                        problem: Some("no such file".to_owned()),
                        ..ModelStatus::default()
                    },
                    ..well()
                },
                "no such file",
            ),
            (
                Status {
                    connectors: vec![ConnectorStatus {
                        platform: "telegram".to_owned(),
                        receives: false,
                    }],
                    ..well()
                },
                "telegram is out",
            ),
            (
                Status {
                    plugins: vec![plugin("quarantined")],
                    ..well()
                },
                "is quarantined",
            ),
            (
                Status {
                    plugins: vec![plugin("failed")],
                    ..well()
                },
                "is failed",
            ),
            (
                Status {
                    configuration: ConfigurationStatus {
                        problem: Some("bedside.toml:3: bot.x".to_owned()),
                        ..ConfigurationStatus::default()
                    },
                    ..well()
                },
                "bedside.toml:3",
            ),
        ];
        for (status, expected) in faults {
            let problems = status.found_problems();
            assert!(
                problems.len() == 1 && problems[0].contains(expected),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn a_status_of_another_version_is_read_as_far_as_it_goes() {
        let status: Status = serde_json::from_str(r#"{"version": "9", "later": [1]}"#).unwrap();
        assert_eq!(status.version, "9");
    }
}
