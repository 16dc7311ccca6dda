//! A matrix of weights: the one place that knows how weights are stored and multiplied.

use std::sync::Arc;

use candle_core::{
    Device, Module, Tensor,
    quantized::{GgmlDType, QMatMul, QTensor},
};

use super::DecoderError;
use crate::kernels::q4::PackedQ4;

pub(super) struct Linear {
    name: String,
    rows: usize,
    columns: usize,
    storage: Storage,
    bias: Option<Vec<f32>>,
}

enum Storage {
    /// Own kernels.
    Packed(PackedQ4),
    Candle { matmul: QMatMul, bytes: u64 },
}

impl Linear {
    /// `tensor` is rows × columns.
    pub(super) fn new(name: String, tensor: QTensor, bias: Option<Vec<f32>>) -> Result<Self, DecoderError> {
        let problem = |error: candle_core::Error| DecoderError::Compute { what: name.clone(), problem: error.to_string() };
        let (rows, columns) = tensor.shape().dims2().map_err(problem)?;
        // The embedding is looked up by rows, too, so it stays as it is.
        let packed = match tensor.dtype() {
            GgmlDType::Q4_0 | GgmlDType::Q4_1 if name != "token_embd.weight" => {
                let data = tensor.data().map_err(problem)?;
                PackedQ4::pack(&data, rows, columns, tensor.dtype() == GgmlDType::Q4_1)
            }
            _ => None,
        };
        let storage = match packed {
            Some(packed) => Storage::Packed(packed),
            None => {
                let bytes = tensor.storage_size_in_bytes() as u64;
                Storage::Candle { matmul: QMatMul::from_arc(Arc::new(tensor)).map_err(problem)?, bytes }
            }
        };
        Ok(Self { name, rows, columns, storage, bias })
    }

    pub(super) fn bytes(&self) -> u64 {
        match &self.storage {
            Storage::Packed(packed) => packed.bytes(),
            Storage::Candle { bytes, .. } => *bytes,
        }
    }

    /// `input` is tokens × columns, the answer tokens × rows.
    pub(super) fn forward(&self, input: &[f32]) -> Result<Vec<f32>, DecoderError> {
        let mut output = match &self.storage {
            Storage::Packed(packed) => packed.multiply(input),
            Storage::Candle { matmul, .. } => {
                let tokens = input.len() / self.columns;
                Tensor::from_slice(input, (tokens, self.columns), &Device::Cpu)
                    .and_then(|it| matmul.forward(&it)?.flatten_all()?.to_vec1())
                    .map_err(|error| self.problem(&error))?
            }
        };
        if let Some(bias) = &self.bias {
            output.chunks_exact_mut(self.rows).for_each(|row| crate::kernels::add(row, bias));
        }
        Ok(output)
    }

    /// The rows of these numbers: an embedding.
    pub(super) fn rows(&self, numbers: &[u32]) -> Result<Vec<f32>, DecoderError> {
        let Storage::Candle { matmul, .. } = &self.storage else {
            return Err(DecoderError::Compute { what: self.name.clone(), problem: "it is packed".to_owned() });
        };
        Tensor::new(numbers, &Device::Cpu)
            .and_then(|it| matmul.embedding(&it)?.flatten_all()?.to_vec1())
            .map_err(|error| self.problem(&error))
    }

    fn problem(&self, error: &candle_core::Error) -> DecoderError {
        DecoderError::Compute { what: self.name.clone(), problem: error.to_string() }
    }
}
