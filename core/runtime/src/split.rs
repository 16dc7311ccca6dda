//! Cuts text into pieces that a platform takes, in the platform's own unit.

use bedside_contract::{Capabilities, LengthUnit, Part};
use unicode_segmentation::UnicodeSegmentation;

/// Cuts `text` into pieces of at most `limit` units: at paragraphs, else lines, else sentences, else words,
/// else between graphemes, so that no character, surrogate pair or emoji is ever broken. A code fence that
/// is cut is closed and opened again.
///
/// `limit` should be at least 32; a grapheme longer than it goes out alone.
#[must_use]
pub fn split_text(text: &str, limit: usize, unit: LengthUnit) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_end().to_owned();
    loop {
        if unit.length(&rest) <= limit {
            if !rest.trim().is_empty() {
                pieces.push(rest);
            }
            return pieces;
        }
        let room = limit.saturating_sub(unit.length(FENCE_END)).max(1);
        let cut = cut_position(&rest, room, unit);
        let tail = rest.split_off(cut);
        let mut head = rest.trim_end().to_owned();
        rest = tail.trim_start_matches([' ', '\n']).to_owned();
        if let Some(fence) = open_fence(&head) {
            let opening = format!("{fence}\n");
            head.push_str(FENCE_END);
            // Opening it again must not make the rest longer than what was just taken off.
            if unit.length(&opening) * 2 < room {
                rest.insert_str(0, &opening);
            }
        }
        if !head.trim().is_empty() {
            pieces.push(head);
        }
    }
}

/// One part as the messages that its platform takes; what stands under an answer stays under the last.
pub(crate) fn pieces_of(part: Part, can: &Capabilities) -> Vec<Part> {
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
            ..Part::notice(part.language, text)
        }
    };
    texts.into_iter().enumerate().map(piece).collect()
}

const FENCE_END: &str = "\n```";

/// The byte at which to cut so that what is before fits into `room` units and is as whole as possible.
fn cut_position(text: &str, room: usize, unit: LengthUnit) -> usize {
    let mut used = 0;
    let mut fits = 0;
    let (mut paragraph, mut line, mut sentence, mut word) = (0, 0, 0, 0);
    let mut previous = "";
    for (at, grapheme) in text.grapheme_indices(true) {
        let length = unit.length(grapheme);
        if used + length > room {
            break;
        }
        used += length;
        fits = at + grapheme.len();
        match grapheme {
            "\n" if previous == "\n" => paragraph = fits,
            "\n" => line = fits,
            "。" | "！" | "？" | "；" => sentence = fits,
            " " if matches!(previous, "." | "!" | "?") => sentence = fits,
            " " | "，" | "、" => word = fits,
            _ => {}
        }
        previous = grapheme;
    }
    if fits == 0 {
        return text.graphemes(true).next().map_or(text.len(), str::len);
    }
    // A border in the first third would make pieces needlessly small.
    [paragraph, line, sentence, word]
        .into_iter()
        .find(|border| *border * 3 > fits)
        .unwrap_or(fits)
}

/// The opening line of the code fence that is still open at the end of `text`.
fn open_fence(text: &str) -> Option<String> {
    let mut open = None;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            open = if open.is_some() {
                None
            } else {
                Some(line.trim().to_owned())
            };
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use bedside_contract::LengthUnit;
    use proptest::prelude::*;

    use super::split_text;

    #[test]
    fn cuts_at_the_best_border() {
        let text = "First paragraph is here.\n\nSecond one. It has two sentences.";
        assert_eq!(
            split_text(text, 45, LengthUnit::Chars),
            ["First paragraph is here.", "Second one. It has two sentences."]
        );
        assert_eq!(
            split_text("一二三。四五六。七八九。", 10, LengthUnit::Chars),
            ["一二三。", "四五六。七八九。"]
        );
    }

    #[test]
    fn a_fence_is_closed_and_opened_again() {
        let text = format!("```text\n{}\n```", "line of code\n".repeat(12));
        let pieces = split_text(&text, 80, LengthUnit::Chars);
        assert!(pieces.len() > 1);
        for piece in &pieces {
            assert_eq!(piece.matches("```").count() % 2, 0, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn every_piece_fits_and_nothing_is_lost(
            text in "([a-z一-龥 。\\n]|👩‍⚕️|🇨🇳|é|```\\n){0,300}",
            limit in 32usize..80,
            unit in prop_oneof![Just(LengthUnit::Utf16), Just(LengthUnit::Chars), Just(LengthUnit::Bytes)],
        ) {
            let pieces = split_text(&text, limit, unit);
            let letters = |it: &str| it.chars().filter(|c| !c.is_whitespace() && *c != '`').collect::<String>();
            prop_assert_eq!(letters(&pieces.concat()), letters(&text));
            for piece in &pieces {
                prop_assert!(unit.length(piece) <= limit, "{} > {limit}", unit.length(piece));
                let broken = piece.contains(char::REPLACEMENT_CHARACTER);
                prop_assert!(!broken);
            }
        }
    }
}
