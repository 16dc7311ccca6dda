//! What goes wrong with a plugin, in words without a patient's.

use std::time::Duration;

use bedside_plugin_api::abi::{Hook, Status};
use bedside_plugin_runner::Outcome;

/// Why a hook did not answer. Its words go into logs, notes and the status page, so they hold nothing that
/// the plugin made of a patient's message.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Problem {
    #[error("could not start: {0}")]
    Start(String),
    #[error("not ready within {seconds} s; raise limits.start_seconds in its plugin.toml if it needs longer")]
    StartDeadline { seconds: u64 },
    #[error("{}: no answer within {limit:?}", hook.name())]
    Deadline { hook: Hook, limit: Duration },
    #[error("its process {0}")]
    Ended(String),
    #[error("spoke nonsense ({0})")]
    Protocol(String),
    #[error("{}: panicked at {place}", hook.name())]
    Panicked { hook: Hook, place: String },
    /// The plugin's own words went to the log target `plugin`.
    #[error("{}: {}", hook.name(), status.words())]
    Status { hook: Hook, status: Status },
    #[error("{}: its answer is not what this hook answers", hook.name())]
    BadAnswer { hook: Hook },
    #[error("not healthy: {0}")]
    Unhealthy(String),
    #[error("too many calls are waiting for it")]
    Busy,
    #[error("not running ({0})")]
    Unavailable(&'static str),
    #[error("{}: listed in plugin.toml, but the library does not have it", hook.name())]
    MissingHook { hook: Hook },
}

impl Problem {
    /// The problem that an outcome other than [`Status::OK`] is.
    pub(crate) fn of(hook: Hook, outcome: &Outcome) -> Self {
        match outcome.status {
            Status::PANICKED => Self::Panicked {
                hook,
                place: place(&outcome.body),
            },
            Status::UNKNOWN_HOOK => Self::MissingHook { hook },
            status => Self::Status { hook, status },
        }
    }

    /// Whether the plugin has to be started anew.
    pub(crate) fn ends_the_session(&self) -> bool {
        match self {
            Self::Start(_)
            | Self::StartDeadline { .. }
            | Self::Deadline { .. }
            | Self::Ended(_)
            | Self::Protocol(_)
            | Self::Panicked { .. }
            | Self::BadAnswer { .. }
            | Self::Unhealthy(_) => true,
            Self::Status { status, .. } => matches!(*status, Status::POISONED | Status::TOO_LARGE),
            Self::Busy | Self::Unavailable(_) | Self::MissingHook { .. } => false,
        }
    }
}

/// `src/lib.rs:12` and nothing that could be a sentence.
fn place(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let fits = |it: char| it.is_ascii_alphanumeric() || "._-/:".contains(it);
    if !text.is_empty() && text.chars().count() <= 200 && text.chars().all(fits) {
        text.into_owned()
    } else {
        "an unknown place".to_owned()
    }
}

/// At most so many characters, on one line.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    let mut out: String = text
        .chars()
        .take(characters)
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    if text.chars().nth(characters).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{cut, place};

    #[test]
    fn places_hold_no_sentences() {
        assert_eq!(
            place(b"/home/x/plugins/a/src/lib.rs:7"),
            "/home/x/plugins/a/src/lib.rs:7"
        );
        assert_eq!(place(b"my chest hurts"), "an unknown place");
        assert_eq!(place("胸痛".as_bytes()), "an unknown place");
        assert_eq!(place(b""), "an unknown place");
    }

    #[test]
    fn cut_counts_characters() {
        assert_eq!(cut("头疼\n三天", 3), "头疼 …");
        assert_eq!(cut("ab", 2), "ab");
    }
}
