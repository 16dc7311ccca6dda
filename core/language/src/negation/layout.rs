//! Sentences and clauses.

use std::ops::Range;

use crate::characters::is_han;

/// The sentences and clauses of a normal text, as ranges of bytes.
#[derive(Debug, Clone)]
pub struct Layout {
    pub sentences: Vec<Range<usize>>,
    pub clauses: Vec<Range<usize>>,
}

/// Bytes after which a sentence is cut at the next pause, so that no text can take quadratic time: nobody's "no"
/// reaches farther.
const LONGEST_SENTENCE: usize = 600;
/// Bytes for which a pause is waited for.
const LONGEST_WORD: usize = 150;

impl Layout {
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (mut sentences, mut clauses) = (Vec::new(), Vec::new());
        let (mut sentence_start, mut clause_start) = (0, 0);
        let mut previous = ' ';
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let next = characters.peek().map(|(_, it)| *it);
            let after = at + c.len_utf8();
            let sentence_ends = matches!(c, '。' | '!' | '?' | ';' | '\n')
                || (c == '.' && !(previous.is_ascii_digit() && next.is_some_and(|it| it.is_ascii_digit())));
            let too_long = after - sentence_start >= LONGEST_SENTENCE;
            let sentence_ends = sentence_ends || too_long && matches!(c, ' ' | ',' | ':' | ')');
            let sentence_ends = sentence_ends || after - sentence_start >= LONGEST_SENTENCE + LONGEST_WORD;
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

    #[must_use]
    pub fn sentence_of(&self, span: &Range<usize>) -> Range<usize> {
        holding(&self.sentences, span)
    }

    #[must_use]
    pub fn clause_of(&self, span: &Range<usize>) -> Range<usize> {
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
