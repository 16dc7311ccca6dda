use std::{path::PathBuf, time::Duration};

use bedside_contract::ConnectorError;
use bedside_kit::{Scheme, Secret, checked_url, http_client, read_secret, wrong};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use teloxide::Bot;

use crate::connector::TelegramConnector;

/// `[telegram]`: answers patients on Telegram. Make a bot with @BotFather and put its token here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelegramConfig {
    /// Whether the bot answers on Telegram.
    pub enabled: bool,
    /// The token that @BotFather gave, like `123456789:AAF7…`. It is a password: better use `token_file`
    /// or the environment variable `BEDSIDE_TELEGRAM__TOKEN`.
    pub token: Option<SecretString>,
    /// A file that holds the token and nothing else, readable by the bot only. Not together with `token`.
    pub token_file: Option<PathBuf>,
    /// Where the Bot API is. Change it for a Bot API server of your own.
    pub api_url: String,
    /// How many seconds Telegram holds a poll open when there is nothing new, 1 to 50.
    pub poll_timeout: u64,
}

impl Default for TelegramConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            token: None,
            token_file: None,
            api_url: default_api_url(),
            poll_timeout: default_poll_timeout().as_secs(),
        }
    }
}

fn default_api_url() -> String {
    "https://api.telegram.org".to_owned()
}

/// Short enough for proxies and firewalls that cut idle connections after 30 s.
const fn default_poll_timeout() -> Duration {
    Duration::from_secs(25)
}

impl TelegramConfig {
    /// Checks the keys and reads the token; nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn build(self) -> Result<TelegramConnector, ConnectorError> {
        self.check_poll_timeout()?;
        let api_url = self.parsed_api_url()?;
        let poll_timeout = Duration::from_secs(self.poll_timeout);
        let token = self.read_token()?;
        let bot_with = |timeout: Duration| {
            let client = http_client("telegram.api_url", &api_url, timeout, |it| it)?;
            Ok::<_, ConnectorError>(
                Bot::with_client(token.expose_secret(), client).set_api_url(api_url.clone()),
            )
        };
        let sending = bot_with(Duration::from_secs(20))?;
        let polling = bot_with(poll_timeout + Duration::from_secs(15))?;
        Ok(TelegramConnector::new(sending, polling, poll_timeout))
    }

    /// Checks the keys and reads the token, nothing else.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.check_poll_timeout()?;
        self.parsed_api_url()?;
        self.read_token().map(drop)
    }

    fn check_poll_timeout(&self) -> Result<(), ConnectorError> {
        if (1..=50).contains(&self.poll_timeout) {
            return Ok(());
        }
        Err(wrong(
            "telegram.poll_timeout",
            format!("{} is not within 1 to 50 seconds", self.poll_timeout),
        ))
    }

    fn parsed_api_url(&self) -> Result<Url, ConnectorError> {
        checked_url("telegram.api_url", &self.api_url, Scheme::Http, "the token")
    }

    fn read_token(&self) -> Result<SecretString, ConnectorError> {
        let token = read_secret(
            "telegram",
            "token",
            self.token.as_ref(),
            self.token_file.as_deref(),
        )?;
        let Some(Secret { key, text: token }) = token else {
            return Err(wrong(
                "telegram.token",
                "missing: make a bot with @BotFather and set its token here, in telegram.token_file or in \
                 BEDSIDE_TELEGRAM__TOKEN",
            ));
        };
        let is_plain = |it: char| it.is_ascii_alphanumeric() || ":_-".contains(it);
        let text = token.expose_secret();
        if text.is_empty() || !text.chars().all(is_plain) {
            return Err(wrong(
                key,
                "is not a token: it should look like 123456789:AAF7… (digits, colon, letters)",
            ));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::TelegramConfig;

    fn problem_of(toml: &str) -> Option<String> {
        let config: TelegramConfig = toml::from_str(toml).unwrap();
        let url = config.parsed_api_url().err();
        url.or_else(|| config.read_token().err()).map(|it| it.to_string())
    }

    #[test]
    fn keys_are_checked() {
        assert_eq!(problem_of("token = '12:AbC_-'"), None);
        assert!(problem_of("").unwrap().starts_with("telegram.token: missing"));
        assert!(
            problem_of("token_file = '/nowhere/token'")
                .unwrap()
                .contains("/nowhere/token")
        );
        assert!(
            problem_of("token = 'a'\ntoken_file = 'b'")
                .unwrap()
                .contains("not both")
        );
        assert!(
            problem_of("token = 'a'\napi_url = 'nonsense'")
                .unwrap()
                .starts_with("telegram.api_url")
        );
        assert!(
            problem_of("token = 'a'\napi_url = 'ftp://host'")
                .unwrap()
                .contains("http")
        );
        assert!(
            toml::from_str::<TelegramConfig>("tokn = 'a'")
                .unwrap_err()
                .to_string()
                .contains("token")
        );
    }

    #[test]
    fn a_wrong_token_is_not_repeated_in_the_error() {
        let problem = problem_of("token = 'bot 12:Hush'").unwrap();
        assert!(
            problem.starts_with("telegram.token:") && !problem.contains("Hush"),
            "{problem}"
        );
        let config: TelegramConfig = toml::from_str("token = '12:Hush'").unwrap();
        assert!(!format!("{config:?}").contains("Hush"));
    }

    #[test]
    fn the_token_file_may_end_with_a_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12:Ab\n").unwrap();
        assert_eq!(problem_of(&format!("token_file = {:?}", file.path())), None);
    }
}
