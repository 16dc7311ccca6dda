//! What a failed call means for delivery, in words that hold neither the token nor a patient's text.
//!
//! `reqwest`'s errors name the URL, whose path holds the token, and teloxide's `InvalidJson` holds the raw
//! answer, which repeats the message: neither is ever formatted here.

use std::{error::Error, time::Duration};

use bedside_contract::DeliverError;
use teloxide::{ApiError, RequestError};

/// Telegram's limit per chat is not published; where it names no time, this passes.
const UNNAMED_WAIT: Duration = Duration::from_secs(5);

/// Whether and when delivery may be tried again.
pub(crate) fn deliver_error(error: &RequestError) -> DeliverError {
    match error {
        RequestError::RetryAfter(wait) => DeliverError::RetryAfter(wait.duration()),
        RequestError::Network(network) if nothing_was_sent(network) => DeliverError::NotSent(describe(error)),
        RequestError::Network(_) | RequestError::InvalidJson { .. } => DeliverError::Unknown(describe(error)),
        RequestError::Io(_) => DeliverError::NotSent(describe(error)),
        RequestError::MigrateToChatId(_) => DeliverError::Permanent(describe(error)),
        RequestError::Api(ApiError::InvalidToken) => DeliverError::NotSent(describe(error)),
        RequestError::Api(ApiError::Unknown(text)) => match class_of(text) {
            Class::Refused => DeliverError::Permanent(describe(error)),
            Class::TooMany => DeliverError::RetryAfter(UNNAMED_WAIT),
            Class::ServerTrouble => DeliverError::Unknown(describe(error)),
        },
        RequestError::Api(_) => DeliverError::Permanent(describe(error)),
    }
}

/// The error in words that may be logged.
pub(crate) fn describe(error: &RequestError) -> String {
    match error {
        RequestError::Api(ApiError::InvalidToken) => {
            "telegram refused the token: check telegram.token".to_owned()
        }
        RequestError::Api(ApiError::MessageIsTooLong | ApiError::EditedMessageIsTooLong) => {
            "the part is longer than telegram's 4096 UTF-16 units: it should have been split".to_owned()
        }
        RequestError::Api(ApiError::CantParseEntities(_)) => "telegram could not read the markup".to_owned(),
        RequestError::Api(ApiError::Unknown(text)) => format!("telegram says: {}", first_words(text)),
        RequestError::Api(known) => format!("telegram says: {known}"),
        RequestError::MigrateToChatId(_) => "the group became a supergroup".to_owned(),
        RequestError::RetryAfter(wait) => format!("telegram asks to wait {} s", wait.seconds()),
        RequestError::Network(network) if network.is_connect() => {
            format!("no connection to telegram: {}", root_cause(network))
        }
        RequestError::Network(network) if network.is_timeout() => {
            "telegram did not answer in time".to_owned()
        }
        RequestError::Network(network) => format!("connection to telegram lost: {}", root_cause(network)),
        RequestError::InvalidJson { .. } => "telegram's answer could not be read".to_owned(),
        RequestError::Io(error) => format!("reading a file: {error}"),
    }
}

/// The markup was at fault, or may have been: worth one more try as plain text.
pub(crate) fn may_be_markup(error: &RequestError) -> bool {
    match error {
        RequestError::Api(ApiError::CantParseEntities(_)) => true,
        RequestError::Api(ApiError::Unknown(text)) => text.starts_with("Bad Request"),
        _ => false,
    }
}

/// The message to edit is no longer there, or too old.
pub(crate) fn is_gone(error: &RequestError) -> bool {
    match error {
        RequestError::Api(
            ApiError::MessageToEditNotFound | ApiError::MessageCantBeEdited | ApiError::MessageIdInvalid,
        ) => true,
        RequestError::Api(ApiError::Unknown(text)) => {
            text.contains("message to edit not found") || text.contains("message can't be edited")
        }
        _ => false,
    }
}

/// There is no such topic in the chat (any more), or nobody may write there; the chat itself may still be written to.
pub(crate) fn is_topic_gone(error: &RequestError) -> bool {
    let RequestError::Api(ApiError::Unknown(text)) = error else {
        return false;
    };
    let lower = text.to_lowercase();
    lower.starts_with("bad request") && (lower.contains("thread") || lower.contains("topic"))
}

/// The message says already what it should: as good as a success.
pub(crate) fn is_not_modified(error: &RequestError) -> bool {
    match error {
        RequestError::Api(ApiError::MessageNotModified) => true,
        RequestError::Api(ApiError::Unknown(text)) => text.contains("message is not modified"),
        _ => false,
    }
}

/// A newer Bot API may answer with fields that this library cannot read although the call succeeded: the id
/// of the message that was made, if that is so. Without this a delivered message would be sent again.
pub(crate) fn succeeded_all_the_same(error: &RequestError) -> Option<i64> {
    let RequestError::InvalidJson { raw, .. } = error else {
        return None;
    };
    let answer: serde_json::Value = serde_json::from_str(raw).ok()?;
    let ok = answer.get("ok")?.as_bool()?;
    ok.then(|| answer.get("result")?.get("message_id")?.as_i64())
        .flatten()
}

/// Another process polls with the same token.
pub(crate) fn is_conflict(error: &RequestError) -> bool {
    match error {
        RequestError::Api(ApiError::TerminatedByOtherGetUpdates) => true,
        RequestError::Api(ApiError::Unknown(text)) => {
            text.starts_with("Conflict") && !text.contains("webhook")
        }
        _ => false,
    }
}

/// Telegram pushes to a webhook that somebody set earlier, so it refuses to be polled.
pub(crate) fn is_webhook_set(error: &RequestError) -> bool {
    match error {
        RequestError::Api(ApiError::CantGetUpdates) => true,
        RequestError::Api(ApiError::Unknown(text)) => {
            text.starts_with("Conflict") && text.contains("webhook")
        }
        _ => false,
    }
}

enum Class {
    Refused,
    TooMany,
    ServerTrouble,
}

fn class_of(description: &str) -> Class {
    let refused = [
        "Bad Request",
        "Forbidden",
        "Unauthorized",
        "Not Found",
        "Request Entity Too Large",
    ];
    if refused.iter().any(|it| description.starts_with(it)) {
        Class::Refused
    } else if description.starts_with("Too Many Requests") {
        Class::TooMany
    } else {
        Class::ServerTrouble
    }
}

/// A connection that never came to be carried nothing.
fn nothing_was_sent(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_builder()
}

/// The innermost cause (an operating system's or TLS error), which knows no URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "cause unknown".to_owned(), ToString::to_string)
}

/// Telegram's descriptions are short; a longer one might repeat what was sent.
fn first_words(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use bedside_contract::DeliverError;
    use teloxide::{ApiError, RequestError, types::Seconds};

    use super::{deliver_error, is_conflict, is_gone, is_not_modified, is_webhook_set, may_be_markup};
    use super::{describe, is_topic_gone, succeeded_all_the_same};

    /// As teloxide reads it from the wire.
    fn api(description: &str) -> RequestError {
        RequestError::Api(serde_json::from_value::<ApiError>(description.into()).unwrap())
    }

    fn unreadable(raw: &str) -> RequestError {
        let source = serde_json::from_str::<u8>("x").unwrap_err();
        RequestError::InvalidJson {
            source: Arc::new(source),
            raw: raw.into(),
        }
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
        let check = |error: RequestError, expect: &str| {
            assert_eq!(name(&deliver_error(&error)), expect, "{}", describe(&error));
        };
        check(api("Forbidden: bot was blocked by the user"), "permanent");
        check(api("Forbidden: user is deactivated"), "permanent");
        check(
            api("Forbidden: the user is a bot or so, some new wording"),
            "permanent",
        );
        check(api("Bad Request: chat not found"), "permanent");
        check(api("Bad Request: message is too long"), "permanent");
        check(api("Unauthorized"), "not-sent");
        check(api("Bad Gateway"), "unknown");
        check(api("Internal Server Error"), "unknown");
        check(api("Too Many Requests: retry later"), "retry-after");
        check(unreadable("<html>502</html>"), "unknown");
        check(RequestError::RetryAfter(Seconds::from_seconds(7)), "retry-after");
        let DeliverError::RetryAfter(wait) =
            deliver_error(&RequestError::RetryAfter(Seconds::from_seconds(7)))
        else {
            panic!("a named time is kept");
        };
        assert_eq!(wait, Duration::from_secs(7));
    }

    #[test]
    fn special_cases_are_told_apart() {
        assert!(may_be_markup(&api(
            "Bad Request: can't parse entities: unclosed tag at byte 3"
        )));
        assert!(may_be_markup(&api("Bad Request: something new about entities")));
        assert!(!may_be_markup(&api("Bad Request: chat not found")));
        assert!(is_gone(&api("Bad Request: message to edit not found")));
        assert!(is_gone(&api("Bad Request: message can't be edited")));
        assert!(!is_gone(&api("Bad Request: chat not found")));
        assert!(is_not_modified(&api(
            "Bad Request: message is not modified: some other tail"
        )));
        assert!(is_conflict(&api(
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
        )));
        let webhook =
            "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook first";
        assert!(is_webhook_set(&api(webhook)) && !is_conflict(&api(webhook)));
    }

    #[test]
    fn a_topic_that_is_gone_is_told_from_a_chat_that_is() {
        for problem in [
            "Bad Request: message thread not found",
            "Bad Request: TOPIC_DELETED",
            "Bad Request: TOPIC_CLOSED",
        ] {
            assert!(is_topic_gone(&api(problem)), "{problem}");
        }
        for problem in [
            "Bad Request: chat not found",
            "Bad Request: message to edit not found",
            "Forbidden: bot was blocked by the user",
            "Internal Server Error: thread pool",
        ] {
            assert!(!is_topic_gone(&api(problem)), "{problem}");
        }
    }

    #[test]
    fn a_success_in_unknown_words_is_a_success() {
        let ok = unreadable(r#"{"ok":true,"result":{"message_id":17,"chat":{"type":"hologram"}}}"#);
        assert_eq!(succeeded_all_the_same(&ok), Some(17));
        assert_eq!(
            succeeded_all_the_same(&unreadable(r#"{"ok":false,"description":"no"}"#)),
            None
        );
        assert_eq!(succeeded_all_the_same(&unreadable("<html>")), None);
    }

    #[test]
    fn the_raw_answer_stays_out_of_words() {
        assert!(!describe(&unreadable("my chest hurts")).contains("chest"));
        assert!(describe(&api(&"Bad Request: x".repeat(100))).len() < 120);
    }
}
