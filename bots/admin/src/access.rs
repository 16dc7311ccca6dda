//! Whoever has the admin key; without one, figures for this machine only.

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
use bedside_contract::{Observation, Observer};
use bedside_kit::{AccessKey, WrongKeys, bearer};

use crate::{error::AdminError, server::Server};

/// The section of the configuration.
const PLACE: &str = "admin";

pub(crate) struct Access {
    key: Option<AccessKey>,
    wrong_keys: WrongKeys,
    observer: Arc<dyn Observer>,
}

impl Access {
    pub(crate) fn new(key: Option<AccessKey>, observer: Arc<dyn Observer>) -> Self {
        Self {
            key,
            wrong_keys: WrongKeys::new(PLACE),
            observer,
        }
    }

    /// Whether this request holds the key.
    pub(crate) fn check(&self, request: &RequestOrigin<'_>) -> Result<(), AdminError> {
        let key = self.key.as_ref().ok_or(AdminError::KeyNotConfigured)?;
        let presented = bearer(request.headers).ok_or(AdminError::KeyMissing)?;
        if let Some(wait) = self.wrong_keys.pause(request.address) {
            return Err(AdminError::TooManyWrongKeys { wait });
        }
        if key.is(presented) {
            return Ok(());
        }
        self.wrong_keys.note(request.address);
        self.observer.observe(&Observation::WrongKey { place: PLACE });
        Err(AdminError::WrongKey)
    }

    /// As [`Access::check`], where figures are open as long as no key is set.
    pub(crate) fn check_reading(&self, request: &RequestOrigin<'_>) -> Result<(), AdminError> {
        match self.key {
            Some(_) => self.check(request),
            None => Ok(()),
        }
    }

    /// A page of another site that points its own name at this machine reads nothing.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), AdminError> {
        let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
        if self.key.is_some() || host.is_some_and(is_address_or_localhost) {
            Ok(())
        } else {
            Err(AdminError::UnknownHost)
        }
    }
}

/// Who asks.
pub(crate) struct RequestOrigin<'a> {
    headers: &'a HeaderMap,
    address: Option<IpAddr>,
}

impl<'a> RequestOrigin<'a> {
    pub(crate) fn new(headers: &'a HeaderMap, peer: SocketAddr) -> Self {
        Self {
            headers,
            address: Some(peer.ip().to_canonical()),
        }
    }
}

/// Before everything that changes something.
pub(crate) async fn needs_key(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let origin = RequestOrigin {
        headers: request.headers(),
        address: peer.map(|it| it.0.ip().to_canonical()),
    };
    match server.access.check(&origin) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Before everything.
pub(crate) async fn needs_known_host(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    match server.access.check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn is_address_or_localhost(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_address_or_localhost;

    #[test]
    fn only_addresses_and_localhost_are_this_machines_names() {
        for host in [
            "127.0.0.1:9464",
            "LOCALHOST",
            "localhost:1",
            "[::1]:9464",
            "10.0.0.7",
        ] {
            assert!(is_address_or_localhost(host), "{host}");
        }
        for host in [
            "evil.example:9464",
            "localhost.evil.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_address_or_localhost(host), "{host}");
        }
    }
}
