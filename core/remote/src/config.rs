//! What an operator may set. The comments are the manual.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use bedside_contract::{AnswerMode, Language};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{generator::RemoteGenerator, parameters, server::Server};

/// `[remote]`: a model server of the hospital's own answers in place of the model in this process; `[model]`
/// then only says how answers are drawn (`[model.sampling]`). What patients write is sent there: docs/remote-model.md.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteConfig {
    /// Where the server's OpenAI-compatible interface is, like `http://10.0.0.5:8000/v1`. Unset or empty:
    /// the model in this process answers.
    pub base_url: Option<String>,
    /// Whether the server stands inside the hospital, so that what patients write does not leave it. Patients are told
    /// before they consent. Default: only if `base_url` is this machine.
    pub inside_hospital: Option<bool>,
    /// The key that the server asks for, if any. It is a password: better use `api_key_file` or the
    /// environment variable `BEDSIDE_REMOTE__API_KEY`.
    pub api_key: Option<SecretString>,
    /// A file that holds the key and nothing else, readable by the bot only. Not together with `api_key`.
    pub api_key_file: Option<PathBuf>,
    /// The model's name at the server. Default: the first that it names.
    pub model: Option<String>,
    /// Names of the server's adapters (LoRA) that requests may choose: vLLM's `--lora-modules` names, or the
    /// names of llama-server's `--lora` files without folder and `.gguf`.
    pub adapters: Vec<String>,
    /// Languages that the model may be asked in, `en` or `zh`; in others patients get the passages of the
    /// knowledge base themselves. Default: what is known of the model by its name, else English.
    pub languages: Option<Vec<Language>>,
    /// `grounded`: answers only reword what the knowledge base says. `free`: the model may use what it
    /// learned. Default: grounded, because the model behind the name is unknown here.
    pub answer_mode: Option<AnswerMode>,
    /// Tokens of prompt and answer together. Default: what the server says, else 4096.
    pub context_length: Option<usize>,
    /// How large the model is, in billions of parameters; a third reader (`bot.third_reader`) needs 3. Left
    /// out: what the server says (llama-server does), else what the model's name says (`Qwen2.5-14B`).
    pub billion_parameters: Option<f64>,
    /// Models that can think aloud are told not to, by the chat template's `enable_thinking`. A server that takes no
    /// `chat_template_kwargs` is asked without them.
    pub disable_thinking: bool,
    /// Whether answers may begin within a thought of which only the end is marked (`</think>`); they are shown when it
    /// has come. `false`: all that stands before a mark is shown at once. Default: what is known of the model by its
    /// name, else what its first answer that is not cut off shows; until then answers are shown when they are whole.
    pub thinks_aloud: Option<bool>,
    /// Seconds until a connection must stand.
    pub connect_timeout_seconds: u64,
    /// Seconds from a request to the first word of its answer.
    pub first_token_timeout_seconds: u64,
    /// Seconds between two words of an answer.
    pub token_timeout_seconds: u64,
    /// How often a request is sent again that failed before the first word of its answer.
    pub retries: u32,
    /// How many requests the server is given at once.
    pub concurrent: usize,
    /// How many more may wait. One more is told at once that the bot is busy.
    pub queue: usize,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            base_url: None,
            inside_hospital: None,
            api_key: None,
            api_key_file: None,
            model: None,
            adapters: Vec::new(),
            languages: None,
            answer_mode: None,
            context_length: None,
            billion_parameters: None,
            disable_thinking: true,
            thinks_aloud: None,
            connect_timeout_seconds: 5,
            first_token_timeout_seconds: 60,
            token_timeout_seconds: 20,
            retries: 3,
            concurrent: 8,
            queue: 64,
        }
    }
}

/// A key of `[remote]` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote.{key}: {reason}")]
pub struct RemoteConfigError {
    pub key: &'static str,
    pub reason: String,
}

impl RemoteConfig {
    /// Whether a server answers in place of the model in this process.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.base_url.as_deref().is_some_and(|it| !it.trim().is_empty())
    }

    /// Whether what patients write leaves the hospital.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        let is_here = || self.parsed_base_url().is_ok_and(|it| is_loopback(&it));
        self.is_on() && !self.inside_hospital.unwrap_or_else(is_here)
    }

    /// Starts to ask the server for its model, in the background. Call within a tokio runtime.
    ///
    /// # Errors
    /// With the key at fault.
    pub fn build(&self) -> Result<Arc<RemoteGenerator>, RemoteConfigError> {
        self.check_numbers()?;
        let server = Server::new(
            self.parsed_base_url()?,
            self.read_key()?.as_ref(),
            self.connect_timeout(),
        )?;
        Ok(RemoteGenerator::start(self.clone(), server))
    }

    /// Checks the keys and reads the key's file, nothing else.
    ///
    /// # Errors
    /// With the key at fault.
    pub fn check(&self) -> Result<(), RemoteConfigError> {
        self.check_numbers()?;
        Server::new(
            self.parsed_base_url()?,
            self.read_key()?.as_ref(),
            self.connect_timeout(),
        )
        .map(drop)
    }

    /// The model's parameters, as far as they are known without asking the server.
    #[must_use]
    pub fn known_parameters(&self) -> Option<u64> {
        self.configured_parameters()
            .or_else(|| parameters::named_in(self.model.as_deref()?))
    }

    pub(crate) fn configured_parameters(&self) -> Option<u64> {
        self.billion_parameters.map(parameters::of_billions)
    }

    /// The config key that an operator sets or corrects when the server refuses us.
    pub(crate) fn key_of_the_api_key(&self) -> &'static str {
        match (&self.api_key, &self.api_key_file) {
            (Some(_), _) => "remote.api_key",
            _ => "remote.api_key_file",
        }
    }

    pub(crate) fn connect_timeout(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.connect_timeout_seconds)
    }

    fn check_numbers(&self) -> Result<(), RemoteConfigError> {
        let within = |key, number: u64, low: u64, high: u64| match (low..=high).contains(&number) {
            true => Ok(()),
            false => Err(wrong(key, format!("{number} is not within {low} to {high}"))),
        };
        within("connect_timeout_seconds", self.connect_timeout_seconds, 1, 300)?;
        within(
            "first_token_timeout_seconds",
            self.first_token_timeout_seconds,
            1,
            3600,
        )?;
        within("token_timeout_seconds", self.token_timeout_seconds, 1, 3600)?;
        within("retries", self.retries.into(), 0, 10)?;
        within("concurrent", self.concurrent as u64, 1, 10_000)?;
        within("queue", self.queue as u64, 1, 100_000)?;
        if let Some(length) = self.context_length {
            within("context_length", length as u64, 128, 100_000_000)?;
        }
        if let Some(billions) = self.billion_parameters
            && !(0.001..=100_000.0).contains(&billions)
        {
            return Err(wrong(
                "billion_parameters",
                format!("{billions} is not within 0.001 to 100000"),
            ));
        }
        if self.model.as_ref().is_some_and(|it| it.trim().is_empty()) {
            return Err(wrong(
                "model",
                "is empty: leave it out to take the first that the server names",
            ));
        }
        let mut names = BTreeSet::new();
        for name in &self.adapters {
            if name.trim().is_empty() || !names.insert(name) {
                return Err(wrong(
                    "adapters",
                    format!("{name:?} is empty or stands there twice"),
                ));
            }
        }
        Ok(())
    }

    fn parsed_base_url(&self) -> Result<Url, RemoteConfigError> {
        let text = self.base_url.as_deref().unwrap_or_default().trim();
        let url = Url::parse(text.trim_end_matches('/'))
            .map_err(|error| wrong("base_url", format!("{text:?} is not an address: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "base_url",
                "holds a user or password: set remote.api_key_file instead",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong(
                "base_url",
                format!("{text:?} has something behind its path"),
            ));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                tracing::warn!("remote.base_url is plain http: what patients write can be read on the way")
            }
            other => return Err(wrong("base_url", format!("{other}: is not http or https"))),
        }
        Ok(url)
    }

    fn read_key(&self) -> Result<Option<SecretString>, RemoteConfigError> {
        let (key, text) = match (&self.api_key, &self.api_key_file) {
            (Some(_), Some(_)) => return Err(wrong("api_key_file", "set it or remote.api_key, not both")),
            (Some(key), None) => ("api_key", key.expose_secret().to_owned()),
            (None, Some(path)) => (
                "api_key_file",
                std::fs::read_to_string(path).map_err(|error| {
                    wrong("api_key_file", format!("cannot read {}: {error}", path.display()))
                })?,
            ),
            (None, None) => return Ok(None),
        };
        let text = text.trim();
        if text.is_empty() || !text.chars().all(|it| it.is_ascii_graphic()) {
            return Err(wrong(
                key,
                "is not a key: it should be letters, digits and signs without spaces",
            ));
        }
        Ok(Some(text.to_owned().into()))
    }
}

pub(crate) fn wrong(key: &'static str, reason: impl Into<String>) -> RemoteConfigError {
    RemoteConfigError {
        key,
        reason: reason.into(),
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str()
        .is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

#[cfg(test)]
mod tests {
    use super::RemoteConfig;

    fn config(toml: &str) -> RemoteConfig {
        toml::from_str(toml).unwrap()
    }

    fn problem_of(toml: &str) -> String {
        let base = "base_url = 'http://127.0.0.1:8000/v1'\n";
        let text = if toml.contains("base_url") {
            toml.to_owned()
        } else {
            format!("{base}{toml}")
        };
        config(&text)
            .check()
            .err()
            .map_or_else(String::new, |it| it.to_string())
    }

    #[test]
    fn keys_are_checked() {
        let cases = [
            ("", ""),
            ("api_key = 'sk-1'\nmodel = 'a/b'\nadapters = ['x', 'y']", ""),
            ("base_url = 'nonsense'", "remote.base_url"),
            ("base_url = 'ftp://host/v1'", "not http or https"),
            ("base_url = 'http://user:pass@127.0.0.1/v1'", "api_key_file"),
            ("base_url = 'http://127.0.0.1/v1?key=1'", "remote.base_url"),
            ("api_key = 'a'\napi_key_file = 'b'", "not both"),
            ("api_key_file = '/nowhere/key'", "/nowhere/key"),
            ("api_key = 'two words'", "remote.api_key: is not a key"),
            ("token_timeout_seconds = 0", "remote.token_timeout_seconds: 0"),
            ("concurrent = 0", "remote.concurrent"),
            ("retries = 11", "remote.retries"),
            ("context_length = 5", "remote.context_length"),
            ("billion_parameters = 14", ""),
            ("billion_parameters = 0", "remote.billion_parameters"),
            ("billion_parameters = 14e9", "remote.billion_parameters"),
            ("model = ' '", "remote.model"),
            ("adapters = ['x', 'x']", "remote.adapters"),
        ];
        for (toml, expect) in cases {
            let problem = problem_of(toml);
            assert!(
                problem.contains(expect) && problem.is_empty() == expect.is_empty(),
                "{toml}: {problem}"
            );
        }
        assert!(toml::from_str::<RemoteConfig>("base = 'x'").is_err());
    }

    #[test]
    fn it_is_off_unless_a_server_is_named() {
        assert!(!config("").is_on());
        assert!(!config("base_url = ''").is_on());
        assert!(config("base_url = 'http://127.0.0.1/v1'").is_on());
    }

    #[test]
    fn the_key_stays_hidden() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "sk-Hush\n").unwrap();
        assert_eq!(problem_of(&format!("api_key_file = {:?}", file.path())), "");
        assert!(!problem_of("api_key = 'sk Hush'").contains("Hush"));
        assert!(!format!("{:?}", config("api_key = 'sk-Hush'")).contains("Hush"));
    }
}
