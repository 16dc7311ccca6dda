//! Who may use `/v1`: whoever has the key; without one, only programs on this machine.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bedside_contract::Observation;
use bedside_kit::{AccessKey, bearer};

use super::{Api, ApiConfig, ApiError};
use crate::guard::host_name;

/// A proxy adds at least one of these, so a request without them and with a loopback `Host` is this machine's.
const SET_BY_PROXIES: [&str; 6] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

#[derive(Debug, Clone)]
pub(crate) enum Access {
    Disabled,
    /// There is no key and others could reach the port.
    KeyNeeded,
    /// There is no key, and none is needed.
    ThisMachine,
    Key(AccessKey),
}

/// From where the server can be reached.
pub(crate) struct Reach<'a> {
    pub(crate) listens_on: SocketAddr,
    /// Host and port of `public_url`.
    pub(crate) public: Option<&'a str>,
    pub(crate) hosts: &'a [String],
}

impl Access {
    pub(crate) fn new(config: &ApiConfig, key: Option<AccessKey>, reach: &Reach<'_>) -> Self {
        match key {
            _ if !config.enabled => Self::Disabled,
            Some(key) => Self::Key(key),
            None if reach.is_this_machine_only() => Self::ThisMachine,
            None => Self::KeyNeeded,
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        match self {
            Self::Disabled => Err(ApiError::Disabled),
            Self::KeyNeeded => Err(ApiError::KeyNeeded),
            Self::ThisMachine if comes_from_this_machine(headers) => Ok(()),
            Self::ThisMachine => Err(ApiError::KeyNeeded),
            Self::Key(key) => match bearer(headers) {
                Some(it) if key.is(it) => Ok(()),
                presented => Err(ApiError::WrongKey {
                    is_missing: presented.is_none(),
                }),
            },
        }
    }
}

impl Reach<'_> {
    fn is_this_machine_only(&self) -> bool {
        let names = self.hosts.iter().map(String::as_str).chain(self.public);
        self.listens_on.ip().to_canonical().is_loopback() && names.into_iter().all(is_loopback)
    }
}

pub(super) async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match api.check_key(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl Api {
    /// As [`Access::check`]; wrong keys are counted, and after one the next from that address is told to wait. The right
    /// key is always taken: behind a proxy all programs may have one address.
    fn check_key(&self, request: &Request) -> Result<(), ApiError> {
        let headers = request.headers();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = peer.and_then(|it| self.proxies.client(it.0.ip(), headers));
        let checked = self.access.check(headers);
        if !matches!(checked, Err(ApiError::WrongKey { is_missing: false })) {
            return checked;
        }
        if let Some(wait) = self.wrong_keys.pause(address) {
            return Err(ApiError::TooManyWrongKeys { wait });
        }
        self.wrong_keys.note(address);
        self.intake.observe(&Observation::WrongKey { place: "web.api" });
        checked
    }
}

fn comes_from_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    host.is_some_and(is_loopback) && SET_BY_PROXIES.iter().all(|it| !headers.contains_key(*it))
}

fn is_loopback(authority: &str) -> bool {
    let name = host_name(authority.trim()).to_ascii_lowercase();
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|it| it.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Access, ApiConfig, ApiError, Reach};

    const KEY: &str = "sk-0123456789abcdef";

    fn access(json: &str, listens_on: &str, public: Option<&str>, hosts: &[&str]) -> Access {
        let config: ApiConfig = serde_json::from_str(json).unwrap();
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let reach = Reach {
            listens_on: listens_on.parse().unwrap(),
            public,
            hosts: &hosts,
        };
        let key = config.read_key().unwrap();
        Access::new(&config, key, &reach)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn without_a_key_only_this_machine_is_served() {
        let check = |listens_on: &str, public: Option<&str>, hosts: &[&str], expect: bool| {
            let is_open = matches!(access("{}", listens_on, public, hosts), Access::ThisMachine);
            assert_eq!(is_open, expect, "{listens_on} {public:?} {hosts:?}");
        };
        check("127.0.0.1:8080", None, &[], true);
        check("[::1]:8080", Some("localhost:8080"), &["127.0.0.1"], true);
        check("[::ffff:127.0.0.1]:8080", None, &[], true);
        check("0.0.0.0:8080", None, &[], false);
        check("[::]:8080", None, &[], false);
        check("10.0.0.7:8080", None, &[], false);
        check("127.0.0.1:8080", Some("chat.hospital.example"), &[], false);
        check("127.0.0.1:8080", None, &["ward3.local"], false);
    }

    #[test]
    fn a_request_through_a_proxy_is_not_this_machines() {
        let access = access("{}", "127.0.0.1:8080", None, &[]);
        let check = |pairs: &[(&'static str, &str)], expect: bool| {
            assert_eq!(access.check(&headers(pairs)).is_ok(), expect, "{pairs:?}");
        };
        check(&[("host", "127.0.0.1:8080")], true);
        check(&[("host", "LOCALHOST:8080")], true);
        check(&[("host", "[::1]:8080")], true);
        check(&[("host", "10.0.0.7:8080")], false);
        check(&[("host", "localhost.evil.example")], false);
        check(&[], false);
        check(&[("host", "127.0.0.1"), ("x-forwarded-proto", "https")], false);
        check(&[("host", "127.0.0.1"), ("via", "1.1 proxy")], false);
    }

    #[test]
    fn a_key_is_asked_for_everywhere() {
        let json = format!(r#"{{"key": "{KEY}"}}"#);
        let access = access(&json, "0.0.0.0:8080", Some("chat.hospital.example"), &[]);
        let check = |value: &str, expect: Option<bool>| {
            let told = match access.check(&headers(&[("authorization", value)])) {
                Ok(()) => None,
                Err(ApiError::WrongKey { is_missing }) => Some(is_missing),
                Err(error) => panic!("{error}"),
            };
            assert_eq!(told, expect, "{value}");
        };
        check(&format!("Bearer {KEY}"), None);
        check(&format!("bearer  {KEY}"), None);
        check(&format!("Basic {KEY}"), Some(true));
        check(KEY, Some(true));
        check("Bearer sk-0123456789abcdeF", Some(false));
        check("Bearer ", Some(false));
        assert!(access.check(&headers(&[("host", "127.0.0.1")])).is_err());
    }

    #[test]
    fn switched_off_it_stays_off() {
        let json = format!(r#"{{"enabled": false, "key": "{KEY}"}}"#);
        assert!(matches!(
            access(&json, "127.0.0.1:8080", None, &[]),
            Access::Disabled
        ));
    }
}
