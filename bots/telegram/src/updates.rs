//! From Telegram's updates to ours.
//!
//! They are read field by field from JSON rather than as teloxide's types: a field that a newer Bot API
//! writes otherwise makes those types give up the whole message, and a patient's words would be lost for it.

use std::collections::HashSet;

use bedside_contract::{ConversationKey, Language, Update, UpdateKind};
use serde::Deserialize;
use serde_json::{Map, Value};
use teloxide::types::{CallbackQueryId, ChatId, MessageId, ThreadId, UserId};

use crate::{PLATFORM, chat::Chat};

/// Who we are, as `getMe` says.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: UserId,
    pub(crate) username: String,
}

/// All that one answer of `getUpdates` held.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) updates: Vec<Update>,
    /// What messages were changed to; taken only if it is an emergency.
    pub(crate) edits: Vec<Update>,
    /// The offset that confirms the batch; `None` if it was empty.
    pub(crate) next_offset: Option<i64>,
    /// Pressed buttons, whose little clock Telegram shows until it is told to stop.
    pub(crate) pressed: Vec<CallbackQueryId>,
    /// Groups where somebody spoke to us.
    pub(crate) mentions: Vec<Mention>,
    /// Updates that mean nothing to us, or in words that are newer than this bot.
    pub(crate) skipped: usize,
}

/// We were spoken to in a group, where no patient data belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) chat: Chat,
    pub(crate) language: Language,
}

#[derive(Deserialize)]
struct RawUpdate {
    message: Option<RawMessage>,
    edited_message: Option<RawMessage>,
    callback_query: Option<RawQuery>,
}

#[derive(Deserialize)]
struct RawMessage {
    chat: RawChat,
    from: Option<RawUser>,
    text: Option<String>,
    caption: Option<String>,
    media_group_id: Option<String>,
    #[serde(flatten)]
    content: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawQuery {
    id: String,
    from: RawUser,
    message: Option<RawButtonMessage>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct RawButtonMessage {
    chat: RawChat,
    #[serde(flatten)]
    content: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawChat {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct RawUser {
    id: u64,
    #[serde(default)]
    is_bot: bool,
    language_code: Option<String>,
}

impl Identity {
    pub(crate) fn read(&self, updates: Vec<Value>) -> Batch {
        let mut batch = Batch::default();
        let mut albums = HashSet::new();
        for raw in updates {
            let Some(id) = raw.get("update_id").and_then(Value::as_i64) else {
                batch.skipped += 1;
                continue;
            };
            batch.next_offset = Some(batch.next_offset.map_or(id + 1, |seen| seen.max(id + 1)));
            match RawUpdate::deserialize(raw) {
                Ok(RawUpdate {
                    message: Some(message),
                    ..
                }) => self.message(id, message, &mut albums, &mut batch),
                Ok(RawUpdate {
                    callback_query: Some(query),
                    ..
                }) => self.button(id, query, &mut batch),
                Ok(RawUpdate {
                    edited_message: Some(message),
                    ..
                }) => self.edit(id, message, &mut batch),
                _ => batch.skipped += 1,
            }
        }
        batch
    }

    fn message(&self, id: i64, message: RawMessage, albums: &mut HashSet<String>, batch: &mut Batch) {
        let Some(from) = message.from.filter(|it| !it.is_bot) else {
            batch.skipped += 1;
            return;
        };
        let chat = chat_of(&message.chat, &message.content);
        let attached = attachment(&message.content);
        let words = message.text.or(message.caption);
        match message.chat.kind.as_str() {
            "private" => {}
            "group" | "supergroup" if words.as_deref().is_some_and(|it| self.is_mentioned(it)) => {
                let words = words.as_deref().unwrap_or_default();
                batch.mentions.push(mention(chat, &from, words));
                return;
            }
            _ => {
                batch.skipped += 1;
                return;
            }
        }
        if words.is_none() && attached.is_none() {
            batch.skipped += 1;
        }
        if let Some(what) = attached {
            // An album comes as one message a picture; say once that we cannot see them.
            let is_first = message.media_group_id.is_none_or(|it| albums.insert(it));
            if is_first {
                let kind = UpdateKind::Unreadable {
                    what: what.to_owned(),
                };
                batch
                    .updates
                    .push(self.update(format!("{id}:attachment"), chat, &from, kind));
            }
        }
        // What is written under a picture may be the emergency itself.
        if let Some(words) = words {
            batch
                .updates
                .push(self.update(id.to_string(), chat, &from, self.words(&words)));
        }
    }

    fn edit(&self, id: i64, message: RawMessage, batch: &mut Batch) {
        let chat = chat_of(&message.chat, &message.content);
        let from = message
            .from
            .filter(|it| !it.is_bot && message.chat.kind == "private");
        match (from, message.text.or(message.caption)) {
            (Some(from), Some(words)) => {
                let edit = self.update(id.to_string(), chat, &from, self.words(&words));
                batch.edits.push(edit);
            }
            _ => batch.skipped += 1,
        }
    }

    fn button(&self, id: i64, query: RawQuery, batch: &mut Batch) {
        batch.pressed.push(CallbackQueryId(query.id));
        match (query.message, query.data) {
            (Some(message), Some(data)) if message.chat.kind == "private" => {
                let kind = UpdateKind::Choice { data };
                let chat = chat_of(&message.chat, &message.content);
                batch
                    .updates
                    .push(self.update(id.to_string(), chat, &query.from, kind));
            }
            _ => batch.skipped += 1,
        }
    }

    fn update(&self, external_id: String, chat: Chat, from: &RawUser, kind: UpdateKind) -> Update {
        let bot = self.id.to_string();
        Update {
            platform: PLATFORM.to_owned(),
            conversation: ConversationKey::new(PLATFORM, &bot, &chat.to_string()),
            bot,
            external_id,
            sender: from.id.to_string(),
            language_hint: from.language_code.as_deref().and_then(Language::parse),
            answer_in: None,
            kind,
        }
    }

    /// Text, or the `/start` that Telegram sends for the patient who opens the chat; with words behind it, it is text
    /// as well. `/stop@OurName` is what clients write when a command is tapped.
    fn words(&self, text: &str) -> UpdateKind {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let command = match word.split_once('@') {
            Some((command, name)) if word.starts_with('/') && name.eq_ignore_ascii_case(&self.username) => {
                command
            }
            _ => word,
        };
        if command == "/start" && rest.trim().is_empty() {
            UpdateKind::Joined
        } else if command.len() == word.len() {
            UpdateKind::Text {
                text: text.to_owned(),
            }
        } else {
            UpdateKind::Text {
                text: format!("{command} {rest}").trim_end().to_owned(),
            }
        }
    }

    fn is_mentioned(&self, text: &str) -> bool {
        let name = self.username.to_lowercase();
        !name.is_empty()
            && text.to_lowercase().split('@').skip(1).any(|it| {
                it.strip_prefix(&name)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
            })
    }
}

/// The chat and, if the message stands in a topic, that topic. Chains of replies have threads too, in which nobody
/// looks for an answer.
fn chat_of(chat: &RawChat, content: &Map<String, Value>) -> Chat {
    let is_topic = content.get("is_topic_message").and_then(Value::as_bool) == Some(true);
    let thread = content.get("message_thread_id").and_then(Value::as_i64);
    let thread = thread.and_then(|it| i32::try_from(it).ok());
    Chat {
        id: ChatId(chat.id),
        topic: thread
            .filter(|it| is_topic && *it > 0)
            .map(|it| ThreadId(MessageId(it))),
    }
}

fn mention(chat: Chat, from: &RawUser, text: &str) -> Mention {
    let hint = from.language_code.as_deref().and_then(Language::parse);
    let language = Language::detect(text).filter(|it| *it == Language::Zh).or(hint);
    Mention {
        chat,
        language: language.unwrap_or_default(),
    }
}

/// What a message holds besides words, in the order in which one kind hides another (an animation is sent
/// as a document too).
fn attachment(content: &Map<String, Value>) -> Option<&'static str> {
    const KINDS: [(&str, &str); 15] = [
        ("photo", "photo"),
        ("sticker", "sticker"),
        ("voice", "voice"),
        ("audio", "audio"),
        ("animation", "video"),
        ("video", "video"),
        ("video_note", "video"),
        ("document", "file"),
        ("contact", "contact"),
        ("venue", "location"),
        ("location", "location"),
        ("poll", "poll"),
        ("story", "story"),
        ("dice", "dice"),
        ("paid_media", "photo"),
    ];
    KINDS
        .iter()
        .find(|(field, _)| content.contains_key(*field))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use bedside_contract::Language;
    use serde_json::{Value, json};
    use teloxide::types::UserId;

    use super::{Batch, Identity};

    fn read(updates: Value) -> Batch {
        let parsed = updates.as_array().unwrap().clone();
        Identity {
            id: UserId(666),
            username: "WardBot".to_owned(),
        }
        .read(parsed)
    }

    fn private(update_id: u32, content: Value) -> Value {
        let mut message = json!({
            "message_id": 10, "date": 1_700_000_000,
            "chat": {"id": 42, "type": "private", "first_name": "P"},
            "from": {"id": 42, "is_bot": false, "first_name": "P", "language_code": "zh-hans"},
        });
        message
            .as_object_mut()
            .unwrap()
            .extend(content.as_object().unwrap().clone());
        json!({"update_id": update_id, "message": message})
    }

    /// `external_id kind` of each update, one a line.
    fn summary(batch: &Batch) -> String {
        let line = |update: &bedside_contract::Update| {
            let kind = serde_json::to_value(&update.kind).unwrap();
            let detail = ["text", "data", "what"]
                .iter()
                .find_map(|it| kind.get(it)?.as_str());
            format!(
                "{} {} {}",
                update.external_id,
                kind["kind"].as_str().unwrap(),
                detail.unwrap_or("-")
            )
        };
        batch.updates.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn check(updates: Value, expect: &str) {
        assert_eq!(summary(&read(updates)), expect);
    }

    #[test]
    fn messages_are_normalised() {
        check(json!([private(5, json!({"text": "我头疼"}))]), "5 text 我头疼");
        check(json!([private(5, json!({"text": "/start"}))]), "5 joined -");
        check(
            json!([private(5, json!({"text": "/start from-poster"}))]),
            "5 text /start from-poster",
        );
        check(
            json!([private(
                5,
                json!({"text": "/start@wardbot I took 30 sleeping pills"})
            )]),
            "5 text /start I took 30 sleeping pills",
        );
        check(
            json!([private(5, json!({"text": "/started to ache"}))]),
            "5 text /started to ache",
        );
        check(
            json!([private(5, json!({"text": "/language@wardbot en"}))]),
            "5 text /language en",
        );
        check(
            json!([private(5, json!({"text": "/stop@WardBot"}))]),
            "5 text /stop",
        );
        check(
            json!([private(5, json!({"text": "/stop@OtherBot"}))]),
            "5 text /stop@OtherBot",
        );
        check(
            json!([private(
                5,
                json!({"pinned_message": {"message_id": 1, "date": 0,
            "chat": {"id": 42, "type": "private", "first_name": "P"}}})
            )]),
            "",
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let photo = json!([{"file_id": "f", "file_unique_id": "u", "width": 1, "height": 1, "file_size": 1}]);
        check(
            json!([private(5, json!({"photo": photo}))]),
            "5:attachment unreadable photo",
        );
        check(
            json!([private(5, json!({"photo": photo, "caption": "I cannot breathe"}))]),
            "5:attachment unreadable photo\n5 text I cannot breathe",
        );
        check(
            json!([
                private(
                    5,
                    json!({"photo": photo, "media_group_id": "a", "caption": "rash"})
                ),
                private(6, json!({"photo": photo, "media_group_id": "a"})),
            ]),
            "5:attachment unreadable photo\n5 text rash",
        );
        let voice = json!({"file_id": "f", "file_unique_id": "u", "duration": 3, "file_size": 1});
        check(
            json!([private(5, json!({"voice": voice}))]),
            "5:attachment unreadable voice",
        );
    }

    #[test]
    fn buttons_are_choices() {
        let query = json!({"id": "q1", "chat_instance": "c", "data": "consent:yes",
            "from": {"id": 42, "is_bot": false, "first_name": "P"},
            "message": {"message_id": 3, "date": 1_700_000_000, "text": "?",
                "chat": {"id": 42, "type": "private", "first_name": "P"}}});
        let batch = read(json!([{"update_id": 9, "callback_query": query}]));
        assert_eq!(summary(&batch), "9 choice consent:yes");
        assert_eq!(batch.pressed[0].0, "q1");
    }

    #[test]
    fn identity_and_hint_are_kept() {
        let batch = read(json!([private(5, json!({"text": "hi"}))]));
        let update = &batch.updates[0];
        assert_eq!(update.conversation.as_str(), "telegram:666:42");
        assert_eq!((update.bot.as_str(), update.sender.as_str()), ("666", "42"));
        assert_eq!(update.language_hint, Some(Language::Zh));
    }

    #[test]
    fn a_topic_is_part_of_the_address_whatever_comes_from_it() {
        let key = |update: &bedside_contract::Update| update.conversation.as_str().to_owned();
        let check = |place: Value, expect: &str| {
            let mut message = private(5, json!({"text": "hi"}))["message"].clone();
            message
                .as_object_mut()
                .unwrap()
                .extend(place.as_object().unwrap().clone());
            let mut photo = message.clone();
            photo["photo"] = json!([]);
            let query = json!({"id": "q1", "chat_instance": "c", "data": "consent:yes",
                "from": message["from"], "message": message});
            let batch = read(json!([
                {"update_id": 5, "message": message},
                {"update_id": 6, "message": photo},
                {"update_id": 7, "callback_query": query},
                {"update_id": 8, "edited_message": message},
            ]));
            // Words, a picture with a caption, a button, an edit.
            let keys: Vec<_> = batch.updates.iter().chain(&batch.edits).map(key).collect();
            assert_eq!(keys, [expect; 5], "{place}");
        };
        check(
            json!({"message_thread_id": 7, "is_topic_message": true}),
            "telegram:666:42:7",
        );
        check(json!({"message_thread_id": 7}), "telegram:666:42");
        check(
            json!({"message_thread_id": 7, "is_topic_message": false}),
            "telegram:666:42",
        );
        check(
            json!({"message_thread_id": {"new": 1}, "is_topic_message": true}),
            "telegram:666:42",
        );
        check(
            json!({"message_thread_id": 0, "is_topic_message": true}),
            "telegram:666:42",
        );
        check(json!({}), "telegram:666:42");
    }

    #[test]
    fn every_update_moves_the_offset() {
        let batch = read(json!([
            private(7, json!({"text": "a"})),
            {"update_id": 8, "message": {"nobody": "knows this"}},
            "not even an object",
            {"update_id": 9, "hologram": {"depth": 3}},
            {"update_id": 10, "edited_message": private(0, json!({"text": "b", "edit_date": 1_700_000_001}))["message"]},
        ]));
        assert_eq!(
            (batch.updates.len(), batch.next_offset, batch.skipped),
            (1, Some(11), 3)
        );
        assert_eq!(read(json!([])).next_offset, None);
    }

    #[test]
    fn edits_are_kept_apart() {
        let edited = |message: &Value| json!([{"update_id": 9, "edited_message": message}]);
        let mut message = private(0, json!({"text": "I can't breathe", "edit_date": 1}))["message"].clone();
        let batch = read(edited(&message));
        assert_eq!((batch.updates.len(), batch.next_offset), (0, Some(10)));
        assert_eq!(batch.edits[0].text(), Some("I can't breathe"));
        assert_eq!(batch.edits[0].external_id, "9");
        message["chat"]["type"] = "group".into();
        assert_eq!(read(edited(&message)).edits.len(), 0);
    }

    #[test]
    fn words_in_a_message_of_a_newer_api_are_not_lost() {
        let odd =
            json!({"text": "chest pain", "entities": [{"type": 7}], "forward_origin": {"type": "hologram"}});
        check(json!([private(5, odd)]), "5 text chest pain");
    }

    #[test]
    fn groups_are_for_mentions_only() {
        let check = |text: &str, expect: Option<Language>| {
            let mut update = private(5, json!({"text": text}));
            update["message"]["chat"] = json!({"id": -7, "type": "supergroup", "title": "G"});
            let batch = read(json!([update]));
            assert!(batch.updates.is_empty(), "no patient data from groups");
            assert_eq!(batch.mentions.first().map(|it| it.language), expect, "{text}");
        };
        check("anyone with a headache?", None);
        check("@wardbot 我头疼", Some(Language::Zh));
        check("hey @WardBot, hello", Some(Language::Zh));
        check("/stop@WardBot", Some(Language::Zh));
        check("@WardBotanist hi", None);
        check("mail me at x@y.org", None);
    }

    #[test]
    fn other_bots_are_not_answered() {
        let mut update = private(5, json!({"text": "hi"}));
        update["message"]["from"]["is_bot"] = true.into();
        assert_eq!(read(json!([update])).updates.len(), 0);
    }
}
