//! Why the second reader thinks so, for staff.

use bedside_contract::Disposition;
use serde::{Deserialize, Serialize};

use super::{
    SecondReader,
    message_blocks::{OF_URGENCY, features, spelled_out},
    training::Batch,
};
use crate::learning::features::Features;

/// What weighed most, and what it is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Words that speak for an emergency, with their share of the score, heaviest first.
    pub words_for: Vec<(String, f32)>,
    /// Written examples that are nearest, nearest first.
    pub examples: Vec<NearExample>,
}

/// A training message with its likeness, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearExample {
    pub likeness: f32,
    pub disposition: Disposition,
    pub text: String,
    pub why: String,
}

const MOST_WORDS: usize = 6;
const MOST_EXAMPLES: usize = 3;

impl SecondReader {
    /// `normal` makes the normal text of an example.
    pub(crate) fn explain(
        &self,
        text: &str,
        evidence: &[String],
        batches: &[Batch],
        normal: impl Fn(&str) -> String,
    ) -> Explanation {
        let vector = features(text, evidence, OF_URGENCY, self.vocabulary());
        let head = self.emergency_head();
        let value_of = |bucket: u32| {
            let index = vector.entries.binary_search_by_key(&bucket, |it| it.0).ok()?;
            vector.entries.get(index).map(|it| it.1)
        };
        let mut words_for: Vec<(String, f32)> = spelled_out(text, OF_URGENCY.words)
            .into_iter()
            .filter_map(|(bucket, words)| {
                let weight = f32::from(head.weight(bucket)) * head.scale * value_of(bucket)?;
                (weight > 0.0).then_some((words, weight))
            })
            .collect();
        words_for.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        words_for.dedup_by(|a, b| a.0 == b.0);
        words_for.truncate(MOST_WORDS);

        let own = features(text, &[], OF_URGENCY, self.vocabulary());
        let mut examples: Vec<NearExample> = batches
            .iter()
            .flat_map(|it| &it.messages)
            .map(|message| NearExample {
                likeness: likeness(
                    &own,
                    &features(&normal(&message.text), &[], OF_URGENCY, self.vocabulary()),
                ),
                disposition: message.disposition,
                text: message.text.clone(),
                why: message.why.clone(),
            })
            .collect();
        examples.sort_by(|a, b| b.likeness.total_cmp(&a.likeness));
        examples.truncate(MOST_EXAMPLES);
        Explanation { words_for, examples }
    }
}

/// The cosine.
fn likeness(a: &Features, b: &Features) -> f32 {
    let mut others = b.entries.iter().peekable();
    let mut product = 0.0;
    for (bucket, value) in &a.entries {
        while others.next_if(|it| it.0 < *bucket).is_some() {}
        if let Some(other) = others.peek().filter(|it| it.0 == *bucket) {
            product += value * other.1;
        }
    }
    let length = |it: &Features| {
        it.entries
            .iter()
            .map(|(_, value)| value * value)
            .sum::<f32>()
            .sqrt()
    };
    product / (length(a) * length(b)).max(1e-6)
}
