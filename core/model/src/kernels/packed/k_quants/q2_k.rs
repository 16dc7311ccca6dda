//! Q2_K: 256 columns in 2 bits; each sixteen with a scale and a minimum in 4 bits, which are steps of two halves.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q2_K`.

use super::super::{Block, ROWS, half, half_at, place};
use crate::kernels::activations::Rounded256;

/// In the order in which it is read, as Q4_K.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(in super::super) struct Q2K {
    halves: [Half; 2],
    scale: [u16; ROWS],
    minimum: [u16; ROWS],
}

/// 128 columns, in four quarters of 32.
#[derive(Clone, Copy)]
#[repr(C)]
struct Half {
    /// At `place(c, row)` column `c` of each quarter.
    quants: [u8; 256],
    /// Of each sixteen columns: the scale low, the minimum high.
    parts: [[u8; ROWS]; 8],
}

impl Block for Q2K {
    type Activation = Rounded256;
    const FILE_BYTES: usize = 84;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let half = Half {
            quants: [0; 256],
            parts: [[0; ROWS]; 8],
        };
        let mut halves = [half; 2];
        for (row, data) in rows.iter().enumerate() {
            for (at, byte) in data.iter().take(16).enumerate() {
                halves[at / 8].parts[at % 8][row] = *byte;
            }
            for (at, byte) in data.iter().skip(16).take(64).enumerate() {
                halves[at / 32].quants[place(at % 32, row)] = *byte;
            }
        }
        Self {
            halves,
            scale: rows.map(|it| half_at(it, 80)),
            minimum: rows.map(|it| half_at(it, 82)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        for (column, output) in output.iter_mut().enumerate() {
            let of_columns = &self.halves[column / 128];
            let quant = of_columns.quants[place(column % 32, row)] >> (column / 32 % 4 * 2) & 3;
            let part = of_columns.parts[column / 16 % 8][row];
            let scale = half(self.scale[row]) * f32::from(part & 15);
            *output = f32::from(quant) * scale - half(self.minimum[row]) * f32::from(part >> 4);
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
            _mm_cvtsi64_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_madd_epi16, _mm256_set1_epi8,
            _mm256_set1_epi16, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_srl_epi16, _mm256_srli_epi16,
        };

        use super::{
            super::avx2::{
                activations, each_token, halves, load, prefetch, store, sum_of_products, twice, zipped,
            },
            avx2::{add_part, add_scaled, subtract_minimums},
        };

        let mut sums = [_mm256_setzero_ps(); T];
        let (two, four) = (_mm256_set1_epi8(3), _mm256_set1_epi16(15));
        for (at, block) in blocks.iter().enumerate() {
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let mut totals = [_mm256_setzero_si256(); T];
            for (side, half) in block.halves.iter().enumerate() {
                prefetch(half);
                for quarter in 0..4 {
                    let shift = _mm_cvtsi64_si128(2 * quarter as i64);
                    for sixteen in 0..2 {
                        let weights: [_; 4] = std::array::from_fn(|it| {
                            let bytes = load(&half.quants.as_chunks::<32>().0[sixteen * 4 + it]);
                            _mm256_and_si256(_mm256_srl_epi16(bytes, shift), two)
                        });
                        let part = quarter * 2 + sixteen;
                        let scales = _mm256_and_si256(twice(&half.parts[part]), four);
                        add_part!(T, totals, weights, scales, activations, side * 8 + part);
                    }
                }
            }
            add_scaled(&mut sums, totals, halves(&block.scale), &activations);
            let minimums: [_; 8] = std::array::from_fn(|it| {
                let (pairs, _) = block.halves[it / 4].parts.as_chunks::<2>();
                let [first, second] = &pairs[it % 4];
                _mm256_srli_epi16::<4>(zipped(first, second))
            });
            subtract_minimums(&mut sums, minimums, halves(&block.minimum), &activations, |it| {
                it.sums.as_chunks().0
            });
        }
        store(sums, output);
    }
}
