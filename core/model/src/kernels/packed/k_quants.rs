//! The K-quants: blocks of 256 columns, in parts with a sub-scale in whole steps of the block's scale.
//!
//! The products of a part are added up in 16 bits, then multiplied with the sub-scale where they are widened
//! to 32 bits, which thereby costs nothing.

mod q2_k;
mod q3_k;
mod q4_k;
mod q5_k;
mod q6_k;

pub(super) use self::{q2_k::Q2K, q3_k::Q3K, q4_k::Q4K, q5_k::Q5K, q6_k::Q6K};
use super::ROWS;

/// Scales and minimums of the eight parts of Q4_K and Q5_K.
struct Parts {
    scales: [[u8; ROWS]; 8],
    minimums: [[u8; ROWS]; 8],
}

impl Parts {
    /// From scales and minimums in 6 bits, packed in twelve bytes.
    fn interleave(rows: [&[u8]; ROWS]) -> Self {
        let mut parts = Self {
            scales: [[0; ROWS]; 8],
            minimums: [[0; ROWS]; 8],
        };
        for (row, data) in rows.into_iter().enumerate() {
            let byte = |at: usize| data.get(at).copied().unwrap_or_default();
            for part in 0..4 {
                parts.scales[part][row] = byte(part) & 63;
                parts.minimums[part][row] = byte(part + 4) & 63;
                parts.scales[part + 4][row] = byte(part + 8) & 15 | byte(part) >> 6 << 4;
                parts.minimums[part + 4][row] = byte(part + 8) >> 4 | byte(part + 4) >> 6 << 4;
            }
        }
        parts
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, __m256i, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps,
        _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_si256,
    };

    use super::super::avx2::broadcast_pair;
    use crate::kernels::activations::Rounded256;

    /// Adds to `totals` the columns of part `part`, times the sub-scale of each row. The part has four columns for
    /// each of `weights`; the sums run in 16 bits, from `start` if there is one, and may wrap on the way: what
    /// counts is that the last one fits.
    ///
    /// No function, since what is inlined is what is fast here and the compiler finds it too large.
    macro_rules! add_part {
        ($count:ident, $totals:ident, $weights:expr, $scales:expr, $activations:ident, $part:expr $(, $start:expr)?) => {{
            let (weights, scales, part) = ($weights, $scales, $part);
            each_token!($count, |token| {
                let quants = $activations[token].quants.as_chunks::<4>().0.as_chunks().0;
                let sum = sum_of_products(&weights, &quants[part]);
                $(let sum = _mm256_add_epi16(sum, $start($activations[token].starts[part]));)?
                $totals[token] = _mm256_add_epi32($totals[token], _mm256_madd_epi16(sum, scales));
            });
        }};
    }
    pub(super) use add_part;

    /// Adds a block's totals in steps of `scale`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn add_scaled<const T: usize>(
        sums: &mut [__m256; T],
        totals: [__m256i; T],
        scale: __m256,
        activations: &[&Rounded256; T],
    ) {
        for ((sum, total), activation) in sums.iter_mut().zip(totals).zip(activations) {
            let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activation.scale));
            *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, *sum);
        }
    }

    /// Takes away a block's minimums, in steps of `scale`: those of two parts in turn in one register, to be
    /// multiplied with the sums of the columns of the two.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn subtract_minimums<const T: usize, const PAIRS: usize>(
        sums: &mut [__m256; T],
        minimums: [__m256i; PAIRS],
        scale: __m256,
        activations: &[&Rounded256; T],
        columns: impl Fn(&Rounded256) -> &[[i16; 2]],
    ) {
        for (sum, activation) in sums.iter_mut().zip(activations) {
            let mut below = _mm256_setzero_si256();
            for (minimums, columns) in minimums.iter().zip(columns(activation)) {
                below = _mm256_add_epi32(below, _mm256_madd_epi16(*minimums, broadcast_pair(*columns)));
            }
            let scale = _mm256_mul_ps(scale, _mm256_set1_ps(activation.scale));
            *sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(below), scale, *sum);
        }
    }
}
