//! Keys and values of all sequences, in blocks that sequences may share.

use crate::kernels::attention::{KvPrecision, SLOTS};

use super::Description;

/// Tokens in a block.
pub const BLOCK_TOKENS: usize = SLOTS;

/// A fixed number of blocks of [`BLOCK_TOKENS`] tokens. Which sequence uses which is its user's affair; memory
/// is taken from the system as blocks are written for the first time.
pub struct KvCache {
    precision: KvPrecision,
    shape: Shape,
    bytes: Vec<u8>,
    blocks: usize,
}

/// Where things lie in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    layers: usize,
    kv_heads: usize,
    /// Bytes of one head's keys, or values, in one layer.
    head_bytes: usize,
}

impl Shape {
    pub(super) fn new(description: &Description, precision: KvPrecision) -> Self {
        Self {
            layers: description.layers,
            kv_heads: description.kv_heads,
            head_bytes: precision.head_bytes(description.head_width),
        }
    }

    pub(super) fn block_bytes(self) -> usize {
        self.layers * self.kv_heads * 2 * self.head_bytes
    }

    /// Keys of one head in one block; the values follow them.
    pub(super) fn place(self, block: usize, layer: usize, head: usize) -> usize {
        block * self.block_bytes() + (layer * self.kv_heads + head) * 2 * self.head_bytes
    }

    /// Keys and values of one head in one block.
    pub(super) fn head(self, bytes: &[u8], block: usize, layer: usize, head: usize) -> (&[u8], &[u8]) {
        let start = self.place(block, layer, head);
        let both = bytes.get(start..start + 2 * self.head_bytes).unwrap_or_default();
        both.split_at_checked(self.head_bytes).unwrap_or_default()
    }

    pub(super) fn head_bytes(self) -> usize {
        self.head_bytes
    }
}

impl KvCache {
    pub(super) fn new(description: &Description, precision: KvPrecision, blocks: usize) -> Self {
        let shape = Shape::new(description, precision);
        Self {
            precision,
            shape,
            bytes: vec![0; blocks * shape.block_bytes()],
            blocks,
        }
    }

    /// Memory of so many tokens' blocks, in bytes.
    #[must_use]
    pub fn bytes_of(description: &Description, precision: KvPrecision, tokens: usize) -> u64 {
        (tokens.div_ceil(BLOCK_TOKENS) * Shape::new(description, precision).block_bytes()) as u64
    }

    /// How many blocks there are; they are numbered from 0.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    #[must_use]
    pub fn precision(&self) -> KvPrecision {
        self.precision
    }

    /// Memory of one block.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.shape.block_bytes()
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl std::fmt::Debug for KvCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KvCache")
            .field("precision", &self.precision)
            .field("blocks", &self.blocks)
            .finish_non_exhaustive()
    }
}
