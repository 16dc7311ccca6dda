//! Weights of eight rows interleaved, and the product of such weights with a few tokens.
//!
//! Of a block of columns, one 256-bit load brings some columns of all eight rows, so that one register
//! holds the sums of eight outputs and nothing is added up across lanes. A block is decoded once for a tile
//! of tokens. What each output is does not depend on the tile: sums run over the blocks in their order,
//! so a token's numbers are the same, bit by bit, alone or in a batch.

use std::sync::Arc;

use candle_core::quantized::GgmlDType;

use super::{
    activations::{Activation, Forms, Input},
    arena::{Arena, Slab},
};

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bytes;
mod fives;
mod floats;
mod k_quants;
mod nibbles;
#[cfg(target_arch = "x86_64")]
mod vnni;

/// Rows in a group.
pub(crate) const ROWS: usize = 8;
/// The most tokens that are multiplied in one go.
pub(crate) const TILE: usize = 6;

/// Sums of eight rows, token by token.
pub(crate) type Sums = [[f32; ROWS]; TILE];

/// Eight rows by a block of columns.
pub(crate) trait Block: Copy + Send + Sync + 'static {
    type Activation: Activation;
    /// Bytes of one row's block in a file. Its columns are those of the activation.
    const FILE_BYTES: usize;

    /// From the blocks of eight rows as they are in a file.
    fn interleave(rows: &[&[u8]; ROWS]) -> Self;

    /// One row's numbers.
    fn decode(&self, row: usize, output: &mut [f32]);

    /// `sums[token][row]` = the whole rows times the tokens.
    ///
    /// Better instructions are used where the processor has them.
    ///
    /// # Safety
    /// The processor must have AVX2, FMA and F16C; each of `tokens` must be as long as `blocks`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn tile_avx2<const T: usize>(
        blocks: &[Self],
        tokens: [&[Self::Activation]; T],
        sums: &mut [[f32; ROWS]; T],
    );
}

/// A matrix, rows × columns, in its packed form.
pub(crate) struct Packed {
    rows: usize,
    columns: usize,
    panels: Box<dyn Panels>,
}

/// Groups of eight rows, one after the other; the last may be filled up with zeros.
trait Panels: Send + Sync {
    fn forms(&self) -> Forms;
    fn bytes(&self) -> usize;
    fn decode_row(&self, row: usize, output: &mut [f32]);
    fn tile(&self, group: usize, input: &Input<'_>, token: usize, count: usize, sums: &mut Sums);
}

struct PanelsOf<B> {
    blocks: Slab<B>,
    /// Blocks in a row.
    width: usize,
}

impl Packed {
    /// `None` if there is no kernel for that type or the columns are no whole number of blocks.
    ///
    /// `data` is rows × columns as in a file; it must be as long as they say.
    pub(crate) fn pack(
        dtype: GgmlDType,
        data: &[u8],
        rows: usize,
        columns: usize,
        arena: &Arc<Arena>,
    ) -> Option<Self> {
        let panels = match dtype {
            GgmlDType::F32 => PanelsOf::<floats::Full>::pack(data, rows, columns, arena),
            GgmlDType::F16 => PanelsOf::<floats::Half>::pack(data, rows, columns, arena),
            GgmlDType::BF16 => PanelsOf::<floats::Brain>::pack(data, rows, columns, arena),
            GgmlDType::Q4_0 => PanelsOf::<nibbles::Centred>::pack(data, rows, columns, arena),
            GgmlDType::Q4_1 => PanelsOf::<nibbles::WithMinimum>::pack(data, rows, columns, arena),
            GgmlDType::Q5_0 => PanelsOf::<fives::Centred>::pack(data, rows, columns, arena),
            GgmlDType::Q5_1 => PanelsOf::<fives::WithMinimum>::pack(data, rows, columns, arena),
            GgmlDType::Q8_0 => PanelsOf::<bytes::Bytes>::pack(data, rows, columns, arena),
            GgmlDType::Q2K => PanelsOf::<k_quants::Q2K>::pack(data, rows, columns, arena),
            GgmlDType::Q3K => PanelsOf::<k_quants::Q3K>::pack(data, rows, columns, arena),
            GgmlDType::Q4K => PanelsOf::<k_quants::Q4K>::pack(data, rows, columns, arena),
            GgmlDType::Q5K => PanelsOf::<k_quants::Q5K>::pack(data, rows, columns, arena),
            GgmlDType::Q6K => PanelsOf::<k_quants::Q6K>::pack(data, rows, columns, arena),
            _ => None,
        }?;
        Some(Self {
            rows,
            columns,
            panels,
        })
    }

    /// From f32, row by row.
    pub(crate) fn from_floats(numbers: &[f32], rows: usize, columns: usize, arena: &Arc<Arena>) -> Self {
        let panels = PanelsOf::<floats::Full>::from_rows(rows, columns, arena, |row, column| {
            numbers.get(row * columns + column).copied().unwrap_or_default()
        });
        Self {
            rows,
            columns,
            panels: Box::new(panels),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    /// What of an input is read.
    pub(crate) fn forms(&self) -> Forms {
        self.panels.forms()
    }

    /// One row as f32, into `columns` numbers.
    pub(crate) fn decode_row(&self, row: usize, output: &mut [f32]) {
        assert!(
            row < self.rows && output.len() == self.columns,
            "a row of the matrix"
        );
        self.panels.decode_row(row, output);
    }

    /// `sums[i]` = the eight rows of `group` times token `token + i`, for `count` ≤ [`TILE`] of them.
    #[inline]
    pub(crate) fn tile(&self, group: usize, input: &Input<'_>, token: usize, count: usize, sums: &mut Sums) {
        debug_assert_eq!(input.columns, self.columns);
        self.panels.tile(group, input, token, count, sums);
    }
}

impl<B: Block> PanelsOf<B> {
    fn pack(data: &[u8], rows: usize, columns: usize, arena: &Arc<Arena>) -> Option<Box<dyn Panels>> {
        let width = columns / B::Activation::COLUMNS;
        let fits = columns.is_multiple_of(B::Activation::COLUMNS) && width > 0 && rows > 0;
        if !fits || data.len() != rows * width * B::FILE_BYTES {
            return None;
        }
        let nothing = vec![0; B::FILE_BYTES];
        let row_bytes = width * B::FILE_BYTES;
        let blocks = data.chunks(ROWS * row_bytes).flat_map(|group| {
            let nothing = &nothing;
            (0..width).map(move |block| {
                B::interleave(&std::array::from_fn(|row| {
                    let at = row * row_bytes + block * B::FILE_BYTES;
                    group.get(at..at + B::FILE_BYTES).unwrap_or(nothing)
                }))
            })
        });
        let blocks = arena.fill(rows.div_ceil(ROWS) * width, blocks);
        Some(Box::new(Self { blocks, width }))
    }

    /// Whole rows of tokens `token..token + T` against one group.
    #[inline]
    fn tile_of<const T: usize>(&self, group: usize, input: &Input<'_>, token: usize, sums: &mut Sums) {
        let blocks = self
            .blocks
            .get(group * self.width..(group + 1) * self.width)
            .expect("there is such a group");
        let tokens: [&[B::Activation]; T] =
            std::array::from_fn(|number| B::Activation::row(input, token + number));
        assert!(
            tokens.iter().all(|it| it.len() == self.width),
            "the input has this form"
        );
        let Some(sums) = sums.first_chunk_mut::<T>() else {
            return;
        };
        #[cfg(target_arch = "x86_64")]
        if super::has_avx2() {
            // SAFETY: the processor has what it takes; the lengths have been checked.
            return unsafe { B::tile_avx2(blocks, tokens, sums) };
        }
        portable(blocks, tokens, sums);
    }
}

impl<B: Block> Panels for PanelsOf<B> {
    fn forms(&self) -> Forms {
        B::Activation::FORMS
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.blocks)
    }

    fn decode_row(&self, row: usize, output: &mut [f32]) {
        let blocks = self.blocks.iter().skip(row / ROWS * self.width);
        for (block, output) in blocks.zip(output.chunks_exact_mut(B::Activation::COLUMNS)) {
            block.decode(row % ROWS, output);
        }
    }

    fn tile(&self, group: usize, input: &Input<'_>, token: usize, count: usize, sums: &mut Sums) {
        match count {
            0 => {}
            1 => self.tile_of::<1>(group, input, token, sums),
            2 => self.tile_of::<2>(group, input, token, sums),
            3 => self.tile_of::<3>(group, input, token, sums),
            4 => self.tile_of::<4>(group, input, token, sums),
            5 => self.tile_of::<5>(group, input, token, sums),
            _ => self.tile_of::<6>(group, input, token, sums),
        }
    }
}

/// The same for every processor and every kind of block.
fn portable<B: Block, const T: usize>(
    blocks: &[B],
    tokens: [&[B::Activation]; T],
    sums: &mut [[f32; ROWS]; T],
) {
    let columns = B::Activation::COLUMNS;
    let mut weights = vec![0.0; ROWS * columns];
    let mut numbers = vec![0.0; columns];
    *sums = [[0.0; ROWS]; T];
    for (at, block) in blocks.iter().enumerate() {
        for (row, weights) in weights.chunks_exact_mut(columns).enumerate() {
            block.decode(row, weights);
        }
        for (token, sums) in tokens.iter().zip(sums.iter_mut()) {
            let Some(activation) = token.get(at) else { continue };
            activation.decode(&mut numbers);
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(columns)) {
                *sum += weights.iter().zip(&numbers).map(|(a, b)| a * b).sum::<f32>();
            }
        }
    }
}

fn half_at(data: &[u8], at: usize) -> u16 {
    data.get(at..at + 2)
        .and_then(|it| it.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

fn half(bits: u16) -> f32 {
    half::f16::from_bits(bits).to_f32()
}

/// Where a column of a row lies in registers of four columns by eight rows.
fn place(column: usize, row: usize) -> usize {
    column / 4 * 32 + row * 4 + column % 4
}

#[cfg(test)]
mod tests;
