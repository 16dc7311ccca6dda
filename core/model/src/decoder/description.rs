//! What kind of decoder a file holds.

use super::DecoderError;
use crate::gguf::{GgufError, GgufFile};

/// Sizes and habits of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    pub architecture: String,
    pub layers: usize,
    /// Of the residual stream.
    pub width: usize,
    pub feed_width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_width: usize,
    pub context_length: usize,
    pub vocabulary: usize,
    pub norm_epsilon: f32,
    pub rotary: Rotary,
    /// How many numbers of a head are rotated.
    pub rotary_width: usize,
    pub rotary_base: f32,
    /// Positions are divided by it: linear context extension (Chen et al., 2023).
    pub rotary_scale: f32,
    pub local: Option<LocalAttention>,
    pub activation: Activation,
    /// Embeddings are multiplied by it.
    pub embedding_scale: f32,
    /// Scores are multiplied by it before the softmax.
    pub score_scale: f32,
    /// Queries and keys have norms of their own.
    pub query_key_norm: bool,
    /// There are norms behind attention and feed-forward, too.
    pub norm_after: bool,
    /// Norms take the mean away and have a bias (Ba et al., "Layer Normalization", 2016).
    pub layer_norm: bool,
    /// Attention and feed-forward are added to their normed input, times this, and not to the stream.
    pub residual_scale: Option<f32>,
    /// The feed-forward has a gate.
    pub gated: bool,
    pub positions: Positions,
    /// How the file names the matrices.
    pub(super) fused: Fused,
}

/// What a token's place is, for its rotation and for what it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Its index; it sees those before it.
    Index,
    /// In the context, whose tokens see each other, and behind it (Du et al., "GLM", 2022). Each turns one half of
    /// every head.
    Blocks {
        /// The code of March 2023: while it is read with the context, the first token behind has its own index
        /// for a place.
        legacy: bool,
    },
}

/// Matrices that a file keeps as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fused {
    Nothing,
    /// Gate and up.
    Feed,
    /// Query, key and value, and gate and up.
    FeedAndAttention,
}

/// Which numbers of a head are rotated together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotary {
    /// 0 and 1, 2 and 3 …
    #[default]
    Neighbours,
    /// The first of the one half with the first of the other …
    Halves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Silu,
    GeluTanh,
}

/// Most layers see only the last few tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalAttention {
    /// How many tokens, its own among them.
    pub window: usize,
    /// Every so many layers one sees all.
    pub every: usize,
    pub rotary_base: f32,
}

/// What is the same for all models of a family.
struct Family {
    name: &'static str,
    rotary: Rotary,
    activation: Activation,
    query_key_norm: bool,
    norm_after: bool,
    scaled_embedding: bool,
    /// Every so many layers one sees all, where the file gives a window.
    local_every: Option<usize>,
    layer_norm: bool,
    normed_residual: bool,
    gated: bool,
    blocks: bool,
    fused: Fused,
}

const LLAMA: Family = Family {
    name: "llama",
    rotary: Rotary::Neighbours,
    activation: Activation::Silu,
    query_key_norm: false,
    norm_after: false,
    scaled_embedding: false,
    local_every: None,
    layer_norm: false,
    normed_residual: false,
    gated: true,
    blocks: false,
    fused: Fused::Nothing,
};

const FAMILIES: [Family; 7] = [
    LLAMA,
    Family {
        name: "qwen2",
        rotary: Rotary::Halves,
        ..LLAMA
    },
    Family {
        name: "qwen3",
        rotary: Rotary::Halves,
        query_key_norm: true,
        ..LLAMA
    },
    Family {
        name: "gemma3",
        rotary: Rotary::Halves,
        activation: Activation::GeluTanh,
        query_key_norm: true,
        norm_after: true,
        scaled_embedding: true,
        local_every: Some(6),
        ..LLAMA
    },
    // ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B.
    Family {
        name: "chatglm",
        fused: Fused::FeedAndAttention,
        ..LLAMA
    },
    // GLM-4-0414.
    Family {
        name: "glm4",
        norm_after: true,
        fused: Fused::Feed,
        ..LLAMA
    },
    // ChatGLM-6B, which llama.cpp does not know: `bedside model convert` writes such files.
    Family {
        name: "chatglm1",
        rotary: Rotary::Halves,
        activation: Activation::GeluTanh,
        layer_norm: true,
        normed_residual: true,
        gated: false,
        blocks: true,
        ..LLAMA
    },
];

/// The architectures that can be read, as `general.architecture` names them.
pub const SUPPORTED: [&str; FAMILIES.len()] = {
    let mut names = [""; FAMILIES.len()];
    let mut number = 0;
    while number < names.len() {
        names[number] = FAMILIES[number].name;
        number += 1;
    }
    names
};

/// Beyond these a file is broken rather than large.
const MAX_LAYERS: usize = 1024;
const MAX_WIDTH: usize = 1 << 20;
/// Heads and feed-forward are never so many times as wide as the stream between them: small weights would ask for a
/// cache of terabytes.
const MAX_HEADS_PER_WIDTH: usize = 8;
const MAX_FEED_PER_WIDTH: usize = 64;

impl Description {
    /// From a file's metadata and the shape of its embedding.
    ///
    /// # Errors
    /// If the family is not supported or the metadata cannot be right.
    pub fn read(gguf: &GgufFile) -> Result<Self, DecoderError> {
        let path = || gguf.path().display().to_string();
        let architecture = gguf.text("general.architecture")?.to_owned();
        let Some(family) = FAMILIES.iter().find(|it| it.name == architecture) else {
            return Err(DecoderError::Architecture {
                path: path(),
                architecture,
            });
        };
        let key = |name: &str| format!("{architecture}.{name}");
        let size = |name: &str, limit: usize| -> Result<usize, GgufError> {
            let size = gguf.unsigned(&key(name))?;
            let bad = || gguf.bad_value(&key(name), format!("{size} is not between 1 and {limit}"));
            if (1..=limit).contains(&size) {
                Ok(size)
            } else {
                Err(bad())
            }
        };
        if gguf.optional_unsigned(&key("expert_count"))?.unwrap_or(0) > 1 {
            return Err(DecoderError::Feature {
                path: path(),
                feature: "a mixture of experts".to_owned(),
            });
        }
        let layers = size("block_count", MAX_LAYERS)?;
        let width = size("embedding_length", MAX_WIDTH)?;
        let heads = size("attention.head_count", MAX_WIDTH)?;
        let kv_heads = gguf
            .optional_unsigned(&key("attention.head_count_kv"))?
            .unwrap_or(heads);
        if kv_heads == 0 || heads % kv_heads != 0 {
            let problem = format!("{heads} heads cannot share {kv_heads}");
            return Err(gguf.bad_value(&key("attention.head_count_kv"), problem).into());
        }
        let head_width = gguf
            .optional_unsigned(&key("attention.key_length"))?
            .unwrap_or(width / heads);
        let value_width = gguf
            .optional_unsigned(&key("attention.value_length"))?
            .unwrap_or(head_width);
        if head_width == 0
            || head_width > MAX_WIDTH
            || value_width != head_width
            || heads * head_width > MAX_WIDTH
        {
            let problem =
                format!("keys of {head_width} and values of {value_width} numbers do not go together");
            return Err(gguf.bad_value(&key("attention.key_length"), problem).into());
        }
        if heads * head_width > MAX_HEADS_PER_WIDTH * width {
            let problem = format!("{heads} heads of {head_width} numbers are absurd for a width of {width}");
            return Err(gguf.bad_value(&key("attention.key_length"), problem).into());
        }
        let feed_width = size("feed_forward_length", MAX_WIDTH)?;
        if feed_width > MAX_FEED_PER_WIDTH * width {
            let problem = format!("{feed_width} is absurd for a width of {width}");
            return Err(gguf.bad_value(&key("feed_forward_length"), problem).into());
        }
        // With two places, each turns its own half.
        let turned = if family.blocks { head_width / 2 } else { head_width };
        let rotary_width = gguf
            .optional_unsigned(&key("rope.dimension_count"))?
            .unwrap_or(turned);
        if rotary_width % 2 != 0 || rotary_width > turned {
            let problem = format!("{rotary_width} of {turned} numbers cannot be rotated in pairs");
            return Err(gguf.bad_value(&key("rope.dimension_count"), problem).into());
        }
        let rotary_scale = match gguf.optional_text(&key("rope.scaling.type"))? {
            None | Some("none") => 1.0,
            Some("linear") => gguf.optional_float(&key("rope.scaling.factor"))?.unwrap_or(1.0),
            Some(other) => {
                let feature = format!("rotary scaling `{other}`");
                return Err(DecoderError::Feature {
                    path: path(),
                    feature,
                });
            }
        };
        let window = gguf
            .optional_unsigned(&key("attention.sliding_window"))?
            .filter(|it| *it > 0);
        let local = match (family.local_every, window) {
            (Some(every), Some(window)) => {
                let rotary_base = gguf
                    .optional_float(&key("rope.local_freq_base"))?
                    .unwrap_or(10_000.0);
                Some(LocalAttention {
                    window,
                    every,
                    rotary_base,
                })
            }
            _ => None,
        };
        // Gemma 3 27B alone scales by another width; llama.cpp tells it by its 62 layers, too.
        let score_width = if family.name == "gemma3" && layers == 62 {
            width / heads
        } else {
            head_width
        };
        let embedding = gguf
            .tensors()
            .get("token_embd.weight")
            .map(|it| it.shape.as_slice());
        let vocabulary = match embedding {
            Some([rows, columns]) if *columns == width => *rows,
            found => {
                return Err(GgufError::Shape {
                    path: gguf.path().to_owned(),
                    tensor: "token_embd.weight".to_owned(),
                    found: found.unwrap_or_default().to_vec(),
                    wanted: vec![0, width],
                }
                .into());
            }
        };
        Ok(Self {
            layers,
            width,
            feed_width,
            heads,
            kv_heads,
            head_width,
            context_length: size("context_length", 1 << 24)?,
            vocabulary,
            norm_epsilon: gguf
                .optional_float(&key(if family.layer_norm {
                    "attention.layer_norm_epsilon"
                } else {
                    "attention.layer_norm_rms_epsilon"
                }))?
                .unwrap_or(1e-5),
            rotary: family.rotary,
            rotary_width,
            rotary_base: gguf
                .optional_float(&key("rope.freq_base"))?
                .unwrap_or(if local.is_some() { 1e6 } else { 1e4 }),
            rotary_scale: if rotary_scale > 0.0 { rotary_scale } else { 1.0 },
            local,
            activation: family.activation,
            embedding_scale: if family.scaled_embedding {
                (width as f32).sqrt()
            } else {
                1.0
            },
            score_scale: 1.0 / (score_width as f32).sqrt(),
            query_key_norm: family.query_key_norm,
            norm_after: family.norm_after,
            layer_norm: family.layer_norm,
            residual_scale: if family.normed_residual {
                // The published code never tells its blocks how many layers there are, so it is that of 28.
                let scale = gguf.optional_float(&key("residual_scale"))?;
                Some(scale.unwrap_or(56.0_f32.sqrt()))
            } else {
                None
            },
            gated: family.gated,
            positions: if family.blocks {
                let legacy = gguf.optional_bool(&key("legacy_positions"))?;
                Positions::Blocks {
                    legacy: legacy.unwrap_or(false),
                }
            } else {
                Positions::Index
            },
            fused: family.fused,
            architecture,
        })
    }

    /// How many tokens a layer sees, if not all.
    pub(super) fn window(&self, layer: usize) -> Option<usize> {
        self.local
            .filter(|local| !(layer + 1).is_multiple_of(local.every))
            .map(|local| local.window)
    }
}
