//! Q5_K: as Q4_K, in 5 bits.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q5_K`.

use super::{
    super::{Block, ROWS, half, half_at, place},
    Parts,
};
use crate::kernels::activations::Rounded256;

/// In the order in which it is read, as Q4_K.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(in super::super) struct Q5K {
    /// At `place(c, row)` in bit `p` the fifth bit of column `c` of part `p`.
    high: [u8; 256],
    pairs: [Pair; 4],
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

/// Two parts of 32 columns; `low` at `place(c, row)` has four bits of column `c` of the first (low) and the
/// second (high).
#[derive(Clone, Copy)]
#[repr(C)]
struct Pair {
    low: [u8; 256],
    scales: [[u8; ROWS]; 2],
    minimums: [[u8; ROWS]; 2],
}

impl Block for Q5K {
    type Activation = Rounded256;
    const FILE_BYTES: usize = 176;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let parts = Parts::interleave(rows.map(|it| it.get(4..16).unwrap_or_default()));
        let mut high = [0; 256];
        let mut pairs: [Pair; 4] = std::array::from_fn(|pair| Pair {
            low: [0; 256],
            scales: [parts.scales[2 * pair], parts.scales[2 * pair + 1]],
            minimums: [parts.minimums[2 * pair], parts.minimums[2 * pair + 1]],
        });
        for (row, data) in rows.iter().enumerate() {
            for (column, byte) in data.iter().skip(16).take(32).enumerate() {
                high[place(column, row)] = *byte;
            }
            for (at, byte) in data.iter().skip(48).take(128).enumerate() {
                pairs[at / 32].low[place(at % 32, row)] = *byte;
            }
        }
        Self {
            high,
            pairs,
            scale: rows.map(|it| half_at(it, 0)),
            minimum: rows.map(|it| half_at(it, 2)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        for (part, output) in output.chunks_exact_mut(32).enumerate() {
            let pair = &self.pairs[part / 2];
            let scale = half(self.scale[row]) * f32::from(pair.scales[part % 2][row]);
            let minimum = half(self.minimum[row]) * f32::from(pair.minimums[part % 2][row]);
            for (column, output) in output.iter_mut().enumerate() {
                let at = place(column, row);
                let low = pair.low[at] >> (part % 2 * 4) & 15;
                let high = self.high[at] >> part & 1;
                *output = f32::from(low | high << 4) * scale - minimum;
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn tile_avx2<const T: usize>(
        blocks: &[Self],
        tokens: [&[Rounded256]; T],
        output: &mut [[f32; ROWS]; T],
    ) {
        use std::arch::x86_64::{
            __m256i, _mm_cvtsi64_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_madd_epi16,
            _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16,
            _mm256_srl_epi16, _mm256_srli_epi16,
        };

        use super::{
            super::avx2::{
                activations, each_token, halves, load, prefetch, store, sum_of_products, twice, zipped,
            },
            avx2::{add_part, add_scaled, subtract_minimums},
        };

        let mut sums = [_mm256_setzero_ps(); T];
        let (four, one) = (_mm256_set1_epi8(15), _mm256_set1_epi8(16));
        let join = |low: __m256i, high: __m256i| {
            _mm256_or_si256(_mm256_and_si256(low, four), _mm256_and_si256(high, one))
        };
        for (at, block) in blocks.iter().enumerate() {
            prefetch(&block.high);
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let mut totals = [_mm256_setzero_si256(); T];
            for (number, pair) in block.pairs.iter().enumerate() {
                prefetch(pair);
                let shift = _mm_cvtsi64_si128(2 * number as i64);
                let scales = [twice(&pair.scales[0]), twice(&pair.scales[1])];
                for sixteen in 0..2 {
                    let low = |it: usize| load(&pair.low.as_chunks::<32>().0[sixteen * 4 + it]);
                    let high: [_; 4] = std::array::from_fn(|it| {
                        _mm256_srl_epi16(load(&block.high.as_chunks::<32>().0[sixteen * 4 + it]), shift)
                    });
                    let part = number * 4 + sixteen;
                    // Each product of pairs is at most 2 · 31 · 127: four of them stay below 2^15.
                    let weights: [_; 4] =
                        std::array::from_fn(|it| join(low(it), _mm256_slli_epi16::<4>(high[it])));
                    add_part!(T, totals, weights, scales[0], activations, part);
                    let upper = |it: usize| _mm256_srli_epi16::<4>(low(it));
                    let weights: [_; 4] =
                        std::array::from_fn(|it| join(upper(it), _mm256_slli_epi16::<3>(high[it])));
                    add_part!(T, totals, weights, scales[1], activations, part + 2);
                }
            }
            add_scaled(&mut sums, totals, halves(&block.scale), &activations);
            let minimums: [_; 4] = std::array::from_fn(|it| {
                let [first, second] = &block.pairs[it].minimums;
                zipped(first, second)
            });
            subtract_minimums(&mut sums, minimums, halves(&block.minimum), &activations, |it| {
                it.wide_sums.as_chunks().0
            });
        }
        store(sums, output);
    }
}
