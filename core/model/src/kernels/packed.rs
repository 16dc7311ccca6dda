//! Products with 4- and 8-bit weights for processors with AVX2.
//!
//! Eight rows are interleaved: of each block of 32 columns, one 256-bit load brings four columns of all
//! eight rows. Decoding a block of weights is shared by the tokens of a tile, the activations are rounded
//! to 8 bits once per product.

use half::f16;
use rayon::{
    iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator},
    slice::ParallelSliceMut,
};

const ROWS: usize = 8;
const COLUMNS: usize = 32;
const TILE: usize = 4;
/// Multiply-adds below which another thread does not pay.
const WORK_PER_TASK: usize = 1 << 18;
/// Blocks of activations below which another thread does not pay.
const QUANTIZE_PER_TASK: usize = 512;

/// The weights of one matrix.
pub(crate) struct Packed {
    rows: usize,
    /// Blocks in a row.
    blocks: usize,
    groups: Groups,
}

enum Groups {
    Four(Vec<Block4>),
    Eight(Vec<Block8>),
}

/// How the file stores a block of 32 weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Scale, 16 bytes of nibbles less 8.
    Q4_0,
    /// Scale, minimum, 16 bytes of nibbles.
    Q4_1,
    /// Scale, the 32 fifth bits, 16 bytes of nibbles; less 16.
    Q5_0,
    /// Scale, 32 bytes.
    Q8_0,
}

/// Eight rows by 32 columns. Byte `32 g + 4 row + i` holds column `4 g + i` low and `16 + 4 g + i` high.
#[derive(Clone)]
#[repr(C, align(32))]
struct Block4 {
    quants: [u8; ROWS * COLUMNS / 2],
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

/// Byte `32 g + 4 row + i` holds column `4 g + i`.
#[derive(Clone)]
#[repr(C, align(32))]
struct Block8 {
    quants: [i8; ROWS * COLUMNS],
    scale: [u16; ROWS],
}

/// 32 activations in 8 bits; `sum` is that of the rounded values, scaled.
#[derive(Clone, Copy)]
struct Activation {
    quants: [i8; COLUMNS],
    scale: f32,
    sum: f32,
}

impl Format {
    fn block_bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q8_0 => 34,
        }
    }
}

impl Packed {
    /// `None` if the processor or the shape does not suit.
    pub(crate) fn pack(format: Format, data: &[u8], rows: usize, columns: usize) -> Option<Self> {
        let blocks = columns / COLUMNS;
        let fits = rows.is_multiple_of(ROWS)
            && columns.is_multiple_of(COLUMNS)
            && blocks > 0
            && data.len() == rows * blocks * format.block_bytes();
        if !fits || !is_supported() {
            return None;
        }
        let row_bytes = blocks * format.block_bytes();
        let places = data.chunks_exact(ROWS * row_bytes).flat_map(|group| {
            (0..blocks).map(move |block| {
                let at = block * format.block_bytes();
                group
                    .chunks_exact(row_bytes)
                    .map(move |row| row.get(at..at + format.block_bytes()).unwrap_or_default())
            })
        });
        let groups = match format {
            Format::Q4_0 | Format::Q4_1 => Groups::Four(places.map(|it| interleave4(format, it)).collect()),
            Format::Q5_0 | Format::Q8_0 => Groups::Eight(places.map(|it| interleave8(format, it)).collect()),
        };
        Some(Self { rows, blocks, groups })
    }

    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match &self.groups {
            Groups::Four(groups) => size_of_val(groups.as_slice()),
            Groups::Eight(groups) => size_of_val(groups.as_slice()),
        };
        bytes as u64
    }

    /// One row, decoded.
    pub(crate) fn row(&self, number: usize, output: &mut Vec<f32>) {
        let (start, row) = (number / ROWS * self.blocks, number % ROWS);
        match &self.groups {
            Groups::Four(groups) => {
                for block in groups.iter().skip(start).take(self.blocks) {
                    let (scale, minimum) = (number_of(&block.scale, row), number_of(&block.minimum, row));
                    output.extend((0..COLUMNS).map(|column| {
                        let byte = block.quants.get(place(column % 16, row)).copied().unwrap_or(0);
                        let quant = if column < 16 { byte & 15 } else { byte >> 4 };
                        f32::from(quant) * scale + minimum
                    }));
                }
            }
            Groups::Eight(groups) => {
                for block in groups.iter().skip(start).take(self.blocks) {
                    let scale = number_of(&block.scale, row);
                    output.extend((0..COLUMNS).map(|column| {
                        f32::from(block.quants.get(place(column, row)).copied().unwrap_or(0)) * scale
                    }));
                }
            }
        }
    }

    /// `input` is tokens × columns, the answer tokens × rows.
    pub(crate) fn multiply(&self, input: &[f32]) -> Vec<f32> {
        let tokens = input.len() / (self.blocks * COLUMNS);
        let activations = quantize(input);
        let columns: Vec<&[Activation]> = activations.chunks_exact(self.blocks).collect();
        // Group by group, tokens × 8 each: tasks then write apart from each other.
        let mut grouped = vec![0.0; self.rows * tokens];
        let task = |(group, output): (usize, &mut [f32])| {
            let start = group * self.blocks;
            match &self.groups {
                Groups::Four(all) => group4(
                    all.get(start..start + self.blocks).unwrap_or_default(),
                    &columns,
                    output,
                ),
                Groups::Eight(all) => group8(
                    all.get(start..start + self.blocks).unwrap_or_default(),
                    &columns,
                    output,
                ),
            }
        };
        let work = ROWS * self.blocks * COLUMNS * tokens;
        let size = (ROWS * tokens).max(1);
        if work * self.rows / ROWS < 2 * WORK_PER_TASK {
            grouped.chunks_exact_mut(size).enumerate().for_each(task);
        } else {
            grouped
                .par_chunks_exact_mut(size)
                .enumerate()
                .with_min_len((WORK_PER_TASK / work.max(1)).max(1))
                .for_each(task);
        }
        if tokens == 1 {
            grouped
        } else {
            ungroup(&grouped, self.rows, tokens)
        }
    }
}

fn ungroup(grouped: &[f32], rows: usize, tokens: usize) -> Vec<f32> {
    let mut output = vec![0.0; grouped.len()];
    for (group, values) in grouped.chunks_exact(ROWS * tokens.max(1)).enumerate() {
        for (row, values) in output.chunks_exact_mut(rows).zip(values.chunks_exact(ROWS)) {
            if let Some(room) = row.get_mut(group * ROWS..(group + 1) * ROWS) {
                room.copy_from_slice(values);
            }
        }
    }
    output
}

fn quantize(input: &[f32]) -> Vec<Activation> {
    let (blocks, _) = input.as_chunks::<COLUMNS>();
    blocks
        .par_iter()
        .with_min_len(QUANTIZE_PER_TASK)
        .map(|block| {
            let largest = block.iter().fold(0.0_f32, |largest, it| largest.max(it.abs()));
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
            let quants = block.map(|it| (it * inverse).round_ties_even() as i8);
            let sum: i32 = quants.iter().map(|it| i32::from(*it)).sum();
            Activation {
                quants,
                scale,
                sum: sum as f32 * scale,
            }
        })
        .collect()
}

fn place(column: usize, row: usize) -> usize {
    column / 4 * 32 + row * 4 + column % 4
}

fn number_of(halves: &[u16; ROWS], row: usize) -> f32 {
    f16::from_bits(halves.get(row).copied().unwrap_or(0)).to_f32()
}

fn interleave4<'a>(format: Format, rows: impl Iterator<Item = &'a [u8]>) -> Block4 {
    let mut block = Block4 {
        quants: [0; ROWS * COLUMNS / 2],
        scale: [0; ROWS],
        minimum: [0; ROWS],
    };
    for (row, data) in rows.enumerate() {
        let scale = half_at(data, 0);
        // Q4_0 is Q4_1 with a minimum of -8 scales; a power of two keeps that exact.
        let minimum = match format {
            Format::Q4_1 => half_at(data, 2),
            _ => f16::from_f32(f16::from_bits(scale).to_f32() * -8.0).to_bits(),
        };
        block.scale[row] = scale;
        block.minimum[row] = minimum;
        for (column, byte) in data.iter().skip(format.block_bytes() - 16).enumerate() {
            block.quants[place(column, row)] = *byte;
        }
    }
    block
}

fn interleave8<'a>(format: Format, rows: impl Iterator<Item = &'a [u8]>) -> Block8 {
    let mut block = Block8 {
        quants: [0; ROWS * COLUMNS],
        scale: [0; ROWS],
    };
    for (row, data) in rows.enumerate() {
        block.scale[row] = half_at(data, 0);
        let data = data.get(2..).unwrap_or_default();
        for column in 0..COLUMNS {
            block.quants[place(column, row)] = match format {
                Format::Q5_0 => five_bits(data, column),
                _ => data.get(column).map_or(0, |it| i8::from_le_bytes([*it])),
            };
        }
    }
    block
}

/// A number of Q5_0: four bits among the nibbles, the fifth among the first four bytes.
fn five_bits(data: &[u8], column: usize) -> i8 {
    let byte = |at: usize| data.get(at).copied().unwrap_or(0);
    let nibbles = byte(4 + column % 16);
    let low = if column < 16 { nibbles & 15 } else { nibbles >> 4 };
    let fifth = (byte(column / 8) >> (column % 8)) & 1;
    (low | fifth << 4).cast_signed() - 16
}

fn half_at(data: &[u8], at: usize) -> u16 {
    data.get(at..at + 2)
        .and_then(|it| it.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

#[cfg(target_arch = "x86_64")]
fn is_supported() -> bool {
    super::has_avx2() && std::arch::is_x86_feature_detected!("f16c")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_supported() -> bool {
    false
}

/// One group of rows with all tokens; `output` is tokens × 8.
fn group4(blocks: &[Block4], tokens: &[&[Activation]], output: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    for (tokens, output) in tokens.chunks(TILE).zip(output.chunks_mut(TILE * ROWS)) {
        // SAFETY: nothing is packed unless the processor has AVX2, FMA and F16C.
        unsafe {
            match tokens.as_chunks::<TILE>().0 {
                [tokens] => avx2::tile4(blocks, tokens, output),
                _ => tokens
                    .iter()
                    .zip(output.chunks_exact_mut(ROWS))
                    .for_each(|(it, output)| {
                        avx2::tile4(blocks, &[*it], output);
                    }),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (blocks, tokens, output);
}

/// As [`group4`].
fn group8(blocks: &[Block8], tokens: &[&[Activation]], output: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    for (tokens, output) in tokens.chunks(TILE).zip(output.chunks_mut(TILE * ROWS)) {
        // SAFETY: nothing is packed unless the processor has AVX2, FMA and F16C.
        unsafe {
            match tokens.as_chunks::<TILE>().0 {
                [tokens] => avx2::tile8(blocks, tokens, output),
                _ => tokens
                    .iter()
                    .zip(output.chunks_exact_mut(ROWS))
                    .for_each(|(it, output)| {
                        avx2::tile8(blocks, &[*it], output);
                    }),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (blocks, tokens, output);
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256, __m256i, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32,
        _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_sign_epi8,
        _mm256_srli_epi16, _mm256_storeu_ps,
    };

    use super::{Activation, Block4, Block8, ROWS};

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn tile4<const T: usize>(blocks: &[Block4], tokens: &[&[Activation]; T], output: &mut [f32]) {
        let mut sums = [_mm256_setzero_ps(); T];
        let low = _mm256_set1_epi8(15);
        let ones = _mm256_set1_epi16(1);
        for (number, block) in blocks.iter().enumerate() {
            let mut weights = [_mm256_setzero_si256(); 8];
            let (first, second) = weights.split_at_mut(4);
            for ((first, second), bytes) in first.iter_mut().zip(second).zip(block.quants.as_chunks::<32>().0)
            {
                let bytes = load(bytes);
                *first = _mm256_and_si256(bytes, low);
                *second = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low);
            }
            let scale = halves(&block.scale);
            let minimum = halves(&block.minimum);
            for (sum, token) in sums.iter_mut().zip(tokens) {
                let Some(activation) = token.get(number) else {
                    continue;
                };
                // Each product of pairs is at most 2 · 15 · 127, so eight of them stay below 2^15.
                let mut products = [_mm256_setzero_si256(); 2];
                let quants = activation.quants.as_chunks::<4>().0;
                for (turn, (weights, quants)) in weights.iter().zip(quants).enumerate() {
                    let product = _mm256_maddubs_epi16(*weights, broadcast(*quants));
                    products[turn % 2] = _mm256_add_epi16(products[turn % 2], product);
                }
                let total = _mm256_madd_epi16(_mm256_add_epi16(products[0], products[1]), ones);
                let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activation.scale));
                *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, *sum);
                *sum = _mm256_fmadd_ps(minimum, _mm256_set1_ps(activation.sum), *sum);
            }
        }
        store(&sums, output);
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn tile8<const T: usize>(blocks: &[Block8], tokens: &[&[Activation]; T], output: &mut [f32]) {
        let mut sums = [_mm256_setzero_ps(); T];
        let ones = _mm256_set1_epi16(1);
        for (number, block) in blocks.iter().enumerate() {
            let scale = halves(&block.scale);
            let mut totals = [_mm256_setzero_si256(); T];
            for (group, bytes) in block.quants.as_chunks::<32>().0.iter().enumerate() {
                let weights = load(&bytes.map(i8::cast_unsigned));
                // The product wants one side without sign; -128 stays 128, which fits there.
                let sizes = _mm256_abs_epi8(weights);
                for (total, token) in totals.iter_mut().zip(tokens) {
                    let Some(activation) = token.get(number) else {
                        continue;
                    };
                    let Some(quants) = activation.quants.as_chunks::<4>().0.get(group) else {
                        continue;
                    };
                    let signed = _mm256_sign_epi8(broadcast(*quants), weights);
                    // At most 2 · 128 · 127, still below 2^15.
                    let product = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, signed), ones);
                    *total = _mm256_add_epi32(*total, product);
                }
            }
            for ((sum, total), token) in sums.iter_mut().zip(totals).zip(tokens) {
                let Some(activation) = token.get(number) else {
                    continue;
                };
                let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activation.scale));
                *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, *sum);
            }
        }
        store(&sums, output);
    }

    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: 32 bytes are there; the load needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast::<__m256i>()) }
    }

    #[target_feature(enable = "avx2,f16c")]
    fn halves(halves: &[u16; ROWS]) -> __m256 {
        // SAFETY: 16 bytes are there; the load needs no alignment.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast::<__m128i>()) })
    }

    #[target_feature(enable = "avx2")]
    fn broadcast(quants: [i8; 4]) -> __m256i {
        _mm256_set1_epi32(i32::from_le_bytes(quants.map(i8::cast_unsigned)))
    }

    #[target_feature(enable = "avx2")]
    fn store(sums: &[__m256], output: &mut [f32]) {
        for (sum, output) in sums.iter().zip(output.as_chunks_mut::<ROWS>().0) {
            // SAFETY: 8 floats are there; the store needs no alignment.
            unsafe { _mm256_storeu_ps(output.as_mut_ptr(), *sum) };
        }
    }
}

#[cfg(test)]
mod tests;
