//! The second reader: a trained classifier beside the rules.
//!
//! Rules find what somebody thought of; patients write what nobody did. Logistic regressions on hashed n-grams of
//! the text and on what the rules found in it give the probability of each urgency and of each department. They
//! may raise an urgency, never go below a red flag's certain signs or a rule, and doubt its weaker signs. Weights are made by [`training::train`] from the
//! messages in `data/messages`.

mod built_in_messages;
mod department_heads;
mod evidence_words;
mod explanation;
mod meaning;
mod message_blocks;
mod model_file;
mod surroundings;
pub mod training;

use bedside_contract::Disposition;
use bedside_language::fingerprint;
use serde::{Deserialize, Serialize};

pub use built_in_messages::built_in_messages;
pub(crate) use evidence_words::evidence_words;
pub use explanation::{Explanation, NearExample};
pub use meaning::Meaning;

use crate::learning::{
    ModelFileError,
    features::{Features, Vocabulary},
    heads::Head,
};
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
    /// A red flag of which there are only weaker signs is an emergency.
    pub(crate) confirms_suspicions: bool,
}

const HEADER_READ: usize = 4096;

/// A trained model, ready to read.
pub struct SecondReader {
    model: ModelFile,
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
            fingerprint: fingerprint(header.iter().copied()),
        })
    }

    /// Tells one training from another.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Reads a normal text, with the words for what the rules found in it.
    pub(crate) fn read(&self, text: &str, evidence: &[String]) -> Read<'_> {
        let features = features(text, evidence, OF_URGENCY, &self.model.vocabulary);
        let emergency = self
            .model
            .emergency_probability(self.model.emergency.score(&features));
        let [_, same_day, out_patient, _] = self.probabilities(&features);
        let reading = SecondReading {
            emergency,
            disposition: self.model.thresholds.level(emergency, same_day, out_patient),
            raised: false,
        };
        Read {
            reading,
            departments: self.read_departments(text, evidence),
            confirms_suspicions: emergency >= self.model.thresholds.suspicion,
        }
    }

    pub(crate) fn read_departments(&self, text: &str, evidence: &[String]) -> Vec<(&str, f32)> {
        self.model.departments.read(text, evidence)
    }

    /// The log odds of each department by what a text means; nothing where the model was trained without vectors or
    /// with another model's.
    pub(crate) fn departments_by_meaning<'a>(
        &'a self,
        meaning: &'a Meaning,
    ) -> impl Iterator<Item = (&'a str, f32)> {
        self.model.meaning.iter().flat_map(move |it| it.read(meaning))
    }

    /// Of emergency, same-day, out-patient and self-care: a softmax over the four heads.
    fn probabilities(&self, features: &Features) -> [f32; 4] {
        let scores = self.model.dispositions.each_ref().map(|it| it.score(features));
        let highest = scores.iter().copied().fold(f32::MIN, f32::max);
        let shares = scores.map(|it| (it - highest).exp());
        let sum: f32 = shares.iter().sum();
        shares.map(|it| it / sum)
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.model.vocabulary
    }

    fn emergency_head(&self) -> &Head {
        &self.model.emergency
    }
}
