//! How a text speaks of what it mentions: there, denied, over, suspected, only asked about, someone else's.
//!
//! In the tradition of NegEx and ConText: cues, a scope after them, and words that end the scope.

mod chinese;
mod english;
mod frame;
mod register;
mod subject;

use std::ops::Range;

use crate::{data::FindingKind, lexicon::Mention};
use bedside_language::is_han;
pub(crate) use register::is_about_nobody;
pub(crate) use subject::{Subjects, is_family_history};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polarity {
    Present,
    Absent,
    /// It was, and is no more.
    Over,
    /// The writer thinks that it may be so.
    Possible,
    /// Asked about or imagined.
    Hypothetical,
}

/// A mention with the kind of what it mentions.
pub(crate) struct Placed<'a> {
    pub(crate) mention: &'a Mention,
    pub(crate) kind: FindingKind,
}

/// The sentences and clauses of a normal text.
pub(crate) struct Layout {
    pub(crate) sentences: Vec<Range<usize>>,
    pub(crate) clauses: Vec<Range<usize>>,
}

impl Layout {
    pub(crate) fn new(text: &str) -> Self {
        let (mut sentences, mut clauses) = (Vec::new(), Vec::new());
        let (mut sentence_start, mut clause_start) = (0, 0);
        let mut previous = ' ';
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let next = characters.peek().map(|(_, it)| *it);
            let after = at + c.len_utf8();
            let sentence_ends = matches!(c, '。' | '!' | '?' | ';' | '\n')
                || (c == '.' && !(previous.is_ascii_digit() && next.is_some_and(|it| it.is_ascii_digit())));
            let clause_ends = sentence_ends
                || matches!(c, ',' | ':' | '(' | ')')
                || (c == ' ' && is_han(previous) && next.is_some_and(is_han));
            if clause_ends {
                clauses.push(clause_start..after);
                clause_start = after;
            }
            if sentence_ends {
                sentences.push(sentence_start..after);
                sentence_start = after;
            }
            previous = c;
        }
        clauses.push(clause_start..text.len());
        sentences.push(sentence_start..text.len());
        Self { sentences, clauses }
    }

    pub(crate) fn sentence_of(&self, span: &Range<usize>) -> Range<usize> {
        holding(&self.sentences, span)
    }

    pub(crate) fn clause_of(&self, span: &Range<usize>) -> Range<usize> {
        holding(&self.clauses, span)
    }
}

/// From the start of the range that has the span's start to the end of the one that has its end.
fn holding(ranges: &[Range<usize>], span: &Range<usize>) -> Range<usize> {
    let start = ranges
        .iter()
        .find(|it| it.end > span.start)
        .map_or(span.start, |it| it.start);
    let end = ranges
        .iter()
        .find(|it| it.end >= span.end)
        .map_or(span.end, |it| it.end);
    start..end.max(span.end)
}

/// Compiles the patterns that most texts need.
pub(crate) fn prepare() {
    english::prepare();
}

/// Reads one mention in its surroundings.
pub(crate) fn polarity(text: &str, layout: &Layout, all: &[Placed<'_>], index: usize) -> Polarity {
    let Some(placed) = all.get(index) else {
        return Polarity::Present;
    };
    let chinese = text
        .get(placed.mention.span.clone())
        .is_some_and(|it| it.chars().any(is_han));
    let polarity = if chinese {
        chinese::polarity(text, layout, all, placed)
    } else {
        english::polarity(text, layout, all, placed)
    };
    match polarity {
        Polarity::Present => frame::reframed(text, layout, placed),
        Polarity::Possible if frame::reframed(text, layout, placed) == Polarity::Hypothetical => {
            Polarity::Hypothetical
        }
        known => known,
    }
}

/// What stands in `range`, with each mention shortened to `M` (`S` for a modifier), so that distances count
/// other words only and no cue is seen inside a finding's own name.
fn reduced(text: &str, range: Range<usize>, all: &[Placed<'_>], target: &Range<usize>) -> String {
    let mut reduced = String::new();
    let mut at = range.start;
    while at < range.end {
        let inside = all
            .iter()
            .filter(|it| it.kind != FindingKind::Term && !overlaps(&it.mention.span, target))
            .filter(|it| it.mention.span.start == at && it.mention.span.end <= range.end)
            .max_by_key(|it| it.mention.span.end);
        if let Some(other) = inside {
            reduced.push(if other.kind == FindingKind::Modifier {
                'S'
            } else {
                'M'
            });
            at = other.mention.span.end;
            continue;
        }
        let Some(c) = text.get(at..).and_then(|it| it.chars().next()) else {
            break;
        };
        reduced.push(c);
        at += c.len_utf8();
    }
    reduced
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
