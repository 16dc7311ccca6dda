//! All weights of a model, read by the names that llama.cpp gives them.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use super::{
    DecoderError, Description,
    adapter::LinearKind,
    description::Fused,
    linear::{Linear, Place},
};
use crate::{
    gguf::{GgufError, GgufFile},
    kernels::arena::Arena,
    threads::Threads,
};

pub(super) struct Weights {
    pub(super) embedding: Linear,
    pub(super) layers: Vec<Layer>,
    pub(super) output_norm: Norm,
    /// The embedding serves where there is none.
    pub(super) output: Option<Linear>,
    pub(super) rope_factors: Option<Vec<f32>>,
}

pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    /// With it the mean is taken away, too.
    pub(super) bias: Option<Vec<f32>>,
}

pub(super) struct Layer {
    pub(super) attention_norm: Norm,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
    pub(super) query_norm: Option<Vec<f32>>,
    pub(super) key_norm: Option<Vec<f32>>,
    pub(super) after_attention_norm: Option<Vec<f32>>,
    pub(super) feed_norm: Norm,
    pub(super) gate: Option<Linear>,
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
        check_tensors(gguf, description)?;
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
                    .linear(&Place::whole("token_embd", vocabulary), width)
                    .map(Part::Embedding),
                1 if !gguf.has_tensor("output.weight") => return,
                1 => loader
                    .linear(&Place::whole("output", vocabulary), width)
                    .map(Part::Output),
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
        Ok(Self {
            embedding: embedding.expect("it has been read without an error"),
            output,
            layers,
            output_norm: loader.norm("output_norm")?,
            rope_factors: gguf.optional_vector("rope_freqs.weight", rotary_width / 2)?,
        })
    }

    pub(super) fn head(&self) -> &Linear {
        self.output.as_ref().unwrap_or(&self.embedding)
    }

    pub(super) fn bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|it| {
            let linears = [&it.query, &it.key, &it.value, &it.output, &it.up, &it.down];
            linears.into_iter().chain(&it.gate).map(Linear::bytes)
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

/// Whether the matrices of all layers are there, in the sizes that the metadata tells; nothing is read or allocated.
pub(crate) fn check_tensors(gguf: &GgufFile, description: &Description) -> Result<(), GgufError> {
    let Description {
        layers,
        width,
        vocabulary,
        gated,
        ..
    } = *description;
    let check = |name: String, shape: &[usize]| gguf.tensor_data(&name, shape).map(drop);
    check("token_embd.weight".to_owned(), &[vocabulary, width])?;
    if gguf.has_tensor("output.weight") {
        check("output.weight".to_owned(), &[vocabulary, width])?;
    }
    check("output_norm.weight".to_owned(), &[width])?;
    for layer in 0..layers {
        for norm in ["attn_norm", "ffn_norm"] {
            check(format!("blk.{layer}.{norm}.weight"), &[width])?;
        }
        let has = |kind: &LinearKind| gated || *kind != LinearKind::Gate;
        for kind in LinearKind::ALL.into_iter().filter(has) {
            let (part, rows, _) = place(description, kind);
            let columns = kind.shape(description).1;
            check(format!("blk.{layer}.{part}.weight"), &[rows, columns])?;
        }
    }
    Ok(())
}

/// In which tensor of a layer a linear lies: the tensor's name, all its rows, and the linear's.
fn place(description: &Description, kind: LinearKind) -> (&'static str, usize, Range<usize>) {
    let rows = |kind: LinearKind| kind.shape(description).0;
    let (query, key) = (rows(LinearKind::Query), rows(LinearKind::Key));
    let (fused, feed) = (description.fused, rows(LinearKind::Up));
    let all = query + 2 * key;
    match kind {
        LinearKind::Query if fused == Fused::FeedAndAttention => ("attn_qkv", all, 0..query),
        LinearKind::Key if fused == Fused::FeedAndAttention => ("attn_qkv", all, query..query + key),
        LinearKind::Value if fused == Fused::FeedAndAttention => ("attn_qkv", all, query + key..all),
        LinearKind::Gate if fused != Fused::Nothing => ("ffn_up", 2 * feed, 0..feed),
        LinearKind::Up if fused != Fused::Nothing => ("ffn_up", 2 * feed, feed..2 * feed),
        _ => (kind.tensor(), rows(kind), 0..rows(kind)),
    }
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
            width,
            head_width,
            query_key_norm: own,
            norm_after: after,
            gated,
            ..
        } = *self.description;
        let name = |part: &str| format!("blk.{number}.{part}");
        let norm_if = |wanted: bool, part: &str, length: usize| {
            let norm = || self.gguf.floats(&name(part), length);
            wanted.then(norm).transpose()
        };
        let linear = |kind: LinearKind| {
            let (part, all, rows) = place(self.description, kind);
            let name = name(part);
            let place = Place {
                name: &name,
                all,
                rows,
            };
            self.linear(&place, kind.shape(self.description).1)
        };
        Ok(Layer {
            attention_norm: self.norm(&name("attn_norm"))?,
            query: linear(LinearKind::Query)?,
            key: linear(LinearKind::Key)?,
            value: linear(LinearKind::Value)?,
            output: linear(LinearKind::Output)?,
            query_norm: norm_if(own, "attn_q_norm.weight", head_width)?,
            key_norm: norm_if(own, "attn_k_norm.weight", head_width)?,
            after_attention_norm: norm_if(after, "post_attention_norm.weight", width)?,
            feed_norm: self.norm(&name("ffn_norm"))?,
            gate: gated.then(|| linear(LinearKind::Gate)).transpose()?,
            up: linear(LinearKind::Up)?,
            down: linear(LinearKind::Down)?,
            after_feed_norm: norm_if(after, "post_ffw_norm.weight", width)?,
        })
    }

    fn norm(&self, name: &str) -> Result<Norm, DecoderError> {
        let width = self.description.width;
        let vector = |part: &str| self.gguf.floats(&format!("{name}.{part}"), width);
        let bias = self.description.layer_norm.then(|| vector("bias"));
        Ok(Norm {
            weight: vector("weight")?,
            bias: bias.transpose()?,
        })
    }

    fn linear(&self, place: &Place<'_>, columns: usize) -> Result<Linear, DecoderError> {
        let linear = Linear::load(self.gguf, place, columns, &self.arena)?;
        let tensor = self.gguf.tensors().get(&format!("{}.weight", place.name));
        let bytes = tensor.map_or(0, |it| it.bytes) / place.all.max(1) as u64;
        (self.loaded)(bytes * place.rows.len() as u64);
        Ok(linear)
    }
}
