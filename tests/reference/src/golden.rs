//! Golden tensors, made by the published code from random weights; those of one layer for the tests of chatglm.cpp.

use std::{fs, path::Path};

use crate::{Prefix, Tensors, fixture};

/// Weights, and what the published code made of them.
#[derive(Debug, Clone)]
pub struct Golden {
    pub tensors: Tensors,
    pub prefix: Option<Prefix>,
    /// A prompt and further tokens, with the numbers after them.
    pub steps: Vec<(Vec<u32>, Vec<f32>)>,
}

/// How far two lists are apart; without end where one has something that is no number.
fn farthest(found: &[f32], expect: &[f32]) -> f32 {
    assert_eq!(found.len(), expect.len());
    let distance = |(a, b): (&f32, &f32)| {
        let distance = (a - b).abs();
        if distance.is_nan() {
            f32::INFINITY
        } else {
            distance
        }
    };
    found.iter().zip(expect).map(distance).fold(0.0, f32::max)
}

/// # Panics
/// If a number is farther off than that.
pub fn assert_near(found: &[f32], expect: &[f32], tolerance: f32) {
    let worst = farthest(found, expect);
    assert!(worst <= tolerance, "off by {worst}");
}

impl Golden {
    /// Logits of ChatGLM-6B with three layers and four heads of 16: `plain`, `ptuning` or `ptuning_proj`; `None` where
    /// there is no such file.
    #[must_use]
    pub fn chatglm_6b(name: &str) -> Option<Self> {
        let path = fixture(&format!("chatglm1/chatglm1_tiny_{name}.safetensors"))?;
        let tensors = Tensors::read_safetensors(&path);
        let numbers = |name: &str| tensors.get(name).numbers.clone();
        let tokens = |name: &str| numbers(name).iter().map(|it| *it as u32).collect();
        Some(Self {
            steps: vec![
                (tokens("__ids"), numbers("__l1")),
                (tokens("__n"), numbers("__l2")),
            ],
            prefix: (name != "plain").then(|| Prefix::of_checkpoint(&tensors, 3, 4, 16)),
            tensors,
        })
    }

    /// States of ChatGLM-6B with one layer, 32 wide, with eight heads and five tokens; `None` where there is no such
    /// file.
    #[must_use]
    pub fn chatglm1(with_prefix: bool) -> Option<Self> {
        const NORM: [usize; 1] = [32];
        let layer = |name: &str| format!("transformer.layers.0.{name}");
        let names = [
            ("input_layernorm.weight", &NORM[..]),
            ("input_layernorm.bias", &NORM),
            ("attention.query_key_value.weight", &[96, 32]),
            ("attention.query_key_value.bias", &[96]),
            ("attention.dense.weight", &[32, 32]),
            ("attention.dense.bias", &NORM),
            ("post_attention_layernorm.weight", &NORM),
            ("post_attention_layernorm.bias", &NORM),
            ("mlp.dense_h_to_4h.weight", &[128, 32]),
            ("mlp.dense_h_to_4h.bias", &[128]),
            ("mlp.dense_4h_to_h.weight", &[32, 128]),
            ("mlp.dense_4h_to_h.bias", &NORM),
        ]
        .map(|(name, shape)| (layer(name), shape));
        let mut shapes: Vec<(&str, &[usize])> = vec![("transformer.word_embeddings.weight", &[5, 32])];
        shapes.extend(names.iter().map(|(name, shape)| (name.as_str(), *shape)));
        shapes.push(("transformer.final_layernorm.weight", &NORM));
        shapes.push(("transformer.final_layernorm.bias", &NORM));
        let name = if with_prefix {
            "glm_ptuning_v2_model.data"
        } else {
            "glm_model.data"
        };
        let path = fixture(&format!("glm/{name}"))?;
        Some(Self::read(&path, &shapes, with_prefix.then_some(8)))
    }

    /// The same of `glm2`, `glm3`, `glm3_ptuning_v2` or `glm4`, with two heads of keys and values.
    #[must_use]
    pub fn chatglm(name: &str) -> Option<Self> {
        let names = [
            ("input_layernorm.weight", &[32][..]),
            ("self_attention.query_key_value.weight", &[48, 32]),
            ("self_attention.query_key_value.bias", &[48]),
            ("self_attention.dense.weight", &[32, 32]),
            ("post_attention_layernorm.weight", &[32]),
            ("mlp.dense_h_to_4h.weight", &[96, 32]),
            ("mlp.dense_4h_to_h.weight", &[32, 48]),
        ]
        .map(|(name, shape)| (format!("transformer.encoder.layers.0.{name}"), shape));
        let mut shapes: Vec<(&str, &[usize])> =
            vec![("transformer.embedding.word_embeddings.weight", &[5, 32])];
        shapes.extend(names.iter().map(|(name, shape)| (name.as_str(), *shape)));
        shapes.push(("transformer.encoder.final_layernorm.weight", &[32]));
        let path = fixture(&format!("glm/{name}_model.data"))?;
        let with_prefix = name.contains("ptuning");
        Some(Self::read(&path, &shapes, with_prefix.then_some(2)))
    }

    /// `shapes` in the order of the file; `kv_heads` if it begins with a prefix of five tokens.
    fn read(path: &Path, shapes: &[(&str, &[usize])], kv_heads: Option<usize>) -> Self {
        let data = fs::read(path).expect("the file can be read");
        let mut rest = data.as_slice();
        let prefix = kv_heads.map(|heads| {
            let (halves, behind) = rest.split_at(2 * heads * 5 * 4 * 2);
            rest = behind;
            Prefix::of_halves(halves, 1, heads, 4)
        });
        let mut floats = |count: usize| -> Vec<f32> {
            let (numbers, behind) = rest.split_at(4 * count);
            rest = behind;
            numbers
                .as_chunks()
                .0
                .iter()
                .map(|it| f32::from_le_bytes(*it))
                .collect()
        };
        let mut tensors = Tensors::default();
        for (name, shape) in shapes {
            let numbers = floats(shape.iter().product());
            tensors.put(*name, shape, numbers);
        }
        let steps = [3, 1, 1].map(|count| {
            let tokens = floats(count).iter().map(|it| it.to_bits()).collect();
            (tokens, floats(32 * count))
        });
        assert!(rest.is_empty(), "{} bytes are left", rest.len());
        Self {
            tensors,
            prefix,
            steps: steps.into(),
        }
    }
}
