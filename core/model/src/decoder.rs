//! The forward pass of decoder-only transformers on the CPU.
//!
//! One pass serves all families: what differs between them is data ([`Description`]), so a new family is
//! a row in its table and a test. Weights are shared; everything that belongs to one chat is in its
//! [`Session`].

mod attention;
mod description;
mod linear;
mod session;
mod weights;

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::{ParallelSlice, ParallelSliceMut},
};

use crate::{
    gguf::{GgufError, GgufFile},
    kernels,
};
use attention::Rotations;
pub use description::{Activation, Description, LocalAttention, Rotary, SUPPORTED};
pub use session::Session;
use weights::{Layer, Weights};

/// A loaded model's weights. `forward` takes `&self`: many sessions share them.
pub struct Decoder {
    description: Description,
    weights: Weights,
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
    #[error("computing {what} failed: {problem}")]
    Compute { what: String, problem: String },
}

/// Whether a pass is to end with the next token's logits; a prompt's inner pieces do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Nothing,
    Logits,
}

/// Rows of the feed-forward below which another thread does not pay.
const ROWS_PER_TASK: usize = 8;

impl Decoder {
    /// Reads the weights; `loaded` hears of each tensor's bytes.
    ///
    /// # Errors
    /// If the family is not supported or a tensor is missing, misshapen or unreadable.
    pub fn load(gguf: &GgufFile, loaded: &mut dyn FnMut(u64)) -> Result<Self, DecoderError> {
        let description = Description::read(gguf)?;
        let weights = Weights::load(gguf, &description, loaded)?;
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

    /// An empty session.
    #[must_use]
    pub fn session(&self) -> Session {
        let Description {
            layers,
            kv_heads,
            head_width,
            ..
        } = self.description;
        Session::new(layers, kv_heads * head_width)
    }

    /// Reads tokens into the session. The logits are those after the last of them; the list is empty with
    /// [`Want::Nothing`]. On an error the session is as before.
    ///
    /// # Errors
    /// If the tokens do not fit or are not in the vocabulary.
    pub fn forward(
        &self,
        session: &mut Session,
        tokens: &[u32],
        want: Want,
    ) -> Result<Vec<f32>, DecoderError> {
        let Description {
            width,
            context_length,
            vocabulary,
            embedding_scale,
            ..
        } = self.description;
        if session.len() + tokens.len() > context_length {
            let (tokens, used) = (tokens.len(), session.len());
            return Err(DecoderError::ContextFull {
                tokens,
                used,
                context_length,
            });
        }
        if let Some(token) = tokens.iter().find(|it| **it as usize >= vocabulary) {
            return Err(DecoderError::UnknownToken {
                token: *token,
                size: vocabulary,
            });
        }
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let start = session.len();
        session.reserve(tokens.len());
        let mut hidden = self.weights.embedding.rows(tokens)?;
        if embedding_scale != 1.0 {
            hidden.iter_mut().for_each(|it| *it *= embedding_scale);
        }
        let global = Rotations::new(
            &self.description,
            start,
            tokens.len(),
            false,
            self.weights.rope_factors.as_deref(),
        );
        let local = self
            .description
            .local
            .as_ref()
            .map(|_| Rotations::new(&self.description, start, tokens.len(), true, None));
        for (number, layer) in self.weights.layers.iter().enumerate() {
            let window = self.description.window(number);
            let rotations = local.as_ref().filter(|_| window.is_some()).unwrap_or(&global);
            self.layer(layer, number, session, start, &mut hidden, rotations, window)?;
        }
        session.advance(tokens.len());
        if want == Want::Nothing {
            return Ok(Vec::new());
        }
        let last = hidden.get_mut((tokens.len() - 1) * width..).unwrap_or_default();
        let mut normed = Vec::new();
        kernels::rms_norm(
            last,
            &self.weights.output_norm,
            self.description.norm_epsilon,
            &mut normed,
        );
        self.weights
            .output
            .as_ref()
            .unwrap_or(&self.weights.embedding)
            .forward(&normed)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one layer's inputs; a struct for one caller would only rename them"
    )]
    fn layer(
        &self,
        layer: &Layer,
        number: usize,
        session: &mut Session,
        start: usize,
        hidden: &mut [f32],
        rotations: &Rotations,
        window: Option<usize>,
    ) -> Result<(), DecoderError> {
        let description = &self.description;
        let epsilon = description.norm_epsilon;
        let mut normed = Vec::new();
        kernels::rms_norm(hidden, &layer.attention_norm, epsilon, &mut normed);
        let mut query = layer.query.forward(&normed)?;
        let mut key = layer.key.forward(&normed)?;
        let value = layer.value.forward(&normed)?;
        if let Some(weight) = &layer.query_norm {
            kernels::rms_norm_in_place(&mut query, weight, epsilon);
        }
        if let Some(weight) = &layer.key_norm {
            kernels::rms_norm_in_place(&mut key, weight, epsilon);
        }
        rotations.apply(&mut query, description.heads);
        rotations.apply(&mut key, description.kv_heads);
        session.write(number, start, &key, &value);
        let mixed = attention::attend(description, session, number, start, &query, window);
        let mut output = layer.output.forward(&mixed)?;
        if let Some(weight) = &layer.after_attention_norm {
            kernels::rms_norm_in_place(&mut output, weight, epsilon);
        }
        kernels::add(hidden, &output);

        kernels::rms_norm(hidden, &layer.feed_norm, epsilon, &mut normed);
        let mut gate = layer.gate.forward(&normed)?;
        let up = layer.up.forward(&normed)?;
        let activate = match description.activation {
            Activation::Silu => kernels::silu_times,
            Activation::GeluTanh => kernels::gelu_times,
        };
        let rows = gate
            .par_chunks_mut(description.feed_width)
            .zip(up.par_chunks(description.feed_width));
        rows.with_min_len(ROWS_PER_TASK)
            .for_each(|(gate, up)| activate(gate, up));
        let mut output = layer.down.forward(&gate)?;
        if let Some(weight) = &layer.after_feed_norm {
            kernels::rms_norm_in_place(&mut output, weight, epsilon);
        }
        kernels::add(hidden, &output);
        Ok(())
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
