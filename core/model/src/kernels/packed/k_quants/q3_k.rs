//! Q3_K: 256 columns in 3 bits, 4 steps above their value; each sixteen with a scale in 6 bits, which is steps
//! of a half.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q3_K`.

use super::super::{Block, ROWS, half, half_at, place};
use crate::kernels::activations::Rounded256;

/// In the order in which it is read, as Q4_K.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(in super::super) struct Q3K {
    /// At `place(c, row)` in bit `p` the third bit of column `c` of the part of 32 columns `p`.
    high: [u8; 256],
    halves: [Half; 2],
    scale: [u16; ROWS],
}

/// Four parts of 32 columns.
#[derive(Clone, Copy)]
#[repr(C)]
struct Half {
    /// At `place(c, row)` two bits of column `c` of each part.
    low: [u8; 256],
    /// Of each sixteen columns.
    scales: [[i8; ROWS]; 8],
}

impl Block for Q3K {
    type Activation = Rounded256;
    const FILE_BYTES: usize = 110;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let half = Half {
            low: [0; 256],
            scales: [[0; ROWS]; 8],
        };
        let mut block = Self {
            high: [0; 256],
            halves: [half; 2],
            scale: rows.map(|it| half_at(it, 108)),
        };
        for (row, data) in rows.iter().enumerate() {
            for (column, byte) in data.iter().take(32).enumerate() {
                block.high[place(column, row)] = *byte;
            }
            for (at, byte) in data.iter().skip(32).take(64).enumerate() {
                block.halves[at / 32].low[place(at % 32, row)] = *byte;
            }
            let packed = |at: usize| data.get(96 + at).copied().unwrap_or_default();
            for part in 0..16 {
                let low = packed(part % 8) >> (part / 8 * 4) & 15;
                let high = packed(8 + part % 4) >> (part / 4 * 2) & 3;
                block.halves[part / 8].scales[part % 8][row] = (low | high << 4).cast_signed() - 32;
            }
        }
        block
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        for (column, output) in output.iter_mut().enumerate() {
            let (part, at) = (column / 32, place(column % 32, row));
            let of_columns = &self.halves[part / 4];
            let low = of_columns.low[at] >> (part % 4 * 2) & 3;
            let high = self.high[at] >> part & 1;
            let scale = half(self.scale[row]) * f32::from(of_columns.scales[column / 16 % 8][row]);
            *output = (f32::from(low | high << 2) - 4.0) * scale;
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
            _mm_cvtsi64_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_madd_epi16,
            _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16,
            _mm256_srai_epi16, _mm256_srl_epi16,
        };

        use super::{
            super::avx2::{
                activations, broadcast_pair, each_token, halves, load, prefetch, store, sum_of_products,
                twice_signed,
            },
            avx2::{add_part, add_scaled},
        };

        let mut sums = [_mm256_setzero_ps(); T];
        let (two, one) = (_mm256_set1_epi8(3), _mm256_set1_epi8(1));
        for (at, block) in blocks.iter().enumerate() {
            prefetch(&block.high);
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let mut totals = [_mm256_setzero_si256(); T];
            for (side, half) in block.halves.iter().enumerate() {
                prefetch(half);
                for quarter in 0..4 {
                    let low_shift = _mm_cvtsi64_si128(2 * quarter as i64);
                    let high_shift = _mm_cvtsi64_si128((side * 4 + quarter) as i64);
                    for sixteen in 0..2 {
                        let weights: [_; 4] = std::array::from_fn(|it| {
                            let low = load(&half.low.as_chunks::<32>().0[sixteen * 4 + it]);
                            let high = load(&block.high.as_chunks::<32>().0[sixteen * 4 + it]);
                            let low = _mm256_and_si256(_mm256_srl_epi16(low, low_shift), two);
                            let high = _mm256_and_si256(_mm256_srl_epi16(high, high_shift), one);
                            _mm256_or_si256(low, _mm256_slli_epi16::<2>(high))
                        });
                        let part = quarter * 2 + sixteen;
                        let scales = twice_signed(&half.scales[part]);
                        // Of 32 steps lower an eighth: four.
                        let start = |it| _mm256_srai_epi16::<3>(broadcast_pair(it));
                        add_part!(T, totals, weights, scales, activations, side * 8 + part, start);
                    }
                }
            }
            add_scaled(&mut sums, totals, halves(&block.scale), &activations);
        }
        store(sums, output);
    }
}
