//! Q8_0: 32 columns in 8 bits, with a scale.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q8_0`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256i, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_ps, _mm256_xor_si256};

#[cfg(target_arch = "x86_64")]
use super::avx2::{Registers, halves, load};
use super::{Block, ROWS, half, half_at, place};
use crate::kernels::activations::Rounded32;

/// Byte `32 g + 4 row + i` holds column `4 g + i`.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Bytes {
    quants: [u8; 256],
    scale: [u16; ROWS],
}

impl Block for Bytes {
    type Activation = Rounded32;
    const FILE_BYTES: usize = 34;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let mut quants = [0; 256];
        for (row, data) in rows.iter().enumerate() {
            for (column, byte) in data.iter().skip(2).take(32).enumerate() {
                quants[place(column, row)] = *byte;
            }
        }
        Self {
            quants,
            scale: rows.map(|it| half_at(it, 0)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        let scale = half(self.scale[row]);
        for (column, output) in output.iter_mut().enumerate() {
            *output = f32::from(self.quants[place(column, row)].cast_signed()) * scale;
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile_avx2<const T: usize>(
        blocks: &[Self],
        tokens: [&[Rounded32]; T],
        output: &mut [[f32; ROWS]; T],
    ) {
        use std::arch::x86_64::{
            _mm256_abs_epi8, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_madd_epi16,
            _mm256_maddubs_epi16, _mm256_set1_epi16, _mm256_setzero_ps, _mm256_setzero_si256,
            _mm256_sign_epi8,
        };

        use super::{
            avx2::{activations, broadcast, each_token, prefetch, store},
            vnni,
        };

        if vnni::is_there() {
            // SAFETY: as of the caller.
            return unsafe { vnni::tile_32(blocks, tokens, output) };
        }
        let mut sums = [_mm256_setzero_ps(); T];
        let ones = _mm256_set1_epi16(1);
        for (at, block) in blocks.iter().enumerate() {
            prefetch(block);
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let mut totals = [_mm256_setzero_si256(); T];
            for (group, bytes) in block.quants.as_chunks().0.iter().enumerate() {
                let weights = load(bytes);
                // The product wants one side without sign; -128 stays 128, which fits there.
                let sizes = _mm256_abs_epi8(weights);
                each_token!(T, |token| {
                    let quants = &activations[token].quants.as_chunks().0[group];
                    let signed = _mm256_sign_epi8(broadcast(quants), weights);
                    // At most 2 · 128 · 127, still below 2^15.
                    let product = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, signed), ones);
                    totals[token] = _mm256_add_epi32(totals[token], product);
                });
            }
            let scale = halves(&block.scale);
            each_token!(T, |token| {
                let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activations[token].scale));
                sums[token] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(totals[token]), scale, sums[token]);
            });
        }
        store(sums, output);
    }
}

#[cfg(target_arch = "x86_64")]
impl Registers for Bytes {
    const BITS: u32 = 8;

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn register(&self, at: usize) -> __m256i {
        _mm256_xor_si256(load(&self.quants.as_chunks().0[at]), _mm256_set1_epi8(-128))
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn scale_and_minimum(&self) -> (__m256, __m256) {
        let scale = halves(&self.scale);
        (scale, _mm256_mul_ps(scale, _mm256_set1_ps(-128.0)))
    }
}
