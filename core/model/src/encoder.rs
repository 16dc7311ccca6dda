//! The arithmetic of a chat model's kernels for encoders (BERT), which `core/embeddings` is made of: products with
//! 4-bit matrices, attention in both directions, layer norm, GELU. One thread each; whoever has more work calls it
//! from more threads.

use std::sync::Arc;

use candle_core::quantized::GgmlDType;

use crate::kernels::{
    activations::{Input, Rounded32, round32},
    arena::Arena,
    both_ways::{self, attend_both_ways},
    gelu_exact, layer_norm,
    packed::{Packed, ROWS, Sums, TILE},
};

/// Width of a head of [`attend`].
pub const HEAD: usize = both_ways::HEAD;
/// Columns in a block of Q4_0, and its bytes.
pub const BLOCK: usize = 32;
pub const BLOCK_BYTES: usize = 18;
/// Rows that go over a part of the weights together; their numbers stay in the first cache.
const ROWS_TOGETHER: usize = 36;

/// One piece of memory for the matrices of a model.
#[derive(Clone)]
pub struct Memory(Arc<Arena>);

/// A 4-bit matrix with its bias, in the form that the kernels read.
pub struct Matrix {
    weights: Packed,
    bias: Vec<f32>,
}

/// Rows of numbers rounded to 8 bits, a scale for each 32: what matrices are multiplied with.
#[derive(Debug, Default)]
pub struct Rounded {
    columns: usize,
    blocks: Vec<Rounded32>,
}

/// What [`attend`] needs to compute, kept from call to call.
#[derive(Debug, Default)]
pub struct AttentionRoom(both_ways::Room);

impl Memory {
    /// For matrices that have so many bytes in their file.
    #[must_use]
    pub fn for_bytes(bytes: usize) -> Self {
        Self(Arena::new(bytes + bytes / 8))
    }
}

impl Matrix {
    /// From rows of Q4_0 blocks (16 bits of scale, 32 numbers of 4 bits, as GGUF has them) and a bias for each row;
    /// `None` if their lengths do not fit.
    #[must_use]
    pub fn from_q4_0(memory: &Memory, blocks: &[u8], bias: Vec<f32>, columns: usize) -> Option<Self> {
        let weights = Packed::pack(GgmlDType::Q4_0, blocks, bias.len(), columns, &memory.0)?;
        Some(Self { weights, bias })
    }

    /// `outputs` = one row of products, plus bias, for each row of `inputs`.
    ///
    /// # Panics
    /// If the inputs have other columns than the matrix.
    pub fn multiply(&self, inputs: &Rounded, outputs: &mut Vec<f32>) {
        assert_eq!(
            inputs.columns,
            self.weights.columns(),
            "the input fits the matrix"
        );
        let width = self.bias.len();
        let rows = inputs.rows();
        outputs.resize(rows * width, 0.0);
        let input = Input {
            columns: inputs.columns,
            floats: &[],
            rounded32: &inputs.blocks,
            rounded256: &[],
        };
        let mut sums: Sums = [[0.0; ROWS]; TILE];
        for first in (0..rows).step_by(ROWS_TOGETHER) {
            let end = rows.min(first + ROWS_TOGETHER);
            for (group, bias) in self.bias.chunks(ROWS).enumerate() {
                for row in (first..end).step_by(TILE) {
                    let count = TILE.min(end - row);
                    self.weights.tile(group, &input, row, count, &mut sums);
                    let outputs = outputs.chunks_exact_mut(width).skip(row);
                    for (output, sums) in outputs.zip(sums.iter().take(count)) {
                        let places = output.iter_mut().skip(group * ROWS);
                        for ((place, sum), bias) in places.zip(sums).zip(bias) {
                            *place = sum + bias;
                        }
                    }
                }
            }
        }
    }
}

impl Rounded {
    /// Rounds rows of `columns` numbers, a multiple of [`BLOCK`]; what was there before goes.
    ///
    /// # Panics
    /// If `columns` is no such multiple.
    pub fn fill(&mut self, rows: &[f32], columns: usize) {
        assert!(columns > 0 && columns.is_multiple_of(BLOCK), "whole blocks");
        self.columns = columns;
        self.blocks.resize(rows.len() / BLOCK, Rounded32::ZERO);
        round32(rows, &mut self.blocks);
    }

    fn rows(&self) -> usize {
        (self.blocks.len() * BLOCK).checked_div(self.columns).unwrap_or(0)
    }
}

/// Every token of one text attends to all of it; all are rows of `width` numbers, heads of [`HEAD`] side by side.
///
/// # Panics
/// If `width` is no multiple of [`HEAD`].
pub fn attend(
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    width: usize,
    outputs: &mut Vec<f32>,
    room: &mut AttentionRoom,
) {
    assert!(width > 0 && width.is_multiple_of(HEAD), "whole heads");
    outputs.resize(queries.len(), 0.0);
    for first in (0..width).step_by(HEAD) {
        attend_both_ways(queries, keys, values, outputs, width, first, &mut room.0);
    }
}

/// `rows` = the layer norm of `rows + added`, row by row; `added` holds the sum afterwards.
pub fn add_and_normalize(rows: &mut [f32], added: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let width = weight.len().max(1);
    for (row, added) in rows.chunks_exact_mut(width).zip(added.chunks_exact_mut(width)) {
        for (sum, number) in added.iter_mut().zip(&*row) {
            *sum += number;
        }
        layer_norm(added, weight, bias, epsilon, row);
    }
}

/// Each number's x · Φ(x).
pub fn gelu(numbers: &mut [f32]) {
    gelu_exact(numbers);
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} × {})", self.bias.len(), self.weights.columns())
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, BLOCK_BYTES, Matrix, Memory, Rounded};

    /// Rows of one block: scale 0.5, number `column % 16 - 8 + row` in the file's order.
    fn blocks(rows: usize) -> Vec<u8> {
        let block = |row: usize| {
            let scale = half::f16::from_f32(0.5).to_le_bytes();
            let quants = (0..16).map(move |it| ((it + row) % 16 * 17) as u8);
            scale.into_iter().chain(quants)
        };
        (0..rows).flat_map(block).collect()
    }

    #[test]
    fn products_are_those_of_the_numbers() {
        let rows = 11;
        let data = blocks(rows);
        assert_eq!(data.len(), rows * BLOCK_BYTES);
        let memory = Memory::for_bytes(data.len());
        let bias: Vec<f32> = (0..rows).map(|it| it as f32).collect();
        assert!(Matrix::from_q4_0(&memory, &data, bias.clone(), 64).is_none());
        let matrix = Matrix::from_q4_0(&memory, &data, bias, BLOCK).unwrap();
        // Whole numbers up to 127 are rounded to themselves.
        let input = |row: usize, column: usize| ((row * 31 + column * 7) % 120) as f32;
        for tokens in [0, 1, 6, 50] {
            let numbers: Vec<f32> = (0..tokens)
                .flat_map(|row| (0..BLOCK).map(move |it| if it == 0 { 127.0 } else { input(row, it) }))
                .collect();
            let mut rounded = Rounded::default();
            rounded.fill(&numbers, BLOCK);
            let mut outputs = vec![9.0; 3];
            matrix.multiply(&rounded, &mut outputs);
            let expect = numbers.chunks(BLOCK).flat_map(|token| {
                (0..rows).map(move |row| {
                    let weight = |column: usize| ((column % 16 + row) % 16) as f32 * 0.5 - 4.0;
                    let products = token.iter().enumerate().map(|(column, it)| it * weight(column));
                    products.sum::<f32>() + row as f32
                })
            });
            let expect: Vec<f32> = expect.collect();
            assert_eq!(outputs.len(), expect.len());
            assert!(
                outputs.iter().zip(&expect).all(|(a, b)| (a - b).abs() < 0.01),
                "{outputs:?} {expect:?}"
            );
        }
    }
}
