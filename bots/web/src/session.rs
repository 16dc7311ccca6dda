use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_contract::{ConversationKey, DELETE_EVERYTHING, StoreError, Update, UpdateKind};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{messages::accepted_language, refusal::Refusal, rooms::Signal, server::Server};

/// Hex digits of the 256 random bits in a cookie.
const SECRET_LENGTH: usize = 64;

/// How the session cookie is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionCookies {
    /// The page is opened over TLS.
    pub(crate) https: bool,
    /// 0 = until the browser is closed.
    pub(crate) days: u32,
}

/// One browser. Knows the cookie's hash only: who reads the store cannot take over a conversation.
pub(crate) struct Session {
    /// The chat's name in keys and external ids.
    pub(crate) id: String,
    pub(crate) conversation: ConversationKey,
    /// Gives the browser its cookie, or keeps it for as many days again.
    pub(crate) set_cookie: HeaderValue,
    /// The request brought no valid cookie.
    pub(crate) is_new: bool,
}

impl SessionCookies {
    pub(crate) fn session(self, request: &HeaderMap) -> Session {
        let known = self.secret_in(request).map(str::to_owned);
        let is_new = known.is_none();
        let secret = known
            .unwrap_or_else(|| format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()));
        let id = hex(&Sha256::digest(secret.as_bytes()));
        Session {
            conversation: ConversationKey::new("web", "page", &id),
            id,
            set_cookie: self.cookie(&secret, request),
            is_new,
        }
    }

    /// Takes the cookie away.
    fn no_cookie(self) -> HeaderValue {
        let secure = if self.https { "; Secure" } else { "" };
        let cookie = format!(
            "{}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0{secure}",
            self.name()
        );
        HeaderValue::from_str(&cookie).expect("fixed words are a valid header")
    }

    /// The prefix `__Host-` makes browsers refuse a cookie that a neighbouring site planted.
    fn name(self) -> &'static str {
        if self.https { "__Host-bedside" } else { "bedside" }
    }

    fn secret_in(self, request: &HeaderMap) -> Option<&str> {
        request
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(';'))
            .filter_map(|it| it.trim().split_once('='))
            .find(|(name, value)| {
                *name == self.name()
                    && value.len() == SECRET_LENGTH
                    && value
                        .bytes()
                        .all(|it| it.is_ascii_digit() || matches!(it, b'a'..=b'f'))
            })
            .map(|(_, value)| value)
    }

    fn cookie(self, secret: &str, request: &HeaderMap) -> HeaderValue {
        let mut cookie = format!("{}={secret}; HttpOnly; SameSite=Strict; Path=/", self.name());
        if self.days > 0 {
            cookie.push_str(&format!("; Max-Age={}", u64::from(self.days) * 86_400));
        }
        // A false header can only make the sender's own cookie stricter.
        let proxied = request.get("x-forwarded-proto").is_some_and(|it| it == "https");
        if self.https || proxied {
            cookie.push_str("; Secure");
        }
        let mut value =
            HeaderValue::from_str(&cookie).expect("hex digits and fixed words are a valid header");
        value.set_sensitive(true);
        value
    }
}

/// What becomes of a conversation that its browser forgets.
#[derive(Deserialize)]
pub(crate) struct Leaving {
    /// Delete what is stored, too: without the cookie nobody can ask for it any more.
    #[serde(default)]
    delete: bool,
}

/// `POST /api/forget`: whoever opens the page next on this computer begins anew. With `?delete=true` all that is stored
/// is deleted as by `/delete`; its question has been asked by the page.
pub(crate) async fn forget(
    State(server): State<Arc<Server>>,
    Query(leaving): Query<Leaving>,
    headers: HeaderMap,
) -> Response {
    let session = server.cookies.session(&headers);
    if leaving.delete
        && !session.is_new
        && let Err(error) = delete(&server, &session, &headers).await
    {
        tracing::error!(%error, "A conversation could not be deleted.");
        // The browser keeps its cookie, and so the way to ask again.
        return server.refuse(Refusal::NotStored);
    }
    server.rooms.send(&session.conversation, Signal::Forgotten);
    let mut response = StatusCode::NO_CONTENT.into_response();
    response
        .headers_mut()
        .insert(header::SET_COOKIE, server.cookies.no_cookie());
    response
}

/// Goes the way of every message, so that it is done even if the process ends now.
async fn delete(server: &Server, session: &Session, headers: &HeaderMap) -> Result<(), StoreError> {
    let update = Update {
        platform: "web".to_owned(),
        bot: "page".to_owned(),
        external_id: format!("{}:{}", session.id, Uuid::new_v4()),
        conversation: session.conversation.clone(),
        sender: session.id.clone(),
        language_hint: accepted_language(headers),
        answer_in: None,
        kind: UpdateKind::Choice {
            data: DELETE_EVERYTHING.to_owned(),
        },
    };
    server.intake.accept(vec![update], None).await.map(drop)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::SessionCookies;

    const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn request(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    #[test]
    fn only_a_whole_secret_is_a_session() {
        let cookies = SessionCookies {
            https: false,
            days: 30,
        };
        let check = |cookie: &str, is_new: bool| {
            assert_eq!(cookies.session(&request(cookie)).is_new, is_new, "{cookie}");
        };
        check(&format!("theme=dark; bedside={SECRET}"), false);
        check("bedside=abc", true);
        check(&format!("bedside={}", SECRET.to_uppercase()), true);
        check(&format!("__Host-bedside={SECRET}"), true);
        check("", true);
    }

    #[test]
    fn the_secret_is_not_in_the_key() {
        let cookies = SessionCookies {
            https: false,
            days: 30,
        };
        let session = cookies.session(&request(&format!("bedside={SECRET}")));
        let again = cookies.session(&request(&format!("bedside={SECRET}")));
        assert_eq!(session.id, again.id);
        assert!(!session.conversation.as_str().contains(SECRET) && session.conversation.chat() == session.id);
        assert_ne!(
            cookies.session(&HeaderMap::new()).id,
            cookies.session(&HeaderMap::new()).id
        );
    }

    #[test]
    fn over_tls_the_cookie_is_bound_to_the_host() {
        let secure = SessionCookies { https: true, days: 0 }.session(&HeaderMap::new());
        let cookie = secure.set_cookie.to_str().unwrap().to_owned();
        assert!(
            cookie.starts_with("__Host-bedside=")
                && cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Secure")
        );

        let mut proxied = HeaderMap::new();
        proxied.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let cookie = SessionCookies {
            https: false,
            days: 1,
        }
        .session(&proxied)
        .set_cookie;
        assert!(cookie.to_str().unwrap().ends_with("; Max-Age=86400; Secure"));
    }
}
