//! What a platform delivers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationKey, Language, PlatformMessageId};

/// The [`UpdateKind::Choice`] that has the whole conversation deleted, without a further question.
pub const DELETE_EVERYTHING: &str = "delete:yes";

/// One thing that happened in a chat, as its connector normalised it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Update {
    pub platform: String,
    /// Which of our bots on that platform.
    pub bot: String,
    /// The platform's own id of this update: (platform, bot, external_id) is accepted once.
    pub external_id: String,
    pub conversation: ConversationKey,
    /// The sender's numeric or opaque id; never a display name.
    pub sender: String,
    /// What the platform says of the user's interface language.
    pub language_hint: Option<Language>,
    /// The message that holds the answer from now on: a platform shows it as "thinking …" already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_in: Option<PlatformMessageId>,
    pub kind: UpdateKind,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum UpdateKind {
    /// Text that the patient wrote (a command too), or the recognised text of a voice message.
    Text { text: String },
    /// A quick reply or button; `data` is what [`crate::QuickReply::data`] held.
    Choice { data: String },
    /// The patient opened the chat for the first time.
    Joined,
    /// Something the bot cannot read (picture, sticker, file).
    Unreadable { what: String },
}

impl Update {
    /// The words to read, if there are any: a choice is read as if it had been typed.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            UpdateKind::Text { text } => Some(text),
            UpdateKind::Choice { data } => Some(data),
            UpdateKind::Joined | UpdateKind::Unreadable { .. } => None,
        }
    }
}

/// Whether a text says nothing but "go on" ("1", "OK", 「继续」), where a patient has to write to be given what
/// waits ([`crate::Initiative::Patient`]).
#[must_use]
pub fn asks_for_more(text: &str) -> bool {
    let text = text.trim();
    if text.chars().count() <= 2 && !text.chars().any(char::is_alphabetic) {
        return true;
    }
    let bare = text.trim_matches(|it: char| !it.is_alphanumeric()).to_lowercase();
    let words = [
        "continue",
        "go on",
        "more",
        "next",
        "ok",
        "okay",
        "继续",
        "继续吧",
        "请继续",
        "好",
        "好的",
        "嗯",
        "嗯嗯",
        "收到",
        "下一条",
        "更多",
        "查看",
        "回复",
    ];
    words.contains(&bare.as_str())
}

/// Whether a text is a short number and nothing else ("7", "40", "３９"): the answer to a question, if one was asked,
/// and otherwise no more than [`asks_for_more`].
#[must_use]
pub fn is_bare_number(text: &str) -> bool {
    let text = text.trim();
    (1..=2).contains(&text.chars().count()) && text.chars().all(char::is_numeric)
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("platform", &self.platform)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UpdateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => write!(f, "Text([phi len={}])", text.len()),
            Self::Choice { .. } => write!(f, "Choice"),
            Self::Joined => write!(f, "Joined"),
            Self::Unreadable { what } => write!(f, "Unreadable({what})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{asks_for_more, is_bare_number};

    #[test]
    fn a_bare_number_is_told_from_other_nudges() {
        for text in ["1", "40", " 39 ", "３９", "０"] {
            assert!(is_bare_number(text) && asks_for_more(text), "{text}");
        }
        for text in ["", "?", "..", "ok", "1.", "120", "4a", "十", "👌"] {
            assert!(!is_bare_number(text), "{text}");
        }
    }

    #[test]
    fn only_words_without_meaning_ask_for_more() {
        for text in ["1", "？", "..", "好的", " 继续 ", "OK!", "more", "👌"] {
            assert!(asks_for_more(text), "{text}");
        }
        for text in ["疼", "头疼", "120", "I feel ill", "不好", "why", "好痛", "39.5"] {
            assert!(!asks_for_more(text), "{text}");
        }
    }
}
