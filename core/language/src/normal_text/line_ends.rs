//! Whether a line end says something or the line was only full.

use crate::characters::is_han;

/// What the end of a line means.
pub(super) enum LineEnd {
    Break,
    /// The line was only full: a blank between words.
    WrappedWords,
    /// The line was only full: nothing between Chinese characters.
    WrappedHan,
}

/// From this width on (a Chinese character counts two) a line that ends within a sentence was wrapped.
const WRAPPED_FROM: usize = 40;

/// A line end is a break (in chats it is as good as a full stop) unless the line is as long as wrapped lines are
/// and the sentence goes on, or the line ends in a word that needs another: "no", 没有.
pub(super) fn line_end(index: usize, all: &[char]) -> LineEnd {
    let line: Vec<char> = {
        let before = all.get(..index).unwrap_or_default();
        let mut line: Vec<char> = before
            .iter()
            .rev()
            .take_while(|it| **it != '\n')
            .copied()
            .collect();
        line.reverse();
        line
    };
    let next = all.get(index + 1..).unwrap_or_default();
    let (Some(&last), Some(&first)) = (
        line.iter().rfind(|it| !it.is_whitespace()),
        next.iter().find(|it| **it != ' '),
    ) else {
        return LineEnd::Break;
    };
    let end: String = line.iter().collect::<String>().trim_end().to_lowercase();
    let width: usize = line.iter().map(|it| if is_han(*it) { 2 } else { 1 }).sum();
    if is_han(last) && is_han(first) {
        let unfinished = ["没有", "没", "无", "否认", "未", "的", "和", "有", "是"]
            .iter()
            .any(|it| end.ends_with(it));
        return if width >= WRAPPED_FROM || unfinished {
            LineEnd::WrappedHan
        } else {
            LineEnd::Break
        };
    }
    let goes_on = first.is_ascii_lowercase() || first.is_ascii_digit();
    let unfinished = end
        .rsplit(|c: char| !c.is_alphabetic())
        .next()
        .is_some_and(|it| UNFINISHED.contains(&it));
    let within_sentence = last.is_alphanumeric() || last == ',';
    if within_sentence && first.is_alphanumeric() && (unfinished || goes_on && width >= WRAPPED_FROM) {
        LineEnd::WrappedWords
    } else {
        LineEnd::Break
    }
}

const UNFINISHED: &[&str] = &[
    "no", "not", "without", "denies", "denied", "any", "of", "the", "a", "an", "and", "or", "nor", "with",
    "for", "to", "my", "his", "her", "has", "have", "had", "is", "was", "never",
];
