//! Whether a model fits into the memory that is free, known before any of it is taken.
//!
//! Weights are copied out of the file into packed form; the file's own pages can be given back at any time, so they
//! are not counted. The key-value cache is counted whole, though the system gives it block by block.

mod machine;

use std::fmt;

use candle_core::quantized::GgmlDType;

use crate::{
    decoder::{BLOCK_TOKENS, Description, KvCache, KvPrecision, Positions},
    gguf::GgufFile,
    kernels::packed::ROWS,
};

pub use machine::{Bound, Free, free};

/// How a model is to be served, as far as memory depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// Tokens of one chat.
    pub context_length: usize,
    pub precision: KvPrecision,
    /// Blocks that the key-value cache should have.
    pub blocks: usize,
    /// Whether fewer will do, down to one chat of full length.
    pub may_have_fewer: bool,
    /// Answers that are written at the same time.
    pub sequences: usize,
    /// Tokens that are read in one pass.
    pub rows: usize,
}

/// What a model needs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Packed.
    pub weights: u64,
    /// Vocabulary, buffers of a pass, threads.
    pub work: u64,
    /// One block of the key-value cache.
    pub block: u64,
    /// Blocks of a chat of full length: no cache has fewer.
    pub chat_blocks: u64,
    pub blocks: u64,
    pub may_have_fewer: bool,
}

/// A model that does not fit, and what would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct TooLarge {
    pub need: Need,
    /// The least that would do for keys and values.
    pub cache: u64,
    pub free: Free,
    pub advice: Advice,
}

/// What to set so that it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// The weights leave no room for a chat.
    Smaller,
    /// A chat of full length is too long.
    ContextLength { at_most: u64 },
    /// The cache is larger than it has to be.
    CacheSize { mib_at_most: u64 },
}

/// Tokenizer, chat template, threads, and what else a bot has.
const AROUND: u64 = 128 << 20;
/// Numbers of a row that are kept for each of its columns, and for each of its feed-forward's.
const BUFFERS: u64 = 10;
/// Rows whose feed-forward is computed at a time.
const FEED_ROWS: u64 = 256;
const FLOAT: u64 = size_of::<f32>() as u64;
/// A context below this is no use to a patient.
const SHORTEST_CONTEXT: u64 = 512;

impl Need {
    /// From a file's header alone.
    #[must_use]
    pub fn of(gguf: &GgufFile, description: &Description, serving: &Serving) -> Self {
        let weights = gguf.tensors().values().fold(0, |sum: u64, it| {
            sum.saturating_add(packed_bytes(it.dtype, &it.shape))
        });
        let chat_blocks = chat_blocks(serving.context_length) as u64;
        Self {
            weights,
            work: work_bytes(description, serving),
            block: KvCache::bytes_of(description, serving.precision, BLOCK_TOKENS),
            chat_blocks,
            blocks: chat_blocks.max(serving.blocks as u64),
            may_have_fewer: serving.may_have_fewer,
        }
    }

    /// How many blocks the key-value cache gets: as many as are wanted, or fewer where those do not fit and fewer will
    /// do. Where nothing is known of the machine, all.
    ///
    /// # Errors
    /// [`TooLarge`], with what to set.
    pub fn blocks_that_fit(&self, free: Option<Free>) -> Result<u64, TooLarge> {
        let Some(free) = free else {
            return Ok(self.blocks);
        };
        let beside = self.weights.saturating_add(self.work);
        let left = free.bytes.saturating_sub(beside);
        let fitting = left / self.block.max(1);
        if beside <= free.bytes && self.blocks <= fitting {
            return Ok(self.blocks);
        }
        if beside <= free.bytes && self.may_have_fewer && self.chat_blocks <= fitting {
            return Ok(fitting);
        }
        let least = if self.may_have_fewer {
            self.chat_blocks
        } else {
            self.blocks
        };
        Err(TooLarge {
            need: *self,
            cache: least.saturating_mul(self.block),
            free,
            advice: self.advice(fitting),
        })
    }

    fn advice(&self, fitting: u64) -> Advice {
        let tokens = fitting.saturating_sub(1).saturating_mul(BLOCK_TOKENS as u64);
        if self.chat_blocks <= fitting {
            Advice::CacheSize {
                mib_at_most: fitting.saturating_mul(self.block) >> 20,
            }
        } else if tokens >= SHORTEST_CONTEXT {
            Advice::ContextLength { at_most: tokens }
        } else {
            Advice::Smaller
        }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            need: Need { weights, work, .. },
            cache,
            free,
            advice,
        } = *self;
        let all = weights.saturating_add(work).saturating_add(cache);
        write!(
            f,
            "the model does not fit into memory: it needs {} MiB ({} of weights, {} of keys and values, {} beside \
             them), {} MiB are free {}; {advice}",
            mib(all),
            mib(weights),
            mib(cache),
            mib(work),
            free.bytes >> 20,
            free.bound
        )
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smaller => f.write_str(
                "take a smaller model or one in fewer bits (`bedside model quantize`), or give the bot more memory",
            ),
            Self::ContextLength { at_most } => write!(
                f,
                "set model.context_length to at most {at_most}, or engine.kv_precision to \"q8\", \
                 or take a model in fewer bits (`bedside model quantize`)"
            ),
            Self::CacheSize { mib_at_most } => write!(
                f,
                "set engine.kv_cache_mib to at most {mib_at_most}, or leave it out, \
                 or take a model in fewer bits (`bedside model quantize`)"
            ),
        }
    }
}

/// Blocks of a cache that a chat of full length needs.
#[must_use]
pub fn chat_blocks(context_length: usize) -> usize {
    context_length.div_ceil(BLOCK_TOKENS) + 1
}

/// Rounded up, so that what does not fit never looks as if it did.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// What a tensor takes once it is packed for its kernel; without one it is kept as f32.
fn packed_bytes(dtype: GgmlDType, shape: &[usize]) -> u64 {
    let product = |of: &[usize]| of.iter().fold(1, |all: u64, it| all.saturating_mul(*it as u64));
    let &[rows, columns] = shape else {
        return product(shape).saturating_mul(FLOAT);
    };
    // Of a block of one row.
    let block = match dtype {
        GgmlDType::Q8_1 | GgmlDType::Q8K => dtype.block_size() * size_of::<f32>(),
        // Parts of some kinds are kept wider than in the file.
        GgmlDType::Q3K => 114,
        GgmlDType::Q4K => 148,
        GgmlDType::Q5K => 180,
        _ => dtype.type_size(),
    };
    let blocks = columns.div_ceil(dtype.block_size().max(1));
    product(&[rows.next_multiple_of(ROWS), blocks, block])
}

fn work_bytes(description: &Description, serving: &Serving) -> u64 {
    let rows = match description.positions {
        Positions::Index => serving.rows,
        // A context comes whole.
        Positions::Blocks { .. } => serving.rows.max(serving.context_length),
    };
    let numbers = |counts: [u64; 3]| counts.into_iter().fold(FLOAT, u64::saturating_mul);
    let heads = description.heads.saturating_mul(description.head_width);
    let buffers = numbers([rows as u64, description.width.max(heads) as u64, BUFFERS]);
    let feed = numbers([FEED_ROWS, description.feed_width as u64, BUFFERS]);
    let logits = numbers([serving.sequences as u64, description.vocabulary as u64, 2]);
    [buffers, feed, logits]
        .into_iter()
        .fold(AROUND, u64::saturating_add)
}

#[cfg(test)]
mod tests;
