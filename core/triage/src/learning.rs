//! What the two trained readers share: texts as sparse vectors, logistic regressions, and their weights as files.
//!
//! The second reader reads patients' messages, the reader of answers what a model says.

pub(crate) mod features;
pub(crate) mod heads;
pub(crate) mod json_lines;
pub(crate) mod linear_head;
pub(crate) mod logistic;
pub(crate) mod parallel;
pub(crate) mod weights_file;

pub use json_lines::TrainingError;
pub use weights_file::ModelFileError;

pub(crate) fn logistic(score: f32) -> f32 {
    1.0 / (1.0 + (-score).exp())
}
