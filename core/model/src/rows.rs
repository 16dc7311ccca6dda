//! The order of rows in checkpoints and in GGUF files.

/// Which row of the checkpoint's tensor a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// The same.
    Same,
    /// Of each head, its two halves in turn: llama's GGUF files rotate neighbours, its checkpoints halves.
    HalvesInTurn { head_width: usize },
    /// Of three parts that lie head by head, this one: ChatGLM-6B's `query_key_value`.
    PartOfHeads { head_width: usize, part: usize },
}

impl Rows {
    pub(crate) fn source(self, row: usize) -> usize {
        match self {
            Self::Same => row,
            Self::HalvesInTurn { head_width } => {
                let (head, row) = (row / head_width, row % head_width);
                head * head_width + row % 2 * (head_width / 2) + row / 2
            }
            Self::PartOfHeads { head_width, part } => {
                let (head, row) = (row / head_width, row % head_width);
                (3 * head + part) * head_width + row
            }
        }
    }

    /// Rows in the checkpoint for so many here.
    pub(crate) fn all(self, rows: usize) -> usize {
        match self {
            Self::Same | Self::HalvesInTurn { .. } => rows,
            Self::PartOfHeads { .. } => 3 * rows,
        }
    }
}
