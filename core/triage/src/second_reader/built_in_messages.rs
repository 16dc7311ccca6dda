//! The messages that the second reader was trained on.

use super::training::{Batch, TrainingError};

/// Each batch's name and lines; made by `build.rs` of `data/messages`.
static MESSAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/messages.rs"));

/// All batches in the repository: what a hospital's own messages are trained together with, and what a reading is
/// compared with.
///
/// # Errors
/// Only if a file was built wrongly; a test reads them.
pub fn built_in_messages() -> Result<Vec<Batch>, TrainingError> {
    MESSAGES
        .iter()
        .map(|(name, lines)| Batch::parse(name, lines))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::built_in_messages;

    #[test]
    fn they_can_be_read() {
        let batches = built_in_messages().unwrap();
        assert!(batches.iter().map(|it| it.messages.len()).sum::<usize>() >= 7_000);
    }
}
