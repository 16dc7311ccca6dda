//! Many phrases found at once in a text's units.

use std::ops::Range;

use aho_corasick::{AhoCorasick, BuildError};

use crate::units::UnitText;

/// A set of phrases; each match says which one by its place in the list it was built from.
#[derive(Debug, Clone)]
pub(crate) struct Phrases {
    automaton: AhoCorasick,
    is_empty: bool,
}

/// One phrase found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhraseMatch {
    pub(crate) phrase: usize,
    pub(crate) units: Range<usize>,
}

impl Phrases {
    pub(crate) fn new<'a>(phrases: impl IntoIterator<Item = &'a UnitText>) -> Result<Self, BuildError> {
        let patterns: Vec<&str> = phrases.into_iter().map(UnitText::as_str).collect();
        Ok(Self {
            is_empty: patterns.is_empty(),
            automaton: AhoCorasick::new(patterns)?,
        })
    }

    /// Everything found, overlapping, in no order of use.
    pub(crate) fn find(&self, text: &UnitText) -> Vec<PhraseMatch> {
        if self.is_empty {
            return Vec::new();
        }
        let found = self.automaton.find_overlapping_iter(text.as_str());
        let at_borders = found.filter_map(|it| {
            let units = text.unit_range(it.range())?;
            Some(PhraseMatch {
                phrase: it.pattern().as_usize(),
                units,
            })
        });
        at_borders.collect()
    }

    /// The longest ones that do not overlap, in the order of the text.
    pub(crate) fn find_longest(&self, text: &UnitText) -> Vec<PhraseMatch> {
        longest(self.find(text))
    }
}

/// Keeps the longest of overlapping matches (the earlier of equals), in the order of the text.
pub(crate) fn longest(mut found: Vec<PhraseMatch>) -> Vec<PhraseMatch> {
    found.sort_by_key(|it| (std::cmp::Reverse(it.units.len()), it.units.start, it.phrase));
    let mut kept: Vec<PhraseMatch> = Vec::new();
    for candidate in found {
        if kept.iter().all(|it| !overlap(&it.units, &candidate.units)) {
            kept.push(candidate);
        }
    }
    kept.sort_by_key(|it| it.units.start);
    kept
}

pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::Phrases;
    use crate::{section::Language, units::UnitText};

    #[test]
    fn the_longest_phrase_wins_at_word_borders() {
        let read = |text| UnitText::read(text, Language::En);
        let phrases: Vec<UnitText> = ["diabetes", "type 2 diabetes", "ear", "fever"].map(read).into();
        let phrases = Phrases::new(&phrases).unwrap();
        let found = phrases.find_longest(&read("Type 2 diabetes, my heart and fever, fever"));
        let found: Vec<_> = found.into_iter().map(|it| (it.phrase, it.units)).collect();
        assert_eq!(found, [(1, 0..3), (3, 7..8), (3, 9..10)]);
        assert!(Phrases::new(&[]).unwrap().find(&read("fever")).is_empty());
    }
}
