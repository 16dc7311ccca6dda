use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
};

use bedside_contract::{ConnectorError, Generator, Plugins};
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
    /// How many messages one patient may send in a minute.
    pub messages_per_minute: u32,
    /// How many pages may be open at once.
    pub max_open_pages: usize,
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

const fn default_max_open_pages() -> usize {
    5_000
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            enabled: default_enabled(),
            listen: default_listen(),
            public_url: None,
            hosts: Vec::new(),
            session_days: default_session_days(),
            messages_per_minute: default_messages_per_minute(),
            max_open_pages: default_max_open_pages(),
            api: ApiConfig::default(),
        }
    }
}

/// What the page needs of the rest of the bot.
pub struct WebContext {
    /// Their state is shown by `/readyz`.
    pub plugins: Option<Arc<dyn Plugins>>,
    /// An object with `ready` and whatever else `/readyz` shall say.
    pub ready: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// The model that programs ask under `/v1`; nobody is answered there without one.
    pub generator: Option<Arc<dyn Generator>>,
    /// Stands at the top of the page.
    pub hospital_name: String,
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
        let listener = bind(&self.listen)?;
        let address = listener
            .local_addr()
            .map_err(|error| wrong("web.listen", &error.to_string()))?;
        let reach = Reach {
            listens_on: address,
            public: public_url.as_ref().map(|it| it.authority.as_str()),
            hosts: &self.hosts,
        };
        let access = Access::new(&self.api, key, &reach);
        if matches!(access, Access::KeyNeeded) {
            tracing::info!(
                "the OpenAI-compatible API under /v1 is off: other machines can reach this server and there is no \
                 key; set web.api.key_file or web.api.key"
            );
        }
        let cookies = SessionCookies {
            https: public_url.as_ref().is_some_and(|it| it.https),
            days: self.session_days,
        };
        let hosts = Hosts::new(self.hosts.clone(), public_url.map(|it| it.authority));
        Ok(WebConnector::new(
            self, context, listener, address, cookies, hosts, access,
        ))
    }

    /// Checks the keys, without taking the port.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the key at fault.
    pub fn check(&self) -> Result<(), ConnectorError> {
        self.public_url.as_deref().map(PublicUrl::parse).transpose()?;
        self.api.read_key()?;
        if self.messages_per_minute == 0 {
            return Err(wrong(
                "web.messages_per_minute",
                "must be at least 1, nobody could write otherwise",
            ));
        }
        Ok(())
    }
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
                return Err(wrong(
                    key,
                    &format!("{url:?} must begin with https:// or http://"),
                ));
            }
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong(
                key,
                &format!("{url:?} must be scheme and host only, e.g. https://chat.hospital.example"),
            ));
        }
        Ok(Self {
            https,
            authority: authority.to_ascii_lowercase(),
        })
    }
}

fn bind(listen: &str) -> Result<TcpListener, ConnectorError> {
    let address = listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut it| it.next())
        .ok_or_else(|| {
            wrong(
                "web.listen",
                &format!("{listen:?} is not address:port, e.g. 127.0.0.1:8080"),
            )
        })?;
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ConnectorError::AddressInUse {
            key: "web.listen".to_owned(),
            address: listen.to_owned(),
            suggestion: free_address(address).to_string(),
        },
        _ => wrong("web.listen", &format!("cannot listen on {listen}: {error}")),
    })?;
    listener
        .set_nonblocking(true)
        .map_err(|error| wrong("web.listen", &error.to_string()))?;
    Ok(listener)
}

/// A neighbour of the port that is taken, tried before it is named; any free port if there is none.
fn free_address(taken: SocketAddr) -> SocketAddr {
    let neighbours = (1..=50)
        .filter_map(|step| taken.port().checked_add(step))
        .chain([0]);
    for port in neighbours {
        if let Ok(free) = TcpListener::bind(SocketAddr::new(taken.ip(), port)).and_then(|it| it.local_addr())
        {
            return free;
        }
    }
    SocketAddr::new(taken.ip(), 0)
}

pub(crate) fn wrong(key: &str, reason: &str) -> ConnectorError {
    ConnectorError::Config {
        key: key.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{PublicUrl, WebConfig, free_address};

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

    #[test]
    fn the_suggested_port_can_be_bound() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let free = free_address(taken.local_addr().unwrap());
        assert_ne!(free.port(), taken.local_addr().unwrap().port());
        assert!(std::net::TcpListener::bind(free).is_ok());
    }
}
