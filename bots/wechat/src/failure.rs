//! What a failed call of WeChat's API means for delivery, in words that hold no token and no patient's text.
//!
//! `reqwest`'s errors name the URL, which holds the access token, and WeChat's messages may repeat what was
//! sent: neither is formatted here.

use std::{error::Error, time::Duration};

use bedside_contract::DeliverError;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing was carried.
    #[error("no connection to wechat's API: {0}")]
    NoConnection(String),
    #[error("connection to wechat's API lost: {0}")]
    Lost(String),
    #[error("wechat's API answered HTTP {0}")]
    Status(u16),
    #[error("wechat's answer could not be read")]
    Unreadable,
    #[error("wechat says {code}: {}", meaning(*.code))]
    Refused { code: i64 },
    /// Without a token nothing was sent.
    #[error("no access token: {0}")]
    NoToken(Box<Failure>),
}

/// Where WeChat names no time to wait.
const BUSY_WAIT: Duration = Duration::from_secs(3);
const MINUTE_WAIT: Duration = Duration::from_secs(60);
/// A day's quota does not come back soon.
const QUOTA_WAIT: Duration = Duration::from_secs(600);

impl Failure {
    pub(crate) fn of_request(error: &reqwest::Error) -> Self {
        if error.is_connect() || error.is_builder() {
            Self::NoConnection(root_cause(error))
        } else if error.is_timeout() {
            Self::Lost("no answer in time".to_owned())
        } else {
            Self::Lost(root_cause(error))
        }
    }

    /// The access token is refused: a fresh one may help.
    pub(crate) fn is_of_token(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: 40001 | 40014 | 42001
            }
        )
    }

    /// Needs somebody who changes the config or the console.
    pub(crate) fn needs_operator(&self) -> bool {
        match self {
            Self::NoToken(inner) => inner.needs_operator(),
            Self::Refused { code } => matches!(
                code,
                40001 | 40013 | 40125 | 40164 | 41004 | 48001 | 50001 | 61024 | 45009 | 89503
            ),
            _ => false,
        }
    }

    /// Whether and when delivery may be tried again.
    pub(crate) fn deliver_error(&self) -> DeliverError {
        let words = self.to_string();
        match self {
            Self::NoConnection(_) => DeliverError::NotSent(words),
            Self::Lost(_) | Self::Status(_) | Self::Unreadable => DeliverError::Unknown(words),
            Self::Refused { code } => match code {
                -1 => DeliverError::RetryAfter(BUSY_WAIT),
                45009 => DeliverError::RetryAfter(QUOTA_WAIT),
                45011 => DeliverError::RetryAfter(MINUTE_WAIT),
                45015 | 45047 => DeliverError::PatientFirst(words),
                40003 | 43004 | 45002 | 48001 | 48004 => DeliverError::Permanent(words),
                // The token, the whitelist and whatever else WeChat may say: nothing was sent.
                _ => DeliverError::NotSent(words),
            },
            Self::NoToken(inner) => match inner.deliver_error() {
                DeliverError::RetryAfter(wait) => DeliverError::RetryAfter(wait),
                _ => DeliverError::NotSent(words),
            },
        }
    }
}

/// What an error code means and what to do about it.
fn meaning(code: i64) -> &'static str {
    match code {
        -1 => "busy, try again",
        40001 | 40014 | 42001 => "the access token is refused; if it stays so, check wechat.secret",
        40003 => "this patient is unknown to this account",
        40013 => "the appid is refused: check wechat.appid",
        40125 => "the AppSecret is refused: check wechat.secret, and that it was not reset in the console",
        40164 => {
            "this server's address is not allowed: add it to IP白名单 under 设置与开发 → 基本配置 in the console"
        }
        41004 => "the AppSecret is missing",
        43004 => "the patient does not follow this account",
        45002 => "the message is longer than 2048 bytes: it should have been split",
        45009 => "today's quota of API calls is used up",
        45011 => "too many calls in this minute",
        45015 => "the patient wrote too long ago, or follows no more",
        45047 => "no more messages are allowed until the patient writes",
        48001 => {
            "this account may not send customer-service messages (it is not verified): \
             set wechat.replies = \"passive\""
        }
        48004 => "this API was taken from the account: see the notices in the console",
        _ => "see 全局返回码 in WeChat's documentation",
    }
}

/// The innermost cause (an operating system's or TLS error), which knows no URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "cause unknown".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use bedside_contract::DeliverError;

    use super::Failure;

    fn name(error: &DeliverError) -> &'static str {
        match error {
            DeliverError::RetryAfter(_) => "retry-after",
            DeliverError::NotSent(_) => "not-sent",
            DeliverError::Unknown(_) => "unknown",
            DeliverError::PatientFirst(_) => "patient-first",
            DeliverError::Permanent(_) => "permanent",
        }
    }

    #[test]
    fn failures_are_classed() {
        let check = |failure: Failure, expect: &str| {
            assert_eq!(name(&failure.deliver_error()), expect, "{failure}");
            let as_token = Failure::NoToken(Box::new(failure)).deliver_error();
            let expect = if expect == "retry-after" {
                expect
            } else {
                "not-sent"
            };
            assert_eq!(name(&as_token), expect, "nothing is sent without a token");
        };
        let refused = |code| Failure::Refused { code };
        check(Failure::NoConnection("refused".to_owned()), "not-sent");
        check(Failure::Lost("reset".to_owned()), "unknown");
        check(Failure::Status(502), "unknown");
        check(Failure::Unreadable, "unknown");
        for (code, expect) in [
            (-1, "retry-after"),
            (45009, "retry-after"),
            (45011, "retry-after"),
            (45015, "patient-first"),
            (45047, "patient-first"),
            (40001, "not-sent"),
            (40014, "not-sent"),
            (42001, "not-sent"),
            (40164, "not-sent"),
            (99999, "not-sent"),
            (40003, "permanent"),
            (43004, "permanent"),
            (45002, "permanent"),
            (48001, "permanent"),
        ] {
            check(refused(code), expect);
        }
    }

    #[test]
    fn the_operator_hears_what_to_do() {
        let check = |code, word: &str| {
            let failure = Failure::Refused { code };
            assert!(
                failure.needs_operator() && failure.to_string().contains(word),
                "{failure}"
            );
        };
        check(40164, "IP白名单");
        check(48001, "wechat.replies = \"passive\"");
        check(40125, "wechat.secret");
        assert!(!Failure::Refused { code: 45047 }.needs_operator());
    }
}
