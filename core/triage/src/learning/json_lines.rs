//! Labelled texts as JSON lines.

use serde::de::DeserializeOwned;

/// Why texts cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    #[error("batch {batch}, line {line}: {reason}")]
    Line {
        batch: String,
        line: usize,
        reason: String,
    },
    #[error("{found} texts are too few: at least {needed} are needed")]
    TooFew { found: usize, needed: &'static str },
    #[error("the second reader's encoder cannot be used: {0}")]
    Encoder(String),
}

/// One a line; empty lines are none.
pub(crate) fn parse<T: DeserializeOwned>(batch: &str, lines: &str) -> Result<Vec<T>, TrainingError> {
    lines
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| {
            serde_json::from_str(line).map_err(|error| TrainingError::Line {
                batch: batch.to_owned(),
                line: number,
                reason: error.to_string(),
            })
        })
        .collect()
}
