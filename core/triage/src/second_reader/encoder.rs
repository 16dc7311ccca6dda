//! What the encoder makes of a text: its vector's scores for each urgency and each department.
//!
//! N-grams know the words that they were trained with; an encoder that was tuned on the same messages also knows what
//! is said in other words.

use bedside_contract::Embedder;
use serde::{Deserialize, Serialize};

use crate::learning::linear_head::{LinearHead, vector_by};

/// The heads that `scripts/train-encoder.py` trained together with the encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EncoderHeads {
    /// The encoder's id; another one's vectors are not read.
    pub(super) model: String,
    /// Of emergency, same-day, out-patient, self-care.
    levels: [LinearHead; 4],
    departments: Vec<(String, LinearHead)>,
    /// Batches of messages that the encoder has not seen.
    pub(super) held_back: Vec<String>,
}

/// The scores of one text, log odds in kind.
pub(super) struct EncoderScores<'a> {
    pub(super) levels: [f32; 4],
    pub(super) departments: Vec<(&'a str, f32)>,
}

impl EncoderHeads {
    /// Those in the repository.
    ///
    /// # Errors
    /// Only if the file was built wrongly.
    pub(super) fn built_in() -> serde_json::Result<Self> {
        serde_json::from_slice(include_bytes!("../../data/encoder_heads.json"))
    }

    /// The scores of a normal text; none where the encoder is another one or cannot read.
    pub(super) fn read(&self, encoder: &dyn Embedder, text: &str) -> Option<EncoderScores<'_>> {
        let vector = vector_by(encoder, &self.model, text)?;
        Some(EncoderScores {
            levels: self.levels.each_ref().map(|it| it.score(&vector)),
            departments: self
                .departments
                .iter()
                .map(|(id, head)| (id.as_str(), head.score(&vector)))
                .collect(),
        })
    }
}
