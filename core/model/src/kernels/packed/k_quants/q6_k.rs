//! Q6_K: 256 columns in 6 bits, 32 steps above their value; each sixteen with a scale in 8 bits, which is steps
//! of a half.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>, `block_q6_K`.

use super::super::{Block, ROWS, half, half_at, place};
use crate::kernels::activations::Rounded256;

/// In the order in which it is read, or else the processor does not see what comes next.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(in super::super) struct Q6K {
    /// Of the first 128 columns two, then of the others.
    quarters: [Quarter; 4],
    scale: [u16; ROWS],
}

/// Sixteen columns `c` from 0 or 16 on, and those 32, 64 and 96 behind them: `place(c, row)` in `low[0]` has the
/// lower four bits of columns `c` and `64 + c`, in `low[1]` those of `32 + c` and `96 + c`, and in `high` the
/// upper two bits of all four.
#[derive(Clone, Copy)]
#[repr(C)]
struct Quarter {
    low: [[u8; 128]; 2],
    high: [u8; 128],
    /// Of each sixteen columns.
    scales: [[i8; ROWS]; 4],
}

impl Block for Q6K {
    type Activation = Rounded256;
    const FILE_BYTES: usize = 210;

    fn interleave(rows: &[&[u8]; ROWS]) -> Self {
        let quarter = Quarter {
            low: [[0; 128]; 2],
            high: [0; 128],
            scales: [[0; ROWS]; 4],
        };
        let mut quarters = [quarter; 4];
        for (row, data) in rows.iter().enumerate() {
            for (at, byte) in data.iter().take(128).enumerate() {
                quarters[at / 64 * 2 + at / 16 % 2].low[at / 32 % 2][place(at % 16, row)] = *byte;
            }
            for (at, byte) in data.iter().skip(128).take(64).enumerate() {
                quarters[at / 16].high[place(at % 16, row)] = *byte;
            }
            for (at, byte) in data.iter().skip(192).take(16).enumerate() {
                quarters[at / 8 * 2 + at % 2].scales[at / 2 % 4][row] = byte.cast_signed();
            }
        }
        Self {
            quarters,
            scale: rows.map(|it| half_at(it, 208)),
        }
    }

    fn decode(&self, row: usize, output: &mut [f32]) {
        for (column, output) in output.iter_mut().enumerate() {
            let quarter = &self.quarters[column / 128 * 2 + column / 16 % 2];
            let (part, at) = (column / 32 % 4, place(column % 16, row));
            let low = quarter.low[part % 2][at] >> (part / 2 * 4) & 15;
            let high = quarter.high[at] >> (part * 2) & 3;
            let scale = half(self.scale[row]) * f32::from(quarter.scales[part][row]);
            *output = (f32::from(low | high << 4) - 32.0) * scale;
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
            __m256i, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_madd_epi16,
            _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16,
            _mm256_srli_epi16,
        };

        use super::{
            super::avx2::{
                activations, broadcast_pair, each_token, halves, load, prefetch, store, sum_of_products,
                twice_signed,
            },
            avx2::{add_part, add_scaled},
        };

        let mut sums = [_mm256_setzero_ps(); T];
        let start = broadcast_pair;
        let (four, two) = (_mm256_set1_epi8(15), _mm256_set1_epi8(48));
        for (at, block) in blocks.iter().enumerate() {
            // SAFETY: each token is as long as `blocks`.
            let activations = unsafe { activations(&tokens, at) };
            let mut totals = [_mm256_setzero_si256(); T];
            for (number, quarter) in block.quarters.iter().enumerate() {
                prefetch(quarter);
                let low = |side: usize, group: usize| load(&quarter.low[side].as_chunks::<32>().0[group]);
                let part = number / 2 * 8 + number % 2;
                let scales = |it: usize| twice_signed(&quarter.scales[it]);
                let high = |group: usize| load(&quarter.high.as_chunks::<32>().0[group]);
                let join = |low: __m256i, high: __m256i| {
                    _mm256_or_si256(_mm256_and_si256(low, four), _mm256_and_si256(high, two))
                };
                let upper = |it: __m256i| _mm256_srli_epi16::<4>(it);
                // Less 32 · 127 · 8, a sum of four products of pairs stays below 2^15 either way.
                let weights: [_; 4] =
                    std::array::from_fn(|it| join(low(0, it), _mm256_slli_epi16::<4>(high(it))));
                add_part!(T, totals, weights, scales(0), activations, part, start);
                let weights: [_; 4] =
                    std::array::from_fn(|it| join(low(1, it), _mm256_slli_epi16::<2>(high(it))));
                add_part!(T, totals, weights, scales(1), activations, part + 2, start);
                let weights: [_; 4] = std::array::from_fn(|it| join(upper(low(0, it)), high(it)));
                add_part!(T, totals, weights, scales(2), activations, part + 4, start);
                let weights: [_; 4] =
                    std::array::from_fn(|it| join(upper(low(1, it)), _mm256_srli_epi16::<2>(high(it))));
                add_part!(T, totals, weights, scales(3), activations, part + 6, start);
            }
            add_scaled(&mut sums, totals, halves(&block.scale), &activations);
        }
        store(sums, output);
    }
}
