//! A message as blocks of features: n-grams of characters and of words, and words for what the rules found.

use crate::learning::features::{Block, Features, Vocabulary, characters, each_word_run, hash};

/// The longest n-grams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) characters: usize,
    pub(super) words: usize,
}

pub(super) const OF_URGENCY: Reach = Reach {
    characters: 5,
    words: 3,
};
/// A department is known by its words, an urgency by how they are put together.
pub(super) const OF_DEPARTMENTS: Reach = Reach {
    characters: 3,
    words: 2,
};

const WEIGHT_OF_EVIDENCE: f32 = 0.5;
const WORDS: u8 = 2;
const FOUND: u8 = 3;

pub(super) fn blocks(text: &str, evidence: &[String], reach: Reach) -> Vec<Block> {
    let found = evidence.iter().map(|it| hash(FOUND, it.as_bytes()));
    vec![
        Block {
            buckets: characters(text, reach.characters),
            weight: 1.0,
        },
        Block {
            buckets: spelled_out(text, reach.words)
                .into_iter()
                .map(|it| it.0)
                .collect(),
            weight: 1.0,
        },
        Block {
            buckets: found.collect(),
            weight: WEIGHT_OF_EVIDENCE,
        },
    ]
}

pub(super) fn features(text: &str, evidence: &[String], reach: Reach, vocabulary: &Vocabulary) -> Features {
    Features::new(blocks(text, evidence, reach), vocabulary)
}

/// The buckets of runs of words, with these words for explanations.
pub(super) fn spelled_out(text: &str, longest: usize) -> Vec<(u32, String)> {
    let mut spelled = Vec::new();
    each_word_run(text, longest, |words| {
        let words = words.join(" ");
        spelled.push((hash(WORDS, words.as_bytes()), words));
    });
    spelled
}
