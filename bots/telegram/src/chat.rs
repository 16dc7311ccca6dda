use std::{fmt, num::ParseIntError, str::FromStr};

use teloxide::types::{ChatId, MessageId, ThreadId};

/// Where a patient wrote and looks for the answer: a chat, and the topic in it, if the chat has topics.
///
/// As text it is the last name of a conversation's key, `42` or `42:7`, so the topic outlives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chat {
    pub(crate) id: ChatId,
    pub(crate) topic: Option<ThreadId>,
}

impl Chat {
    /// The chat itself, outside its topics.
    pub(crate) fn without_topic(self) -> Self {
        Self {
            id: self.id,
            topic: None,
        }
    }
}

impl fmt::Display for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.topic {
            Some(ThreadId(MessageId(topic))) => write!(f, "{}:{topic}", self.id.0),
            None => write!(f, "{}", self.id.0),
        }
    }
}

impl FromStr for Chat {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (id, topic) = match text.split_once(':') {
            Some((id, topic)) => (id, Some(ThreadId(MessageId(topic.parse()?)))),
            None => (text, None),
        };
        Ok(Self {
            id: ChatId(id.parse()?),
            topic,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Chat;

    #[test]
    fn an_address_is_read_back_as_it_was_written() {
        for text in ["42", "-1001234567890", "42:7", "9007199254740991:2147483647"] {
            assert_eq!(text.parse::<Chat>().unwrap().to_string(), text);
        }
        for text in ["", "42:", ":7", "42:7:7", "a", "42:b"] {
            assert!(text.parse::<Chat>().is_err(), "{text}");
        }
    }
}
