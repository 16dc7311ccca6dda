//! Cuts text into pieces that a platform takes, in the platform's own unit.

use std::{ops::Range, sync::LazyLock};

use bedside_contract::LengthUnit;
use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

/// Cuts `text` into pieces of at most `limit` units: at paragraphs, else lines, else sentences, else words,
/// else between graphemes, so that no character, surrogate pair or emoji is ever broken. Bold words, code
/// spans, links, addresses, mentions and HTML entities stay whole unless one alone is longer than a piece.
/// A code fence that is cut is closed and opened again.
///
/// `limit` should be at least 32. A grapheme longer than it is cut between its characters.
#[must_use]
pub fn split_text(text: &str, limit: usize, unit: LengthUnit) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_end().to_owned();
    while unit.length(&rest) > limit {
        let closing = if rest.contains("```") { LONGEST_CLOSING } else { 0 };
        let room = limit.saturating_sub(closing).max(1);
        let tail = rest.split_off(cut_position(&rest, room, unit));
        let mut head = rest.trim_end().to_owned();
        rest = tail.trim_start_matches([' ', '\n']).to_owned();
        if let Some(fence) = open_fence(&head) {
            // The next piece must hold more than what opens it again.
            let next = rest.graphemes(true).next().map_or(0, |it| unit.length(it));
            let opening = [fence.line.as_str(), fence.marker.as_str()]
                .into_iter()
                .map(|it| (it, unit.length(it) + 1))
                .find(|(_, length)| length * 2 < room && length + next <= room)
                .map(|(it, _)| it);
            if let Some(opening) = opening {
                rest = format!("{opening}\n{rest}");
            }
            head = format!("{head}\n{}", fence.marker);
        }
        if !head.trim().is_empty() {
            pieces.push(head);
        }
    }
    if !rest.trim().is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// Backticks of the longest fence that is taken for one; a newline is put before it.
const LONGEST_FENCE: usize = 6;
const LONGEST_CLOSING: usize = LONGEST_FENCE + 1;

/// The byte at which to cut so that what is before fits into `room` units and is as whole as possible.
fn cut_position(text: &str, room: usize, unit: LengthUnit) -> usize {
    let mut used = 0;
    let mut fits = 0;
    let mut borders = Vec::new();
    let mut previous = "";
    for (at, grapheme) in text.grapheme_indices(true) {
        let length = unit.length(grapheme);
        if used + length > room {
            break;
        }
        used += length;
        fits = at + grapheme.len();
        let kind = match grapheme {
            "\n" if previous == "\n" => Border::Paragraph,
            "\n" => Border::Line,
            "。" | "！" | "？" | "；" => Border::Sentence,
            " " if matches!(previous, "." | "!" | "?") => Border::Sentence,
            " " | "，" | "、" => Border::Word,
            _ => Border::Grapheme,
        };
        borders.push((kind, fits));
        previous = grapheme;
    }
    if fits == 0 {
        return longest_fitting(text, room, unit);
    }
    let kept_whole = kept_whole(text, fits);
    let breaks = |at: usize| kept_whole.iter().any(|it| it.start < at && at < it.end);
    // A border in the first third would make pieces needlessly small.
    let best = borders
        .iter()
        .filter(|(_, at)| at * 3 > fits && !breaks(*at))
        .max_by_key(|(kind, at)| (*kind, *at));
    if let Some((_, at)) = best {
        return *at;
    }
    // Something long that must stay whole begins early: all before it goes out alone, if there is anything.
    borders
        .iter()
        .map(|(_, at)| *at)
        .filter(|at| !breaks(*at))
        .max()
        .unwrap_or(fits)
}

/// For a grapheme that no piece can hold (letters with dozens of marks): between its characters, since the
/// platform would refuse it whole.
fn longest_fitting(text: &str, room: usize, unit: LengthUnit) -> usize {
    let mut used = 0;
    let mut at = 0;
    for c in text.chars() {
        used += unit.length(c.encode_utf8(&mut [0; 4]));
        if used > room && at > 0 {
            break;
        }
        at += c.len_utf8();
    }
    at
}

/// Where a text may be cut, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Border {
    Grapheme,
    Word,
    Sentence,
    Line,
    Paragraph,
}

/// What reads differently once it is cut, outside of code fences.
static INLINE: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"\*\*[^*\n]+(?:\*[^*\n]+)*\*\*",
        r"`[^`\n]+`",
        r"\[[^\]\n]*\]\([^)\s]*\)",
        r"https?://[^\s<>，。；！？、（）「」]+",
        r"&#?[A-Za-z0-9]{1,31};",
        r"<[@#:/a-zA-Z][^<>\n]{0,80}>",
    ];
    Regex::new(&parts.join("|")).expect("the patterns are constant")
});

/// What begins before `fits` and must not be cut, in bytes of `text`.
fn kept_whole(text: &str, fits: usize) -> Vec<Range<usize>> {
    /// Bytes that are looked at behind `fits`; a longer entity is cut anyway.
    const LOOKAHEAD: usize = 1024;
    let end = text
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at >= fits + LOOKAHEAD)
        .unwrap_or(text.len());
    let Some(seen) = text.get(..end) else {
        return Vec::new();
    };
    let mut ranges = Vec::new();
    let mut fence = None;
    let mut at = 0;
    for line in seen.split_inclusive('\n') {
        let next = at + line.len();
        match Fence::read(line) {
            // Its opening line stays with the first character of the code.
            Some(opened) if fence.is_none() => {
                ranges.push(at..next + 1);
                fence = Some(opened);
            }
            Some(other) if fence.as_ref().is_some_and(|it: &Fence| it.is_closed_by(&other)) => {
                ranges.push(at..next);
                fence = None;
            }
            _ if fence.is_none() => {
                ranges.extend(INLINE.find_iter(line).map(|it| at + it.start()..at + it.end()));
            }
            _ => {}
        }
        at = next;
    }
    ranges
}

/// The line that opens or closes a block of code.
struct Fence {
    line: String,
    /// Its backticks.
    marker: String,
}

impl Fence {
    fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        let count = line.chars().take_while(|it| *it == '`').count();
        let info = line.trim_start_matches('`');
        let is_fence = (3..=LONGEST_FENCE).contains(&count) && !info.contains('`');
        is_fence.then(|| Self {
            line: line.to_owned(),
            marker: "`".repeat(count),
        })
    }

    fn is_closed_by(&self, other: &Self) -> bool {
        other.line == other.marker && other.marker.len() >= self.marker.len()
    }
}

/// The code fence that is still open at the end of `text`.
fn open_fence(text: &str) -> Option<Fence> {
    let mut open: Option<Fence> = None;
    for found in text.lines().filter_map(Fence::read) {
        match &open {
            None => open = Some(found),
            Some(fence) if fence.is_closed_by(&found) => open = None,
            Some(_) => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use bedside_contract::LengthUnit;
    use proptest::prelude::*;

    use super::{INLINE, open_fence, split_text};

    #[test]
    fn cuts_at_the_best_border() {
        let check = |text: &str, limit: usize, expect: &[&str]| {
            assert_eq!(split_text(text, limit, LengthUnit::Chars), expect, "{text}");
        };
        check(
            "First paragraph is here.\n\nSecond one. It has two sentences.",
            45,
            &["First paragraph is here.", "Second one. It has two sentences."],
        );
        check(
            "一二三。四五六。七八九。十。",
            10,
            &["一二三。四五六。", "七八九。十。"],
        );
        check("", 32, &[]);
        check("  \n ", 32, &[]);
    }

    #[test]
    fn what_reads_differently_in_halves_stays_whole() {
        let check = |entity: &str| {
            for before in 0..70 {
                let text = format!("{} {entity} {}", "w".repeat(before), "and so on ".repeat(9));
                let pieces = split_text(&text, 64, LengthUnit::Utf16);
                let holders = pieces.iter().filter(|it| it.contains(entity)).count();
                assert_eq!(holders, 1, "{entity} after {before}: {pieces:?}");
            }
        };
        check("**call your doctor today**");
        check("`/privacy`");
        check("[the leaflet](https://hospital.example/a_b)");
        check("https://hospital.example/appointments?ward=3");
        check("&quot;");
        check("<@123456789012345678>");
        check("👩🏽‍⚕️");
        check("e\u{301}\u{323}");
    }

    #[test]
    fn an_entity_longer_than_a_piece_is_cut_all_the_same() {
        let text = format!("See https://hospital.example/{} please", "a".repeat(200));
        let pieces = split_text(&text, 64, LengthUnit::Bytes);
        assert_eq!(pieces.concat().replace(' ', ""), text.replace(' ', ""));
        assert!(pieces.iter().all(|it| it.len() <= 64), "{pieces:?}");
    }

    #[test]
    fn a_fence_is_closed_and_opened_again() {
        let check = |opening: &str, marker: &str, expect_opening: &str| {
            let text = format!(
                "Before.\n{opening}\n{}{marker}\nAfter.",
                "line of code\n".repeat(12)
            );
            let pieces = split_text(&text, 80, LengthUnit::Chars);
            assert!(pieces.len() > 2, "{pieces:?}");
            for piece in &pieces {
                assert!(open_fence(piece).is_none(), "{piece}");
                assert!(piece.chars().count() <= 80);
            }
            assert!(
                pieces[1].starts_with(&format!("{expect_opening}\n")),
                "{pieces:?}"
            );
        };
        check("```text", "```", "```text");
        check("````", "````", "````");
        check(&format!("```{}", "x".repeat(60)), "```", "```");
    }

    #[test]
    fn a_fence_is_not_opened_at_the_end_of_a_piece() {
        let text = format!(
            "{}\n```sh\nls -l /srv/bedside\n```",
            "some words before it ".repeat(3)
        );
        let pieces = split_text(&text, 75, LengthUnit::Chars);
        assert!(pieces[1].starts_with("```sh\nls"), "{pieces:?}");
    }

    #[test]
    fn a_grapheme_too_long_for_a_piece_ends_somewhere() {
        let zalgo = format!("n{}", "\u{301}".repeat(90));
        for text in [
            format!("```text\n{zalgo} and\n"),
            zalgo.repeat(3),
            format!("`{zalgo}`"),
        ] {
            let pieces = split_text(&text, 48, LengthUnit::Bytes);
            assert!(pieces.iter().all(|it| it.len() <= 48), "{pieces:?}");
            let marks = |it: &str| it.matches('\u{301}').count();
            assert_eq!(pieces.iter().map(|it| marks(it)).sum::<usize>(), marks(&text));
        }
    }

    #[test]
    fn long_hostile_text_takes_no_time() {
        let started = std::time::Instant::now();
        for hostile in ["[", "**a", "`", "<a ", "&a", "```\n", "https://"] {
            let text = hostile.repeat(20_000 / hostile.len());
            assert!(!split_text(&text, 64, LengthUnit::Bytes).is_empty());
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn every_piece_fits_and_nothing_is_lost(
            text in "([a-z一-龥 。\\n]|👩‍⚕️|🇨🇳|é|```\\n|````\\n|\\*\\*|&amp;|https://a\\.b/c|\\[a\\]\\(b\\)){0,300}",
            limit in 32usize..80,
            unit in prop_oneof![Just(LengthUnit::Utf16), Just(LengthUnit::Chars), Just(LengthUnit::Bytes)],
        ) {
            let pieces = split_text(&text, limit, unit);
            let letters = |it: &str| it.chars().filter(|c| !c.is_whitespace() && *c != '`').collect::<String>();
            prop_assert_eq!(letters(&pieces.concat()), letters(&text));
            for piece in &pieces {
                prop_assert!(unit.length(piece) <= limit, "{} > {limit}", unit.length(piece));
                prop_assert!(!piece.contains(char::REPLACEMENT_CHARACTER));
            }
        }

        #[test]
        fn short_entities_are_never_cut(
            words in proptest::collection::vec("[a-z]{1,9}|\\*\\*[a-z]{1,9}\\*\\*|https://a\\.b/[a-z]{1,9}|&amp;", 1..60),
        ) {
            let text = words.join(" ");
            let entities = |it: &str| INLINE.find_iter(it).map(|it| it.as_str().to_owned()).collect::<Vec<_>>();
            let pieces = split_text(&text, 48, LengthUnit::Utf16);
            let found: Vec<_> = pieces.iter().flat_map(|it| entities(it)).collect();
            prop_assert_eq!(found, entities(&text));
        }
    }
}
