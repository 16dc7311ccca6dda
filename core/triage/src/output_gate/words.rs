//! Which words of a sentence are medicines, and which are food and drink.

use std::{collections::HashSet, sync::LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use bedside_language::{is_han, normalized_built_in};

/// Stands for a medicine that is named, and for a brand or a class of medicines.
pub(super) const NAMED: char = '\u{e000}';
/// Stands for "medicine", "tablet", 药.
pub(super) const GENERIC: char = '\u{e001}';

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    named: Vec<String>,
    generic: Vec<String>,
    not_medicine: Vec<String>,
    named_endings: Vec<String>,
    not_named_endings: HashSet<String>,
    diet: Vec<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Named,
    Generic,
    NoMedicine,
}

pub(super) struct Lists {
    search: AhoCorasick,
    kinds: Vec<Kind>,
    diet: AhoCorasick,
    latin_endings: Vec<String>,
    han_endings: AhoCorasick,
    no_endings: HashSet<String>,
}

pub(super) static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let words: Words = toml::from_str(include_str!("../../data/output_gate.toml"))
        .expect("the built-in file is read by a test");
    let searcher = |words: &[String]| {
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(words)
            .expect("the words of the built-in file are few")
    };
    let normal = |words: Vec<String>| words.iter().map(|it| normalized_built_in(it)).collect::<Vec<_>>();
    let (mut all, mut kinds) = (Vec::new(), Vec::new());
    for (words, kind) in [
        (words.named, Kind::Named),
        (words.generic, Kind::Generic),
        (words.not_medicine, Kind::NoMedicine),
    ] {
        for word in normal(words) {
            all.push(word);
            kinds.push(kind);
        }
    }
    let (latin_endings, han_endings): (Vec<String>, Vec<String>) = normal(words.named_endings)
        .into_iter()
        .partition(|it| it.is_ascii());
    Lists {
        search: searcher(&all),
        kinds,
        diet: searcher(&normal(words.diet)),
        latin_endings,
        han_endings: searcher(&han_endings),
        no_endings: words.not_named_endings,
    }
});

impl Lists {
    /// The text with [`NAMED`] and [`GENERIC`] in place of its medicines.
    pub(super) fn marked(&self, text: &str) -> String {
        let mut marked = String::with_capacity(text.len());
        let mut from = 0;
        for found in self.search.find_iter(text) {
            let Some(end) = whole_word(text, found.start(), found.end()) else {
                continue;
            };
            let Some(before) = text.get(from..found.start()) else {
                continue;
            };
            marked.push_str(before);
            match self.kinds.get(found.pattern().as_usize()) {
                Some(Kind::Named) => marked.push(NAMED),
                Some(Kind::Generic) => marked.push(GENERIC),
                _ => marked.push_str(text.get(found.start()..end).unwrap_or_default()),
            }
            from = end;
        }
        marked.push_str(text.get(from..).unwrap_or_default());
        self.by_ending(&marked)
    }

    fn by_ending(&self, text: &str) -> String {
        let mut marked = String::with_capacity(text.len());
        let mut word = String::new();
        for c in text.chars().chain(std::iter::once(' ')) {
            if c.is_ascii_lowercase() {
                word.push(c);
                continue;
            }
            if self.ends_as_medicine(&word) {
                marked.push(NAMED);
            } else {
                marked.push_str(&word);
            }
            word.clear();
            marked.push(c);
        }
        marked.pop();
        let mut han = String::with_capacity(marked.len());
        let mut from = 0;
        for found in self.han_endings.find_iter(&marked) {
            let before = marked.get(from..found.start()).unwrap_or_default();
            han.push_str(before);
            if before.ends_with(is_han) {
                han.push(NAMED);
            } else {
                han.push_str(marked.get(found.range()).unwrap_or_default());
            }
            from = found.end();
        }
        han.push_str(marked.get(from..).unwrap_or_default());
        han
    }

    /// The name of a medicine, by the lists or by its ending.
    pub(super) fn is_medicine(&self, word: &str) -> bool {
        let marked = self.marked(word);
        marked.starts_with([NAMED, GENERIC]) && marked.chars().count() == 1
    }

    fn ends_as_medicine(&self, word: &str) -> bool {
        let single = word.strip_suffix('s').unwrap_or(word);
        word.len() >= 6
            && !self.no_endings.contains(word)
            && self
                .latin_endings
                .iter()
                .any(|it| single.len() >= it.len() + 3 && single.ends_with(it.as_str()))
    }

    pub(super) fn names_diet(&self, text: &str) -> bool {
        self.diet
            .find_iter(text)
            .any(|it| whole_word(text, it.start(), it.end()).is_some())
    }
}

/// The end of the word that stands there, its plural ending taken in; none inside a longer Latin word.
fn whole_word(text: &str, start: usize, end: usize) -> Option<usize> {
    let letter = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_lowercase);
    if !end.checked_sub(1).is_some_and(letter) {
        return Some(end);
    }
    if letter(start) && start.checked_sub(1).is_some_and(letter) {
        return None;
    }
    let plural = text.get(end..).map_or(0, |it| {
        if it.starts_with("es") {
            2
        } else {
            usize::from(it.starts_with('s'))
        }
    });
    [end, end + usize::from(plural > 0), end + plural]
        .into_iter()
        .find(|it| !letter(*it))
}
