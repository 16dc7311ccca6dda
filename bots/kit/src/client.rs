use std::time::Duration;

use bedside_contract::ConnectorError;
use reqwest::{Client, ClientBuilder, Url};

use crate::wrong;

/// What an address speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    WebSocket,
}

impl Scheme {
    fn plain(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "ws",
        }
    }

    fn secure(self) -> &'static str {
        match self {
            Self::Http => "https",
            Self::WebSocket => "wss",
        }
    }
}

/// The configured address `key`, without a slash at its end. Plain text to another machine is warned of, with what
/// can be read on the way (`the token`).
///
/// # Errors
/// [`ConnectorError::Config`] if it is no address of this scheme.
pub fn checked_url(key: &str, address: &str, scheme: Scheme, exposes: &str) -> Result<Url, ConnectorError> {
    let url = Url::parse(address.trim_end_matches('/'))
        .map_err(|error| wrong(key, format!("{address} is not an address: {error}")))?;
    let (plain, secure) = (scheme.plain(), scheme.secure());
    match url.scheme() {
        it if it == secure => {}
        it if it == plain && is_loopback(&url) => {}
        it if it == plain => tracing::warn!("{key} is plain {plain}: {exposes} can be read on the way"),
        other => return Err(wrong(key, format!("{other}: is not {plain} or {secure}"))),
    }
    Ok(url)
}

/// Whether an address stays on this machine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    url.host_str()
        .is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

/// A client for the API at `url`, `key` in the configuration; `adjust` sets what is special to it. A pooled connection
/// is let go before a platform lets go of it: a request written into a dying connection is one whose outcome nobody
/// knows.
///
/// # Errors
/// [`ConnectorError::Config`] if none can be made (TLS roots, proxy settings).
pub fn http_client(
    key: &str,
    url: &Url,
    timeout: Duration,
    adjust: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, ConnectorError> {
    let mut builder = Client::builder()
        .connect_timeout(Duration::from_secs(8))
        .timeout(timeout)
        .pool_idle_timeout(Duration::from_secs(20))
        .tcp_nodelay(true);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    adjust(builder)
        .build()
        .map_err(|error| wrong(key, format!("no HTTP client: {}", error.without_url())))
}

#[cfg(test)]
mod tests {
    use super::{Scheme, checked_url};

    #[test]
    fn addresses_are_checked_and_named() {
        let check = |address: &str, scheme, expect: Result<&str, &str>| {
            let url = checked_url("ward.api_url", address, scheme, "the token");
            match expect {
                Ok(expect) => assert_eq!(url.unwrap().as_str(), expect, "{address}"),
                Err(expect) => assert_eq!(url.unwrap_err().to_string(), expect, "{address}"),
            }
        };
        check("https://host/api/", Scheme::Http, Ok("https://host/api"));
        check("http://127.0.0.1:9/", Scheme::Http, Ok("http://127.0.0.1:9/"));
        check("wss://host", Scheme::WebSocket, Ok("wss://host/"));
        check(
            "ftp://host",
            Scheme::Http,
            Err("ward.api_url: ftp: is not http or https"),
        );
        check(
            "https://host",
            Scheme::WebSocket,
            Err("ward.api_url: https: is not ws or wss"),
        );
        check(
            "nonsense",
            Scheme::Http,
            Err("ward.api_url: nonsense is not an address: relative URL without a base"),
        );
    }
}
