//! The product of blocks of 32 columns on processors that multiply and add four pairs of bytes at once: with
//! AVX-512 VNNI, or with AVX-VNNI, which has the same for registers of 256 bits.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_dpbusd_epi32, _mm256_fmadd_ps,
        _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
    },
};

use super::{
    ROWS,
    avx2::{Registers, activations, broadcast, each_token, prefetch, store},
};
use crate::kernels::activations::Rounded32;

/// Whether [`tile_32`] may be called, on a processor with AVX2, FMA and F16C.
#[inline]
pub(super) fn is_there() -> bool {
    has_avx512() || is_x86_feature_detected!("avxvnni")
}

#[inline]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512vl")
}

/// As [`super::avx2::tile_32`], for numbers of up to eight bits.
///
/// # Safety
/// The processor must have AVX2, FMA and F16C, and what [`is_there`] asks for; each of `tokens` must be as long
/// as `blocks`.
#[inline]
pub(super) unsafe fn tile_32<B: Registers, const T: usize>(
    blocks: &[B],
    tokens: [&[Rounded32]; T],
    output: &mut [[f32; ROWS]; T],
) {
    if has_avx512() {
        // SAFETY: as of the caller.
        unsafe { tile_avx512(blocks, tokens, output) };
    } else {
        // SAFETY: as of the caller.
        unsafe { tile_avx(blocks, tokens, output) };
    }
}

macro_rules! tile {
    ($name:ident, $features:literal, $multiply_add:ident) => {
        /// # Safety
        /// Each of `tokens` must be as long as `blocks`.
        #[target_feature(enable = $features)]
        unsafe fn $name<B: Registers, const T: usize>(
            blocks: &[B],
            tokens: [&[Rounded32]; T],
            output: &mut [[f32; ROWS]; T],
        ) {
            let mut sums = [_mm256_setzero_ps(); T];
            for (at, block) in blocks.iter().enumerate() {
                prefetch(block);
                // SAFETY: each token is as long as `blocks`.
                let activations = unsafe { activations(&tokens, at) };
                // SAFETY: the processor has AVX2.
                let weights: [_; 8] = std::array::from_fn(|it| unsafe { block.register(it) });
                // SAFETY: the processor has AVX2 and F16C.
                let (scale, minimum) = unsafe { block.scale_and_minimum() };
                each_token!(T, |token| {
                    let (activation, sum) = (activations[token], &mut sums[token]);
                    // Two sums, so that an addition need not wait for the one before.
                    let mut totals = [_mm256_setzero_si256(); 2];
                    for (it, four) in activation.quants.as_chunks().0.iter().enumerate() {
                        totals[it % 2] = $multiply_add(totals[it % 2], weights[it], broadcast(four));
                    }
                    let total = _mm256_add_epi32(totals[0], totals[1]);
                    let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activation.scale));
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, *sum);
                    *sum = _mm256_fmadd_ps(minimum, _mm256_set1_ps(activation.sum), *sum);
                });
            }
            store(sums, output);
        }
    };
}

tile!(
    tile_avx512,
    "avx2,fma,f16c,avx512vl,avx512vnni",
    _mm256_dpbusd_epi32
);
tile!(tile_avx, "avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);

#[cfg(test)]
pub(super) mod emulated {
    //! The same with the one instruction replaced, to test the rest where the processor does not have it.
    use std::arch::x86_64::__m256i;

    use super::{
        _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_mul_ps, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_setzero_si256, ROWS, Registers, Rounded32, activations, broadcast,
        each_token, prefetch, store,
    };

    tile!(tile_emulated, "avx2,fma,f16c", multiply_add);

    #[target_feature(enable = "avx2")]
    fn multiply_add(sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: lists of numbers of the same size.
        let (sum, unsigned, signed): ([i32; 8], [[u8; 4]; 8], [[i8; 4]; 8]) =
            unsafe { std::mem::transmute((sum, unsigned, signed)) };
        let sums: [i32; 8] = std::array::from_fn(|lane| {
            let pairs = unsigned[lane].into_iter().zip(signed[lane]);
            sum[lane] + pairs.map(|(a, b)| i32::from(a) * i32::from(b)).sum::<i32>()
        });
        // SAFETY: as above.
        unsafe { std::mem::transmute(sums) }
    }

    /// # Safety
    /// As [`super::tile_32`], but for the processor, which must have AVX2, FMA and F16C.
    pub(in super::super) unsafe fn tile_32<B: Registers, const T: usize>(
        blocks: &[B],
        tokens: [&[Rounded32]; T],
        output: &mut [[f32; ROWS]; T],
    ) {
        // SAFETY: as of the caller.
        unsafe { tile_emulated(blocks, tokens, output) };
    }
}
