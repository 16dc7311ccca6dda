//! Q4_0 and Q4_1: 32 columns in 4 bits, with a scale and, for Q4_1, a minimum.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q4_0`, `block_q4_1`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256i, _mm256_mul_ps, _mm256_set1_ps};

#[cfg(target_arch = "x86_64")]
use super::avx2::{Registers, halves, nibble, tile_32};
use super::{Block, ROWS, half, half_at, place};
use crate::kernels::activations::Rounded32;

/// Q4_1. Byte `32 g + 4 row + i` holds column `4 g + i` low and `16 + 4 g + i` high.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct WithMinimum {
    quants: [u8; 128],
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

/// Q4_0: numbers are 8 steps below what is stored.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Centred {
    quants: [u8; 128],
    scale: [u16; ROWS],
}

impl Block for WithMinimum {
    type Activation = Rounded32;
    const FILE_BYTES: usize = 20;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        Self {
            quants: interleave(rows, 4),
            scale: rows.map(|it| half_at(it, 0)),
            minimum: rows.map(|it| half_at(it, 2)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        decode(
            &self.quants,
            half(self.scale[row]),
            half(self.minimum[row]),
            row,
            output,
        );
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
    const BITS: u32 = 4;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn register(&self, at: usize) -> __m256i {
        nibble(&self.quants, at)
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scale_and_minimum(&self) -> (__m256, __m256) {
        (halves(&self.scale), halves(&self.minimum))
    }
}

impl Block for Centred {
    type Activation = Rounded32;
    const FILE_BYTES: usize = 18;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        Self {
            quants: interleave(rows, 2),
            scale: rows.map(|it| half_at(it, 0)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        let scale = half(self.scale[row]);
        decode(&self.quants, scale, -8.0 * scale, row, output);
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
    const BITS: u32 = 4;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn register(&self, at: usize) -> __m256i {
        nibble(&self.quants, at)
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scale_and_minimum(&self) -> (__m256, __m256) {
        let scale = halves(&self.scale);
        (scale, _mm256_mul_ps(scale, _mm256_set1_ps(-8.0)))
    }
}

/// The nibbles of sixteen bytes from `start` on.
pub(super) fn interleave(rows: &[&[u8]; ROWS], start: usize) -> [u8; 128] {
    let mut quants = [0; 128];
    for (row, data) in rows.iter().enumerate() {
        for (column, byte) in data.iter().skip(start).take(16).enumerate() {
            quants[place(column, row)] = *byte;
        }
    }
    quants
}

fn decode(quants: &[u8; 128], scale: f32, minimum: f32, row: usize, output: &mut [f32]) {
    for (column, output) in output.iter_mut().enumerate() {
        let byte = quants[place(column % 16, row)];
        let quant = if column < 16 { byte & 15 } else { byte >> 4 };
        *output = f32::from(quant) * scale + minimum;
    }
}
