use std::{num::NonZeroU32, sync::Arc};

use bedside_contract::{ConnectorError, Generator};
use bedside_kit::{ConnectionLimits, TrustedProxies, bind, wrong};
use serde::Deserialize;

use crate::{
    connector::WebConnector,
    guard::Hosts,
    openai::{Access, ApiConfig, Reach},
    session::SessionCookies,
};

/// `[web]`: the chat page, and the health endpoints of the whole bot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Whether the page is served.
    pub enabled: bool,
    /// Address and port to listen on. `127.0.0.1` is reachable from this machine only, `0.0.0.0` from
    /// everywhere; put a proxy with TLS in front before patients use it over a network.
    pub listen: String,
    /// The address that patients open, e.g. `https://chat.hospital.example`. With `https` the session cookie
    /// is sent over TLS only. Needed when a proxy changes the `Host` header.
    pub public_url: Option<String>,
    /// Further host names under which the page may be opened. `localhost` and plain IP addresses always may;
    /// other names are refused, so that no foreign site can point its own name at this server.
    pub hosts: Vec<String>,
    /// Days until the browser forgets its conversation; 0 = when it is closed (for shared computers).
    pub session_days: u32,
    /// Minutes without a key or a touch after which the page forgets its conversation, for shared computers; 0 =
    /// never. The conversation then also ends when the browser is closed.
    pub kiosk_minutes: u32,
    /// Addresses (`10.0.0.7`) and networks (`10.0.0.0/8`) of proxies that write `X-Forwarded-For`. Only theirs is
    /// believed; the limits by address need it behind a proxy on another machine.
    pub trusted_proxies: Vec<String>,
    /// How many messages one patient may send in a minute.
    pub messages_per_minute: u32,
    /// How many messages may come from one address in a minute. A ward or a whole hospital may share one.
    pub messages_per_minute_and_address: u32,
    /// How many pages may be open at once.
    pub max_open_pages: usize,
    /// How many of them from one address.
    pub max_open_pages_per_address: usize,
    /// Connections open at once, those of pages included.
    pub max_connections: usize,
    /// The model for programs, under `/v1`.
    pub api: ApiConfig,
}

const fn default_enabled() -> bool {
    true
}

fn default_listen() -> String {
    "127.0.0.1:8080".to_owned()
}

const fn default_session_days() -> u32 {
    30
}

const fn default_messages_per_minute() -> u32 {
    60
}

const fn default_messages_per_minute_and_address() -> u32 {
    1_200
}

const fn default_max_open_pages() -> usize {
    5_000
}

const fn default_max_open_pages_per_address() -> usize {
    500
}

const fn default_max_connections() -> usize {
    8_000
}

fn default_trusted_proxies() -> Vec<String> {
    ["127.0.0.0/8", "::1"].map(str::to_owned).to_vec()
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            enabled: default_enabled(),
            listen: default_listen(),
            public_url: None,
            hosts: Vec::new(),
            session_days: default_session_days(),
            kiosk_minutes: 0,
            trusted_proxies: default_trusted_proxies(),
            messages_per_minute: default_messages_per_minute(),
            messages_per_minute_and_address: default_messages_per_minute_and_address(),
            max_open_pages: default_max_open_pages(),
            max_open_pages_per_address: default_max_open_pages_per_address(),
            max_connections: default_max_connections(),
            api: ApiConfig::default(),
        }
    }
}

/// What the page needs of the rest of the bot.
pub struct WebContext {
    /// Whether there is a model, for `/readyz`.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The model that programs ask under `/v1`; nobody is answered there without one.
    pub generator: Option<Arc<dyn Generator>>,
    /// Stands at the top of the page; asked for each page, since it may change while the bot runs.
    pub hospital_name: Arc<dyn Fn() -> String + Send + Sync>,
}

impl WebConfig {
    /// Checks the settings and binds the port; connections wait until [`bedside_contract::Connector::run`].
    ///
    /// # Errors
    /// [`ConnectorError::AddressInUse`] with a port that is free, [`ConnectorError::Config`] otherwise.
    pub fn build(self, context: WebContext) -> Result<WebConnector, ConnectorError> {
        self.check()?;
        let public_url = self.public_url.as_deref().map(PublicUrl::parse).transpose()?;
        let key = self.api.read_key()?;
        let limits = Limits {
            messages: per_minute("web.messages_per_minute", self.messages_per_minute)?,
            messages_of_address: per_minute(
                "web.messages_per_minute_and_address",
                self.messages_per_minute_and_address,
            )?,
            connections: ConnectionLimits {
                connections: self.max_connections,
                // Each page has one that stays open, and needs another one now and then.
                per_address: self.max_open_pages_per_address.saturating_mul(2),
                proxies: self.parsed_proxies()?,
                ..ConnectionLimits::default()
            },
        };
        let listener = bind("web.listen", &self.listen)?;
        let address = listener
            .local_addr()
            .map_err(|error| wrong("web.listen", error.to_string()))?;
        let reach = Reach {
            listens_on: address,
            public: public_url.as_ref().map(|it| it.authority.as_str()),
            hosts: &self.hosts,
        };
        if public_url.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                listen = self.listen,
                "The page is served without TLS to other machines: put a proxy with TLS before it and set \
                 web.public_url to its https address."
            );
        }
        let access = Access::new(&self.api, key, &reach);
        if matches!(access, Access::KeyNeeded) {
            tracing::info!(
                "the OpenAI-compatible API under /v1 is off: other machines can reach this server and there is no \
                 key; set web.api.key_file or web.api.key"
            );
        }
        let cookies = SessionCookies {
            https: public_url.as_ref().is_some_and(|it| it.https),
            days: if self.kiosk_minutes > 0 {
                0
            } else {
                self.session_days
            },
        };
        let hosts = Hosts::new(self.hosts.clone(), public_url.map(|it| it.authority));
        Ok(WebConnector::new(
            self, context, listener, address, cookies, hosts, access, limits,
        ))
    }

    /// Checks the keys, without taking the port.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.public_url.as_deref().map(PublicUrl::parse).transpose()?;
        self.api.read_key()?;
        self.parsed_proxies()?;
        per_minute("web.messages_per_minute", self.messages_per_minute)?;
        per_minute(
            "web.messages_per_minute_and_address",
            self.messages_per_minute_and_address,
        )
        .map(drop)
    }

    fn parsed_proxies(&self) -> Result<TrustedProxies, ConnectorError> {
        TrustedProxies::parse("web.trusted_proxies", &self.trusted_proxies)
    }
}

/// What the configuration allows, checked.
pub(crate) struct Limits {
    pub(crate) messages: NonZeroU32,
    pub(crate) messages_of_address: NonZeroU32,
    pub(crate) connections: ConnectionLimits,
}

fn per_minute(key: &str, most: u32) -> Result<NonZeroU32, ConnectorError> {
    NonZeroU32::new(most).ok_or_else(|| wrong(key, "must be at least 1, nobody could write otherwise"))
}

struct PublicUrl {
    https: bool,
    authority: String,
}

impl PublicUrl {
    fn parse(url: &str) -> Result<Self, ConnectorError> {
        let key = "web.public_url";
        let (https, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => {
                return Err(wrong(key, format!("{url:?} must begin with https:// or http://")));
            }
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong(
                key,
                format!("{url:?} must be scheme and host only, e.g. https://chat.hospital.example"),
            ));
        }
        Ok(Self {
            https,
            authority: authority.to_ascii_lowercase(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{PublicUrl, WebConfig};

    #[test]
    fn a_public_url_is_scheme_and_host() {
        let check = |url: &str, expect: Option<(bool, &str)>| {
            let parsed = PublicUrl::parse(url).ok();
            assert_eq!(
                parsed.as_ref().map(|it| (it.https, it.authority.as_str())),
                expect,
                "{url}"
            );
        };
        check(
            "https://Chat.Hospital.example/",
            Some((true, "chat.hospital.example")),
        );
        check("http://10.0.0.7:8080", Some((false, "10.0.0.7:8080")));
        check("chat.hospital.example", None);
        check("https://a.example/chat", None);
        check("https://", None);
    }

    #[test]
    fn an_unknown_key_is_refused_and_missing_ones_have_defaults() {
        let config: WebConfig = serde_json::from_str(r#"{"listen":"0.0.0.0:80"}"#).unwrap();
        assert_eq!(
            config,
            WebConfig {
                listen: "0.0.0.0:80".to_owned(),
                ..WebConfig::default()
            }
        );
        let error = serde_json::from_str::<WebConfig>(r#"{"lisen":"0.0.0.0:80"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
    }
}
