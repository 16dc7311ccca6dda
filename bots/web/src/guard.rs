//! What every request passes: the check of `Host` and `Origin` before, the security headers after.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{openai, refusal::Refusal, server::Server};

/// Probes come under names of their own, and these paths tell nothing of patients.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// The names under which the page may be opened.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Without port, lower case.
    names: Vec<String>,
    /// Host and port of `public_url`.
    public: Option<String>,
}

impl Hosts {
    pub(crate) fn new(names: Vec<String>, public: Option<String>) -> Self {
        let names = names.iter().map(|it| it.trim().to_ascii_lowercase()).collect();
        Self { names, public }
    }

    /// DNS rebinding needs a name: whoever writes an IP address means this machine.
    fn allow(&self, authority: &str) -> bool {
        let name = host_name(authority).to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.names.contains(&name)
            || self.public.as_deref().is_some_and(|it| host_name(it) == name)
    }

    /// Browsers name the page that a request comes from; other clients send no `Origin` and no cookie of ours.
    fn is_own_page(&self, headers: &HeaderMap, host: &str) -> bool {
        let fetched_by = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if !matches!(fetched_by, None | Some(b"same-origin" | b"none")) {
            return false;
        }
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let Some(authority) = origin
            .to_str()
            .ok()
            .and_then(|it| it.split_once("://"))
            .map(|(_, it)| it)
        else {
            return false;
        };
        let is = |own: &str| authority.eq_ignore_ascii_case(own);
        is(host) || self.public.as_deref().is_some_and(is)
    }
}

pub(crate) async fn check(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN_PATHS.contains(&path) {
        return next.run(request).await;
    }
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    if !server.hosts.allow(host) {
        return refused(&server, Refusal::UnknownHost, path);
    }
    let reads_page = request.method() == Method::GET && !path.starts_with("/api/") && !openai::serves(path);
    if !reads_page && !server.hosts.is_own_page(request.headers(), host) {
        return refused(&server, Refusal::OtherSite, path);
    }
    next.run(request).await
}

pub(crate) async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

fn refused(server: &Server, refusal: Refusal, path: &str) -> Response {
    if openai::serves(path) {
        openai::ApiError::Refused(refusal).into_response()
    } else {
        server.refuse(refusal)
    }
}

pub(crate) fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::Hosts;

    fn hosts() -> Hosts {
        Hosts::new(
            vec!["Ward3.local".to_owned()],
            Some("chat.hospital.example".to_owned()),
        )
    }

    #[test]
    fn only_known_names_are_served() {
        let check = |host: &str, expect: bool| assert_eq!(hosts().allow(host), expect, "{host}");
        check("localhost:8080", true);
        check("127.0.0.1:8080", true);
        check("[::1]:8080", true);
        check("10.1.2.3", true);
        check("ward3.LOCAL:80", true);
        check("chat.hospital.example", true);
        check("evil.example:8080", false);
        check("chat.hospital.example.evil.example", false);
        check("localhost.evil.example", false);
        check("", false);
    }

    #[test]
    fn only_the_own_page_may_write() {
        let check = |headers: &[(&'static str, &'static str)], expect: bool| {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(hosts().is_own_page(&map, "127.0.0.1:8080"), expect, "{headers:?}");
        };
        check(&[], true);
        check(&[("origin", "http://127.0.0.1:8080")], true);
        check(&[("origin", "https://chat.hospital.example")], true);
        check(
            &[
                ("origin", "http://127.0.0.1:8080"),
                ("sec-fetch-site", "same-origin"),
            ],
            true,
        );
        check(&[("origin", "http://127.0.0.1:3000")], false);
        check(&[("origin", "https://evil.example")], false);
        check(&[("origin", "null")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(
            &[
                ("origin", "http://127.0.0.1:8080"),
                ("sec-fetch-site", "same-site"),
            ],
            false,
        );
    }
}
