//! `[plugins]` of the bot's config.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Which plugins run, where, and with which settings.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginsConfig {
    /// Whether plugins run at all. Without them the bot still answers: the red-flag rules are no plugin.
    pub enabled: bool,
    /// The folder that holds `<id>/<version>/plugin.toml`. Of several versions the highest runs. Without it
    /// `plugins` beside the program is taken.
    pub dir: Option<PathBuf>,
    /// Ids of plugins that run inside the bot's own process. They may read and do all that the bot may, and
    /// a crash of theirs ends the bot; what they gain is some microseconds a message.
    pub trusted: Vec<String>,
    /// Ids of plugins that are installed and do not run.
    pub disabled: Vec<String>,
    /// `best-effort`: plugins run as locked in as this machine's kernel can. `required`: plugins that could
    /// not be locked in fully (files, network, other programs) do not run.
    pub sandbox: SandboxPolicy,
    /// Ids of plugins without which the bot must not answer: where one fails, the patient gets an apology
    /// instead, even if its manifest says `on_failure = "skip"`.
    pub refuse_on_failure: Vec<String>,
    /// Permissions to take away: plugin id to `storage`, `message`, `generate`, `embed`, `jobs`, `audit`.
    pub deny: BTreeMap<String, Vec<String>>,
    /// Each plugin's own settings, a table under its id: `[plugins.settings."bedside.knowledge"]`.
    pub settings: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxPolicy {
    #[default]
    BestEffort,
    Required,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: None,
            trusted: Vec::new(),
            disabled: Vec::new(),
            sandbox: SandboxPolicy::BestEffort,
            refuse_on_failure: Vec::new(),
            deny: BTreeMap::new(),
            settings: BTreeMap::new(),
        }
    }
}

impl PluginsConfig {
    /// All ids that the config names, each with the key that names it.
    pub(crate) fn named_plugins(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let lists = [
            ("plugins.trusted", &self.trusted),
            ("plugins.disabled", &self.disabled),
            ("plugins.refuse_on_failure", &self.refuse_on_failure),
        ];
        let lists = lists
            .into_iter()
            .flat_map(|(key, ids)| ids.iter().map(move |id| (key, id)));
        let denied = self.deny.keys().map(|id| ("plugins.deny", id));
        let settings = self.settings.keys().map(|id| ("plugins.settings", id));
        lists.chain(denied).chain(settings)
    }
}

/// Settings may hold secrets.
impl fmt::Debug for PluginsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginsConfig")
            .field("enabled", &self.enabled)
            .field("dir", &self.dir)
            .field("trusted", &self.trusted)
            .field("disabled", &self.disabled)
            .field("sandbox", &self.sandbox)
            .field("refuse_on_failure", &self.refuse_on_failure)
            .field("deny", &self.deny)
            .field("settings", &self.settings.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{PluginsConfig, SandboxPolicy};

    #[test]
    fn reads_what_the_manual_shows() {
        let config: PluginsConfig = toml::from_str(
            r#"
            sandbox = "required"
            trusted = ["bedside.triage"]
            deny = { "org.example.heart" = ["generate"] }
            [settings."bedside.knowledge"]
            token = "secret"
            "#,
        )
        .unwrap();
        assert_eq!(config.sandbox, SandboxPolicy::Required);
        assert_eq!(config.settings["bedside.knowledge"]["token"], "secret");
        assert!(config.enabled);
        assert!(!format!("{config:?}").contains("secret"));
        assert_eq!(config.named_plugins().count(), 3);
        assert!(
            toml::from_str::<PluginsConfig>("trustd = []")
                .unwrap_err()
                .to_string()
                .contains("trustd")
        );
    }
}
