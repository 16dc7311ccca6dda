use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::{server::Server, session::hex};

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const ICON: &str = include_str!("page/icon.svg");
/// One module in three files.
const SCRIPT: &str = concat!(
    include_str!("page/words.js"),
    include_str!("page/render.js"),
    include_str!("page/chat.js")
);

/// The page with all that does not change while the bot runs filled in.
pub(crate) struct Page {
    html: String,
}

impl Page {
    /// `kiosk_minutes`: without a message, until the page forgets its conversation; 0 = never.
    pub(crate) fn new(kiosk_minutes: u32) -> Self {
        let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).finalize();
        let version: String = hex(&digest).chars().take(16).collect();
        Self {
            html: HTML
                .replace("{{version}}", &version)
                .replace("{{kiosk}}", &kiosk_minutes.to_string()),
        }
    }

    fn filled(&self, nonce: &str, hospital_name: &str, emergency_number: &str) -> String {
        self.html
            .replace("{{nonce}}", nonce)
            .replace("{{emergency}}", &escape(emergency_number))
            .replace("{{hospital}}", &escape(hospital_name))
    }
}

/// `GET /`: the page, and a session for who has none.
pub(crate) async fn html(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'"
    );
    let policy = HeaderValue::from_str(&policy).expect("hex digits and fixed words are a valid header");
    let features = HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=()");
    let session = server.cookies.session(&headers);
    let page = server.page.filled(
        &nonce,
        &(server.hospital_name)(),
        &server.intake.emergency_number(),
    );
    let mut response = Html(page).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert("permissions-policy", features);
    response
        .headers_mut()
        .insert(header::SET_COOKIE, session.set_cookie);
    response
}

pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn icon() -> Response {
    file("image/svg+xml", ICON)
}

/// The page asks for its files by version, so a browser may keep them.
fn file(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, text).into_response()
}

fn escape(text: &str) -> String {
    // `{{` would let a name reach the placeholders.
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('{', "&#123;")
}

#[cfg(test)]
mod tests {
    use super::{Page, SCRIPT};

    #[test]
    fn a_hospitals_name_is_text_only() {
        let page = Page::new(0).filled("abc", r#"St. <b>"Mary"</b> {{nonce}}"#, "1\"20");
        assert!(page.contains("data-emergency=\"1&quot;20\""));
        assert!(page.contains("St. &lt;b&gt;&quot;Mary&quot;&lt;/b&gt; &#123;&#123;nonce}}"));
        assert!(!page.contains("{{"), "no placeholder is left");
    }

    #[test]
    fn the_page_builds_no_markup_from_text_and_asks_no_other_site() {
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "https://",
            "http://",
        ] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
    }
}
