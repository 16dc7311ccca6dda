use std::path::PathBuf;

use bedside_contract::ConnectorError;
use bedside_kit::{AccessKey, wrong};
use serde::Deserialize;

/// `[web.api]`: the model for programs, in OpenAI's protocol under `/v1`. It is the model alone: no triage, no
/// knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Whether `/v1` is served.
    pub enabled: bool,
    /// What programs send as `Authorization: Bearer …`. Without a key only programs on this machine are
    /// served, and only while nobody else can reach `web.listen`. It is a password: better use `key_file` or
    /// the environment variable `BEDSIDE_WEB__API__KEY`.
    pub key: Option<AccessKey>,
    /// A file that holds the key and nothing else. Not together with `key`.
    pub key_file: Option<PathBuf>,
    /// Seconds from a request's arrival to its end; after them the answer ends as if its tokens were used up.
    pub deadline_seconds: u64,
    /// How many requests may run and wait at once. Keep it below `engine.sequences` + `engine.queue`: the rest
    /// is for patients.
    pub max_requests: usize,
    /// Gone: adapters are loaded and unloaded on the admin listener, `[admin]`. `true` is refused.
    pub manage_adapters: bool,
}

const fn default_enabled() -> bool {
    true
}

const fn default_deadline_seconds() -> u64 {
    600
}

const fn default_max_requests() -> usize {
    32
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            enabled: default_enabled(),
            key: None,
            key_file: None,
            deadline_seconds: default_deadline_seconds(),
            max_requests: default_max_requests(),
            manage_adapters: false,
        }
    }
}

impl ApiConfig {
    /// Checks the keys and reads the secret one.
    pub(crate) fn read_key(&self) -> Result<Option<AccessKey>, ConnectorError> {
        if self.deadline_seconds == 0 {
            return Err(wrong("web.api.deadline_seconds", "must be at least 1"));
        }
        if self.max_requests == 0 {
            let reason = "must be at least 1; enabled = false switches the API off";
            return Err(wrong("web.api.max_requests", reason));
        }
        if self.manage_adapters {
            let reason = "adapters are loaded and unloaded on the admin listener now: take this key away, set \
                          admin.listen and admin.key_file";
            return Err(wrong("web.api.manage_adapters", reason));
        }
        AccessKey::read("web.api", self.key.as_ref(), self.key_file.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::ApiConfig;

    fn config(json: &str) -> ApiConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn keys_are_checked_and_named() {
        let check = |json: &str, expect: &str| {
            let problem = config(json).read_key().unwrap_err().to_string();
            assert!(problem.starts_with(expect), "{json}: {problem}");
            assert!(!problem.contains("Hush"), "{problem}");
        };
        check(r#"{"key": ""}"#, "web.api.key: is empty");
        check(r#"{"key": "Hush Hush"}"#, "web.api.key: may hold");
        check(r#"{"key": "Hush-0123456789"}"#, "web.api.key: is short");
        check(r#"{"manage_adapters": true}"#, "web.api.manage_adapters: ");
        check(r#"{"key": "Hush", "key_file": "f"}"#, "web.api.key_file: set it");
        check(
            r#"{"key_file": "/nowhere/key"}"#,
            "web.api.key_file: cannot read /nowhere/key",
        );
        check(r#"{"deadline_seconds": 0}"#, "web.api.deadline_seconds: ");
        check(r#"{"max_requests": 0}"#, "web.api.max_requests: ");
        assert_eq!(ApiConfig::default().read_key().unwrap(), None);
    }

    #[test]
    fn a_key_file_is_read() {
        let file = std::env::temp_dir().join(format!("bedside-api-key-{}", std::process::id()));
        std::fs::write(&file, "sk-from-a-file-0123\n").unwrap();
        let config = ApiConfig {
            key_file: Some(file.clone()),
            ..ApiConfig::default()
        };
        let key = config.read_key();
        std::fs::remove_file(&file).unwrap();
        assert!(key.unwrap().unwrap().is("sk-from-a-file-0123"));
    }
}
