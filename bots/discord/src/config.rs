use std::{path::PathBuf, time::Duration};

use bedside_contract::ConnectorError;
use bedside_kit::{Scheme, Secret, checked_url, http_client, read_secret, wrong};
use reqwest::{Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    connector::DiscordConnector,
    rest::{Rest, USER_AGENT},
};

/// `[discord]`: answers patients on Discord. Make an application with a bot in Discord's developer portal and
/// put the bot's token here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscordConfig {
    /// Whether the bot answers on Discord.
    pub enabled: bool,
    /// The bot's token, from the page "Bot" of the application. It is a password: better use `token_file` or
    /// the environment variable `BEDSIDE_DISCORD__TOKEN`.
    pub token: Option<SecretString>,
    /// A file that holds the token and nothing else, readable by the bot only. Not together with `token`.
    pub token_file: Option<PathBuf>,
    /// Where Discord's REST API is, version included. Change it for a relay of your own.
    pub api_url: String,
    /// Where Discord's gateway is, like `wss://gateway.discord.gg`. Discord names it when this is left out;
    /// set it for a relay of your own, which then carries resumed sessions too.
    pub gateway_url: Option<String>,
    /// Whether the slash commands (/ask, /new, /stop …) are registered at the start. They replace all global
    /// commands of the application: switch it off if another program registers commands for it.
    pub register_commands: bool,
}

impl Default for DiscordConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            token: None,
            token_file: None,
            api_url: default_api_url(),
            gateway_url: None,
            register_commands: default_register_commands(),
        }
    }
}

fn default_api_url() -> String {
    "https://discord.com/api/v10".to_owned()
}

const fn default_register_commands() -> bool {
    true
}

impl DiscordConfig {
    /// Checks the keys and reads the token; nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn build(self) -> Result<DiscordConnector, ConnectorError> {
        let api_url = self.parsed_api_url()?;
        let gateway_url = self.parsed_gateway_url()?;
        let token = self.read_token()?;
        let client = http_client("discord.api_url", &api_url, Duration::from_secs(20), |it| {
            it.user_agent(USER_AGENT).redirect(Policy::none())
        })?;
        let rest = Rest::new(client, api_url.as_str(), token);
        Ok(DiscordConnector::new(rest, gateway_url, self.register_commands))
    }

    /// Checks the keys and reads the token, nothing else.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.parsed_api_url()?;
        self.parsed_gateway_url()?;
        self.read_token().map(drop)
    }

    fn parsed_api_url(&self) -> Result<Url, ConnectorError> {
        checked_url("discord.api_url", &self.api_url, Scheme::Http, "the token")
    }

    fn parsed_gateway_url(&self) -> Result<Option<Url>, ConnectorError> {
        let url = self.gateway_url.as_deref();
        url.map(|it| checked_url("discord.gateway_url", it, Scheme::WebSocket, "the token"))
            .transpose()
    }

    fn read_token(&self) -> Result<SecretString, ConnectorError> {
        let token = read_secret(
            "discord",
            "token",
            self.token.as_ref(),
            self.token_file.as_deref(),
        )?;
        let Some(Secret { key, text: token }) = token else {
            return Err(wrong(
                "discord.token",
                "missing: make an application with a bot at https://discord.com/developers and set the bot's \
                 token here, in discord.token_file or in BEDSIDE_DISCORD__TOKEN",
            ));
        };
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        let text = token.expose_secret();
        if text.is_empty() || !text.chars().all(is_plain) {
            return Err(wrong(
                key,
                "is not a bot token: it should be three words of letters and digits joined by dots, without \
                 \"Bot\" before it",
            ));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::DiscordConfig;

    fn problem_of(toml: &str) -> Option<String> {
        let config: DiscordConfig = toml::from_str(toml).unwrap();
        let problem = config
            .parsed_api_url()
            .err()
            .or_else(|| config.parsed_gateway_url().err())
            .or_else(|| config.read_token().err());
        problem.map(|it| it.to_string())
    }

    #[test]
    fn keys_are_checked() {
        let check = |toml: &str, expect: &str| {
            let problem = problem_of(toml).unwrap();
            assert!(problem.contains(expect), "{toml}: {problem}");
        };
        assert_eq!(problem_of("token = 'MTk4.Cl2FMQ.Zn-C_x'"), None);
        assert_eq!(
            problem_of("token = 'a.b.c'\ngateway_url = 'wss://gateway.discord.gg/'"),
            None
        );
        check("", "discord.token: missing");
        check("token_file = '/nowhere/token'", "/nowhere/token");
        check("token = 'a'\ntoken_file = 'b'", "not both");
        check("token = 'a'\napi_url = 'nonsense'", "discord.api_url");
        check("token = 'a'\napi_url = 'ftp://host'", "not http or https");
        check("token = 'a'\ngateway_url = 'https://host'", "not ws or wss");
        check("token = 'Bot a.b.c'", "discord.token: is not a bot token");
        assert!(
            toml::from_str::<DiscordConfig>("tokn = 'a'")
                .unwrap_err()
                .to_string()
                .contains("token")
        );
    }

    #[test]
    fn a_wrong_token_is_not_repeated_in_the_error() {
        let problem = problem_of("token = 'Bot Hush'").unwrap();
        assert!(!problem.contains("Hush"), "{problem}");
        let config: DiscordConfig = toml::from_str("token = 'Hush'").unwrap();
        assert!(!format!("{config:?}").contains("Hush"));
    }

    #[test]
    fn the_token_file_may_end_with_a_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a.b.c\n").unwrap();
        assert_eq!(problem_of(&format!("token_file = {:?}", file.path())), None);
    }
}
