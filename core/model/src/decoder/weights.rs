//! All weights of a model, read by the names that llama.cpp gives them.

use std::sync::{Arc, Mutex};

use super::{DecoderError, Description, adapter::LinearKind, linear::Linear};
use crate::{gguf::GgufFile, kernels::arena::Arena, threads::Threads};

pub(super) struct Weights {
    pub(super) embedding: Linear,
    pub(super) layers: Vec<Layer>,
    pub(super) output_norm: Vec<f32>,
    /// The embedding serves where there is none.
    pub(super) output: Option<Linear>,
    pub(super) rope_factors: Option<Vec<f32>>,
}

pub(super) struct Layer {
    pub(super) attention_norm: Vec<f32>,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) query_norm: Option<Vec<f32>>,
    pub(super) key_norm: Option<Vec<f32>>,
    pub(super) after_attention_norm: Option<Vec<f32>>,
    pub(super) feed_norm: Vec<f32>,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) after_feed_norm: Option<Vec<f32>>,
}

impl Weights {
    /// Layers are read side by side; `loaded` hears of each tensor's bytes in the file.
    pub(super) fn load(
        gguf: &GgufFile,
        description: &Description,
        threads: &Threads,
        loaded: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, DecoderError> {
        let Description {
            width,
            vocabulary,
            rotary_width,
            ..
        } = *description;
        let loader = Loader {
            gguf,
            description,
            loaded,
            arena: Arena::new(packed_bytes(gguf)),
        };
        let parts = Mutex::new(Vec::new());
        // The embedding and the head are as large as many layers, so they go first.
        threads.run(description.layers + 2, |number| {
            let part = match number {
                0 => loader
                    .linear("token_embd", vocabulary, width)
                    .map(Part::Embedding),
                1 if !gguf.has_tensor("output.weight") => return,
                1 => loader.linear("output", vocabulary, width).map(Part::Output),
                _ => loader.layer(number - 2).map(|it| Part::Layer(Box::new(it))),
            };
            parts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((number, part));
        });
        let mut parts = parts
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.sort_by_key(|it| it.0);
        let (mut embedding, mut output, mut layers) = (None, None, Vec::new());
        for (_, part) in parts {
            match part? {
                Part::Embedding(it) => embedding = Some(it),
                Part::Output(it) => output = Some(it),
                Part::Layer(it) => layers.push(*it),
            }
        }
        let output_norm = gguf.floats("output_norm.weight", width)?;
        Ok(Self {
            embedding: embedding.expect("it has been read without an error"),
            output,
            layers,
            output_norm,
            rope_factors: gguf.optional_vector("rope_freqs.weight", rotary_width / 2)?,
        })
    }

    pub(super) fn head(&self) -> &Linear {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    pub(super) fn bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|it| {
            [
                &it.query, &it.key, &it.value, &it.output, &it.gate, &it.up, &it.down,
            ]
            .map(Linear::bytes)
        });
        self.embedding.bytes() + self.output.as_ref().map_or(0, Linear::bytes) + layers.sum::<u64>()
    }

    /// Bytes that one generated token reads.
    pub(super) fn bytes_per_token(&self) -> u64 {
        match &self.output {
            Some(_) => self.bytes() - self.embedding.bytes(),
            None => self.bytes(),
        }
    }
}

enum Part {
    Embedding(Linear),
    Output(Linear),
    Layer(Box<Layer>),
}

struct Loader<'a> {
    gguf: &'a GgufFile,
    description: &'a Description,
    loaded: &'a (dyn Fn(u64) + Sync),
    arena: Arc<Arena>,
}

/// At least what all matrices take packed: somewhat more than in the file, as scales are kept wider and rows
/// filled up. Address space only; what is not written costs nothing.
fn packed_bytes(gguf: &GgufFile) -> usize {
    let bytes: u64 = gguf
        .tensors()
        .values()
        .map(|it| it.bytes + (it.bytes >> 3) + (1 << 16))
        .sum();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Loader<'_> {
    fn layer(&self, number: usize) -> Result<Layer, DecoderError> {
        let Description {
            width, head_width, ..
        } = *self.description;
        let name = |part: &str| format!("blk.{number}.{part}");
        let norm = |part: &str, length: usize| self.gguf.floats(&name(part), length);
        let norm_if = |wanted: bool, part: &str, length: usize| {
            if wanted {
                norm(part, length).map(Some)
            } else {
                Ok(None)
            }
        };
        let linear = |part: &str, kind: LinearKind| {
            let (rows, columns) = kind.shape(self.description);
            self.linear(&name(part), rows, columns)
        };
        let (own, after) = (self.description.query_key_norm, self.description.norm_after);
        Ok(Layer {
            attention_norm: norm("attn_norm.weight", width)?,
            query: linear("attn_q", LinearKind::Query)?,
            key: linear("attn_k", LinearKind::Key)?,
            value: linear("attn_v", LinearKind::Value)?,
            output: linear("attn_output", LinearKind::Output)?,
            query_norm: norm_if(own, "attn_q_norm.weight", head_width)?,
            key_norm: norm_if(own, "attn_k_norm.weight", head_width)?,
            after_attention_norm: norm_if(after, "post_attention_norm.weight", width)?,
            feed_norm: norm("ffn_norm.weight", width)?,
            gate: linear("ffn_gate", LinearKind::Gate)?,
            up: linear("ffn_up", LinearKind::Up)?,
            down: linear("ffn_down", LinearKind::Down)?,
            after_feed_norm: norm_if(after, "post_ffw_norm.weight", width)?,
        })
    }

    fn linear(&self, name: &str, rows: usize, columns: usize) -> Result<Linear, DecoderError> {
        let linear = Linear::load(self.gguf, name, rows, columns, &self.arena)?;
        let bytes = self
            .gguf
            .tensors()
            .get(&format!("{name}.weight"))
            .map_or(0, |it| it.bytes);
        (self.loaded)(bytes);
        Ok(linear)
    }
}
