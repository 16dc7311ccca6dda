//! The bodies of what is sent: words, buttons, and the number by which Discord knows a repeated message.

use bedside_contract::{ConversationKey, InboxSeq, Part, PartId, QuickReply};
use serenity::{
    builder::{
        CreateActionRow, CreateAllowedMentions, CreateButton, CreateInteractionResponse,
        CreateInteractionResponseMessage, CreateMessage, EditMessage,
    },
    model::{
        application::ButtonStyle,
        channel::{MessageFlags, Nonce},
    },
};

use crate::format;

/// What Discord takes at most.
const BUTTONS_IN_A_ROW: usize = 5;
const ROWS: usize = 5;
const LABEL_LENGTH: usize = 80;
const DATA_LENGTH: usize = 100;
const NONCE_LENGTH: usize = 25;

/// A message ready to send, as a new one or over an old one.
pub(crate) struct Outgoing {
    content: String,
    buttons: Vec<CreateActionRow>,
}

impl Outgoing {
    pub(crate) fn from_part(part: &Part) -> Self {
        Self {
            content: format::content(part),
            buttons: buttons(&part.quick_replies),
        }
    }

    /// The text so far.
    pub(crate) fn from_preview(text: &str) -> Self {
        Self {
            content: format::preview(text),
            buttons: Vec::new(),
        }
    }

    pub(crate) fn from_sentence(sentence: &str) -> Self {
        Self {
            content: sentence.to_owned(),
            buttons: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.content.trim().is_empty()
    }

    /// Sent again with the same nonce, it makes no second message.
    pub(crate) fn new_message(&self, nonce: String) -> CreateMessage {
        CreateMessage::new()
            .content(&self.content)
            .components(self.buttons.clone())
            .allowed_mentions(CreateAllowedMentions::new())
            .flags(MessageFlags::SUPPRESS_EMBEDS)
            .nonce(Nonce::String(nonce))
            .enforce_nonce(true)
    }

    /// Buttons are always named, so that those of an earlier state go away.
    pub(crate) fn edit(&self) -> EditMessage {
        EditMessage::new()
            .content(&self.content)
            .components(self.buttons.clone())
            .allowed_mentions(CreateAllowedMentions::new())
            .flags(MessageFlags::SUPPRESS_EMBEDS)
    }

    /// For the user of an interaction in a server, seen by nobody else.
    pub(crate) fn follow_up(&self) -> CreateMessage {
        CreateMessage::new()
            .content(&self.content)
            .components(self.buttons.clone())
            .allowed_mentions(CreateAllowedMentions::new())
            .flags(MessageFlags::SUPPRESS_EMBEDS | MessageFlags::EPHEMERAL)
    }

    /// An answer at once that only the user of the interaction sees.
    pub(crate) fn immediate_response(&self) -> CreateInteractionResponse {
        CreateInteractionResponse::Message(response_message().content(&self.content).ephemeral(true))
    }
}

/// "thinking …", until the answer is there.
pub(crate) fn deferred(ephemeral: bool) -> CreateInteractionResponse {
    CreateInteractionResponse::Defer(response_message().ephemeral(ephemeral))
}

/// Takes the buttons away and shows which one was pressed.
pub(crate) fn pressed(data: &str, label: Option<&str>) -> CreateInteractionResponse {
    let chosen = label.map(|label| button(data, label).disabled(true));
    let row = chosen.map(|it| CreateActionRow::Buttons(vec![it]));
    CreateInteractionResponse::UpdateMessage(response_message().components(row.into_iter().collect()))
}

fn response_message() -> CreateInteractionResponseMessage {
    CreateInteractionResponseMessage::new().allowed_mentions(CreateAllowedMentions::new())
}

fn buttons(replies: &[QuickReply]) -> Vec<CreateActionRow> {
    let mut seen = Vec::new();
    let mut buttons = Vec::new();
    for reply in replies {
        // Discord refuses a message in which two buttons say the same.
        let fits = reply.data.chars().count() <= DATA_LENGTH
            && !reply.data.is_empty()
            && !reply.label.trim().is_empty()
            && !seen.contains(&&reply.data)
            && seen.len() < ROWS * BUTTONS_IN_A_ROW;
        if !fits {
            tracing::warn!(
                chars = reply.data.chars().count(),
                "A quick reply does not fit a discord button."
            );
            continue;
        }
        seen.push(&reply.data);
        buttons.push(button(&reply.data, &reply.label));
    }
    buttons
        .chunks(BUTTONS_IN_A_ROW)
        .map(|row| CreateActionRow::Buttons(row.to_vec()))
        .collect()
}

fn button(data: &str, label: &str) -> CreateButton {
    CreateButton::new(data)
        .label(label.chars().take(LABEL_LENGTH).collect::<String>())
        .style(ButtonStyle::Secondary)
}

/// The nonce of a part: its UUID in 25 digits.
pub(crate) fn part_nonce(part: &PartId) -> String {
    let digits: String = part.0.chars().filter(|it| *it != '-').collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(number) if digits.len() == 32 => base36(number),
        _ => last_characters(&part.0),
    }
}

/// The nonce of the first preview of an answer, so that a lost confirmation makes no second message.
pub(crate) fn preview_nonce(conversation: &ConversationKey, seq: InboxSeq) -> String {
    let chat = conversation.chat().parse::<u64>().unwrap_or_default();
    let seq = u64::try_from(seq.0).unwrap_or_default();
    last_characters(&format!("p{}-{}", base36(chat.into()), base36(seq.into())))
}

fn last_characters(text: &str) -> String {
    let skipped = text.chars().count().saturating_sub(NONCE_LENGTH);
    text.chars().skip(skipped).collect()
}

fn base36(mut number: u128) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).expect("a remainder of 36 is small");
        digits.push(char::from_digit(digit, 36).expect("a digit below 36"));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bedside_contract::{ConversationKey, InboxSeq, Language, Part, PartId, QuickReply};
    use serde_json::{Value, json};

    use super::{Outgoing, deferred, part_nonce, pressed, preview_nonce};

    fn json_of(value: &impl serde::Serialize) -> Value {
        serde_json::to_value(value).unwrap()
    }

    fn reply(label: &str, data: &str) -> QuickReply {
        QuickReply {
            label: label.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn nonces_are_stable_short_and_different() {
        let id = |text: &str| PartId(text.to_owned());
        let nonce = part_nonce(&id("0199e3a1-7c2b-7d3e-8f4a-5b6c7d8e9f01"));
        assert_eq!(nonce, part_nonce(&id("0199e3a17c2b7d3e8f4a5b6c7d8e9f01")));
        assert_ne!(nonce, part_nonce(&id("0199e3a1-7c2b-7d3e-8f4a-5b6c7d8e9f02")));
        assert!(part_nonce(&id("ffffffff-ffff-ffff-ffff-ffffffffffff")).len() <= 25);
        assert_eq!(part_nonce(&id("part")), "part");
        assert_eq!(part_nonce(&id(&"x".repeat(60))).len(), 25);

        let chat = |id: &str| ConversationKey::new("discord", "666", id);
        let all: HashSet<String> = [
            ("50", 1),
            ("50", 2),
            ("51", 1),
            ("1574172853920595973", 987_654_321),
        ]
        .into_iter()
        .map(|(id, seq)| preview_nonce(&chat(id), InboxSeq(seq)))
        .collect();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|it| it.len() <= 25), "{all:?}");
    }

    #[test]
    fn a_message_mentions_nobody_and_unfolds_no_link() {
        let mut part = Part::notice(Language::En, "hello @everyone");
        part.quick_replies = vec![reply("Yes", "consent:yes")];
        let message = Outgoing::from_part(&part);
        let body = json_of(&message.new_message("n".to_owned()));
        assert_eq!(
            (&body["nonce"], &body["enforce_nonce"], &body["flags"]),
            (&json!("n"), &json!(true), &json!(4))
        );
        for body in [body, json_of(&message.edit()), json_of(&message.follow_up())] {
            assert_eq!(body["allowed_mentions"]["parse"], json!([]));
            assert_eq!(body["components"][0]["components"][0]["custom_id"], "consent:yes");
        }
        assert_eq!(json_of(&message.follow_up())["flags"], 68);
        assert_eq!(
            json_of(&Outgoing::from_preview("x").edit())["components"],
            json!([])
        );
    }

    #[test]
    fn buttons_stay_within_discords_limits() {
        let rows = |replies: Vec<QuickReply>| {
            let mut part = Part::notice(Language::En, "x");
            part.quick_replies = replies;
            let rows = json_of(&Outgoing::from_part(&part).edit())["components"].clone();
            let count = |row: &Value| row["components"].as_array().unwrap().len();
            let counts: Vec<usize> = rows.as_array().unwrap().iter().map(count).collect();
            (counts, rows)
        };
        let many = (0..30).map(|it| reply("label", &format!("{it}"))).collect();
        assert_eq!(rows(many).0, [5, 5, 5, 5, 5]);
        assert_eq!(
            rows((0..7).map(|it| reply("l", &it.to_string())).collect()).0,
            [5, 2]
        );
        let odd = vec![
            reply("a", "1"),
            reply("again", "1"),
            reply(" ", "2"),
            reply("b", ""),
            reply("c", &"x".repeat(101)),
        ];
        assert_eq!(rows(odd).0, [1]);
        let long = rows(vec![reply(&"长".repeat(90), "1")]).1;
        assert_eq!(
            long[0]["components"][0]["label"]
                .as_str()
                .unwrap()
                .chars()
                .count(),
            80
        );
    }

    #[test]
    fn acknowledgements_are_what_discord_reads() {
        assert_eq!(json_of(&deferred(false))["type"], 5);
        assert_eq!(json_of(&deferred(true))["data"]["flags"], 64);
        let shown = json_of(&pressed("consent:yes", Some("Yes")));
        assert_eq!(shown["type"], 7);
        assert_eq!(
            shown["data"]["components"][0]["components"][0],
            json!({"type": 2, "style": 2, "custom_id": "consent:yes", "label": "Yes", "disabled": true})
        );
        assert_eq!(json_of(&pressed("x", None))["data"]["components"], json!([]));
        let now = json_of(&Outgoing::from_sentence("no").immediate_response());
        assert_eq!((&now["type"], &now["data"]["flags"]), (&json!(4), &json!(64)));
    }
}
