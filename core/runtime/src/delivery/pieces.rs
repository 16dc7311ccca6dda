//! From what the bot says to the messages that a platform takes.

use bedside_contract::{Capabilities, Part};

use super::split::split_text;
use crate::context::words::say;

/// One part as the messages that its platform takes; what stands under an answer stays under the last.
pub(crate) fn pieces_of(part: Part, can: &Capabilities) -> Vec<Part> {
    let part = if can.buttons {
        part
    } else {
        with_typed_replies(part)
    };
    let length = |text: &str| can.length_unit.length(text);
    let fits = if can.rich_parts {
        length(&part.text)
    } else {
        length(&part.plain_text())
    } <= can.max_length;
    if fits {
        return vec![part];
    }
    let footer = if can.rich_parts {
        0
    } else {
        length(&part.footer()) + 2
    };
    // Some room for what a platform's markup adds.
    let room = can.max_length.saturating_sub(footer.min(can.max_length / 2)) * 9 / 10;
    let texts = split_text(&part.text, room.max(32), can.length_unit);
    let last = texts.len().saturating_sub(1);
    let piece = |(index, text): (usize, String)| {
        if index == last {
            return Part { text, ..part.clone() };
        }
        Part {
            kind: part.kind,
            label: part.label.clone(),
            more: true,
            ..Part::notice(part.language, text)
        }
    };
    texts.into_iter().enumerate().map(piece).collect()
}

/// Where there are no buttons, quick replies are numbered under the text, to be typed.
fn with_typed_replies(part: Part) -> Part {
    if part.quick_replies.is_empty() {
        return part;
    }
    let mut text = part.text.trim_end().to_owned();
    text.push('\n');
    for (index, reply) in part.quick_replies.iter().enumerate() {
        text.push_str(&format!("\n{}. {}", index + 1, reply.label));
    }
    text.push('\n');
    text.push_str(&say(part.language, "reply-by-number"));
    Part {
        text,
        quick_replies: Vec::new(),
        ..part
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_contract::{Capabilities, Initiative, Language, LengthUnit, Pace, Part, QuickReply};

    use super::pieces_of;

    fn plain(max_length: usize) -> Capabilities {
        Capabilities {
            edits: false,
            max_length,
            length_unit: LengthUnit::Bytes,
            buttons: false,
            rich_parts: false,
            pace: Pace {
                previews: Duration::ZERO,
                typing: Duration::ZERO,
                chat: Duration::ZERO,
                platform: Duration::ZERO,
            },
            deadline: None,
            initiative: Initiative::Bot,
            outside_operator: true,
        }
    }

    #[test]
    fn all_but_the_last_piece_say_that_more_follows() {
        let part = Part {
            label: Some("AI".to_owned()),
            ..Part::notice(Language::Zh, "多喝水，多休息。".repeat(40))
        };
        let pieces = pieces_of(part, &plain(300));
        assert!(pieces.len() > 2);
        let more: Vec<bool> = pieces.iter().map(|it| it.more).collect();
        let last = pieces.len() - 1;
        assert!(
            more.iter()
                .enumerate()
                .all(|(index, more)| *more == (index < last)),
            "{more:?}"
        );
        assert!(pieces.iter().all(|it| it.plain_text().len() <= 300));
        assert!(pieces.iter().all(|it| it.label.is_some()), "each is labelled");
    }

    #[test]
    fn replies_are_numbered_where_there_are_no_buttons() {
        let reply = |label: &str| QuickReply {
            label: label.to_owned(),
            data: "x".to_owned(),
        };
        let part = Part {
            quick_replies: vec![reply("Yes"), reply("No")],
            ..Part::notice(Language::En, "Agree?")
        };
        let pieces = pieces_of(part, &plain(2048));
        assert!(
            pieces[0].text.starts_with("Agree?\n\n1. Yes\n2. No\n"),
            "{}",
            pieces[0].text
        );
        assert!(pieces[0].quick_replies.is_empty());
    }
}
