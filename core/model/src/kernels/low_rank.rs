//! The second half of low-rank updates.

use super::packed::ROWS;

/// Tokens that share a loaded row.
const TILE: usize = 3;

/// `sums t += Σ low (t, i) · rows i`, for rows of halves; the tokens' `low` lie `stride` apart.
///
/// Two sums of each token run beside each other, so that an addition need not wait for the one before.
pub(crate) fn add(sums: &mut [[f32; ROWS]], rows: &[[u16; ROWS]], low: &[f32], stride: usize) {
    let enough = low.len() >= sums.len().saturating_sub(1) * stride + rows.len();
    assert!(sums.is_empty() || enough, "a number for each row of each token");
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: the processor has AVX2, FMA and F16C.
        return unsafe { avx2::add(sums, rows, low, stride) };
    }
    portable(sums, rows, low, stride);
}

fn portable(sums: &mut [[f32; ROWS]], rows: &[[u16; ROWS]], low: &[f32], stride: usize) {
    for (sums, low) in sums.iter_mut().zip(low.chunks(stride)) {
        let mut both = [*sums, [0.0; ROWS]];
        for (at, (row, low)) in rows.iter().zip(low).enumerate() {
            for (sum, half) in both[at % 2].iter_mut().zip(row) {
                *sum = low.mul_add(half::f16::from_bits(*half).to_f32(), *sum);
            }
        }
        let [even, odd] = both;
        *sums = std::array::from_fn(|it| even[it] + odd[it]);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256, _mm_loadu_si128, _mm256_add_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };

    use super::{ROWS, TILE};

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn add(sums: &mut [[f32; ROWS]], rows: &[[u16; ROWS]], low: &[f32], stride: usize) {
        let (tiles, rest) = sums.as_chunks_mut::<TILE>();
        let mut from = 0;
        for tile in tiles {
            add_tile(tile, rows, low.get(from..).unwrap_or_default(), stride);
            from += TILE * stride;
        }
        match rest {
            [one] => add_tile(
                std::array::from_mut(one),
                rows,
                low.get(from..).unwrap_or_default(),
                stride,
            ),
            [one, two] => {
                let mut both = [*one, *two];
                add_tile(&mut both, rows, low.get(from..).unwrap_or_default(), stride);
                [*one, *two] = both;
            }
            _ => {}
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    fn widened(row: &[u16; ROWS]) -> __m256 {
        // SAFETY: eight halves are there; the load needs no alignment.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(row.as_ptr().cast::<__m128i>()) })
    }

    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add_tile<const T: usize>(
        sums: &mut [[f32; ROWS]; T],
        rows: &[[u16; ROWS]],
        low: &[f32],
        stride: usize,
    ) {
        assert!(
            low.len() >= (T - 1) * stride + rows.len(),
            "a number for each row of each token"
        );
        let mut even = [_mm256_setzero_ps(); T];
        let mut odd = [_mm256_setzero_ps(); T];
        for (even, sums) in even.iter_mut().zip(&*sums) {
            // SAFETY: eight floats are there.
            *even = unsafe { _mm256_loadu_ps(sums.as_ptr()) };
        }
        let (pairs, last) = rows.as_chunks::<2>();
        for (at, [first, second]) in pairs.iter().enumerate() {
            let (first, second) = (widened(first), widened(second));
            for (token, (even, odd)) in even.iter_mut().zip(&mut odd).enumerate() {
                let at = token * stride + 2 * at;
                // SAFETY: the length has been checked.
                let low = unsafe { low.get_unchecked(at..at + 2) };
                *even = _mm256_fmadd_ps(_mm256_set1_ps(low[0]), first, *even);
                *odd = _mm256_fmadd_ps(_mm256_set1_ps(low[1]), second, *odd);
            }
        }
        if let [row] = last {
            let row = widened(row);
            for (token, even) in even.iter_mut().enumerate() {
                // SAFETY: the length has been checked.
                let low = unsafe { *low.get_unchecked(token * stride + rows.len() - 1) };
                *even = _mm256_fmadd_ps(_mm256_set1_ps(low), row, *even);
            }
        }
        for ((sums, even), odd) in sums.iter_mut().zip(even).zip(odd) {
            // SAFETY: eight floats are there.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), _mm256_add_ps(even, odd)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{ROWS, add, portable};

    proptest! {
        #[test]
        fn all_paths_give_the_same(tokens in 0_usize..8, rank in 1_usize..20, seed in 0_u32..1000) {
            let number = |at: usize| ((at as u32 * 2_654_435_761 + seed) >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let rows: Vec<[u16; ROWS]> = (0..rank)
                .map(|row| std::array::from_fn(|it| f16::from_f32(number(row * ROWS + it)).to_bits()))
                .collect();
            let stride = rank + 3;
            let low: Vec<f32> = (0..tokens * stride).map(|it| number(it + 999)).collect();
            let start: Vec<[f32; ROWS]> = (0..tokens).map(|it| [number(it); ROWS]).collect();
            let (mut found, mut expect) = (start.clone(), start.clone());
            add(&mut found, &rows, &low, stride);
            portable(&mut expect, &rows, &low, stride);
            prop_assert_eq!(&found, &expect);
            for (token, found) in found.iter().enumerate() {
                let mut alone = [start[token]];
                add(&mut alone, &rows, &low[token * stride..], stride);
                prop_assert_eq!(&alone[0], found);
                let sum: f64 = (0..rank)
                    .map(|it| f64::from(low[token * stride + it]) * f64::from(f16::from_bits(rows[it][3]).to_f32()))
                    .sum();
                prop_assert!((f64::from(found[3]) - sum - f64::from(start[token][3])).abs() < 1e-5);
            }
        }
    }
}
