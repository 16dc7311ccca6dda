//! Lets through only those sentences of a small model that its passages support.
//!
//! A model of some hundred million parameters rewords well and knows little, so in
//! [`bedside_contract::AnswerMode::Grounded`] each sentence is compared with the sentences of the passages:
//! enough of its content words must stand in one of them (or two neighbours), every quantity with its unit
//! too, no word may be the opposite of one there, and what the one denies the other must not affirm.

mod claims;
mod contrast;

use std::collections::HashSet;

use bedside_contract::{Citation, Passage};
use bedside_language::{Quantity, all_stand_in, quantities_of, sentences_of};
use unicode_segmentation::UnicodeSegmentation;

use claims::Claims;
use contrast::Contrasts;

/// The passages of one turn, cut into sentences to compare with.
pub(crate) struct Grounding {
    supports: Vec<Support>,
}

struct Support {
    passage: usize,
    /// Of the sentence itself.
    own: HashSet<String>,
    /// Those of the passage's title too.
    words: HashSet<String>,
    quantities: Vec<Quantity>,
    contrasts: Contrasts,
    claims: Claims,
}

impl Support {
    fn with(&self, next: &Self) -> Self {
        Self {
            passage: self.passage,
            own: self.own.union(&next.own).cloned().collect(),
            words: self.words.union(&next.words).cloned().collect(),
            quantities: self.quantities.iter().chain(&next.quantities).cloned().collect(),
            contrasts: self.contrasts.with(&next.contrasts),
            claims: self.claims.with(&next.claims),
        }
    }
}

/// Of the content words of a sentence, this share must stand in its support.
const ENOUGH: f32 = 0.6;

impl Grounding {
    pub(crate) fn new(passages: &[Passage]) -> Self {
        let mut supports = Vec::new();
        for (passage, it) in passages.iter().enumerate() {
            let title = content_words(&it.title);
            let title_quantities = quantities_of(&it.title);
            let sentences: Vec<_> = sentences_of(&it.text)
                .iter()
                .map(|sentence| {
                    let own = content_words(sentence);
                    let mut quantities = quantities_of(sentence);
                    quantities.extend(title_quantities.iter().cloned());
                    Support {
                        passage,
                        words: own.union(&title).cloned().collect(),
                        own,
                        quantities,
                        contrasts: Contrasts::of(sentence),
                        claims: Claims::of(sentence).about(&title),
                    }
                })
                .collect();
            for pair in sentences.windows(2) {
                if let [first, second] = pair {
                    supports.push(first.with(second));
                }
            }
            supports.extend(sentences);
        }
        Self { supports }
    }

    /// The passage that supports this sentence best, if any does well enough.
    pub(crate) fn passage_for(&self, sentence: &str) -> Option<usize> {
        let words = content_words(sentence);
        if words.len() < 2 || speaks_for_itself(sentence) {
            return None;
        }
        let claims = Claims::of(sentence);
        let quantities = quantities_of(sentence);
        let contrasts = Contrasts::of(sentence);
        self.supports
            .iter()
            .filter(|support| !claims.contradict(&support.claims))
            .filter(|support| all_stand_in(&quantities, &support.quantities))
            .filter(|support| !contrasts.contradict(&support.contrasts))
            // A title says nothing by itself.
            .filter(|support| words.iter().filter(|it| support.own.contains(*it)).count() >= 2)
            .map(|support| {
                let shared = words.iter().filter(|it| support.words.contains(*it)).count();
                (shared as f32 / words.len() as f32, support.passage)
            })
            .filter(|(share, _)| *share >= ENOUGH)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, passage)| passage)
    }
}

/// The passages as numbered citations, one per title, in the order of `used`.
pub(crate) fn citations_of(passages: &[Passage], used: &[usize]) -> Vec<Citation> {
    used.iter()
        .filter_map(|passage| passages.get(*passage))
        .zip(1u32..)
        .map(|(it, number)| Citation {
            number,
            title: it.title.clone(),
            source: it.source.clone(),
        })
        .collect()
}

fn content_words(text: &str) -> HashSet<String> {
    text.unicode_words().filter_map(content_word).collect()
}

/// The stem of a word that says something.
fn content_word(word: &str) -> Option<String> {
    let stem = stem(&word.to_lowercase());
    (!STOP_WORDS.contains(&stem.as_str()) && !is_amount(&stem)).then_some(stem)
}

/// Amounts are compared as quantities: "3 days" may be said as "three days".
fn is_amount(word: &str) -> bool {
    word.starts_with(|it: char| it.is_ascii_digit()) || !quantities_of(&format!("{word} 次")).is_empty()
}

/// A light stem: enough for "drinks", "drinking", "drink".
fn stem(word: &str) -> String {
    for ending in ["ing", "ies", "ed", "es", "s"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.chars().count() >= 3
        {
            return stem.to_owned();
        }
    }
    word.strip_suffix('e')
        .filter(|it| it.chars().count() >= 3)
        .unwrap_or(word)
        .to_owned()
}

/// "I have had a migraine": a small model plays the patient; passages never say "I".
fn speaks_for_itself(sentence: &str) -> bool {
    let lower = sentence.to_lowercase().replace('’', "'");
    lower
        .unicode_words()
        .any(|it| matches!(it, "i" | "i'm" | "i've" | "i'll" | "i'd" | "my" | "me"))
}

const STOP_WORDS: [&str; 72] = [
    "a", "an", "the", "and", "or", "but", "of", "to", "in", "on", "at", "for", "with", "by", "from", "as",
    "is", "are", "was", "were", "be", "been", "it", "its", "this", "that", "thes", "thos", "ther", "you",
    "your", "i", "we", "they", "he", "she", "if", "when", "also", "can", "may", "might", "will", "would",
    "should", "do", "doe", "have", "has", "had", "some", "such", "than", "then", "so", "very", "more",
    "most", "it's", "about", "which", "what", "who", "how", "into", "there", "help", "includ", "usually",
    "often", "person", "peopl",
];

#[cfg(test)]
mod tests {
    use bedside_contract::{Language, Passage};

    use super::Grounding;

    fn grounding() -> Grounding {
        let text = "Rest and drink enough fluids. Warm drinks and honey ease a sore throat. \
                    Antibiotics do not help, because a virus causes the illness. See a doctor if the fever \
                    lasts more than 3 days.";
        Grounding::new(&[Passage {
            id: "common-cold/treatment".to_owned(),
            title: "Common cold – Treatment".to_owned(),
            text: text.to_owned(),
            language: Language::En,
            source: "test".to_owned(),
            score: 1.0,
            departments: Vec::new(),
            disposition: None,
        }])
    }

    #[test]
    fn what_a_passage_says_passes_and_what_it_does_not_is_refused() {
        let (mut good, mut refused, mut bad, mut found) = (0, 0, 0, 0);
        for line in include_str!("grounding/pairs.tsv").lines() {
            let (kind, rest) = line.split_once('\t').unwrap();
            let (passage, sentence) = rest.split_once('\t').unwrap();
            let grounding = Grounding::new(&[Passage {
                id: "a".to_owned(),
                title: "–".to_owned(),
                text: passage.to_owned(),
                language: Language::En,
                source: "test".to_owned(),
                score: 1.0,
                departments: Vec::new(),
                disposition: None,
            }]);
            let supported = grounding.passage_for(sentence).is_some();
            if supported != (kind == "same") {
                println!("{passage} | {sentence} → {supported}");
            }
            if kind == "same" {
                good += 1;
                refused += usize::from(!supported);
            } else {
                bad += 1;
                found += usize::from(!supported);
            }
        }
        println!("refused: {found} of {bad} bad ones, {refused} of {good} good ones");
        assert!(found * 100 >= bad * 97, "{found} of {bad}");
        assert!(refused * 100 <= good * 4, "{refused} of {good}");
    }

    #[test]
    fn the_topic_of_a_passage_is_neither_affirmed_nor_denied() {
        let grounding = Grounding::new(&[Passage {
            id: "eczema/symptoms".to_owned(),
            title: "Eczema – Symptoms".to_owned(),
            text: "Eczema is not catching, although the skin itches badly.".to_owned(),
            language: Language::En,
            source: "test".to_owned(),
            score: 1.0,
            departments: Vec::new(),
            disposition: None,
        }]);
        for (sentence, expected) in [
            ("With eczema the skin itches badly.", true),
            ("Eczema is not catching.", true),
            ("Eczema is catching, although the skin itches badly.", false),
            ("Eczema is not catching, and the skin does not itch badly.", false),
        ] {
            assert_eq!(grounding.passage_for(sentence).is_some(), expected, "{sentence}");
        }
    }

    #[test]
    fn supported_sentences_pass_and_others_do_not() {
        let cases = [
            ("You should rest and drink enough fluids.", true),
            ("Drinking warm drinks with honey can ease a sore throat.", true),
            ("Antibiotics do not help because a virus causes the cold.", true),
            ("Antibiotics help against the cold virus illness.", false),
            ("A virus causes the illness.", true),
            ("A virus does not cause the illness.", false),
            ("Antibiotics help, but a virus does not cause the illness.", false),
            ("Rest, do not drink fluids.", false),
            ("See a doctor if your fever lasts more than 3 days.", true),
            ("See a doctor if your fever lasts more than 10 days.", false),
            ("Do not drink fluids and do not rest.", false),
            ("Apply a warm compress to your chest and wait.", false),
            ("I rest and drink enough fluids.", false),
            ("Yes.", false),
            ("The answer is: common cold treatment.", false),
        ];
        let grounding = grounding();
        for (sentence, expected) in cases {
            assert_eq!(grounding.passage_for(sentence).is_some(), expected, "{sentence}");
        }
    }
}
