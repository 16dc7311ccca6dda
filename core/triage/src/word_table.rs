//! The words of the forms, for the correction of slips (see [`crate::spelling`]).

use std::collections::BTreeMap;

use bedside_language::fingerprint;
use serde::{Deserialize, Serialize};

use crate::table::{Numbers, SortedTexts};

/// Shorter words have too many neighbours.
pub(crate) const SHORTEST: usize = 6;

/// Words that are right, and a way from a slip to the words that it is near.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
pub(crate) struct WordTable {
    words: SortedTexts,
    /// In how many forms each stands; zero for those that only must not be taken for slips.
    forms: Numbers,
    /// Fingerprints, ascending, of what is left of a word without one of its letters, and of the word itself …
    shortened: Numbers,
    /// … and of which word each is. Only words that may be meant by a slip.
    shortened_of: Numbers,
}

impl WordTable {
    /// Every Latin word of the texts, and words that must only not be taken for slips.
    pub(crate) fn new<'a>(
        texts: impl Iterator<Item = &'a str>,
        other_words: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut counts: BTreeMap<&str, usize> = other_words.map(|it| (it, 0)).collect();
        let of_texts = texts
            .flat_map(|it| it.split(|c: char| !c.is_ascii_alphabetic()))
            .filter(|it| it.len() > 1);
        for word in of_texts {
            *counts.entry(word).or_default() += 1;
        }
        let mut shortened: Vec<(u32, usize)> = counts
            .iter()
            .enumerate()
            .filter(|(_, (word, forms))| word.len() >= SHORTEST && **forms > 0)
            .flat_map(|(index, (word, _))| shortenings(word).map(move |it| (it, index)))
            .collect();
        shortened.sort_unstable();
        shortened.dedup();
        Self {
            words: SortedTexts::new(counts.keys().copied()),
            forms: counts.values().copied().collect(),
            shortened: shortened.iter().map(|it| it.0 as usize).collect(),
            shortened_of: shortened.iter().map(|it| it.1).collect(),
        }
    }

    /// In how many forms a word stands; `None` if it is not known.
    pub(crate) fn forms_with(&self, word: &str) -> Option<usize> {
        self.words.index_of(word).map(|it| self.forms.get(it))
    }

    /// The words that share a shortening with this one, which all that are one slip away do; some twice.
    pub(crate) fn candidates(&self, word: &str) -> impl Iterator<Item = &str> {
        let of_one = move |fingerprint: u32| {
            let fingerprint = fingerprint as usize;
            let all = self.shortened.len();
            let from = self.shortened.partition_point(0, all, |it| it < fingerprint);
            (from..all)
                .take_while(move |it| self.shortened.get(*it) == fingerprint)
                .map(|it| self.words.get_str(self.shortened_of.get(it)))
        };
        shortenings(word).flat_map(of_one)
    }
}

/// Fingerprints of an ASCII word and of what is left of it without each of its letters. Two words that share one by
/// chance cost a comparison, no more.
fn shortenings(word: &str) -> impl Iterator<Item = u32> + '_ {
    let without = |skip: usize| {
        let kept = word.bytes().enumerate().filter(move |(at, _)| *at != skip);
        fingerprint(kept.map(|it| it.1))
    };
    (0..=word.len()).map(without)
}

#[cfg(test)]
mod tests {
    use super::WordTable;

    #[test]
    fn neighbours_are_candidates() {
        let table = WordTable::new(["chest pain", "unconscious"].into_iter(), ["chess"].into_iter());
        assert_eq!(table.forms_with("chest"), Some(1));
        assert_eq!(table.forms_with("chess"), Some(0));
        assert_eq!(table.forms_with("unconcious"), None);
        for slip in ["unconcious", "unconsscious", "uncomscious", "uncosncious"] {
            assert!(table.candidates(slip).any(|it| it == "unconscious"), "{slip}");
        }
        assert_eq!(table.candidates("breathing").next(), None);
    }
}
