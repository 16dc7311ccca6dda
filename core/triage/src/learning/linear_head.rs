//! Linear functions of a few numbers: on the vectors of the encoder that `scripts/train-encoder.py` tunes, and on the
//! scores of several readers.

use bedside_contract::{Embedder, EmbeddingPurpose};
use serde::{Deserialize, Serialize};

use super::{features::Features, logistic::fit};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinearHead {
    pub(crate) bias: f32,
    /// One for each number.
    pub(crate) weights: Vec<f32>,
}

impl LinearHead {
    /// A logistic regression; a row of numbers for each label.
    pub(crate) fn fit(rows: &[Vec<f32>], labels: &[bool]) -> Self {
        let numbers = rows.first().map_or(0, Vec::len);
        let rows: Vec<Features> = rows
            .iter()
            .map(|it| Features {
                entries: (0..).zip(it.iter().copied()).collect(),
            })
            .collect();
        let fitted = fit(&rows.iter().collect::<Vec<_>>(), labels);
        Self {
            bias: fitted.bias,
            weights: fitted.weights.into_iter().take(numbers).collect(),
        }
    }

    pub(crate) fn score(&self, numbers: &[f32]) -> f32 {
        let products = self.weights.iter().zip(numbers).map(|(weight, it)| weight * it);
        self.bias + products.sum::<f32>()
    }
}

/// A text's vector by the encoder with this id; none where it is another one or cannot read.
pub(crate) fn vector_by(encoder: &dyn Embedder, id: &str, text: &str) -> Option<Vec<f32>> {
    let vectors = encoder.embed(&[text], EmbeddingPurpose::Query).ok()?;
    let vector = vectors.into_iter().next()?;
    (encoder.model()?.id == id).then_some(vector)
}
