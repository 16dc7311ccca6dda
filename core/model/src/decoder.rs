//! The forward pass of decoder-only transformers on the CPU.
//!
//! One pass serves all families: what differs between them is data ([`Description`]), so a new family is
//! a row in its table and a test. It serves a batch of sequences at once, each with some tokens of its own:
//! a piece of a prompt here, the last token of an answer there. Weights are shared; what belongs to one
//! sequence are its blocks in the [`KvCache`] and its [`Adapter`].

mod adapter;
mod attending;
mod cache;
mod description;
mod inputs;
mod linear;
mod pass;
mod product;
mod rotations;
mod solo;
mod step;
mod weights;

use crate::{
    gguf::{GgufError, GgufFile},
    threads::Threads,
};

pub use crate::kernels::attention::KvPrecision;
pub use adapter::{Adapter, AdapterError, LinearKind, LowRankUpdate, MAX_RANK, PrefixTensors};
pub use cache::{BLOCK_TOKENS, KvCache};
pub use description::{Activation, Description, LocalAttention, Positions, Rotary, SUPPORTED};
pub use pass::{Executor, Logits};
pub use solo::Solo;
use weights::Weights;
pub(crate) use weights::check_tensors;

/// A loaded model's weights; shared, never changed.
pub struct Decoder {
    description: Description,
    weights: Weights,
}

/// One sequence's part in a pass.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// The tokens that are read now.
    pub tokens: &'a [u32],
    /// How many of the sequence's tokens were read before.
    pub start: usize,
    /// The sequence's blocks in their order, with room for all its tokens; those that are written to, from
    /// `start` on, are its own.
    pub blocks: &'a [u32],
    /// After how many of the last tokens logits are wanted.
    pub logits: usize,
    pub adapter: Option<&'a Adapter>,
    /// [`Decoder::context`] of the sequence's prompt: so many of its first tokens see each other whatever their
    /// order. What of them is not in the blocks yet is read in one pass, with at least one token behind them; the
    /// blocks must come from a sequence with the very same context.
    pub context: usize,
}

impl Slice<'_> {
    /// The position behind the last that a token sees.
    fn seen_to(&self, position: usize) -> usize {
        if position < self.context {
            self.context
        } else {
            position + 1
        }
    }

    /// Places of the tokens that are read now: their index, or in the context and behind it.
    fn places(&self, positions: Positions) -> impl Iterator<Item = [usize; 2]> {
        let before = self.adapter.and_then(|it| it.prefix.as_ref());
        let before = before.map_or(0, |it| it.first_position);
        let context = self.context;
        (self.start..self.start + self.tokens.len()).map(move |index| match positions {
            Positions::Index => [before + index, 0],
            Positions::Blocks { .. } if index < context => [index, 0],
            Positions::Blocks { legacy: true } if index == context => [context, 1],
            // The place of the last of the context, which asks for what comes.
            Positions::Blocks { .. } => [context.saturating_sub(1), index - context + 1],
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("{path}: architecture `{architecture}` is not supported; supported are {}", SUPPORTED.join(", "))]
    Architecture { path: String, architecture: String },
    #[error("{path}: {feature} is not supported")]
    Feature { path: String, feature: String },
    #[error("{tokens} tokens after {used} do not fit into the context of {context_length}")]
    ContextFull {
        tokens: usize,
        used: usize,
        context_length: usize,
    },
    #[error("token {token} is not in the vocabulary of {size}")]
    UnknownToken { token: u32, size: usize },
    #[error("{tokens} tokens need {needed} blocks of the cache, {given} are given")]
    Blocks {
        tokens: usize,
        needed: usize,
        given: usize,
    },
    #[error(
        "{tokens} tokens from {start} on do not hold the rest of a context of {context} and one token behind it"
    )]
    Context {
        tokens: usize,
        start: usize,
        context: usize,
    },
    #[error("block {0} of the cache is not there, or two sequences would write to it")]
    Block(u32),
}

impl Decoder {
    /// Reads the weights; `loaded` hears of each tensor's bytes.
    ///
    /// # Errors
    /// If the family is not supported or a tensor is missing, misshapen or unreadable.
    pub fn load(
        gguf: &GgufFile,
        threads: &Threads,
        loaded: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, DecoderError> {
        let description = Description::read(gguf)?;
        let weights = Weights::load(gguf, &description, threads, loaded)?;
        Ok(Self { description, weights })
    }

    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Memory of the weights, in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Bytes of weights that are read for each generated token.
    #[must_use]
    pub fn bytes_per_token(&self) -> u64 {
        self.weights.bytes_per_token()
    }

    /// How many tokens of a prompt see each other whatever their order: all but the last, `sop`, where the family
    /// has [`Positions::Blocks`].
    #[must_use]
    pub fn context(&self, prompt_tokens: usize) -> usize {
        match self.description.positions {
            Positions::Index => 0,
            Positions::Blocks { .. } => prompt_tokens.saturating_sub(1),
        }
    }

    /// A cache of so many blocks.
    #[must_use]
    pub fn cache(&self, blocks: usize, precision: KvPrecision) -> KvCache {
        KvCache::new(&self.description, precision, blocks)
    }

    /// What passes through this decoder compute with: threads and buffers.
    #[must_use]
    pub fn executor(&self, threads: Threads) -> Executor {
        Executor::new(self, threads)
    }

    /// Reads the tokens of all slices and gives the logits that they want, in their order. On an error nothing
    /// has been read.
    ///
    /// A sequence's numbers do not depend, bit by bit, on what else is in the batch or on how its tokens are
    /// cut into passes.
    ///
    /// # Errors
    /// If tokens do not fit or are not in the vocabulary, or blocks are not right.
    pub fn forward<'e>(
        &self,
        executor: &'e mut Executor,
        cache: &mut KvCache,
        batch: &[Slice<'_>],
    ) -> Result<Logits<'e>, DecoderError> {
        self.check(cache, batch)?;
        executor.pass(self, cache, batch);
        Ok(executor.logits(self.description.vocabulary))
    }

    fn check(&self, cache: &KvCache, batch: &[Slice<'_>]) -> Result<(), DecoderError> {
        let Description {
            context_length,
            vocabulary,
            ..
        } = self.description;
        let mut written = Vec::new();
        for slice in batch {
            let (tokens, used) = (slice.tokens.len(), slice.start);
            let in_blocks = self.description.positions != Positions::Index;
            if slice.context > 0 && (!in_blocks || used + tokens <= slice.context) {
                return Err(DecoderError::Context {
                    tokens,
                    start: used,
                    context: slice.context,
                });
            }
            if used + tokens > context_length {
                return Err(DecoderError::ContextFull {
                    tokens,
                    used,
                    context_length,
                });
            }
            if let Some(token) = slice.tokens.iter().find(|it| **it as usize >= vocabulary) {
                return Err(DecoderError::UnknownToken {
                    token: *token,
                    size: vocabulary,
                });
            }
            let needed = (used + tokens).div_ceil(BLOCK_TOKENS);
            let Some(blocks) = slice.blocks.get(..needed) else {
                let (tokens, given) = (used + tokens, slice.blocks.len());
                return Err(DecoderError::Blocks {
                    tokens,
                    needed,
                    given,
                });
            };
            if let Some(block) = blocks.iter().find(|it| **it as usize >= cache.blocks()) {
                return Err(DecoderError::Block(*block));
            }
            if tokens > 0 {
                written.extend(blocks.iter().skip(used / BLOCK_TOKENS));
            }
        }
        written.sort_unstable();
        match written.windows(2).find(|it| it.first() == it.last()) {
            Some(twice) => Err(DecoderError::Block(twice.first().copied().unwrap_or_default())),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
