//! A tensor of a checkpoint, read row by row.

use std::{borrow::Cow, ops::Range};

use bedside_tensors::checkpoint::{Checkpoint, CheckpointTensor, Numbers};
use candle_core::quantized::GgmlDType;

use super::{ConvertError, plan::TensorPlan};
use crate::rows::Rows;

/// Where the numbers of a planned tensor are.
pub(super) struct Source<'a> {
    checkpoint: &'a Checkpoint,
    name: String,
    tensor: &'a CheckpointTensor,
    rows: Rows,
    plus: f32,
    shape: (usize, usize),
    vector: bool,
    /// One for each row, where the weights are whole numbers: the published INT8 and INT4 files of ChatGLM-6B.
    scales: Option<Vec<f32>>,
    /// Two numbers in a byte: the even column above, the odd one below, -8 to 7.
    nibbles: bool,
}

impl<'a> Source<'a> {
    pub(super) fn of(
        checkpoint: &'a Checkpoint,
        prefix: &str,
        plan: &TensorPlan,
    ) -> Result<Self, ConvertError> {
        let name = format!("{prefix}{}", plan.from);
        let path = || checkpoint.path().to_owned();
        let tensor = checkpoint
            .tensors()
            .get(&name)
            .ok_or_else(|| ConvertError::Missing {
                path: path(),
                tensor: name.clone(),
            })?;
        let vector = plan.shape.len() == 1;
        let rows = plan.shape.first().copied().unwrap_or(0);
        let columns = if vector {
            1
        } else {
            plan.shape.get(1).copied().unwrap_or(0)
        };
        let mut wanted = plan.shape.clone();
        if let Some(rows) = wanted.first_mut() {
            *rows = plan.rows.all(*rows);
        }
        let scale_name = format!("{name}_scale");
        let scaled = tensor.numbers == Numbers::I8 && checkpoint.tensors().contains_key(&scale_name);
        let nibbles = scaled && tensor.shape.get(1).is_some_and(|it| it * 2 == columns);
        let mut found = tensor.shape.clone();
        if nibbles {
            found = vec![found.first().copied().unwrap_or(0), columns];
        }
        if found != wanted {
            return Err(ConvertError::Shape {
                path: path(),
                tensor: name,
                found,
                wanted,
            });
        }
        let scales = scaled.then(|| checkpoint.floats(&scale_name)).transpose()?;
        let problem = match (&scales, tensor.numbers) {
            (Some(scales), _) if scales.len() != plan.rows.all(rows) => Some(format!(
                "{} scales for {} rows",
                scales.len(),
                plan.rows.all(rows)
            )),
            (None, Numbers::F64 | Numbers::F32 | Numbers::F16 | Numbers::BF16) | (Some(_), _) => None,
            (None, other) => Some(format!("weights of {other:?} without {scale_name}")),
        };
        if let Some(problem) = problem {
            return Err(ConvertError::Tensor {
                path: path(),
                tensor: name,
                problem,
            });
        }
        Ok(Self {
            checkpoint,
            name,
            tensor,
            rows: plan.rows,
            plus: plan.plus,
            shape: (rows, columns),
            vector,
            scales,
            nibbles,
        })
    }

    /// The kind that keeps its precision; vectors are read in full anyway.
    pub(super) fn dtype(&self) -> GgmlDType {
        match self.tensor.numbers {
            _ if self.vector => GgmlDType::F32,
            Numbers::BF16 => GgmlDType::BF16,
            Numbers::F32 | Numbers::F64 => GgmlDType::F32,
            _ => GgmlDType::F16,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Rows and columns as they will be; a vector is one row, so that it is encoded as a whole.
    pub(super) fn matrix(&self) -> (usize, usize) {
        if self.vector {
            (1, self.shape.0)
        } else {
            self.shape
        }
    }

    pub(super) fn bytes(&self) -> Result<Cow<'a, [u8]>, ConvertError> {
        Ok(self.checkpoint.bytes(&self.name)?)
    }

    pub(super) fn release(&self) {
        self.checkpoint.release(&self.name);
    }

    /// Some rows of [`Self::matrix`] out of [`Self::bytes`].
    pub(super) fn rows(&self, data: &[u8], rows: Range<usize>) -> Vec<f32> {
        let rows = if self.vector { 0..self.shape.0 } else { rows };
        let columns = self.shape.1;
        let width = if self.nibbles {
            columns / 2
        } else {
            columns * self.tensor.numbers.bytes()
        };
        let mut numbers = Vec::with_capacity(rows.len() * columns);
        for row in rows {
            let row = self.rows.source(row);
            let bytes = data.get(row * width..(row + 1) * width).unwrap_or_default();
            let first = numbers.len();
            if self.nibbles {
                let halves = bytes
                    .iter()
                    .flat_map(|it| [it.cast_signed() >> 4, it.cast_signed() << 4 >> 4]);
                numbers.extend(halves.map(f32::from));
            } else {
                numbers.extend(self.tensor.numbers.floats(bytes));
            }
            let scale = self.scales.as_ref().and_then(|it| it.get(row)).copied();
            if scale.is_some() || self.plus != 0.0 {
                let scale = scale.unwrap_or(1.0);
                let own = numbers.get_mut(first..).unwrap_or_default();
                own.iter_mut().for_each(|it| *it = *it * scale + self.plus);
            }
        }
        numbers
    }
}
