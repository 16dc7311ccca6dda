//! A matrix of weights with its bias.

use std::sync::Arc;

use crate::{
    gguf::{GgufError, GgufFile},
    kernels::{arena::Arena, packed::Packed},
};

pub(super) struct Linear {
    pub(super) weights: Packed,
    pub(super) bias: Option<Vec<f32>>,
}

impl Linear {
    /// Reads `NAME.weight`, rows × columns, and `NAME.bias` if there is one. Kinds of weights without a kernel
    /// are read by candle and kept as f32.
    pub(super) fn load(
        gguf: &GgufFile,
        name: &str,
        rows: usize,
        columns: usize,
        arena: &Arc<Arena>,
    ) -> Result<Self, GgufError> {
        let weight = format!("{name}.weight");
        let (dtype, data) = gguf.tensor_data(&weight, &[rows, columns])?;
        let weights = match Packed::pack(dtype, data, rows, columns, arena) {
            Some(packed) => packed,
            None => Packed::from_floats(&gguf.matrix(&weight, rows, columns)?, rows, columns, arena),
        };
        gguf.release(&weight);
        let bias = gguf.optional_vector(&format!("{name}.bias"), rows)?;
        Ok(Self { weights, bias })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.weights.bytes() as u64
    }
}
