//! Prefixes of keys and values (Li and Liang, 2021; Liu et al., "P-Tuning v2", 2022).

use half::f16;

use crate::{Tensors, math};

/// Keys and values that stand before those of the tokens, as `[layer][token][head][number]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefix {
    pub keys: Vec<Vec<Vec<Vec<f32>>>>,
    pub values: Vec<Vec<Vec<Vec<f32>>>>,
}

impl Prefix {
    /// Of a P-tuning v2 checkpoint, with or without projection: row `p` of the embedding is 2 · layers × heads ×
    /// head width, keys and values of a layer in turn.
    #[must_use]
    pub fn of_checkpoint(tensors: &Tensors, layers: usize, heads: usize, head_width: usize) -> Self {
        let embedding = tensors.get("transformer.prefix_encoder.embedding.weight");
        let mut rows: math::Rows = (0..embedding.rows())
            .map(|it| embedding.row(it).to_vec())
            .collect();
        if tensors
            .find("transformer.prefix_encoder.trans.0.weight")
            .is_some()
        {
            let get = |name: &str| tensors.get(&format!("transformer.prefix_encoder.trans.{name}"));
            rows = math::linear(&rows, get("0.weight"), Some(get("0.bias")));
            rows = math::map(&rows, f32::tanh);
            rows = math::linear(&rows, get("2.weight"), Some(get("2.bias")));
        }
        let part = |slice: usize| -> Vec<Vec<Vec<f32>>> {
            let width = heads * head_width;
            let token = |row: &Vec<f32>| {
                let numbers = &row[slice * width..(slice + 1) * width];
                numbers.chunks(head_width).map(<[f32]>::to_vec).collect()
            };
            rows.iter().map(token).collect()
        };
        Self {
            keys: (0..layers).map(|layer| part(2 * layer)).collect(),
            values: (0..layers).map(|layer| part(2 * layer + 1)).collect(),
        }
    }

    /// From halves: 2 · layers × heads × tokens × head width, keys and values of a layer in turn.
    #[must_use]
    pub fn of_halves(data: &[u8], layers: usize, heads: usize, head_width: usize) -> Self {
        let numbers: Vec<f32> = data
            .as_chunks()
            .0
            .iter()
            .map(|it| f16::from_le_bytes(*it).to_f32())
            .collect();
        let tokens = numbers.len() / (2 * layers * heads * head_width);
        let part = |slice: usize| -> Vec<Vec<Vec<f32>>> {
            let numbers = |token: usize, head: usize| {
                let start = ((slice * heads + head) * tokens + token) * head_width;
                numbers[start..start + head_width].to_vec()
            };
            let token = |token: usize| (0..heads).map(|head| numbers(token, head)).collect();
            (0..tokens).map(token).collect()
        };
        Self {
            keys: (0..layers).map(|layer| part(2 * layer)).collect(),
            values: (0..layers).map(|layer| part(2 * layer + 1)).collect(),
        }
    }

    /// Keys and values of one head in one layer.
    pub(crate) fn head(&self, layer: usize, head: usize) -> impl Iterator<Item = (&[f32], &[f32])> {
        let pairs = self.keys[layer].iter().zip(&self.values[layer]);
        pairs.map(move |(keys, values)| (keys[head].as_slice(), values[head].as_slice()))
    }
}
