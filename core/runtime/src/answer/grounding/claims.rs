//! What a sentence affirms and what it denies, word by word.

use std::collections::{HashMap, HashSet};

use bedside_language::{
    NormalText,
    negation::{Claim, statements},
};
use unicode_segmentation::UnicodeSegmentation;

use super::content_word;

/// For each content word how it is spoken of.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    of_words: HashMap<String, Spoken>,
    denies: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Spoken {
    affirmed: bool,
    denied: bool,
    supposed: bool,
}

impl Claims {
    pub(super) fn of(sentence: &str) -> Self {
        let normal = NormalText::new(sentence);
        let said = statements(&normal.text);
        let mut claims = Self::default();
        for (at, word) in sentence.unicode_word_indices() {
            // A "not" says nothing by itself.
            let says = |it: &String| statements(it).iter().all(|it| it.claim != Claim::Denied);
            let Some(word) = content_word(word).filter(says) else {
                continue;
            };
            let before = sentence.get(..at).unwrap_or_default().chars().count();
            let place = normal.bytes_of(&(before..before + 1));
            let claim = said
                .iter()
                .find(|it| it.bytes.contains(&place.start))
                .map(|it| it.claim);
            let spoken = claims.of_words.entry(word).or_default();
            match claim {
                Some(Claim::Denied) => spoken.denied = true,
                Some(Claim::Affirmed) => spoken.affirmed = true,
                Some(Claim::Supposed) | None => spoken.supposed = true,
            }
        }
        claims.denies = said.iter().any(|it| it.claim == Claim::Denied);
        claims
    }

    /// What a whole passage is about is neither affirmed nor denied by a sentence that has it for a subject.
    pub(super) fn about(mut self, topic: &HashSet<String>) -> Self {
        for (word, spoken) in &mut self.of_words {
            spoken.supposed |= topic.contains(word);
        }
        self
    }

    pub(super) fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (word, spoken) in &other.of_words {
            let own = both.of_words.entry(word.clone()).or_default();
            own.affirmed |= spoken.affirmed;
            own.denied |= spoken.denied;
            own.supposed |= spoken.supposed;
        }
        both.denies |= other.denies;
        both
    }

    /// A word that one of them only denies and the other only affirms.
    pub(super) fn contradict(&self, support: &Self) -> bool {
        self.denies && !support.denies
            || self
                .of_words
                .iter()
                .any(|(word, spoken)| support.of_words.get(word).is_some_and(|it| spoken.opposes(*it)))
    }
}

impl Spoken {
    fn opposes(self, other: Self) -> bool {
        let only_denied = |it: Self| it.denied && !it.affirmed && !it.supposed;
        let only_affirmed = |it: Self| it.affirmed && !it.denied && !it.supposed;
        only_denied(self) && only_affirmed(other) || only_affirmed(self) && only_denied(other)
    }
}
