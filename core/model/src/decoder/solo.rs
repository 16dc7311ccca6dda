//! One sequence with a cache of its own.

use super::{Adapter, BLOCK_TOKENS, Decoder, DecoderError, Executor, KvCache, KvPrecision, Slice};
use crate::threads::Threads;

/// Reads tokens one after the other, for figures and tools; `core/engine` serves many sequences at once.
#[derive(Debug)]
pub struct Solo<'d> {
    decoder: &'d Decoder,
    executor: Executor,
    cache: KvCache,
    blocks: Vec<u32>,
    length: usize,
    context: usize,
}

impl<'d> Solo<'d> {
    /// With room for so many tokens.
    #[must_use]
    pub fn new(decoder: &'d Decoder, threads: Threads, tokens: usize, precision: KvPrecision) -> Self {
        let blocks = tokens.div_ceil(BLOCK_TOKENS);
        Self {
            decoder,
            executor: decoder.executor(threads),
            cache: decoder.cache(blocks, precision),
            blocks: (0..).take(blocks).collect(),
            length: 0,
            context: 0,
        }
    }

    /// Tokens read so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets all but the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Reads more tokens, first of all a prompt; logits after each of the last `logits`.
    ///
    /// # Errors
    /// As [`Decoder::forward`]; nothing has been read then.
    pub fn read(
        &mut self,
        tokens: &[u32],
        logits: usize,
        adapter: Option<&Adapter>,
    ) -> Result<Vec<Vec<f32>>, DecoderError> {
        if self.is_empty() {
            self.context = self.decoder.context(tokens.len());
        }
        let slice = Slice {
            tokens,
            start: self.length,
            blocks: &self.blocks,
            logits,
            adapter,
            context: self.context,
        };
        let rows = self
            .decoder
            .forward(&mut self.executor, &mut self.cache, &[slice])?;
        self.length += tokens.len();
        Ok(rows.rows().map(|it| it.to_vec()).collect())
    }
}
