//! How a text speaks of what it mentions: there, denied, over, suspected, only asked about or warned of.
//!
//! In the tradition of NegEx and ConText: cues, a scope after them, and words that end the scope. A text is in
//! the spelling of [`NormalText`](crate::NormalText). Whose it is, the patient's or a relative's, is no part of
//! this.

mod chinese;
mod english;
mod frame;
mod layout;
mod statements;

use std::ops::Range;

use crate::characters::is_han;
pub use layout::Layout;
pub use statements::{Claim, Statement, statements};

/// How a text speaks of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Polarity {
    Present,
    Absent,
    /// It was, and is no more.
    Over,
    /// The writer thinks that it may be so.
    Possible,
    /// Asked about, imagined or warned of.
    Hypothetical,
}

/// What stands in a span, as far as it matters for how it is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// What one has or what happened: a cough, a fall.
    Complaint,
    /// What stays: diabetes, blood thinners. "I had" does not end it.
    Condition,
    /// How a complaint is: severe, sudden.
    Modifier,
    /// A word that is no item of a list and counts as a word between others.
    Term,
    /// Anything else that may be denied.
    Other,
}

/// A place in a text that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// In the normal text.
    pub bytes: Range<usize>,
    /// Bytes between the parts of a name: a negation may stand there (头不疼).
    pub gap: Option<Range<usize>>,
    pub kind: SpanKind,
}

impl Span {
    /// A complaint in one piece.
    #[must_use]
    pub fn complaint(bytes: Range<usize>) -> Self {
        Self {
            bytes,
            gap: None,
            kind: SpanKind::Complaint,
        }
    }
}

/// Compiles the patterns that most texts need.
pub fn prepare() {
    english::prepare();
}

/// How each of the spans is spoken of.
#[must_use]
pub fn polarities(text: &str, spans: &[Span]) -> Vec<Polarity> {
    let layout = Layout::new(text);
    spans
        .iter()
        .map(|it| polarity(text, &layout, spans, it))
        .collect()
}

/// How the text speaks of `span`; `all` are the spans that matter, itself among them.
#[must_use]
pub fn polarity(text: &str, layout: &Layout, all: &[Span], span: &Span) -> Polarity {
    let chinese = text
        .get(span.bytes.clone())
        .is_some_and(|it| it.chars().any(is_han));
    let polarity = if chinese {
        chinese::polarity(text, layout, all, span)
    } else {
        english::polarity(text, layout, all, span)
    };
    match polarity {
        Polarity::Present => frame::reframed(text, layout, span),
        Polarity::Possible if frame::reframed(text, layout, span) == Polarity::Hypothetical => {
            Polarity::Hypothetical
        }
        known => known,
    }
}

/// What stands in `range`, with each span shortened to `M` (`S` for a modifier), so that distances count
/// other words only and no cue is seen inside a finding's own name. Of a circumstance that is itself a denial ("no
/// bleeding") the "no" stays: it reaches over the list behind it.
fn reduced(text: &str, range: Range<usize>, all: &[Span], target: &Range<usize>) -> String {
    let inside: Vec<&Span> = all
        .iter()
        .filter(|it| it.kind != SpanKind::Term && !overlaps(&it.bytes, target) && !it.bytes.is_empty())
        .filter(|it| range.start <= it.bytes.start && it.bytes.end <= range.end)
        .collect();
    let mut reduced = String::new();
    let mut at = range.start;
    while at < range.end {
        let here = inside
            .iter()
            .filter(|it| it.bytes.start == at)
            .max_by_key(|it| it.bytes.end);
        if let Some(other) = here {
            if other.kind == SpanKind::Other {
                reduced.push_str(leading_denial(text.get(other.bytes.clone()).unwrap_or_default()));
            }
            reduced.push(if other.kind == SpanKind::Modifier {
                'S'
            } else {
                'M'
            });
            at = other.bytes.end;
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

/// The denial that a span's words begin with; nothing where they do not.
fn leading_denial(words: &str) -> &'static str {
    const DENIALS: [&str; 12] = [
        "no ", "not ", "without ", "never ", "denies ", "denied ", "nil ", "没有", "没", "无", "否认", "未",
    ];
    DENIALS
        .into_iter()
        .find(|it| words.starts_with(it))
        .unwrap_or_default()
}

fn overlaps(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// What the clause says outside the span, without the spans' names taken out: "and now his face droops", where
/// "now" is a finding's word too.
fn clause_around<'a>(text: &'a str, layout: &Layout, span: &Range<usize>) -> (&'a str, &'a str) {
    let clause = layout.clause_of(span);
    (
        text.get(clause.start..span.start).unwrap_or_default(),
        text.get(span.end..clause.end).unwrap_or_default(),
    )
}
