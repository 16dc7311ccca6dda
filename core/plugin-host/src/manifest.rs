//! `plugin.toml`: what a plugin is and what it may do, readable before any of its code runs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bedside_contract::Language;
use bedside_plugin_api::abi::{Hook, Permission};
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, de};

use check::{check_abi, check_bot, check_commands, check_id, parse_size, with_nearest};

pub(crate) use check::nearest;

mod check;

/// A checked `plugin.toml`.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    pub id: String,
    pub version: Version,
    pub name: LocalText,
    /// The library's file name, beside `plugin.toml`.
    pub library: String,
    #[serde(serialize_with = "by_name")]
    pub hooks: BTreeMap<Hook, HookRule>,
    pub permissions: Permissions,
    pub limits: ManifestLimits,
    pub commands: Vec<ManifestCommand>,
}

/// Words in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalText {
    pub en: String,
    pub zh: String,
}

/// How a hook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HookRule {
    /// Lower comes first; plugins with the same go by id.
    pub priority: i32,
    pub deadline: Duration,
    pub on_failure: OnFailure,
    /// Only for `on_answer`.
    pub may_withhold: bool,
}

/// What becomes of a message when the hook fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Go on without this plugin.
    #[default]
    Skip,
    /// Rather no answer than one without this plugin.
    Refuse,
}

/// What the plugin may ask of the bot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StoragePermission>,
    pub message: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<GeneratePermission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embed: Option<EmbedPermission>,
    pub jobs: bool,
    pub audit: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoragePermission {
    /// Keys and values together.
    pub quota: ByteSize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratePermission {
    pub tokens_per_minute: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedPermission {
    pub texts_per_minute: u64,
}

/// What the plugin's process may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManifestLimits {
    /// Address space; a plugin that maps large files needs room for them.
    pub memory: ByteSize,
    /// How long it may take to load and make itself ready.
    pub start_seconds: u64,
    /// How long a job may take.
    pub job_seconds: u64,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self {
            memory: ByteSize(512 << 20),
            start_seconds: 10,
            job_seconds: 24 * 3600,
        }
    }
}

/// A command that the plugin offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCommand {
    pub name: String,
    pub help: LocalText,
    #[serde(default)]
    pub staff_only: bool,
}

/// A number of bytes, written as `512 KiB`, `16 MiB`, `2 GiB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByteSize(pub u64);

/// Why a manifest cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ManifestError {
    pub path: PathBuf,
    pub problem: String,
}

impl Manifest {
    /// Reads and checks `plugin.toml` in `folder`.
    ///
    /// # Errors
    /// [`ManifestError`] with file, key and what to do.
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join("plugin.toml");
        let checked = fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|it| Self::parse(&it));
        checked.map_err(|problem| ManifestError { path, problem })
    }

    /// Checks the text of a manifest.
    ///
    /// # Errors
    /// Words that name the key and what to do.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawManifest = toml::from_str(text).map_err(|error| with_nearest(&error))?;
        let plugin = raw.plugin;
        check_id(&plugin.id)?;
        if plugin.kind != "native" {
            return Err(format!(
                "plugin.kind = {:?}: this bot runs \"native\" plugins only",
                plugin.kind
            ));
        }
        check_abi(&plugin.abi)?;
        check_bot(&plugin.bot)?;
        if plugin.library.contains(['/', '\\'])
            || plugin.library.starts_with('.')
            || plugin.library.is_empty()
        {
            return Err(format!(
                "plugin.library = {:?}: a file name beside plugin.toml is needed",
                plugin.library
            ));
        }

        let mut hooks = BTreeMap::new();
        for (name, rule) in raw.hooks {
            let hook = Hook::from_name(&name).ok_or_else(|| {
                let near = nearest(&name, Hook::ALL.iter().map(|it| it.name()));
                format!("hooks.{name}: there is no such hook{near}")
            })?;
            if rule.may_withhold && hook != Hook::OnAnswer {
                return Err(format!("hooks.{name}.may_withhold: only on_answer can withhold"));
            }
            hooks.insert(hook, rule.into_rule(hook)?);
        }
        check_commands(&raw.commands)?;
        if !raw.commands.is_empty() {
            hooks
                .entry(Hook::Command)
                .or_insert_with(|| HookRule::default_of(Hook::Command));
        }
        if raw.permissions.jobs {
            for hook in [Hook::RunJob, Hook::CancelJob] {
                hooks.entry(hook).or_insert_with(|| HookRule::default_of(hook));
            }
        }
        Ok(Self {
            id: plugin.id,
            version: plugin.version,
            name: plugin.name,
            library: plugin.library,
            hooks,
            permissions: raw.permissions,
            limits: raw.limits,
            commands: raw.commands,
        })
    }

    /// How long a hook may take.
    pub(crate) fn deadline(&self, hook: Hook) -> Duration {
        self.hooks
            .get(&hook)
            .copied()
            .unwrap_or_else(|| HookRule::default_of(hook))
            .deadline
    }
}

impl HookRule {
    /// What is taken where the manifest is silent.
    fn default_of(hook: Hook) -> Self {
        let milliseconds = match hook {
            Hook::OnMessage | Hook::OnAnswer => 300,
            Hook::AugmentPrompt => 500,
            Hook::ChooseAdapter => 100,
            Hook::Command | Hook::Describe | Hook::CancelJob => 10_000,
            Hook::RunJob => 24 * 3_600_000,
            Hook::Health => 1000,
            Hook::Forget => 2000,
        };
        let deadline = Duration::from_millis(milliseconds);
        Self {
            priority: 50,
            deadline,
            on_failure: OnFailure::Skip,
            may_withhold: false,
        }
    }
}

impl LocalText {
    #[must_use]
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

impl Permissions {
    /// Whether the manifest asks for it.
    pub(crate) fn ask_for(&self, permission: Permission) -> bool {
        match permission {
            Permission::Always => true,
            Permission::Storage => self.storage.is_some(),
            Permission::Message => self.message,
            Permission::Generate => self.generate.is_some(),
            Permission::Embed => self.embed.is_some(),
            Permission::Jobs => self.jobs,
            Permission::Audit => self.audit,
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => {
                let problem = || de::Error::custom(format!("{text:?} is no size; write e.g. \"16 MiB\""));
                parse_size(&text).map(Self).ok_or_else(problem)
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    plugin: RawPlugin,
    #[serde(default)]
    hooks: BTreeMap<String, RawHook>,
    #[serde(default)]
    permissions: Permissions,
    #[serde(default)]
    limits: ManifestLimits,
    #[serde(default)]
    commands: Vec<ManifestCommand>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlugin {
    id: String,
    version: Version,
    name: LocalText,
    kind: String,
    abi: String,
    library: String,
    bot: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawHook {
    priority: Option<i32>,
    deadline_ms: Option<u64>,
    on_failure: OnFailure,
    may_withhold: bool,
}

impl RawHook {
    fn into_rule(self, hook: Hook) -> Result<HookRule, String> {
        let default = HookRule::default_of(hook);
        if self.deadline_ms.is_some_and(|it| it == 0 || it > 60_000) {
            return Err(format!(
                "hooks.{}.deadline_ms: between 1 and 60000 is possible",
                hook.name()
            ));
        }
        Ok(HookRule {
            priority: self.priority.unwrap_or(default.priority),
            deadline: self.deadline_ms.map_or(default.deadline, Duration::from_millis),
            on_failure: self.on_failure,
            may_withhold: self.may_withhold,
        })
    }
}

fn by_name<S: serde::Serializer>(hooks: &BTreeMap<Hook, HookRule>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(hooks.iter().map(|(hook, rule)| (hook.name(), rule)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_plugin_api::abi::{Hook, Permission};

    use super::{ByteSize, Manifest, OnFailure};

    const GOOD: &str = r#"
[plugin]
id = "org.example.cardiology"
version = "1.4.0"
name = { en = "Cardiology", zh = "心内科" }
kind = "native"
abi = "0.1"
library = "libcardiology.so"
bot = ">=0.1, <2"

[hooks]
augment_prompt = { priority = 10, deadline_ms = 400, on_failure = "refuse" }
on_answer = { may_withhold = true }

[permissions]
storage = { quota = "16 MiB" }
generate = { tokens_per_minute = 4000 }

[limits]
memory = "256 MiB"

[[commands]]
name = "ecg"
help = { en = "Explains an ECG report", zh = "解释心电图报告" }
staff_only = true
"#;

    #[test]
    fn a_whole_manifest_reads() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(
            (manifest.id.as_str(), manifest.version.to_string().as_str()),
            ("org.example.cardiology", "1.4.0")
        );
        let augment = manifest.hooks[&Hook::AugmentPrompt];
        assert_eq!(
            (augment.priority, augment.deadline),
            (10, Duration::from_millis(400))
        );
        assert_eq!(augment.on_failure, OnFailure::Refuse);
        let answer = manifest.hooks[&Hook::OnAnswer];
        assert!(
            answer.may_withhold && answer.priority == 50 && answer.deadline == Duration::from_millis(300)
        );
        assert!(
            manifest.hooks.contains_key(&Hook::Command),
            "listed by [[commands]]"
        );
        assert!(!manifest.hooks.contains_key(&Hook::OnMessage));
        assert_eq!(manifest.limits.memory, ByteSize(256 << 20));
        assert!(manifest.permissions.ask_for(Permission::Storage));
        assert!(!manifest.permissions.ask_for(Permission::Audit));
        assert!(manifest.commands[0].staff_only);
    }

    #[test]
    fn faults_are_told_with_key_and_advice() {
        let check = |from: &str, to: &str, words: &[&str]| {
            assert!(GOOD.contains(from), "{from}");
            let problem = Manifest::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            for word in words {
                assert!(problem.contains(word), "{to}: {problem}");
            }
        };
        check("[plugin]", "[plugn]", &["plugn", "did you mean plugin?"]);
        check("library =", "libary =", &["line 8", "did you mean library?"]);
        check(
            "augment_prompt =",
            "augment_promt =",
            &["hooks.augment_promt", "did you mean augment_prompt?"],
        );
        check(
            "deadline_ms = 400",
            "deadline = 400",
            &["did you mean deadline_ms?"],
        );
        check(
            "deadline_ms = 400",
            "deadline_ms = 0",
            &["hooks.augment_prompt.deadline_ms"],
        );
        check("\"refuse\"", "\"refus\"", &["did you mean refuse?"]);
        check(
            "augment_prompt = {",
            "augment_prompt = { may_withhold = true,",
            &["only on_answer"],
        );
        check(
            "org.example.cardiology",
            "../../etc",
            &["plugin.id", "org.example"],
        );
        check("org.example.cardiology", "Cardiology", &["plugin.id"]);
        check("1.4.0", "1.4", &["line 4"]);
        check("native", "data", &["plugin.kind"]);
        check("\"0.1\"", "\"0.9\"", &["update the bot"]);
        check("\"0.1\"", "\"one\"", &["two numbers"]);
        check(">=0.1, <2", ">=7", &["plugin.bot", "this bot is"]);
        check("libcardiology.so", "../lib.so", &["plugin.library"]);
        check("16 MiB", "16 MB", &["16 MB", "16 MiB"]);
        check("generate = {", "network = {", &["network"]);
        check("name = \"ecg\"", "name = \"E C G\"", &["commands.name"]);
        check("zh = \"解释心电图报告\"", "fr = \"x\"", &["fr"]);
    }
}
