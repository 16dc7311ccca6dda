//! A matrix of weights with its bias.

use std::{ops::Range, sync::Arc};

use crate::{
    gguf::{GgufError, GgufFile},
    kernels::{arena::Arena, packed::Packed},
};

pub(super) struct Linear {
    pub(super) weights: Packed,
    pub(super) bias: Option<Vec<f32>>,
}

/// Some rows of a matrix, as several linears may lie in one.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    /// The tensor is `NAME.weight`, its bias `NAME.bias`.
    pub(super) name: &'a str,
    /// All rows of it.
    pub(super) all: usize,
    pub(super) rows: Range<usize>,
}

impl<'a> Place<'a> {
    /// A whole matrix.
    pub(super) fn whole(name: &'a str, rows: usize) -> Self {
        Self {
            name,
            all: rows,
            rows: 0..rows,
        }
    }
}

impl Linear {
    /// Kinds of weights without a kernel are read by candle and kept as f32.
    pub(super) fn load(
        gguf: &GgufFile,
        place: &Place<'_>,
        columns: usize,
        arena: &Arc<Arena>,
    ) -> Result<Self, GgufError> {
        let &Place { name, all, ref rows } = place;
        let weight = format!("{name}.weight");
        let (dtype, data) = gguf.tensor_data(&weight, &[all, columns])?;
        let row_bytes = data.len() / all.max(1);
        let data = data
            .get(rows.start * row_bytes..rows.end * row_bytes)
            .unwrap_or_default();
        let weights = match Packed::pack(dtype, data, rows.len(), columns, arena) {
            Some(packed) => packed,
            None => {
                let numbers = gguf.matrix(&weight, all, columns)?;
                let numbers = numbers.get(rows.start * columns..rows.end * columns);
                Packed::from_floats(numbers.unwrap_or_default(), rows.len(), columns, arena)
            }
        };
        if rows.end == all {
            gguf.release(&weight);
        }
        let bias = gguf.optional_vector(&format!("{name}.bias"), all)?;
        Ok(Self {
            weights,
            bias: bias.map(|it| it.get(rows.clone()).unwrap_or_default().to_vec()),
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.weights.bytes() as u64
    }
}
