//! A matrix of weights: the one place that knows how weights are stored and multiplied.

use std::sync::Arc;

use candle_core::{
    Device, Module, Tensor,
    quantized::{GgmlDType, QMatMul, QTensor},
};

use super::DecoderError;
use crate::kernels::{
    self,
    packed::{Format, Packed},
};

pub(super) struct Linear {
    name: String,
    rows: usize,
    columns: usize,
    storage: Storage,
    bias: Option<Vec<f32>>,
}

enum Storage {
    /// Own kernels.
    Packed(Packed),
    /// All other weight types and processors.
    Candle { matmul: QMatMul, bytes: u64 },
}

impl Linear {
    /// `tensor` is rows × columns.
    pub(super) fn new(name: String, tensor: QTensor, bias: Option<Vec<f32>>) -> Result<Self, DecoderError> {
        let problem = |error: candle_core::Error| compute(&name, &error);
        let (rows, columns) = tensor.shape().dims2().map_err(problem)?;
        let format = match tensor.dtype() {
            GgmlDType::Q4_0 => Some(Format::Q4_0),
            GgmlDType::Q4_1 => Some(Format::Q4_1),
            GgmlDType::Q5_0 => Some(Format::Q5_0),
            GgmlDType::Q8_0 => Some(Format::Q8_0),
            _ => None,
        };
        let packed = match format {
            Some(format) => Packed::pack(format, &tensor.data().map_err(problem)?, rows, columns),
            None => None,
        };
        let storage = match packed {
            Some(packed) => Storage::Packed(packed),
            None => {
                let bytes = tensor.storage_size_in_bytes() as u64;
                Storage::Candle {
                    matmul: QMatMul::from_arc(Arc::new(tensor)).map_err(problem)?,
                    bytes,
                }
            }
        };
        Ok(Self {
            name,
            rows,
            columns,
            storage,
            bias,
        })
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
                    .map_err(|error| compute(&self.name, &error))?
            }
        };
        if let Some(bias) = &self.bias {
            output
                .chunks_exact_mut(self.rows)
                .for_each(|row| kernels::add(row, bias));
        }
        Ok(output)
    }

    /// The rows of these numbers: an embedding.
    pub(super) fn rows(&self, numbers: &[u32]) -> Result<Vec<f32>, DecoderError> {
        match &self.storage {
            Storage::Packed(packed) => {
                let mut output = Vec::with_capacity(numbers.len() * self.columns);
                numbers
                    .iter()
                    .for_each(|number| packed.row(*number as usize, &mut output));
                Ok(output)
            }
            Storage::Candle { matmul, .. } => Tensor::new(numbers, &Device::Cpu)
                .and_then(|it| matmul.embedding(&it)?.flatten_all()?.to_vec1())
                .map_err(|error| compute(&self.name, &error)),
        }
    }
}

fn compute(what: &str, error: &candle_core::Error) -> DecoderError {
    DecoderError::Compute {
        what: what.to_owned(),
        problem: error.to_string(),
    }
}
