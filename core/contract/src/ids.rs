//! Identifiers and the two languages that a person meets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One patient in one chat: `platform:bot:chat`, unique within an instance.
///
/// It names a person's chat, so it never goes into a log or a metric label; `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConversationKey(String);

impl ConversationKey {
    /// Joins the three names. `platform` and `bot` must not contain a colon.
    #[must_use]
    pub fn new(platform: &str, bot: &str, chat: &str) -> Self {
        Self(format!("{platform}:{bot}:{chat}"))
    }

    /// The key as it stands in the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key read back from the store.
    #[must_use]
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    /// `telegram`, `web`, `terminal` …
    #[must_use]
    pub fn platform(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The chat's own id on its platform.
    #[must_use]
    pub fn chat(&self) -> &str {
        self.0.splitn(3, ':').nth(2).unwrap_or_default()
    }
}

impl fmt::Debug for ConversationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConversationKey({}:…)", self.platform())
    }
}

/// The place of an accepted update in the inbox; also the trace id of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InboxSeq(pub i64);

impl fmt::Display for InboxSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One outgoing part; a UUIDv7 that doubles as the idempotency key where a platform takes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartId(pub String);

/// What a platform calls a message that it has taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlatformMessageId(pub String);

/// A language in which Bedside speaks to people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    Zh,
}

impl Language {
    /// `en` or `zh`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// Reads `en`, `zh`, `zh-CN`, `中文`, `English` …
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.trim().to_lowercase();
        if lower.starts_with("zh") || lower.starts_with("中") || lower == "chinese" || lower == "汉语" {
            Some(Self::Zh)
        } else if lower.starts_with("en") || lower.starts_with("英") {
            Some(Self::En)
        } else {
            None
        }
    }

    /// Chinese as soon as a text has Han characters, English if it has Latin letters only,
    /// `None` where neither tells (digits, emoji).
    #[must_use]
    pub fn detect(text: &str) -> Option<Self> {
        let han = text.chars().filter(|it| is_han(*it)).count();
        let latin = text.chars().filter(char::is_ascii_alphabetic).count();
        match (han, latin) {
            (0, 0) => None,
            (0, _) => Some(Self::En),
            // A Han character says about as much as a word of four letters.
            (han, latin) if han * 4 >= latin => Some(Self::Zh),
            _ => Some(Self::En),
        }
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::{ConversationKey, Language};

    #[test]
    fn language_is_told_by_script() {
        assert_eq!(Language::detect("我头疼"), Some(Language::Zh));
        assert_eq!(Language::detect("我的 CT 报告"), Some(Language::Zh));
        assert_eq!(Language::detect("my head hurts"), Some(Language::En));
        assert_eq!(
            Language::detect("what does 感冒 mean in English please"),
            Some(Language::En)
        );
        assert_eq!(Language::detect("120 !"), None);
    }

    #[test]
    fn a_chat_may_contain_colons() {
        let key = ConversationKey::new("web", "page", "a:b");
        assert_eq!((key.platform(), key.chat()), ("web", "a:b"));
        assert!(!format!("{key:?}").contains("a:b"));
    }
}
