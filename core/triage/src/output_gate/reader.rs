//! The reader of answers: a trained classifier beside the exact rules.
//!
//! Doses have numbers, and rules find them. Discouragement, a change of a medicine or a prescription can be put in
//! any words; logistic regressions on n-grams of a sentence, its medicines replaced by marks, and on the order of what
//! its words mean (`data/answer_concepts.toml`) learn them from labelled sentences (`data/answer_sentences`). One head
//! says whether a sentence must not leave, one a kind says why. The encoder of patients' messages, tuned on the same
//! sentences, knows what is said in other words.

mod blocks;
mod concepts;
mod encoder;
pub mod training;

use std::sync::LazyLock;

use bedside_contract::Embedder;
use serde::{Deserialize, Serialize};

use super::{dose, prescription, reading::Reading};
use crate::learning::{
    ModelFileError,
    features::Features,
    heads::Heads,
    weights_file::{Arrays, HeadHeader, begin, check_buckets, write_heads},
};
use blocks::blocks;
use encoder::AnswerHeads;
use training::Label;

const MAGIC: &str = "BEDSIDE-ANSWERS-2";

/// The one in the repository.
pub(super) static READER: LazyLock<AnswerReader> = LazyLock::new(|| {
    AnswerReader::from_bytes(include_bytes!("../../data/answer_reader.bin"))
        .expect("the built-in file is read by a test")
});

pub(super) struct AnswerReader {
    /// [`WITHHOLD`] first, then the kinds by their names.
    heads: Heads,
    /// Log odds by n-grams alone from which a sentence stays here.
    threshold: f32,
    /// Where it was trained with an encoder.
    with_encoder: Option<WithEncoder>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WithEncoder {
    heads: AnswerHeads,
    /// Log odds by both from which a sentence stays here.
    threshold: f32,
    /// Log odds by n-grams from which it stays here whatever the encoder says.
    by_ngrams_alone: f32,
}

/// The head that decides.
const WITHHOLD: &str = "withhold";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    buckets: usize,
    sentences: usize,
    threshold: f32,
    with_encoder: Option<WithEncoder>,
    heads: Vec<HeadHeader>,
}

impl AnswerReader {
    fn from_bytes(bytes: &[u8]) -> Result<Self, ModelFileError> {
        let (header, mut arrays) = Arrays::open::<Header>(bytes, MAGIC)?;
        check_buckets(header.buckets)?;
        Ok(Self {
            threshold: header.threshold,
            with_encoder: header.with_encoder,
            heads: arrays.heads(header.heads)?,
        })
    }

    fn to_bytes(&self, sentences: usize) -> Vec<u8> {
        let header = Header {
            buckets: crate::learning::features::BUCKETS,
            sentences,
            threshold: self.threshold,
            with_encoder: self.with_encoder.clone(),
            heads: HeadHeader::all_of(&self.heads),
        };
        let mut bytes = begin(MAGIC, &header);
        write_heads(&mut bytes, &self.heads);
        bytes
    }

    /// Why a sentence must not leave.
    pub(super) fn reason(&self, reading: &Reading, encoder: Option<&dyn Embedder>) -> Option<&'static str> {
        if reading.text.is_empty() {
            return None;
        }
        let features = Features::new(blocks(reading), &self.heads.vocabulary);
        let read = self.heads.read(&features);
        let (_, score) = read.first()?;
        let score = *score + weight_of_rules(reading);
        if let Some((both, encoder)) = self.with_encoder.as_ref().zip(encoder)
            && let Some(encoded) = both.heads.read(encoder, &reading.text)
        {
            let is_bad = encoded.together_with(score) >= both.threshold || score >= both.by_ngrams_alone;
            return is_bad.then(|| encoded.likeliest_kind().name());
        }
        if score < self.threshold {
            return None;
        }
        let kinds = read
            .iter()
            .filter_map(|(name, score)| Some((Label::named(name)?, score)));
        let likeliest = kinds.max_by(|a, b| a.1.total_cmp(b.1));
        Some(likeliest.map_or(Label::DiscouragesCare, |it| it.0).name())
    }
}

/// What the rules add to the log odds: fitted on batches whose sentences no rule was written for.
fn weight_of_rules(reading: &Reading) -> f32 {
    const DOSE: f32 = 1.1;
    const PRESCRIPTION: f32 = 1.7;
    let (dose, prescription) = (dose::gives(reading), prescription::prescribes(reading));
    DOSE * f32::from(u8::from(dose)) + PRESCRIPTION * f32::from(u8::from(prescription))
}

#[cfg(test)]
mod tests {
    use super::{AnswerReader, READER};

    #[test]
    fn the_built_in_file_is_read_and_written_alike() {
        let bytes = include_bytes!("../../data/answer_reader.bin");
        assert!(bytes.len() <= 1_500_000, "{}", bytes.len());
        let reader = AnswerReader::from_bytes(bytes).unwrap();
        assert_eq!(reader.heads.names.len(), 5);
        assert_eq!(reader.threshold, READER.threshold);
        assert!(AnswerReader::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
}
