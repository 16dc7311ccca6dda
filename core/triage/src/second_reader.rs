//! The second reader: a trained classifier beside the rules.
//!
//! Rules find what somebody thought of; patients write what nobody did. Logistic regressions on hashed n-grams of
//! the text and on what the rules found in it, and an encoder tuned on the same messages, give the probability of each
//! urgency and of each department. They may raise an urgency, never go below certain signs, and doubt weaker ones.
//! Weights are made by [`training::train`] from the messages in `data/messages`, the encoder's by
//! `scripts/train-encoder.py`.

mod built_in_messages;
mod chances;
mod department_heads;
mod encoder;
mod evidence_words;
mod explanation;
mod held_out;
mod message_blocks;
mod model_file;
mod surroundings;
pub mod training;

use std::sync::Arc;

use bedside_contract::{Disposition, Embedder};
use bedside_language::fingerprint;
use serde::{Deserialize, Serialize};

pub use built_in_messages::built_in_messages;
pub(crate) use evidence_words::evidence_words;
pub use explanation::{Explanation, NearExample};

use crate::learning::{ModelFileError, features::Vocabulary, heads::Head};
use chances::{Chances, Thresholds};
use message_blocks::{OF_URGENCY, features};
use model_file::ModelFile;

/// What the second reader makes of one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondReading {
    /// Calibrated, 0 to 1.
    pub emergency: f32,
    /// The urgency that it would raise a lower one to.
    pub disposition: Disposition,
    /// The rules alone said less.
    pub raised: bool,
}

/// A reading, and the log odds of each department by id.
pub(crate) struct Read<'a> {
    pub(crate) reading: SecondReading,
    pub(crate) departments: Vec<(&'a str, f32)>,
    /// The encoder's log odds of each department; empty where it did not read.
    pub(crate) departments_by_meaning: Vec<(&'a str, f32)>,
    chances: Chances,
    thresholds: Thresholds,
}

impl Read<'_> {
    /// An urgency for which there are only weaker signs is likely enough to stand.
    pub(crate) fn confirms(&self, urgency: Disposition) -> bool {
        self.thresholds.confirm(self.chances, urgency)
    }
}

/// What the encoder is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskEncoder {
    /// Nothing depends on it.
    Not,
    /// It was tuned on messages, and makes too much of a word or two.
    ForDepartments,
    ForAll,
}

const HEADER_READ: usize = 4096;

/// A trained model, ready to read.
pub struct SecondReader {
    model: ModelFile,
    encoder: Option<Arc<dyn Embedder>>,
    fingerprint: u32,
}

impl SecondReader {
    /// The model in the repository.
    ///
    /// # Errors
    /// Only if the file was built wrongly; a test reads it.
    pub fn built_in() -> Result<Self, ModelFileError> {
        Self::from_bytes(include_bytes!("../data/second_reader.bin"))
    }

    /// A model that [`training::train`] wrote.
    ///
    /// # Errors
    /// [`ModelFileError`] says what is wrong with the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelFileError> {
        // Every training changes the header, which holds all biases.
        let header = bytes.get(..HEADER_READ).unwrap_or(bytes);
        Ok(Self {
            model: ModelFile::read(bytes)?,
            encoder: None,
            fingerprint: fingerprint(header.iter().copied()),
        })
    }

    /// With what knows words that no message had: some 20 ms for a message of usual length, in the caller's thread.
    /// Where it is not the encoder that the model was trained with, or fails, n-grams alone decide.
    #[must_use]
    pub fn with_encoder(mut self, encoder: Arc<dyn Embedder>) -> Self {
        self.encoder = Some(encoder);
        self
    }

    pub(crate) fn encoder(&self) -> Option<Arc<dyn Embedder>> {
        self.encoder.clone()
    }

    /// Whether an encoder is there that the model knows.
    #[must_use]
    pub fn has_encoder(&self) -> bool {
        self.encoder.is_some() && self.model.with_encoder.is_some()
    }

    /// Tells one training from another.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Reads a normal text, with the words for what the rules found in it.
    pub(crate) fn read(&self, text: &str, evidence: &[String], ask: AskEncoder) -> Read<'_> {
        let features = features(text, evidence, OF_URGENCY, &self.model.vocabulary);
        let mut scores = self
            .model
            .dispositions
            .iter()
            .map(|it| it.score(&features))
            .collect::<Vec<_>>();
        let mut judgement = &self.model.alone;
        let mut departments_by_meaning = Vec::new();
        let asked = self.model.with_encoder.as_ref();
        if let Some((model, encoder)) = asked
            .filter(|_| ask != AskEncoder::Not)
            .zip(self.encoder.as_ref())
            && let Some(encoded) = model.heads.read(encoder.as_ref(), text)
        {
            departments_by_meaning = encoded.departments;
            if ask == AskEncoder::ForAll {
                scores.extend(encoded.levels);
                judgement = &model.judgement;
            }
        }
        let chances = judgement.calibration.chances(&scores);
        let thresholds = judgement.thresholds;
        Read {
            reading: SecondReading {
                emergency: chances.at_least(Disposition::Emergency),
                disposition: thresholds.level(chances),
                raised: false,
            },
            departments: self.read_departments(text, evidence),
            departments_by_meaning,
            chances,
            thresholds,
        }
    }

    pub(crate) fn read_departments(&self, text: &str, evidence: &[String]) -> Vec<(&str, f32)> {
        self.model.departments.read(text, evidence)
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.model.vocabulary
    }

    fn emergency_head(&self) -> &Head {
        self.model.emergency()
    }
}
