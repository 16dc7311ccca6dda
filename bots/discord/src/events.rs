//! From Discord's events to ours.
//!
//! They are read field by field, each leniently: a field that Discord writes otherwise one day must not cost
//! a patient's words.

use std::fmt;

use bedside_contract::{Language, UpdateKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

use crate::interactions::Reply;

/// Discord's number for anything; it grows with time, so a greater one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Snowflake(pub(crate) u64);

/// An event that means something to us. It holds patients' words, so it has no `Debug`.
pub(crate) enum Event {
    /// A new session; what the old one had not brought is lost to the gateway.
    Ready(Ready),
    /// The old session goes on, and all that was missed has been replayed.
    Resumed,
    Message(PrivateMessage),
    /// What a message was changed to, and when: taken only if it is an emergency.
    Edited(PrivateMessage, String),
    /// We were spoken to in a server's channel, where no patient data belongs.
    Mentioned(Mention),
    Interaction(Interaction),
    Other,
}

#[derive(Deserialize)]
pub(crate) struct Ready {
    pub(crate) session_id: String,
    pub(crate) resume_gateway_url: String,
}

pub(crate) struct PrivateMessage {
    pub(crate) id: Snowflake,
    pub(crate) channel: Snowflake,
    pub(crate) user: Snowflake,
    pub(crate) kind: UpdateKind,
    /// What stands beside the words and cannot be read.
    pub(crate) beside_words: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) message: Snowflake,
    pub(crate) channel: Snowflake,
    pub(crate) language: Language,
}

/// A slash command or a pressed button.
pub(crate) struct Interaction {
    pub(crate) reply: Reply,
    pub(crate) user: Snowflake,
    /// The private chat where it happened; `None` in a server, where others read along.
    pub(crate) private_channel: Option<Snowflake>,
    pub(crate) language: Option<Language>,
    pub(crate) kind: InteractionKind,
}

pub(crate) enum InteractionKind {
    Command {
        text: String,
    },
    Press {
        data: String,
        /// The message that the button stands under, and the button's words.
        message: Option<Snowflake>,
        label: Option<String>,
    },
}

/// A message as Discord writes it, in events and in the history of a channel.
#[derive(Deserialize)]
pub(crate) struct RawMessage {
    pub(crate) id: Snowflake,
    channel_id: Snowflake,
    author: RawUser,
    #[serde(default, deserialize_with = "lenient")]
    guild_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    webhook_id: Option<Value>,
    #[serde(default, deserialize_with = "lenient", rename = "type")]
    kind: u64,
    #[serde(default, deserialize_with = "lenient")]
    flags: u64,
    #[serde(default, deserialize_with = "lenient")]
    content: String,
    #[serde(default, deserialize_with = "lenient")]
    edited_timestamp: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    mentions: Vec<RawUser>,
    #[serde(default, deserialize_with = "lenient")]
    attachments: Vec<RawAttachment>,
    #[serde(default, deserialize_with = "lenient")]
    sticker_items: Vec<Value>,
    #[serde(default, deserialize_with = "lenient")]
    poll: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    message_snapshots: Vec<Value>,
}

#[derive(Deserialize)]
struct RawUser {
    id: Snowflake,
    #[serde(default, deserialize_with = "lenient")]
    bot: bool,
    #[serde(default, deserialize_with = "lenient")]
    system: bool,
}

#[derive(Default, Deserialize)]
struct RawAttachment {
    #[serde(default, deserialize_with = "lenient")]
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct RawInteraction {
    id: Snowflake,
    application_id: Snowflake,
    token: String,
    #[serde(rename = "type")]
    kind: u64,
    #[serde(default, deserialize_with = "lenient")]
    data: RawInteractionData,
    #[serde(default, deserialize_with = "lenient")]
    guild_id: Option<String>,
    channel_id: Option<Snowflake>,
    #[serde(default, deserialize_with = "lenient")]
    channel: Option<RawChannel>,
    #[serde(default, deserialize_with = "lenient")]
    context: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    user: Option<RawUser>,
    #[serde(default, deserialize_with = "lenient")]
    member: Option<RawMember>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<Value>,
    #[serde(default, deserialize_with = "lenient")]
    locale: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawInteractionData {
    #[serde(default, deserialize_with = "lenient")]
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    options: Vec<RawOption>,
    #[serde(default, deserialize_with = "lenient")]
    custom_id: String,
}

#[derive(Default, Deserialize)]
struct RawOption {
    #[serde(default, deserialize_with = "lenient")]
    value: Value,
}

#[derive(Deserialize)]
struct RawChannel {
    #[serde(rename = "type")]
    kind: u64,
}

#[derive(Deserialize)]
struct RawMember {
    user: RawUser,
}

/// `MessageType` of what a person writes: a message, a reply. Everything else is the platform's own notice.
const WRITTEN: [u64; 2] = [0, 19];
const VOICE_MESSAGE: u64 = 1 << 13;
const COMMAND: u64 = 2;
const COMPONENT: u64 = 3;
const PRIVATE_CHANNEL: u64 = 1;
const CONTEXT_BOT_DM: u64 = 1;

impl Event {
    /// Reads a dispatched event; `own_user` is us.
    pub(crate) fn read(name: &str, data: Value, own_user: Snowflake) -> Self {
        match name {
            "READY" => Ready::deserialize(data).map_or(Self::Other, Self::Ready),
            "RESUMED" => Self::Resumed,
            "MESSAGE_CREATE" => {
                RawMessage::deserialize(data).map_or(Self::Other, |it| it.into_event(own_user))
            }
            "MESSAGE_UPDATE" => {
                RawMessage::deserialize(data).map_or(Self::Other, |it| it.into_edit(own_user))
            }
            "INTERACTION_CREATE" => RawInteraction::deserialize(data)
                .ok()
                .and_then(RawInteraction::into_interaction)
                .map_or(Self::Other, Self::Interaction),
            _ => Self::Other,
        }
    }
}

impl RawMessage {
    pub(crate) fn into_event(self, own_user: Snowflake) -> Event {
        let by_a_person = !self.author.bot && !self.author.system && self.webhook_id.is_none();
        if !by_a_person || self.author.id == own_user || !WRITTEN.contains(&self.kind) {
            return Event::Other;
        }
        if self.guild_id.as_deref().is_some_and(|it| !it.is_empty()) {
            return if self.mentions(own_user) {
                Event::Mentioned(Mention {
                    message: self.id,
                    channel: self.channel_id,
                    language: Language::detect(&without_mentions(&self.content)).unwrap_or_default(),
                })
            } else {
                Event::Other
            };
        }
        let words = self.content.trim();
        let (kind, beside_words) = match (words, self.unreadable()) {
            ("", None) => return Event::Other,
            ("", Some(what)) => {
                let what = what.to_owned();
                (UpdateKind::Unreadable { what }, None)
            }
            (words, beside) => (UpdateKind::Text { text: typed(words) }, beside),
        };
        Event::Message(PrivateMessage {
            id: self.id,
            channel: self.channel_id,
            user: self.author.id,
            kind,
            beside_words,
        })
    }

    /// Discord adds previews of links the same way: only what a person changed has a time.
    fn into_edit(self, own_user: Snowflake) -> Event {
        let edited = self.edited_timestamp.clone();
        match (self.into_event(own_user), edited) {
            (Event::Message(message), Some(edited)) => Event::Edited(message, edited),
            _ => Event::Other,
        }
    }

    fn mentions(&self, user: Snowflake) -> bool {
        self.mentions.iter().any(|it| it.id == user)
            || self.content.contains(&format!("<@{user}>"))
            || self.content.contains(&format!("<@!{user}>"))
    }

    fn unreadable(&self) -> Option<&'static str> {
        if let Some(first) = self.attachments.first() {
            let kind = first.content_type.as_deref().unwrap_or_default();
            return Some(match kind.split('/').next() {
                _ if self.flags & VOICE_MESSAGE != 0 => "voice",
                Some("image") => "photo",
                Some("video") => "video",
                Some("audio") => "audio",
                _ => "file",
            });
        }
        if !self.sticker_items.is_empty() {
            Some("sticker")
        } else if self.poll.is_some() {
            Some("poll")
        } else if !self.message_snapshots.is_empty() {
            Some("forwarded message")
        } else {
            None
        }
    }
}

impl RawInteraction {
    fn into_interaction(self) -> Option<Interaction> {
        let in_a_server = self.guild_id.as_deref().is_some_and(|it| !it.is_empty());
        let in_our_chat = match self.context {
            Some(context) => context == CONTEXT_BOT_DM,
            None => self.channel.as_ref().is_none_or(|it| it.kind == PRIVATE_CHANNEL),
        };
        let private_channel = self.channel_id.filter(|_| in_our_chat && !in_a_server);
        let kind = match self.kind {
            COMMAND => InteractionKind::Command {
                text: self.data.command_text(),
            },
            COMPONENT if !self.data.custom_id.is_empty() => InteractionKind::Press {
                label: self
                    .message
                    .as_ref()
                    .and_then(|it| label_of(it, &self.data.custom_id)),
                message: self
                    .message
                    .as_ref()
                    .and_then(|it| Snowflake::deserialize(it.get("id")?).ok()),
                data: self.data.custom_id,
            },
            _ => return None,
        };
        Some(Interaction {
            reply: Reply::new(self.application_id, self.id, self.token)?,
            user: self.user.or(self.member.map(|it| it.user))?.id,
            private_channel,
            language: self.locale.as_deref().and_then(Language::parse),
            kind,
        })
    }
}

impl RawInteractionData {
    /// `/ask` is there because Discord shows commands only: its question stands for itself.
    fn command_text(&self) -> String {
        let arguments: Vec<String> = self
            .options
            .iter()
            .map(|it| {
                it.value
                    .as_str()
                    .map_or_else(|| it.value.to_string(), ToOwned::to_owned)
            })
            .collect();
        let arguments = arguments.join(" ");
        if self.name == "ask" {
            return arguments;
        }
        format!("/{} {arguments}", self.name).trim_end().to_owned()
    }
}

/// What a patient typed; `/ask …` as text where the command was not picked from Discord's list.
fn typed(words: &str) -> String {
    let question = words
        .strip_prefix("/ask")
        .filter(|it| it.starts_with(char::is_whitespace));
    question.map_or(words, str::trim).to_owned()
}

/// The words on the button that was pressed, from the message that it stands under.
fn label_of(message: &Value, custom_id: &str) -> Option<String> {
    let rows = message.get("components")?.as_array()?;
    let mut buttons = rows
        .iter()
        .filter_map(|row| row.get("components")?.as_array())
        .flatten();
    let pressed = buttons.find(|it| it.get("custom_id").and_then(Value::as_str) == Some(custom_id))?;
    Some(pressed.get("label")?.as_str()?.to_owned())
}

fn without_mentions(text: &str) -> String {
    text.split('<')
        .map(|it| it.split_once('>').map_or(it, |(_, after)| after))
        .collect()
}

/// A field that is missing, null or written otherwise is as good as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

impl fmt::Display for Snowflake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Snowflake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Discord writes ids as strings, since JavaScript's numbers are too small for them.
impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::String(digits) => digits.parse().ok(),
            Value::Number(number) => number.as_u64(),
            _ => None,
        };
        number
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not an id"))
    }
}

#[cfg(test)]
mod tests;
