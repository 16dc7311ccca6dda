use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bedside_contract::ConnectorError;
use bedside_kit::{Scheme, bind, checked_url, http_client, read_secret};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    api::Api,
    connector::WechatConnector,
    crypto::AesKey,
    gate::{Gate, GateKeys},
    windows::Timing,
};

/// `[wechat]`: answers patients on a WeChat Official Account (公众号). The values come from the account's
/// console at mp.weixin.qq.com, 设置与开发 → 基本配置.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WechatConfig {
    /// Whether the bot answers on WeChat.
    pub enabled: bool,
    /// 开发者ID (AppID), like `wx49f0ab532d5d035a`.
    pub appid: String,
    /// 令牌 (Token): 3 to 32 letters and digits, the same as in the console. It is a password: better use
    /// `token_file` or the environment variable `BEDSIDE_WECHAT__TOKEN`.
    pub token: Option<SecretString>,
    /// A file that holds the token and nothing else. Not together with `token`.
    pub token_file: Option<PathBuf>,
    /// 消息加解密密钥 (EncodingAESKey): 43 letters and digits, the same as in the console. A password like
    /// `token` (`BEDSIDE_WECHAT__ENCODING_AES_KEY`).
    pub encoding_aes_key: Option<SecretString>,
    /// A file that holds the EncodingAESKey and nothing else. Not together with `encoding_aes_key`.
    pub encoding_aes_key_file: Option<PathBuf>,
    /// The EncodingAESKey before the last change: messages that WeChat still sends with it are read too.
    pub previous_encoding_aes_key: Option<SecretString>,
    /// 开发者密码 (AppSecret), needed only with `replies = "customer-service"`. A password like `token`
    /// (`BEDSIDE_WECHAT__SECRET`).
    pub secret: Option<SecretString>,
    /// A file that holds the AppSecret and nothing else. Not together with `secret`.
    pub secret_file: Option<PathBuf>,
    /// 消息加解密方式: `safe` (安全模式) takes encrypted messages only. `compat` (兼容模式) and `plain` (明文模式)
    /// take messages that anybody on the way could read or change: for tests only.
    pub mode: Mode,
    /// How patients are answered. `passive`: in the answer to WeChat's own request, which every account may
    /// do; one message for each of the patient's. `customer-service`: through WeChat's API, which only
    /// verified accounts (认证) may do; 5 messages for each of the patient's, with a typing notice and a menu.
    pub replies: Replies,
    /// Address and port to listen on. WeChat asks for port 80 or 443 and patients for TLS: put a proxy before.
    pub listen: String,
    /// The path of 服务器地址(URL) in the console.
    pub path: String,
    /// Where WeChat's API is.
    pub api_url: String,
}

/// How messages are encrypted between WeChat and us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// 安全模式: encrypted messages only.
    #[default]
    Safe,
    /// 兼容模式: encrypted where WeChat encrypts, plain otherwise.
    Compat,
    /// 明文模式: plain messages.
    Plain,
}

/// How patients are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replies {
    /// In the answer to WeChat's request.
    #[default]
    Passive,
    /// Through the customer-service API (客服消息).
    CustomerService,
}

/// What the connector needs from the rest of the bot.
#[derive(Debug, Clone, Copy, Default)]
pub struct WechatContext {
    /// How WeChat's 5 seconds × 3 tries are used. The default is right for WeChat; tests shorten it.
    pub timing: Timing,
}

fn default_listen() -> String {
    "127.0.0.1:8081".to_owned()
}

fn default_path() -> String {
    "/wechat".to_owned()
}

fn default_api_url() -> String {
    "https://api.weixin.qq.com".to_owned()
}

impl Default for WechatConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            appid: String::new(),
            token: None,
            token_file: None,
            encoding_aes_key: None,
            encoding_aes_key_file: None,
            previous_encoding_aes_key: None,
            secret: None,
            secret_file: None,
            mode: Mode::default(),
            replies: Replies::default(),
            listen: default_listen(),
            path: default_path(),
            api_url: default_api_url(),
        }
    }
}

impl WechatConfig {
    /// Checks the keys, reads the secrets and binds the port; requests wait until
    /// [`bedside_contract::Connector::run`].
    ///
    /// # Errors
    /// [`ConnectorError::AddressInUse`] with a port that is free, [`ConnectorError::Config`] with the key at
    /// fault otherwise.
    pub fn build(self, context: WechatContext) -> Result<WechatConnector, ConnectorError> {
        self.check_appid()?;
        self.check_path()?;
        let gate = Gate::new(self.appid.clone(), self.gate_keys()?, self.mode);
        let api = match self.replies {
            Replies::Passive => None,
            Replies::CustomerService => Some(self.api()?),
        };
        let listener = bind("wechat.listen", &self.listen)?;
        match self.mode {
            Mode::Safe => {}
            Mode::Compat => tracing::warn!(
                "wechat.mode is compat: messages that are not encrypted are taken too; use it for tests only"
            ),
            Mode::Plain => tracing::warn!(
                "wechat.mode is plain: what patients write is not encrypted and anybody on the way can change it; \
                 use it for tests only"
            ),
        }
        WechatConnector::new(self.appid, self.path, gate, api, listener, context.timing)
    }

    /// Checks the keys and reads the secrets, without taking the port.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.check_appid()?;
        self.check_path()?;
        self.gate_keys()?;
        match self.replies {
            Replies::Passive => Ok(()),
            Replies::CustomerService => self.api().map(drop),
        }
    }

    fn check_appid(&self) -> Result<(), ConnectorError> {
        if self.appid.is_empty() {
            return Err(wrong(
                "appid",
                "missing: it is 开发者ID(AppID) under 设置与开发 → 基本配置 in the console",
            ));
        }
        let well_formed = self.appid.len() <= 64 && self.appid.chars().all(|it| it.is_ascii_alphanumeric());
        if !well_formed {
            return Err(wrong(
                "appid",
                format!(
                    "{:?} should be letters and digits only, like wx49f0ab532d5d035a",
                    self.appid
                ),
            ));
        }
        Ok(())
    }

    fn check_path(&self) -> Result<(), ConnectorError> {
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "/-_.~".contains(it);
        if !self.path.starts_with('/') || !self.path.chars().all(is_plain) {
            return Err(wrong(
                "path",
                format!(
                    "{:?} should begin with / and hold letters, digits, / - _ . ~ only, like /wechat",
                    self.path
                ),
            ));
        }
        Ok(())
    }

    fn gate_keys(&self) -> Result<GateKeys, ConnectorError> {
        let token = Secret::TOKEN
            .read(self.token.as_ref(), self.token_file.as_deref())?
            .ok_or_else(|| Secret::TOKEN.missing())?;
        let text = token.expose_secret();
        if !(3..=32).contains(&text.len()) || !text.chars().all(|it| it.is_ascii_alphanumeric()) {
            let reason = "should be 3 to 32 letters and digits, the same as 令牌(Token) in the console";
            return Err(wrong("token", reason));
        }
        let current = Secret::AES_KEY
            .read(
                self.encoding_aes_key.as_ref(),
                self.encoding_aes_key_file.as_deref(),
            )?
            .map(|it| aes_key("encoding_aes_key", &it))
            .transpose()?;
        if current.is_none() && self.mode != Mode::Plain {
            return Err(Secret::AES_KEY.missing());
        }
        let previous = self
            .previous_encoding_aes_key
            .as_ref()
            .filter(|it| !it.expose_secret().trim().is_empty())
            .map(|it| aes_key("previous_encoding_aes_key", it))
            .transpose()?;
        Ok(GateKeys {
            token,
            aes: current.into_iter().chain(previous).collect(),
        })
    }

    fn api(&self) -> Result<Api, ConnectorError> {
        let secret = Secret::SECRET
            .read(self.secret.as_ref(), self.secret_file.as_deref())?
            .ok_or_else(|| Secret::SECRET.missing())?;
        if !secret
            .expose_secret()
            .chars()
            .all(|it| it.is_ascii_alphanumeric())
        {
            let reason = "should be letters and digits only: it is 开发者密码(AppSecret) in the console";
            return Err(wrong("secret", reason));
        }
        let key = "wechat.api_url";
        let url = checked_url(key, &self.api_url, Scheme::Http, "the secret and answers")?;
        let client = http_client(key, &url, Duration::from_secs(20), |it| it)?;
        Ok(Api::new(client, &url, self.appid.clone(), secret))
    }
}

/// A secret's keys in the config, and where its value is found in the console.
struct Secret {
    key: &'static str,
    in_console: &'static str,
    variable: &'static str,
}

impl Secret {
    const TOKEN: Self = Self {
        key: "token",
        in_console: "令牌(Token)",
        variable: "BEDSIDE_WECHAT__TOKEN",
    };
    const AES_KEY: Self = Self {
        key: "encoding_aes_key",
        in_console: "消息加解密密钥(EncodingAESKey)",
        variable: "BEDSIDE_WECHAT__ENCODING_AES_KEY",
    };
    const SECRET: Self = Self {
        key: "secret",
        in_console: "开发者密码(AppSecret)",
        variable: "BEDSIDE_WECHAT__SECRET",
    };

    fn read(
        &self,
        value: Option<&SecretString>,
        file: Option<&Path>,
    ) -> Result<Option<SecretString>, ConnectorError> {
        let secret = read_secret("wechat", self.key, value, file)?.map(|it| it.text);
        Ok(secret.filter(|it| !it.expose_secret().is_empty()))
    }

    fn missing(&self) -> ConnectorError {
        let (console, variable) = (self.in_console, self.variable);
        wrong(
            self.key,
            format!(
                "missing: copy {console} from 设置与开发 → 基本配置 in the console to here, to wechat.{}_file \
                 or to {variable}",
                self.key
            ),
        )
    }
}

fn aes_key(key: &str, value: &SecretString) -> Result<AesKey, ConnectorError> {
    let text = value.expose_secret().trim();
    AesKey::parse(text).map_err(|error| wrong(key, format!("{error}; copy it whole from the console")))
}

pub(crate) fn wrong(key: &str, reason: impl Into<String>) -> ConnectorError {
    bedside_kit::wrong(format!("wechat.{key}"), reason)
}

#[cfg(test)]
mod tests {
    use super::{Mode, Replies, WechatConfig, WechatContext};

    const KEY: &str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR";

    fn problem_of(toml: &str) -> Option<String> {
        let config: WechatConfig = toml::from_str(toml).unwrap();
        let config = WechatConfig {
            listen: "127.0.0.1:0".to_owned(),
            ..config
        };
        config
            .build(WechatContext::default())
            .err()
            .map(|it| it.to_string())
    }

    fn with(lines: &str) -> String {
        format!("appid = 'wx12'\ntoken = 'abc'\n{lines}")
    }

    #[test]
    fn keys_are_checked_and_named() {
        let check = |toml: String, expect: Option<&str>| {
            let problem = problem_of(&toml);
            match expect {
                None => assert_eq!(problem, None, "{toml}"),
                Some(expect) => {
                    let problem = problem.unwrap_or_default();
                    assert!(problem.contains(expect), "{toml}: {problem}");
                }
            }
        };
        let aes = format!("encoding_aes_key = '{KEY}'\n");
        check(with(&aes), None);
        check(String::new(), Some("wechat.appid: missing"));
        check(
            "appid = 'wx:12'".to_owned(),
            Some("should be letters and digits only"),
        );
        check("appid = 'wx12'".to_owned(), Some("wechat.token: missing"));
        check(
            "appid = 'wx12'\ntoken = 'a b'".to_owned(),
            Some("wechat.token: should be 3 to 32"),
        );
        check(with(""), Some("wechat.encoding_aes_key: missing"));
        check(with("mode = 'plain'"), None);
        check(
            with("encoding_aes_key = 'short'"),
            Some("wechat.encoding_aes_key: has 5 characters instead of 43"),
        );
        check(
            with(&format!("{aes}previous_encoding_aes_key = 'x'")),
            Some("wechat.previous_encoding_aes_key: has 1"),
        );
        check(
            with(&format!("{aes}encoding_aes_key_file = 'f'")),
            Some("not both"),
        );
        check(
            with("encoding_aes_key_file = '/nowhere/key'"),
            Some("/nowhere/key"),
        );
        check(
            with(&format!("{aes}replies = 'customer-service'")),
            Some("wechat.secret: missing"),
        );
        check(
            with(&format!("{aes}replies = 'customer-service'\nsecret = 'S1'")),
            None,
        );
        let odd = format!("{aes}replies = 'customer-service'\nsecret = 'S1'\napi_url = 'ftp://host'");
        check(with(&odd), Some("wechat.api_url: ftp:"));
        check(with(&format!("{aes}path = 'wechat'")), Some("wechat.path"));
        check(with(&format!("{aes}path = '/{{x}}'")), Some("wechat.path"));
    }

    #[test]
    fn secrets_are_not_repeated() {
        let toml = "token = 'Hush1!'\nencoding_aes_key = 'Hush2'\nsecret = 'Hush3'\nappid = 'wx12'";
        let config: WechatConfig = toml::from_str(toml).unwrap();
        assert!(!format!("{config:?}").contains("Hush"));
        let problem = problem_of(toml).unwrap();
        assert!(
            problem.starts_with("wechat.token:") && !problem.contains("Hush"),
            "{problem}"
        );
        let problem = problem_of(&with("encoding_aes_key = 'Hush2'")).unwrap();
        assert!(!problem.contains("Hush"), "{problem}");
    }

    #[test]
    fn words_of_the_config_are_read() {
        let config: WechatConfig = toml::from_str("mode = 'compat'\nreplies = 'customer-service'").unwrap();
        assert_eq!(
            (config.mode, config.replies),
            (Mode::Compat, Replies::CustomerService)
        );
        assert!(toml::from_str::<WechatConfig>("tokn = 'a'").is_err());
    }

    #[test]
    fn a_port_in_use_is_named_with_a_free_one() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config: WechatConfig = toml::from_str(&with("mode = 'plain'")).unwrap();
        let config = WechatConfig {
            listen: taken.local_addr().unwrap().to_string(),
            ..config
        };
        let problem = config.build(WechatContext::default()).err().unwrap().to_string();
        assert!(
            problem.contains("wechat.listen") && problem.contains("is in use"),
            "{problem}"
        );
    }
}
