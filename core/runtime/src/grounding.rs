//! Lets through only those sentences of a small model that its passages support.
//!
//! A model of some hundred million parameters rewords well and knows little, so in
//! [`bedside_contract::AnswerMode::Grounded`] each sentence is compared with the sentences of the passages:
//! enough of its content words must stand in one of them (or two neighbours), every quantity with its unit
//! too, no word may be the opposite of one there, and both must deny or both must not.

mod contrast;

use std::collections::HashSet;

use bedside_contract::{Citation, Passage};
use bedside_language::{Quantity, all_stand_in, quantities_of, sentences_of};
use unicode_segmentation::UnicodeSegmentation;

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
    denies: bool,
}

impl Support {
    fn with(&self, next: &Self) -> Self {
        Self {
            passage: self.passage,
            own: self.own.union(&next.own).cloned().collect(),
            words: self.words.union(&next.words).cloned().collect(),
            quantities: self.quantities.iter().chain(&next.quantities).cloned().collect(),
            contrasts: self.contrasts.with(&next.contrasts),
            denies: self.denies,
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
                        denies: denies(sentence),
                    }
                })
                .collect();
            for pair in sentences.windows(2) {
                if let [first, second] = pair
                    && first.denies == second.denies
                {
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
        let denies = denies(sentence);
        let quantities = quantities_of(sentence);
        let contrasts = Contrasts::of(sentence);
        self.supports
            .iter()
            .filter(|support| support.denies == denies)
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
    text.unicode_words()
        .map(|it| stem(&it.to_lowercase()))
        .filter(|it| !STOP_WORDS.contains(&it.as_str()) && !is_amount(it))
        .collect()
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

fn denies(sentence: &str) -> bool {
    const CUES: [&str; 16] = [
        "not",
        "no",
        "never",
        "without",
        "cannot",
        "don't",
        "doesn't",
        "isn't",
        "aren't",
        "can't",
        "won't",
        "shouldn't",
        "unnecessary",
        "avoid",
        "neither",
        "nor",
    ];
    let lower = sentence.to_lowercase().replace('’', "'");
    lower.unicode_words().any(|word| CUES.contains(&word)) || {
        let chinese = NO_DENIALS.iter().fold(lower, |text, it| {
            if text.contains(it) {
                text.replace(it, "")
            } else {
                text
            }
        });
        ["不", "没", "无", "勿", "别", "避免", "未", "禁", "切忌"]
            .iter()
            .any(|cue| chinese.contains(cue))
    }
}

/// Chinese words with a syllable of denial that deny nothing.
const NO_DENIALS: [&str; 27] = [
    "不适",
    "不舒服",
    "不久",
    "不同",
    "不良",
    "不足",
    "不少",
    "不仅",
    "不但",
    "不断",
    "不管",
    "无论",
    "不论",
    "差别",
    "别人",
    "特别",
    "分别",
    "类别",
    "个别",
    "区别",
    "级别",
    "性别",
    "别名",
    "未来",
    "不明",
    "无力",
    "不到",
];

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
        assert!(found * 100 >= bad * 90, "{found} of {bad}");
        assert!(refused * 100 <= good * 5, "{refused} of {good}");
    }

    #[test]
    fn supported_sentences_pass_and_others_do_not() {
        let cases = [
            ("You should rest and drink enough fluids.", true),
            ("Drinking warm drinks with honey can ease a sore throat.", true),
            ("Antibiotics do not help because a virus causes the cold.", true),
            ("Antibiotics help against the cold virus illness.", false),
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
