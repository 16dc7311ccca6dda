//! Q4_K: 256 columns in 4 bits; each 32 with a scale and a minimum in 6 bits, which are steps of two halves.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q4_K`.

use super::{
    super::{Block, ROWS, half_at, place},
    Parts,
};
use crate::kernels::activations::Rounded256;

/// `quants[p]` at `place(c, row)` has column `c` of the parts `2 p` (low) and `2 p + 1` (high).
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(in super::super) struct Q4K {
    quants: [[u8; 256]; 4],
    parts: Parts,
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

impl Block for Q4K {
    type Activation = Rounded256;
    const FILE_BYTES: usize = 144;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let mut quants = [[0; 256]; 4];
        for (row, data) in rows.iter().enumerate() {
            for (at, byte) in data.iter().skip(16).take(128).enumerate() {
                quants[at / 32][place(at % 32, row)] = *byte;
            }
        }
        Self {
            quants,
            parts: Parts::interleave(rows.map(|it| it.get(4..16).unwrap_or_default())),
            scale: rows.map(|it| half_at(it, 0)),
            minimum: rows.map(|it| half_at(it, 2)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        for (part, output) in output.chunks_exact_mut(32).enumerate() {
            let (scale, minimum) = self.parts.of(part, row, self.scale[row], self.minimum[row]);
            for (column, output) in output.iter_mut().enumerate() {
                let quant = self.quants[part / 2][place(column, row)] >> (part % 2 * 4) & 15;
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
            prefetch(block);
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let Parts { scales, minimums } = &block.parts;
            let mut totals = [_mm256_setzero_si256(); T];
            for (pair, quants) in block.quants.iter().enumerate() {
                let quants = |it: usize| load(&quants.as_chunks::<32>().0[it]);
                // Each product of pairs is at most 2 · 15 · 127, so eight of them stay below 2^15.
                let weights: [_; 8] = std::array::from_fn(|it| _mm256_and_si256(quants(it), low));
                add_part!(
                    T,
                    totals,
                    weights,
                    twice(&scales[2 * pair]),
                    activations,
                    2 * pair
                );
                let weights: [_; 8] =
                    std::array::from_fn(|it| _mm256_and_si256(_mm256_srli_epi16::<4>(quants(it)), low));
                add_part!(
                    T,
                    totals,
                    weights,
                    twice(&scales[2 * pair + 1]),
                    activations,
                    2 * pair + 1
                );
            }
            add_scaled(&mut sums, totals, halves(&block.scale), &activations);
            let minimums: [_; 4] = std::array::from_fn(|it| zipped(&minimums[2 * it], &minimums[2 * it + 1]));
            subtract_minimums(&mut sums, minimums, halves(&block.minimum), &activations, |it| {
                it.wide_sums.as_chunks().0
            });
        }
        store(sums, output);
    }
}
