use std::path::Path;

use axum::http::{HeaderMap, header};
use bedside_contract::ConnectorError;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Secret, read_secret, wrong};

/// Shorter keys can be guessed.
const SHORTEST: usize = 16;

/// A password that programs send as `Authorization: Bearer …`. `Debug` hides it, and comparing takes the same time
/// whatever differs.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct AccessKey(SecretString);

impl AccessKey {
    /// The key `section.key` or what `section.key_file` holds, checked; `None` if neither is set.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] if it cannot be read, can be guessed, or cannot travel in an HTTP header.
    pub fn read(
        section: &str,
        value: Option<&Self>,
        file: Option<&Path>,
    ) -> Result<Option<Self>, ConnectorError> {
        let value = value.map(|it| &it.0);
        read_secret(section, "key", value, file)?
            .map(Self::checked)
            .transpose()
    }

    fn checked(Secret { key, text: secret }: Secret) -> Result<Self, ConnectorError> {
        let text = secret.expose_secret();
        if text.is_empty() {
            return Err(wrong(key, "is empty: take it away or write a key there"));
        }
        if !text.chars().all(|it| it.is_ascii_graphic()) {
            let reason = "may hold letters, digits and signs only, no blanks: it travels in an HTTP header";
            return Err(wrong(key, reason));
        }
        if text.len() < SHORTEST {
            let reason = format!(
                "is short enough to be guessed: use {SHORTEST} characters or more, e.g. from openssl rand -hex 32"
            );
            return Err(wrong(key, reason));
        }
        Ok(Self(secret))
    }

    /// Whether this is the key.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        // Digests are of one length, so that not even the key's length shows.
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        digest(self.0.expose_secret())
            .as_slice()
            .ct_eq(digest(presented).as_slice())
            .into()
    }
}

impl PartialEq for AccessKey {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.0.expose_secret())
    }
}

impl Eq for AccessKey {}

/// The key that a request presents.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::{HeaderMap, HeaderValue, header};
    use secrecy::SecretString;

    use super::{AccessKey, bearer};

    fn key(text: &str) -> AccessKey {
        AccessKey(SecretString::from(text.to_owned()))
    }

    #[test]
    fn keys_that_can_be_guessed_or_not_be_sent_are_refused() {
        let check = |text: &str, expect: &str| {
            let problem = AccessKey::read("ward", Some(&key(text)), None).unwrap_err();
            let problem = problem.to_string();
            assert!(problem.starts_with(expect), "{text}: {problem}");
            assert!(!problem.contains("Hush"), "{problem}");
        };
        check("", "ward.key: is empty");
        check("Hush Hush Hush Hush", "ward.key: may hold");
        check("Hush密Hush密Hush密", "ward.key: may hold");
        check("Hush-0123456789", "ward.key: is short enough to be guessed");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"Hush\n").unwrap();
        let problem = AccessKey::read("ward", None, Some(file.path())).unwrap_err();
        assert!(
            problem.to_string().starts_with("ward.key_file: is short"),
            "{problem}"
        );
        assert_eq!(AccessKey::read("ward", None, None).unwrap(), None);
    }

    #[test]
    fn a_key_is_hidden_and_compared_whole() {
        let key = AccessKey::read("ward", Some(&key(" Hush-0123456789abcdef\n")), None);
        let key = key.unwrap().unwrap();
        assert!(!format!("{key:?}").contains("Hush"));
        assert!(key.is("Hush-0123456789abcdef"));
        for wrong in [
            "",
            "Hush",
            "Hush-0123456789abcdeg",
            "Hush-0123456789abcdef ",
            "hush-0123456789abcdef",
        ] {
            assert!(!key.is(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_bearer_key_is_read_whatever_its_case() {
        let check = |value: &str, expect: Option<&str>| {
            let value = HeaderValue::from_str(value).unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(bearer(&headers), expect);
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic abc", None);
        check("abc", None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
