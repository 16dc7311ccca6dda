//! What stands outside a mention's clause and still says how it is meant: advice for what might come, a story of
//! the past that ended well, a state that has been so for years.
//!
//! A cue holds up to the first word that speaks of now.

mod chinese;
mod english;

use super::{Layout, Polarity, Span, SpanKind};
use crate::{characters::is_han, has_any};

/// What a mention that its own clause leaves present is in its sentence.
pub(super) fn reframed(text: &str, layout: &Layout, target: &Span) -> Polarity {
    if !matches!(target.kind, SpanKind::Complaint | SpanKind::Condition) {
        return Polarity::Present;
    }
    let span = &target.bytes;
    let sentence = layout.sentence_of(span);
    let clause = layout.clause_of(span);
    let told = Told {
        before: text.get(sentence.start..span.start).unwrap_or_default(),
        own: text.get(span.clone()).unwrap_or_default(),
        after: text.get(span.end..sentence.end).unwrap_or_default(),
        clause: text.get(clause).unwrap_or_default(),
    };
    let chinese = told.own.chars().any(is_han);
    let advised = if chinese {
        chinese::is_advice(&told)
    } else {
        english::is_advice(&told)
    };
    if advised {
        return Polarity::Hypothetical;
    }
    if target.kind == SpanKind::Condition {
        return Polarity::Present;
    }
    let over = if chinese {
        chinese::ended(&told) || chinese::is_baseline(&told)
    } else {
        english::ended(&told) || english::is_baseline(&told)
    };
    if over { Polarity::Over } else { Polarity::Present }
}

/// The sentence around a mention.
struct Told<'a> {
    before: &'a str,
    own: &'a str,
    after: &'a str,
    clause: &'a str,
}

impl Told<'_> {
    fn holds_any(&self, words: &[&str]) -> bool {
        has_any(self.before, words) || has_any(self.after, words)
    }

    /// Between the last of `cue` before the mention and the mention.
    fn since(&self, cue: &regex::Regex) -> Option<&str> {
        let end = cue.find_iter(self.before).last()?.end();
        self.before.get(end..)
    }
}
