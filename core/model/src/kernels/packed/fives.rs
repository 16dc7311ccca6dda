//! Q5_0 and Q5_1: as Q4_0 and Q4_1, in 5 bits.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q5_0`, `block_q5_1`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256i, _mm256_mul_ps, _mm256_set1_ps};

#[cfg(target_arch = "x86_64")]
use super::avx2::{Registers, halves, tile_32};
use super::{Block, ROWS, half, half_at, nibbles::interleave, place};
use crate::kernels::activations::Rounded32;

/// Q5_1. `low` is as in Q4_1; byte `4 row + i` of `high` has in bit `g` the fifth bit of column `4 g + i`.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct WithMinimum {
    low: [u8; 128],
    high: [u8; 32],
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

/// Q5_0: numbers are 16 steps below what is stored.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Centred {
    low: [u8; 128],
    high: [u8; 32],
    scale: [u16; ROWS],
}

impl Block for WithMinimum {
    type Activation = Rounded32;
    const FILE_BYTES: usize = 24;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        Self {
            low: interleave(rows, 8),
            high: fifth_bits(rows, 4),
            scale: rows.map(|it| half_at(it, 0)),
            minimum: rows.map(|it| half_at(it, 2)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        let (scale, minimum) = (half(self.scale[row]), half(self.minimum[row]));
        for (column, output) in output.iter_mut().enumerate() {
            *output = quant(&self.low, &self.high, row, column) * scale + minimum;
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile_avx2<const T: usize>(
        blocks: &[Self],
        tokens: [&[Rounded32]; T],
        output: &mut [[f32; ROWS]; T],
    ) {
        // SAFETY: as of the caller.
        unsafe { tile_32(blocks, tokens, output) };
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers for WithMinimum {
    const BITS: u32 = 5;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn register(&self, at: usize) -> __m256i {
        register(&self.low, &self.high, at)
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scale_and_minimum(&self) -> (__m256, __m256) {
        (halves(&self.scale), halves(&self.minimum))
    }
}

impl Block for Centred {
    type Activation = Rounded32;
    const FILE_BYTES: usize = 22;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        Self {
            low: interleave(rows, 6),
            high: fifth_bits(rows, 2),
            scale: rows.map(|it| half_at(it, 0)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        let scale = half(self.scale[row]);
        for (column, output) in output.iter_mut().enumerate() {
            *output = (quant(&self.low, &self.high, row, column) - 16.0) * scale;
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile_avx2<const T: usize>(
        blocks: &[Self],
        tokens: [&[Rounded32]; T],
        output: &mut [[f32; ROWS]; T],
    ) {
        // SAFETY: as of the caller.
        unsafe { tile_32(blocks, tokens, output) };
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers for Centred {
    const BITS: u32 = 5;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn register(&self, at: usize) -> __m256i {
        register(&self.low, &self.high, at)
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scale_and_minimum(&self) -> (__m256, __m256) {
        let scale = halves(&self.scale);
        (scale, _mm256_mul_ps(scale, _mm256_set1_ps(-16.0)))
    }
}

/// From 32 bits at `start`, one for each column.
fn fifth_bits(rows: &[&[u8]; ROWS], start: usize) -> [u8; 32] {
    let mut high = [0; 32];
    for (row, data) in rows.iter().enumerate() {
        for column in 0..32 {
            let byte = data.get(start + column / 8).copied().unwrap_or_default();
            high[row * 4 + column % 4] |= (byte >> (column % 8) & 1) << (column / 4);
        }
    }
    high
}

fn quant(low: &[u8; 128], high: &[u8; 32], row: usize, column: usize) -> f32 {
    let low = low[place(column % 16, row)] >> (column / 16 * 4) & 15;
    let high = high[row * 4 + column % 4] >> (column / 4) & 1;
    f32::from(low | high << 4)
}

/// Register `at` of eight, of four columns each.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn register(low: &[u8; 128], high: &[u8; 32], at: usize) -> __m256i {
    use std::arch::x86_64::{
        _mm256_and_si256, _mm256_or_si256, _mm256_set1_epi8, _mm256_slli_epi16, _mm256_srli_epi16,
    };

    use super::avx2::{load, nibble};

    let high = load(high);
    let fifth = match at {
        0 => _mm256_slli_epi16::<4>(high),
        1 => _mm256_slli_epi16::<3>(high),
        2 => _mm256_slli_epi16::<2>(high),
        3 => _mm256_slli_epi16::<1>(high),
        4 => high,
        5 => _mm256_srli_epi16::<1>(high),
        6 => _mm256_srli_epi16::<2>(high),
        _ => _mm256_srli_epi16::<3>(high),
    };
    _mm256_or_si256(nibble(low, at), _mm256_and_si256(fifth, _mm256_set1_epi8(16)))
}
