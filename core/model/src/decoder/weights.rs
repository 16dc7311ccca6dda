//! All weights of a model, read by the names that llama.cpp gives them.

use super::{DecoderError, Description, linear::Linear};
use crate::gguf::GgufFile;

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
    pub(super) fn load(
        gguf: &GgufFile,
        description: &Description,
        loaded: &mut dyn FnMut(u64),
    ) -> Result<Self, DecoderError> {
        let Description {
            width,
            vocabulary,
            rotary_width,
            ..
        } = *description;
        let mut loader = Loader {
            gguf,
            description,
            loaded,
        };
        let embedding = loader.linear("token_embd", vocabulary, width)?;
        let output = if gguf.has_tensor("output.weight") {
            Some(loader.linear("output", vocabulary, width)?)
        } else {
            None
        };
        Ok(Self {
            embedding,
            output,
            layers: (0..description.layers)
                .map(|it| loader.layer(it))
                .collect::<Result<_, _>>()?,
            output_norm: gguf.floats("output_norm.weight", width)?,
            rope_factors: gguf.optional_vector("rope_freqs.weight", rotary_width / 2)?,
        })
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
}

struct Loader<'a> {
    gguf: &'a GgufFile,
    description: &'a Description,
    loaded: &'a mut dyn FnMut(u64),
}

impl Loader<'_> {
    fn layer(&mut self, number: usize) -> Result<Layer, DecoderError> {
        let Description {
            width,
            feed_width,
            heads,
            kv_heads,
            head_width,
            ..
        } = *self.description;
        let (query_width, kv_width) = (heads * head_width, kv_heads * head_width);
        let name = |part: &str| format!("blk.{number}.{part}");
        let norm = |part: &str, length: usize| self.gguf.floats(&name(part), length);
        let norm_if = |wanted: bool, part: &str, length: usize| {
            if wanted {
                norm(part, length).map(Some)
            } else {
                Ok(None)
            }
        };
        let (own, after) = (self.description.query_key_norm, self.description.norm_after);
        let query_norm = norm_if(own, "attn_q_norm.weight", head_width)?;
        let key_norm = norm_if(own, "attn_k_norm.weight", head_width)?;
        let after_attention_norm = norm_if(after, "post_attention_norm.weight", width)?;
        let after_feed_norm = norm_if(after, "post_ffw_norm.weight", width)?;
        let attention_norm = norm("attn_norm.weight", width)?;
        let feed_norm = norm("ffn_norm.weight", width)?;
        Ok(Layer {
            attention_norm,
            query: self.linear(&name("attn_q"), query_width, width)?,
            key: self.linear(&name("attn_k"), kv_width, width)?,
            value: self.linear(&name("attn_v"), kv_width, width)?,
            output: self.linear(&name("attn_output"), width, query_width)?,
            query_norm,
            key_norm,
            after_attention_norm,
            feed_norm,
            gate: self.linear(&name("ffn_gate"), feed_width, width)?,
            up: self.linear(&name("ffn_up"), feed_width, width)?,
            down: self.linear(&name("ffn_down"), width, feed_width)?,
            after_feed_norm,
        })
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize) -> Result<Linear, DecoderError> {
        let weight = format!("{name}.weight");
        let tensor = self.gguf.tensor(&weight, &[rows, columns])?;
        let bias = self.gguf.optional_vector(&format!("{name}.bias"), rows)?;
        (self.loaded)(tensor.storage_size_in_bytes() as u64);
        Linear::new(weight, tensor, bias)
    }
}
