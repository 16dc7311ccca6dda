//! The forms of emergency words and where they stand in a text.
//!
//! A form is a row of words; `*` at a word's end stands for any ending, `~` for up to [`GAP_WORDS`] words between.
//! Arabic words may have a conjunction, preposition or article in front. Forms in scripts that write no gaps, and in
//! Korean, where gaps are often left out, are looked for in the text without gaps; `~` is then up to
//! [`GAP_CHARACTERS`] characters.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;

use super::{LanguageData, words::Words};
use bedside_language::{is_han, normalized};

const GAP_WORDS: usize = 4;
const GAP_CHARACTERS: usize = 10;
/// Forms are looked up by so many characters of their first word.
const KEY: usize = 3;

/// What was met.
#[derive(Clone, Copy)]
pub(super) struct Met {
    pub(super) language: &'static str,
    pub(super) self_harm: bool,
}

pub(super) struct EmergencyWords {
    spaced: Vec<Form<Vec<Part>>>,
    by_key: HashMap<String, Vec<usize>>,
    gapless: Vec<Form<Vec<String>>>,
    /// Finds the first part of each of `gapless`.
    first_parts: Option<AhoCorasick>,
}

struct Form<T> {
    language: String,
    self_harm: bool,
    /// Only where the whole message is in the language.
    within: bool,
    parts: T,
}

enum Part {
    Word(String),
    Beginning(String),
    Gap,
}

impl EmergencyWords {
    pub(super) fn new(languages: &[LanguageData]) -> Self {
        let mut all = Self {
            spaced: Vec::new(),
            by_key: HashMap::new(),
            gapless: Vec::new(),
            first_parts: None,
        };
        for language in languages {
            for (forms, self_harm, within) in [
                (&language.emergency, false, false),
                (&language.self_harm, true, false),
                (&language.emergency_within, false, true),
            ] {
                for form in forms {
                    all.add(form, &language.id, self_harm, within);
                }
            }
        }
        let firsts = all.gapless.iter().filter_map(|it| it.parts.first());
        all.first_parts = AhoCorasick::new(firsts).ok();
        all
    }

    fn add(&mut self, form: &str, language: &str, self_harm: bool, within: bool) {
        if form.chars().any(is_gapless) {
            let parts: Vec<String> = form
                .split('~')
                .map(|it| Words::of(&normalized(it)).without_gaps)
                .collect();
            // Characters that Chinese has too say nothing in a Chinese text.
            let within = within || form.chars().all(|it| is_han(it) || !it.is_alphanumeric());
            self.gapless.push(Form {
                language: language.to_owned(),
                self_harm,
                within,
                parts,
            });
            return;
        }
        let mut parts = Vec::new();
        for token in form.split_whitespace() {
            if token == "~" {
                parts.push(Part::Gap);
                continue;
            }
            let open = token.ends_with('*');
            let words = Words::of(&normalized(token.trim_end_matches('*'))).list;
            let last = words.len().saturating_sub(1);
            for (index, word) in words.into_iter().enumerate() {
                parts.push(if open && index == last {
                    Part::Beginning(word)
                } else {
                    Part::Word(word)
                });
            }
        }
        let Some(Part::Word(first) | Part::Beginning(first)) = parts.first() else {
            return;
        };
        self.by_key.entry(key(first)).or_default().push(self.spaced.len());
        self.spaced.push(Form {
            language: language.to_owned(),
            self_harm,
            within,
            parts,
        });
    }

    /// One of self-harm before all others, one of the message's own language before one of another.
    pub(super) fn find(&'static self, words: &Words, recognised: Option<&str>) -> Option<Met> {
        let spaced = (0..words.list.len()).flat_map(|at| self.starting_at(words, at));
        let met = spaced.chain(self.without_gaps(&words.without_gaps));
        met.filter(|(language, _, within)| !within || recognised == Some(language))
            .map(|(language, self_harm, _)| Met { language, self_harm })
            .max_by_key(|it| (it.self_harm, recognised == Some(it.language)))
    }

    fn starting_at(&'static self, words: &Words, at: usize) -> Vec<(&'static str, bool, bool)> {
        let rest = words.list.get(at..).unwrap_or_default();
        let Some(word) = rest.first().filter(|it| !it.is_empty()) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for start in beginnings(word) {
            for form in self
                .by_key
                .get(&key(start))
                .into_iter()
                .flatten()
                .filter_map(|it| self.spaced.get(*it))
            {
                if matches(&form.parts, start, rest.get(1..).unwrap_or_default()) {
                    found.push((form.language.as_str(), form.self_harm, form.within));
                }
            }
        }
        found
    }

    fn without_gaps(&'static self, text: &str) -> Vec<(&'static str, bool, bool)> {
        let Some(first_parts) = self.first_parts.as_ref().filter(|_| !text.is_ascii()) else {
            return Vec::new();
        };
        first_parts
            .find_overlapping_iter(text)
            .filter_map(|it| {
                let form = self.gapless.get(it.pattern().as_usize())?;
                let rest = text.get(it.end()..)?;
                let others = form.parts.get(1..)?;
                follows(others, rest).then_some((form.language.as_str(), form.self_harm, form.within))
            })
            .collect()
    }
}

fn key(word: &str) -> String {
    word.chars().take(KEY).collect()
}

/// The word, and what is left of it without Arabic "and", "with", "the" …
fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    const PREFIXES: [&str; 8] = ["و", "ف", "ب", "ل", "ال", "وال", "بال", "ول"];
    let is_arabic = word.starts_with(|c| matches!(c, '\u{600}'..='\u{6ff}'));
    let prefixes: &[&str] = if is_arabic { &PREFIXES } else { &[] };
    std::iter::once(word).chain(
        prefixes
            .iter()
            .filter_map(move |it| word.strip_prefix(it))
            .filter(|it| it.chars().count() >= 2),
    )
}

/// Whether the parts stand in `first` and the words behind it.
fn matches(parts: &[Part], first: &str, behind: &[String]) -> bool {
    let Some((part, others)) = parts.split_first() else {
        return true;
    };
    if !part.is(first) {
        return false;
    }
    match others {
        [] => true,
        [Part::Gap, rest @ ..] => (0..=GAP_WORDS)
            .take_while(|skipped| behind.iter().take(*skipped).all(|it| !it.is_empty()))
            .any(|skipped| goes_on(rest, behind, skipped)),
        _ => goes_on(others, behind, 0),
    }
}

fn goes_on(parts: &[Part], words: &[String], from: usize) -> bool {
    let behind = words.get(from + 1..).unwrap_or_default();
    words.get(from).is_some_and(|word| {
        // In the middle of a form too: "ألم في الصدر", "ألم بالصدر".
        beginnings(word).any(|it| matches(parts, it, behind))
    })
}

impl Part {
    fn is(&self, word: &str) -> bool {
        match self {
            Self::Word(own) => own == word,
            Self::Beginning(own) => word.starts_with(own.as_str()),
            Self::Gap => false,
        }
    }
}

/// Whether the parts follow in the text, each within a gap of the one before and in the same sentence.
fn follows(parts: &[String], text: &str) -> bool {
    let Some((part, others)) = parts.split_first() else {
        return true;
    };
    let mut starts = text.char_indices().map(|(at, _)| at).take(GAP_CHARACTERS + 1);
    starts.any(|at| {
        let before = text.get(..at).unwrap_or_default();
        let rest = text.get(at..).and_then(|it| it.strip_prefix(part.as_str()));
        !before.contains('\n') && rest.is_some_and(|it| follows(others, it))
    })
}

/// Han, kana, hangul, Thai, Lao, Khmer, Burmese.
fn is_gapless(c: char) -> bool {
    is_han(c)
        || matches!(c, '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7a3}' | '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}
