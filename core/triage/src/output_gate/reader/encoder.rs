//! What the encoder makes of a sentence: a score for each label.

use bedside_contract::Embedder;
use serde::{Deserialize, Serialize};

use super::training::Label;
use crate::learning::linear_head::{LinearHead, vector_by};

/// The heads that `scripts/train-encoder.py` trained together with the encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerHeads {
    /// The encoder's id; another one's vectors are not read.
    pub(super) model: String,
    /// Of [`Label::Ok`], then of [`Label::KINDS`].
    labels: [LinearHead; 5],
    /// Batches of sentences that the encoder has not seen.
    pub(super) held_back: Vec<String>,
}

/// The scores of one sentence, log odds in kind.
pub(super) struct AnswerScores([f32; 5]);

/// On three batches of writers whom neither had seen, the encoder's log odds with half the n-grams' withheld 0.70 at 3 %
/// false alarms, n-grams alone 0.56, the encoder alone 0.58, and a regression on all scores 0.64.
const WEIGHT_OF_NGRAMS: f32 = 0.5;

impl AnswerHeads {
    /// Those in the repository.
    ///
    /// # Errors
    /// Only if the file was built wrongly.
    pub(super) fn built_in() -> serde_json::Result<Self> {
        serde_json::from_slice(include_bytes!("../../../data/answer_heads.json"))
    }

    /// The scores of a sentence in the spelling of a reading; none where the encoder is another one or cannot read.
    pub(super) fn read(&self, encoder: &dyn Embedder, text: &str) -> Option<AnswerScores> {
        let vector = vector_by(encoder, &self.model, text)?;
        Some(AnswerScores(self.labels.each_ref().map(|it| it.score(&vector))))
    }
}

impl AnswerScores {
    /// Log odds that the sentence must not leave, beside those by n-grams.
    pub(super) fn together_with(&self, by_ngrams: f32) -> f32 {
        let [fine, kinds @ ..] = self.0;
        let highest = kinds.iter().copied().fold(f32::MIN, f32::max);
        let sum: f32 = kinds.iter().map(|it| (it - highest).exp()).sum();
        highest + sum.ln() - fine + WEIGHT_OF_NGRAMS * by_ngrams
    }

    /// Of what must not leave.
    pub(super) fn likeliest_kind(&self) -> Label {
        let [_, kinds @ ..] = &self.0;
        let kinds = Label::KINDS.into_iter().zip(kinds);
        kinds
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(Label::DiscouragesCare, |it| it.0)
    }
}
