//! What the words of a sentence mean, in their order.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use aho_corasick::{AhoCorasick, MatchKind};
use bedside_language::{is_han, normalized_built_in};

use crate::output_gate::words::{GENERIC, NAMED};

/// The concepts and marks of a text.
pub(super) fn concepts(marked: &str) -> Vec<&str> {
    CONCEPTS.of(marked)
}

static CONCEPTS: LazyLock<Concepts> = LazyLock::new(|| {
    let forms: BTreeMap<String, Vec<String>> =
        toml::from_str(include_str!("../../../data/answer_concepts.toml"))
            .expect("the built-in file is read by a test");
    Concepts::new(&forms)
});

struct Concepts {
    names: Vec<String>,
    /// By their first word: the words behind it and the concept, the longest form first.
    latin: HashMap<String, Vec<(Vec<String>, usize)>>,
    han: AhoCorasick,
    of_han: Vec<usize>,
}

impl Concepts {
    fn new(forms: &BTreeMap<String, Vec<String>>) -> Self {
        let mut latin: HashMap<String, Vec<(Vec<String>, usize)>> = HashMap::new();
        let (mut han, mut of_han) = (Vec::new(), Vec::new());
        for (concept, forms) in forms.values().enumerate() {
            for form in forms {
                let form = normalized_built_in(form);
                if form.contains(is_han) {
                    han.push(form);
                    of_han.push(concept);
                    continue;
                }
                let mut words = form.split(' ').map(str::to_owned);
                if let Some(first) = words.next() {
                    latin.entry(first).or_default().push((words.collect(), concept));
                }
            }
        }
        for forms in latin.values_mut() {
            forms.sort_by_key(|it| std::cmp::Reverse(it.0.len()));
        }
        Self {
            names: forms.keys().cloned().collect(),
            latin,
            han: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&han)
                .expect("the forms of the built-in file are few"),
            of_han,
        }
    }

    fn of<'t>(&'t self, text: &'t str) -> Vec<&'t str> {
        let mut found = Vec::new();
        let mut from = 0;
        for it in self.han.find_iter(text) {
            self.latin_of(text.get(from..it.start()).unwrap_or_default(), &mut found);
            let concept = self.of_han.get(it.pattern().as_usize());
            found.extend(concept.and_then(|it| self.names.get(*it)).map(String::as_str));
            from = it.end();
        }
        self.latin_of(text.get(from..).unwrap_or_default(), &mut found);
        found
    }

    fn latin_of<'t>(&'t self, text: &'t str, found: &mut Vec<&'t str>) {
        let tokens = tokens(text);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = tokens.get(at + 1..).unwrap_or_default();
            let form = self.latin.get(*token).into_iter().flatten().find(|(words, _)| {
                words.len() <= rest.len() && words.iter().zip(rest).all(|(word, token)| word == token)
            });
            at += 1;
            match form {
                Some((words, concept)) => {
                    at += words.len();
                    found.extend(self.names.get(*concept).map(String::as_str));
                }
                None if token.starts_with(|it: char| it.is_ascii_digit()) => found.push("0"),
                None if !token.starts_with(char::is_alphanumeric) => found.push(token),
                None => {}
            }
        }
    }
}

/// Latin words, numbers, single Chinese characters, marks of medicines and of punctuation.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        if c.is_ascii_alphanumeric() {
            start.get_or_insert(at);
            continue;
        }
        tokens.extend(start.take().and_then(|from| text.get(from..at)));
        if is_han(c) || matches!(c, NAMED | GENERIC | '?' | '!' | ',' | ';' | ':') {
            tokens.extend(text.get(at..at + c.len_utf8()));
        }
    }
    tokens.extend(start.and_then(|from| text.get(from..)));
    tokens
}

#[cfg(test)]
mod tests {
    use super::concepts;

    #[test]
    fn the_longest_form_wins_in_both_languages() {
        assert_eq!(
            concepts("no need for a doctor, really"),
            ["needless", "care", ","]
        );
        assert_eq!(concepts("mother"), Vec::<&str>::new());
        assert_eq!(concepts("不用去医院"), ["needless", "seek", "care"]);
        assert_eq!(concepts("stop \u{e000} 20"), ["stop", "\u{e000}", "0"]);
    }
}
