//! One file, `BEDSIDE_*` variables over it, and errors that name file, line, key and the nearest right key.

mod environment;
mod paths;
mod place;
mod set_keys;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use bedside_admin::AdminConfig;
use bedside_discord::DiscordConfig;
use bedside_embeddings::EmbeddingsConfig;
use bedside_engine::{EngineConfig, ModelConfig};
use bedside_plugin_host::PluginsConfig;
use bedside_remote::RemoteConfig;
use bedside_runtime::RuntimeConfig;
use bedside_store::StoreConfig;
use bedside_telegram::TelegramConfig;
use bedside_triage::{Levels, LevelsError, LevelsSetting};
use bedside_web::WebConfig;
use bedside_wechat::WechatConfig;
use figment::{
    Figment,
    error::{Actual, Kind},
    providers::{Format, Toml},
};
use serde::Deserialize;

use crate::escalation::EscalationConfig;
use place::line_of;
pub(crate) use set_keys::SetKeys;

/// The whole configuration. Each section's fields are documented where they live.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where models, store and plugin data are kept. Here and in every other path, `~/` is the home directory.
    pub data_dir: Option<PathBuf>,
    pub bot: RuntimeConfig,
    pub store: StoreConfig,
    pub triage: TriageSection,
    /// Those of `[triage]`, checked. Set by [`Config::load`].
    #[serde(skip)]
    pub levels: Levels,
    pub model: ModelConfig,
    pub engine: EngineConfig,
    pub embeddings: EmbeddingsConfig,
    pub remote: RemoteConfig,
    pub plugins: PluginsConfig,
    pub web: WebConfig,
    pub telegram: TelegramConfig,
    pub discord: DiscordConfig,
    pub wechat: WechatConfig,
    pub terminal: TerminalSection,
    pub escalation: EscalationConfig,
    pub admin: AdminConfig,
    pub log: LogConfig,
}

/// `[triage]`: how urgency is called among staff.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TriageSection {
    /// The levels that `bedside triage` and `/triage` name: `china-2018` (the expert consensus, four levels), `five`,
    /// or the hospital's own, each under `[[triage.levels]]`, most urgent first: docs/triage-levels.md. They change
    /// no answer to patients.
    pub levels: LevelsSetting,
}

/// `[terminal]`: `bedside chat`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TerminalSection {
    /// Keep the lines typed in `bedside chat` for the arrow keys, in the data directory.
    pub history: bool,
}

impl Default for TerminalSection {
    fn default() -> Self {
        Self { history: true }
    }
}

/// `[log]`: what goes to standard error. Never what patients write.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, or per part: `info,bedside_engine=debug`. Libraries never say more than `info`:
    /// they would print tokens.
    pub level: String,
    /// `text`, or `json`: one object a line, for log collectors.
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// What is wrong with the configuration, and where.
#[derive(Debug)]
pub(crate) struct ConfigError {
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n         "))
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self {
            problems: vec![problem.into()],
        }
    }
}

impl Config {
    /// Reads `file`, or nothing, and the environment.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| ConfigError::new(format!("{}: cannot be read: {error}", path.display())))?,
        };
        let figment = Figment::new().merge(Toml::string(&text));
        let config: Self = environment::extract(&figment).map_err(|error| ConfigError {
            problems: error.into_iter().map(|it| describe(&it, file, &text)).collect(),
        })?;
        let levels = config.triage.levels.levels().map_err(|problems| ConfigError {
            problems: problems
                .iter()
                .map(|it| placed(&path_of(it), &it.to_string(), file, &text))
                .collect(),
        })?;
        let mut config = Self { levels, ..config };
        let problems = paths::resolve(&mut config, paths::home().as_deref());
        if problems.is_empty() {
            return Ok(config);
        }
        Err(ConfigError {
            problems: problems
                .iter()
                .map(|it| {
                    let variable = variable_of(&it.key);
                    if std::env::var_os(&variable).is_some() {
                        format!("{variable} (environment): {}", it.reason)
                    } else {
                        placed(&it.key, &it.reason, file, &text)
                    }
                })
                .collect(),
        })
    }

    /// Where the running bot keeps its data, told from a file that cannot be used whole: it is to be reached all the same.
    pub(crate) fn data_dir_alone(file: Option<&Path>) -> Option<PathBuf> {
        let read = |text: &str| -> Option<toml::Table> {
            environment::extract(&Figment::new().merge(Toml::string(text))).ok()
        };
        let text = file.map_or(Some(String::new()), |it| std::fs::read_to_string(it).ok());
        let document = text.and_then(|it| read(&it));
        let is_readable = document.is_some();
        // Of a file that is no TOML only the environment is known.
        let document = document.or_else(|| read(""))?;
        let data_dir = match document.get("data_dir") {
            Some(value) => Some(PathBuf::from(value.as_str()?)),
            None if is_readable => None,
            None => return None,
        };
        let mut config = Self {
            data_dir,
            ..Self::default()
        };
        let problems = paths::resolve(&mut config, paths::home().as_deref());
        problems.is_empty().then(|| config.data_dir().ok()).flatten()
    }

    /// Where models, store and plugin data are kept.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let home = || paths::home().map(|home| PathBuf::from(home).join(".local/share"));
        let base = std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|it| it.is_absolute())
            .or_else(home);
        base.map(|it| it.join("bedside")).ok_or_else(|| {
            ConfigError::new("data_dir: set it, or BEDSIDE_DATA_DIR: there is no home directory")
        })
    }
}

fn describe(error: &figment::Error, file: Option<&Path>, text: &str) -> String {
    let mut path = error.path.clone();
    let from_file = error
        .metadata
        .as_ref()
        .is_none_or(|it| !it.name.contains("environment"));
    let reason = match &error.kind {
        Kind::UnknownField(name, known) => {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            format!("there is no such key{}", nearest(name, known))
        }
        Kind::UnknownVariant(name, known) => {
            format!(
                "{name:?} is not one of {}{}",
                known.join(", "),
                nearest(name, known)
            )
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            let form = if !from_file && expected.contains("sequence") {
                "; write a list as [\"a\", \"b\"]"
            } else {
                ""
            };
            format!("expected {expected}, found {}{form}", kind_of(found))
        }
        other => other.to_string(),
    };
    if !from_file {
        return format!("{} (environment): {reason}", variable_of(&path));
    }
    placed(&path, &reason, file, text)
}

/// The variable that stands above a key of the file.
fn variable_of(path: &[String]) -> String {
    format!("BEDSIDE_{}", path.join("__").to_uppercase())
}

/// What was found, never the value itself: it may be a secret.
fn kind_of(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "a text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// Where a hospital's own level is wrong.
fn path_of(error: &LevelsError) -> Vec<String> {
    let level = error.level.map(|it| it.to_string());
    let inside = level.into_iter().chain(error.key.map(str::to_owned));
    ["triage", "levels"]
        .map(str::to_owned)
        .into_iter()
        .chain(inside)
        .collect()
}

/// What is wrong, with file, line and key.
fn placed(path: &[String], reason: &str, file: Option<&Path>, text: &str) -> String {
    let key = path.join(".");
    let place = match (file, line_of(path, text)) {
        (Some(file), Some(line)) => format!("{}:{line}: ", file.display()),
        (Some(file), None) => format!("{}: ", file.display()),
        (None, _) => String::new(),
    };
    if key.is_empty() {
        format!("{place}{reason}")
    } else {
        format!("{place}{key}: {reason}")
    }
}

/// The message with the place of the key that it begins with.
pub(crate) fn with_place(message: &str, file: Option<&Path>) -> String {
    let Some(file) = file else {
        return message.to_owned();
    };
    let key = message.split(": ").next().unwrap_or_default();
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    let text = std::fs::read_to_string(file).unwrap_or_default();
    match line_of(&path, &text) {
        Some(line) => format!("{}:{line}: {message}", file.display()),
        None => format!("{}: {message}", file.display()),
    }
}

fn nearest(name: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|it| (strsim::damerau_levenshtein(name, it), it))
        .min();
    match near {
        Some((distance, near)) if distance <= name.chars().count().max(4) / 2 => {
            format!("; did you mean {near:?}?")
        }
        _ => format!("; known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Config;

    fn problem(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bedside.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file))
            .unwrap_err()
            .to_string()
            .replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn errors_name_file_line_key_and_the_nearest_right_name() {
        let cases = [
            (
                "[web]\nlisen = \"127.0.0.1:80\"",
                "bedside.toml:2: web.lisen: there is no such key; did you mean \"listen\"?",
            ),
            (
                "[weeb]\nlisten = \"127.0.0.1:80\"",
                "bedside.toml:1: weeb: there is no such key; did you mean \"web\"?",
            ),
            (
                "\n[bot]\n\nprompt_tokens = \"many\"",
                "bedside.toml:4: bot.prompt_tokens: expected usize, found a text",
            ),
            ("[bot]\nai_label = \"of\"", "did you mean \"off\"?"),
            (
                "[triage]\nlevels = \"fve\"",
                "bedside.toml:2: triage.levels: \"fve\" is not one of china-2018, five; did you mean \"five\"?",
            ),
        ];
        for (text, expected) in cases {
            let problem = problem(text);
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(problem("[web").contains("bedside.toml"));
    }

    #[test]
    fn a_path_that_cannot_be_meant_is_refused_with_file_line_and_key() {
        for (text, expected) in [
            (
                "data_dir = \"~nobody/bed\"",
                "bedside.toml:1: data_dir: only ~/ is read",
            ),
            (
                "[bot]\ntriage_additions = \"$HOME/triage.toml\"",
                "bedside.toml:2: bot.triage_additions: variables are not read",
            ),
        ] {
            let problem = problem(text);
            assert!(problem.contains(expected), "{problem}");
        }
    }

    /// A level of a hospital's own on five lines, the first of which is its header.
    fn level(id: &str, rest: &str) -> String {
        format!("[[triage.levels]]\nid = \"{id}\"\nname = {{ en = \"{id}\", zh = \"{id}\" }}\n{rest}\n")
    }

    #[test]
    fn a_hospitals_own_levels_are_checked_with_file_line_and_key() {
        let first = level(
            "A",
            "colour = \"red\"\ndispositions = [\"immediate\", \"emergency\"]",
        );
        let check = |second: &str, expected: &str| {
            let problem = problem(&(first.clone() + &level("B", second)));
            assert!(problem.contains(expected), "{problem}");
        };
        let rest = "[\"same-day\", \"out-patient\", \"self-care\"]";
        check(
            &format!("colour = \"gren\"\ndispositions = {rest}"),
            "bedside.toml:9: triage.levels.1.colour: \"gren\" is not one of red,",
        );
        check(
            &format!("color = \"green\"\ndispositions = {rest}"),
            "bedside.toml:9: triage.levels.1.color: there is no such key; did you mean \"colour\"?",
        );
        check(
            "colour = \"green\"\ndispositions = [\"same-day\", \"self-care\"]",
            "bedside.toml:1: triage.levels: a gap: no level has \"out-patient\"",
        );
        check(
            "colour = \"green\"\ndispositions = [\"emergency\", \"same-day\", \"out-patient\", \"self-care\"]",
            "bedside.toml:10: triage.levels.1.dispositions: an overlap: \"emergency\" leads to level \"A\" already",
        );
        check(
            "colour = \"green\"\ndispositions = [\"sameday\"]",
            "bedside.toml:10: triage.levels.1.dispositions.0: \"sameday\" is not one of",
        );
    }

    #[test]
    fn the_example_configuration_holds_every_default() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/bedside.toml");
        let config = Config::load(Some(Path::new(example))).unwrap();
        assert_eq!(config.bot, Config::default().bot);
        assert_eq!(config.store, Config::default().store);
        assert_eq!(config.triage, Config::default().triage);
        assert_eq!(config.web, Config::default().web);
        assert_eq!(config.admin, Config::default().admin);
        assert_eq!(config.embeddings, Config::default().embeddings);
        assert_eq!(
            format!("{:?}", config.model),
            format!("{:?}", Config::default().model)
        );
        assert_eq!(
            format!("{:?}", config.engine),
            format!("{:?}", Config::default().engine)
        );
        assert_eq!(
            format!("{:?}", config.remote),
            format!("{:?}", Config::default().remote)
        );
        assert_eq!(
            format!("{:?}", config.telegram),
            format!("{:?}", Config::default().telegram)
        );
        assert_eq!(
            format!("{:?}", config.discord),
            format!("{:?}", Config::default().discord)
        );
        assert_eq!(
            format!("{:?}", config.wechat),
            format!("{:?}", Config::default().wechat)
        );
        assert_eq!(
            format!("{:?}", config.plugins),
            format!("{:?}", Config::default().plugins)
        );
    }
}
