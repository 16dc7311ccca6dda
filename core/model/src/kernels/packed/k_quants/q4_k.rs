//! Q4_K: 256 columns in 4 bits; each 32 with a scale and a minimum in 6 bits, which are steps of two halves.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q4_K`.

use super::{
    super::{Block, ROWS, half, half_at, place},
    Parts,
};
use crate::kernels::activations::Rounded256;

/// In the order in which it is read, or else the processor does not see what comes next.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(in super::super) struct Q4K {
    pairs: [Pair; 4],
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

/// Two parts of 32 columns; `quants` at `place(c, row)` has column `c` of the first (low) and the second (high).
#[derive(Clone, Copy)]
#[repr(C)]
struct Pair {
    quants: [u8; 256],
    scales: [[u8; ROWS]; 2],
    minimums: [[u8; ROWS]; 2],
}

impl Block for Q4K {
    type Activation = Rounded256;
    const FILE_BYTES: usize = 144;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let parts = Parts::interleave(rows.map(|it| it.get(4..16).unwrap_or_default()));
        let mut pairs: [Pair; 4] = std::array::from_fn(|pair| Pair {
            quants: [0; 256],
            scales: [parts.scales[2 * pair], parts.scales[2 * pair + 1]],
            minimums: [parts.minimums[2 * pair], parts.minimums[2 * pair + 1]],
        });
        for (row, data) in rows.iter().enumerate() {
            for (at, byte) in data.iter().skip(16).take(128).enumerate() {
                pairs[at / 32].quants[place(at % 32, row)] = *byte;
            }
        }
        Self {
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
                let quant = pair.quants[place(column, row)] >> (part % 2 * 4) & 15;
                *output = f32::from(quant) * scale - minimum;
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
            _mm256_add_epi32, _mm256_and_si256, _mm256_madd_epi16, _mm256_set1_epi8, _mm256_setzero_ps,
            _mm256_setzero_si256, _mm256_srli_epi16,
        };

        use super::{
            super::avx2::{
                activations, each_token, halves, load, prefetch, store, sum_of_products, twice, zipped,
            },
            avx2::{add_part, add_scaled, subtract_minimums},
        };

        let mut sums = [_mm256_setzero_ps(); T];
        let low = _mm256_set1_epi8(15);
        for (at, block) in blocks.iter().enumerate() {
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let mut totals = [_mm256_setzero_si256(); T];
            for (number, pair) in block.pairs.iter().enumerate() {
                prefetch(pair);
                let quants = |it: usize| load(&pair.quants.as_chunks::<32>().0[it]);
                // Each product of pairs is at most 2 · 15 · 127, so eight of them stay below 2^15.
                let weights: [_; 8] = std::array::from_fn(|it| _mm256_and_si256(quants(it), low));
                add_part!(
                    T,
                    totals,
                    weights,
                    twice(&pair.scales[0]),
                    activations,
                    2 * number
                );
                let weights: [_; 8] =
                    std::array::from_fn(|it| _mm256_and_si256(_mm256_srli_epi16::<4>(quants(it)), low));
                add_part!(
                    T,
                    totals,
                    weights,
                    twice(&pair.scales[1]),
                    activations,
                    2 * number + 1
                );
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
