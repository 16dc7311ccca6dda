//! A template sees the words of a chat, and yet no word becomes a token that structures it.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, MatchKind};
use bedside_contract::ChatRole;

use super::TemplateError;
use crate::tokenizer::Stretch;

/// Frame a number while the template runs. They are no characters; contents lose them.
pub(super) const OPEN: char = '\u{fdd0}';
pub(super) const CLOSE: char = '\u{fdd1}';

/// Between these a model thinks aloud; templates cut them out of earlier answers.
const THOUGHT: [&str; 2] = ["<think>", "</think>"];

/// A piece of what a template has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Template(String),
    /// The text of this number stands here.
    Slot(usize),
    /// A word of a content that looks like a token.
    Word(&'static str),
}

/// The tokens that only the template may write.
pub(super) struct Markers {
    /// `None` without any.
    finder: Option<AhoCorasick>,
    /// Characters that a marker begins or ends with.
    edges: HashSet<char>,
}

/// What stands for a text in the eyes of the template.
pub(super) fn slot(number: usize) -> String {
    format!("{OPEN}{number}{CLOSE}")
}

/// What a template has written, cut at the slots.
pub(super) fn pieces(rendered: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = rendered;
    while let Some((before, after)) = rest.split_once(OPEN) {
        pieces.push(Piece::Template(plain(before)));
        rest = after;
        let Some((number, behind)) = after.split_once(CLOSE) else {
            continue;
        };
        if let Ok(number) = number.parse() {
            pieces.push(Piece::Slot(number));
            rest = behind;
        } else if number.is_empty() {
            rest = behind;
            if let Some(word) = THOUGHT.into_iter().find(|it| behind.starts_with(it)) {
                pieces.push(Piece::Word(word));
                rest = behind.strip_prefix(word).unwrap_or(behind);
            }
        }
    }
    pieces.push(Piece::Template(plain(rest)));
    pieces
}

/// With the texts in their slots.
pub(super) fn filled(pieces: Vec<Piece>, texts: &[String]) -> Vec<Stretch> {
    let stretches = pieces.into_iter().filter_map(|it| match it {
        Piece::Template(text) => Some(Stretch::Template(text)),
        Piece::Slot(number) => texts.get(number).cloned().map(Stretch::Content),
        Piece::Word(word) => Some(Stretch::Content(word.to_owned())),
    });
    stretches.collect()
}

/// Without the characters that frame slots.
pub(super) fn plain(text: &str) -> String {
    text.replace([OPEN, CLOSE], "")
}

impl Markers {
    /// # Errors
    /// If there are more than can be looked for.
    pub(super) fn new(spellings: &[String]) -> Result<Self, TemplateError> {
        let mut builder = AhoCorasick::builder();
        let builder = builder.match_kind(MatchKind::LeftmostLongest);
        let finder = (!spellings.is_empty())
            .then(|| builder.build(spellings))
            .transpose()
            .map_err(|error| TemplateError::Render(error.to_string()))?;
        let edges = spellings
            .iter()
            .flat_map(|it| it.chars().next().into_iter().chain(it.chars().next_back()))
            .collect();
        Ok(Self { finder, edges })
    }

    /// A content as the template may see it: markers are slots, and `hidden` takes them. A thought's ends in an
    /// answer can be seen, with an empty slot before each that tells it from the template's own.
    pub(super) fn guarded(&self, role: ChatRole, content: &str, hidden: &mut Vec<String>) -> String {
        let Some(finder) = &self.finder else {
            return content.to_owned();
        };
        let mut text = String::with_capacity(content.len());
        let mut done = 0;
        for found in finder.find_iter(content) {
            text.push_str(content.get(done..found.start()).unwrap_or_default());
            let word = content.get(found.start()..found.end()).unwrap_or_default();
            if role == ChatRole::Assistant && THOUGHT.contains(&word) {
                text.extend([OPEN, CLOSE]);
                text.push_str(word);
            } else {
                text.push_str(&slot(hidden.len()));
                hidden.push(word.to_owned());
            }
            done = found.end();
        }
        text.push_str(content.get(done..).unwrap_or_default());
        text
    }

    /// Whether a template that cuts up or joins contents could make a marker of this one's characters.
    pub(super) fn could_come_from(&self, content: &str) -> bool {
        content.chars().any(|it| self.edges.contains(&it))
    }

    /// Those that will become tokens.
    pub(super) fn written<'a>(&self, stretches: &'a [Stretch]) -> Vec<&'a str> {
        let mut found = Vec::new();
        for stretch in stretches {
            if let (Stretch::Template(text), Some(finder)) = (stretch, &self.finder) {
                found.extend(
                    finder
                        .find_iter(text)
                        .filter_map(|it| text.get(it.start()..it.end())),
                );
            }
        }
        found
    }
}

impl std::fmt::Debug for Markers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Markers")
            .field("edges", &self.edges)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::ChatRole;

    use super::{CLOSE, Markers, OPEN, Piece, filled, pieces, slot};
    use crate::tokenizer::Stretch;

    #[test]
    fn slots_that_a_template_has_cut_up_are_no_slots() {
        let template = |it: &str| Piece::Template(it.to_owned());
        let check =
            |rendered: String, expect: &[Piece]| assert_eq!(pieces(&rendered), expect, "{rendered:?}");
        check(
            format!("a{}b", slot(12)),
            &[template("a"), Piece::Slot(12), template("b")],
        );
        check(format!("a{OPEN}1"), &[template("a"), template("1")]);
        check(format!("1{CLOSE}a"), &[template("1a")]);
        check(
            format!("{OPEN}1{}", slot(2)),
            &[template(""), template("1"), Piece::Slot(2), template("")],
        );
        check(
            format!("{OPEN}{CLOSE}</think>a{OPEN}{CLOSE}b"),
            &[
                template(""),
                Piece::Word("</think>"),
                template("a"),
                template("b"),
            ],
        );
    }

    #[test]
    fn markers_are_hidden_and_thoughts_shown() {
        let spellings = ["<|end|>", "<think>", "</think>"].map(str::to_owned);
        let markers = Markers::new(&spellings).unwrap();
        let mut hidden = Vec::new();
        let content = "a<|end|><think>b</think>";
        let shown = markers.guarded(ChatRole::Assistant, content, &mut hidden);
        assert_eq!(
            shown,
            format!("a{}{OPEN}{CLOSE}<think>b{OPEN}{CLOSE}</think>", slot(0))
        );
        let stretches = filled(pieces(&shown), &hidden);
        assert!(markers.written(&stretches).is_empty(), "{stretches:?}");
        let text: String = stretches
            .iter()
            .map(|it| match it {
                Stretch::Template(text) | Stretch::Content(text) => text.as_str(),
            })
            .collect();
        assert_eq!(text, content);
        let shown = markers.guarded(ChatRole::User, "</think>", &mut hidden);
        assert_eq!((shown, hidden.len()), (slot(1), 2));
        assert!(markers.could_come_from("BP < 90") && !markers.could_come_from("头疼 [1]"));
    }
}
