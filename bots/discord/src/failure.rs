//! What a failed call means for delivery, in words that hold neither a token nor a patient's text.
//!
//! `reqwest`'s errors name the URL, whose path holds interaction tokens: they are never formatted here.

use std::{error::Error, fmt, time::Duration};

use bedside_contract::DeliverError;
use reqwest::StatusCode;
use serde::Deserialize;

/// Where Discord, or what stands before it, names no time.
const UNNAMED_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Why a call to Discord's REST API did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RestFailure {
    /// 429, or a limit that we know of and did not run into again.
    TooMany { wait: Duration, global: bool },
    /// Nothing was sent.
    NoConnection(String),
    /// The request may have been carried out.
    OutcomeUnknown(String),
    /// Discord said no, and why: [Discord's own codes](https://discord.com/developers/docs/topics/opcodes-and-status-codes).
    Refused { status: u16, code: u32, says: String },
    /// An answer that is not Discord's: a proxy, a firewall, a wrong address.
    NotDiscord { status: u16 },
}

/// Discord's error codes that mean something to us.
mod code {
    pub(super) const UNKNOWN_CHANNEL: u32 = 10_003;
    pub(super) const UNKNOWN_MESSAGE: u32 = 10_008;
    pub(super) const UNKNOWN_WEBHOOK: u32 = 10_015;
    pub(super) const UNKNOWN_INTERACTION: u32 = 10_062;
    pub(super) const ALREADY_ACKNOWLEDGED: u32 = 40_060;
    pub(super) const CANNOT_MESSAGE_USER: u32 = 50_007;
    pub(super) const INVALID_WEBHOOK_TOKEN: u32 = 50_027;
}

impl RestFailure {
    /// Whether and when delivery may be tried again.
    pub(crate) fn deliver_error(&self) -> DeliverError {
        match self {
            Self::TooMany { wait, .. } => DeliverError::RetryAfter(*wait),
            Self::NoConnection(_) | Self::NotDiscord { .. } => DeliverError::NotSent(self.to_string()),
            Self::OutcomeUnknown(_) => DeliverError::Unknown(self.to_string()),
            Self::Refused { status: 401, .. } => DeliverError::NotSent(self.to_string()),
            Self::Refused { .. } => DeliverError::Permanent(self.to_string()),
        }
    }

    /// The bot token is wrong or was reset.
    pub(crate) fn is_bad_token(&self) -> bool {
        matches!(self, Self::Refused { status: 401, code, .. } if *code != code::INVALID_WEBHOOK_TOKEN)
    }

    /// The message to edit is no longer there.
    pub(crate) fn is_message_gone(&self) -> bool {
        self.has_code(&[code::UNKNOWN_MESSAGE])
    }

    /// The interaction cannot be answered any more, only its chat can.
    pub(crate) fn is_interaction_gone(&self) -> bool {
        self.has_code(&[
            code::UNKNOWN_MESSAGE,
            code::UNKNOWN_WEBHOOK,
            code::UNKNOWN_INTERACTION,
            code::INVALID_WEBHOOK_TOKEN,
        ])
    }

    /// Acknowledged before, by this process or the one before it.
    pub(crate) fn is_already_acknowledged(&self) -> bool {
        self.has_code(&[code::ALREADY_ACKNOWLEDGED])
    }

    /// The user takes no messages from the bot in private.
    pub(crate) fn is_private_chat_closed(&self) -> bool {
        self.has_code(&[code::CANNOT_MESSAGE_USER])
    }

    /// Trying again later may succeed.
    pub(crate) fn passes(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }

    fn has_code(&self, codes: &[u32]) -> bool {
        matches!(self, Self::Refused { code, .. } if codes.contains(code))
    }
}

impl fmt::Display for RestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { wait, global: false } => write!(f, "discord asks to wait {wait:?}"),
            Self::TooMany { wait, global: true } => {
                write!(f, "discord asks to wait {wait:?} with everything")
            }
            Self::NoConnection(cause) => write!(f, "no connection to discord: {cause}"),
            Self::OutcomeUnknown(cause) => f.write_str(cause),
            Self::Refused { status: 401, .. } => {
                f.write_str("discord refused the token: check discord.token")
            }
            Self::Refused {
                code: code::CANNOT_MESSAGE_USER,
                ..
            } => f.write_str("the user takes no private messages from the bot"),
            Self::Refused {
                code: code::UNKNOWN_CHANNEL,
                ..
            } => f.write_str("the private chat does not exist"),
            Self::Refused { status, code, says } => write!(f, "discord says {status}, code {code}: {says}"),
            Self::NotDiscord { status } => {
                write!(
                    f,
                    "HTTP {status} that is not discord's: check proxy, firewall and discord.api_url"
                )
            }
        }
    }
}

/// Of the answer to a refused request. `message` is one of Discord's fixed sentences; what a field was
/// refused for stands in `errors`, which may repeat the field and is not read.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    message: String,
    retry_after: Option<f64>,
    #[serde(default)]
    global: bool,
}

/// Reads an answer that is no success.
pub(crate) fn from_answer(status: StatusCode, retry_after: Option<f64>, body: &[u8]) -> RestFailure {
    let body: Option<ErrorBody> = serde_json::from_slice(body).ok();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let named = body.as_ref().and_then(|it| it.retry_after).or(retry_after);
        return RestFailure::TooMany {
            wait: named.map_or(UNNAMED_WAIT, seconds),
            global: body.is_some_and(|it| it.global),
        };
    }
    if status.is_server_error() {
        return RestFailure::OutcomeUnknown(format!("discord has trouble: HTTP {}", status.as_u16()));
    }
    match body {
        Some(body) => RestFailure::Refused {
            status: status.as_u16(),
            code: body.code,
            says: body.message.chars().take(80).collect(),
        },
        None => RestFailure::NotDiscord {
            status: status.as_u16(),
        },
    }
}

/// Reads a request that got no answer.
pub(crate) fn from_transport(error: &reqwest::Error) -> RestFailure {
    if error.is_connect() || error.is_builder() || error.is_request() && is_dns(error) {
        RestFailure::NoConnection(root_cause(error))
    } else if error.is_timeout() {
        RestFailure::OutcomeUnknown("discord did not answer in time".to_owned())
    } else {
        RestFailure::OutcomeUnknown(format!("connection to discord lost: {}", root_cause(error)))
    }
}

/// Discord's waits are fractions of a second, rounded up here so that it is not asked a moment too early.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .map_or(UNNAMED_WAIT, |it| it + Duration::from_millis(10))
        .min(LONGEST_WAIT)
}

fn is_dns(error: &reqwest::Error) -> bool {
    root_cause(error).contains("dns")
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
    use std::time::Duration;

    use bedside_contract::DeliverError;
    use reqwest::StatusCode;

    use super::{RestFailure, from_answer};

    fn answered(status: u16, body: &str) -> RestFailure {
        from_answer(StatusCode::from_u16(status).unwrap(), None, body.as_bytes())
    }

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
    fn answers_are_classed() {
        let check = |status, body: &str, expect: &str| {
            let failure = answered(status, body);
            assert_eq!(name(&failure.deliver_error()), expect, "{failure}");
        };
        let discord = |code: u32| format!(r#"{{"message":"Some words","code":{code}}}"#);
        check(
            429,
            r#"{"message":"You are being rate limited.","retry_after":0.5,"global":false}"#,
            "retry-after",
        );
        check(429, "<html>error 1015</html>", "retry-after");
        check(403, &discord(50_007), "permanent");
        check(404, &discord(10_003), "permanent");
        check(400, &discord(50_035), "permanent");
        check(401, r#"{"message":"401: Unauthorized","code":0}"#, "not-sent");
        check(403, "<html>blocked by the firewall</html>", "not-sent");
        check(404, "", "not-sent");
        check(
            500,
            r#"{"message":"500: Internal Server Error","code":0}"#,
            "unknown",
        );
        check(502, "<html>", "unknown");
    }

    #[test]
    fn waits_are_fractions_of_a_second() {
        let check = |body: &str, header: Option<f64>, expect: u64, global: bool| {
            let failure = from_answer(StatusCode::TOO_MANY_REQUESTS, header, body.as_bytes());
            let wait = Duration::from_millis(expect);
            assert_eq!(failure, RestFailure::TooMany { wait, global });
        };
        check(r#"{"retry_after":0.65,"global":true}"#, Some(1.0), 660, true);
        check("<html>", Some(3.0), 3010, false);
        check("<html>", None, 5000, false);
        check(r#"{"retry_after":-1.0}"#, None, 10, false);
        check(r#"{"retry_after":1e300}"#, None, 5000, false);
    }

    #[test]
    fn codes_are_told_apart() {
        let discord = |status, code: u32| answered(status, &format!(r#"{{"message":"m","code":{code}}}"#));
        for code in [10_008, 10_015, 10_062] {
            assert!(discord(404, code).is_interaction_gone());
        }
        assert!(discord(401, 50_027).is_interaction_gone() && !discord(401, 50_027).is_bad_token());
        assert!(discord(401, 0).is_bad_token());
        assert!(discord(404, 10_008).is_message_gone() && !discord(404, 10_003).is_message_gone());
        assert!(discord(400, 40_060).is_already_acknowledged());
        assert!(discord(403, 50_007).is_private_chat_closed());
    }

    #[test]
    fn what_a_field_was_refused_for_stays_out_of_words() {
        let body = r#"{"message":"Invalid Form Body","code":50035,"errors":{"content":{"_errors":[{"message":"my chest hurts"}]}}}"#;
        assert_eq!(
            answered(400, body).to_string(),
            "discord says 400, code 50035: Invalid Form Body"
        );
    }
}
