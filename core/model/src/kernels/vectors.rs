//! Products and sums over rows of f32: the inner loops of attention.
//!
//! Written out for AVX2, since compilers keep the order of additions and so leave them scalar.

/// Of two vectors of one length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut output = [0.0];
    dots(a, b, b.len().max(1), 1.0, &mut output);
    let [dot] = output;
    dot
}

/// `output[i] = scale · (query · row i)`, the rows `stride` apart.
pub(crate) fn dots(query: &[f32], rows: &[f32], stride: usize, scale: f32, output: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: the processor has AVX2 and FMA.
        return unsafe { avx2::dots(query, rows, stride, scale, output) };
    }
    portable::dots(query, rows, stride, scale, output);
}

/// `target += factor i · row i`, the rows `stride` apart.
pub(crate) fn add_rows(target: &mut [f32], factors: &[f32], rows: &[f32], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: the processor has AVX2 and FMA.
        return unsafe { avx2::add_rows(target, factors, rows, stride) };
    }
    portable::add_rows(target, factors, rows, stride);
}

/// The largest; minus infinity of none.
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut best = [f32::NEG_INFINITY; 8];
    for chunk in chunks {
        best = std::array::from_fn(|it| if chunk[it] > best[it] { chunk[it] } else { best[it] });
    }
    best.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

pub(crate) fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for chunk in chunks {
        sums = std::array::from_fn(|it| sums[it] + chunk[it]);
    }
    sums.iter().chain(rest).sum()
}

mod portable {
    pub(super) fn dots(query: &[f32], rows: &[f32], stride: usize, scale: f32, output: &mut [f32]) {
        for (output, row) in output.iter_mut().zip(rows.chunks(stride)) {
            *output = query.iter().zip(row).map(|(a, b)| a * b).sum::<f32>() * scale;
        }
    }

    pub(super) fn add_rows(target: &mut [f32], factors: &[f32], rows: &[f32], stride: usize) {
        for (factor, row) in factors.iter().zip(rows.chunks(stride)) {
            for (target, value) in target.iter_mut().zip(row) {
                *target += factor * value;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm_add_ps, _mm_mul_ps, _mm_set1_ps, _mm_storeu_ps, _mm256_castps256_ps128,
        _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_hadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_storeu_ps,
    };

    use super::portable;

    const LANES: usize = 8;

    /// Four rows at a time, so that a piece of the query is loaded once for all of them.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn dots(query: &[f32], rows: &[f32], stride: usize, scale: f32, output: &mut [f32]) {
        let whole = query.len() / LANES * LANES;
        let (query_chunks, query_rest) = query.as_chunks::<LANES>();
        let (fours, last) = output.as_chunks_mut::<4>();
        let done = fours.len() * 4 * stride;
        for (output, rows) in fours.iter_mut().zip(rows.chunks(4 * stride)) {
            let row = |it: usize| {
                rows.get(it * stride..it * stride + query.len())
                    .unwrap_or_default()
            };
            let [a, b, c, d] = [0, 1, 2, 3].map(|it| row(it).as_chunks::<LANES>().0);
            let mut sums = [_mm256_setzero_ps(); 4];
            for ((((query, a), b), c), d) in query_chunks.iter().zip(a).zip(b).zip(c).zip(d) {
                let query = load(query);
                sums[0] = _mm256_fmadd_ps(query, load(a), sums[0]);
                sums[1] = _mm256_fmadd_ps(query, load(b), sums[1]);
                sums[2] = _mm256_fmadd_ps(query, load(c), sums[2]);
                sums[3] = _mm256_fmadd_ps(query, load(d), sums[3]);
            }
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
            let four = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
            // SAFETY: four floats are there; the store needs no alignment.
            unsafe { _mm_storeu_ps(output.as_mut_ptr(), _mm_mul_ps(four, _mm_set1_ps(scale))) };
            if !query_rest.is_empty() {
                for (number, output) in output.iter_mut().enumerate() {
                    let rest = row(number).get(whole..).unwrap_or_default();
                    *output += query_rest.iter().zip(rest).map(|(a, b)| a * b).sum::<f32>() * scale;
                }
            }
        }
        for (output, row) in last
            .iter_mut()
            .zip(rows.get(done..).unwrap_or_default().chunks(stride))
        {
            let (chunks, rest) = row.get(..query.len()).unwrap_or_default().as_chunks::<LANES>();
            let mut sum = _mm256_setzero_ps();
            for (query, row) in query_chunks.iter().zip(chunks) {
                sum = _mm256_fmadd_ps(load(query), load(row), sum);
            }
            let mut lanes = [0.0; LANES];
            store(&mut lanes, sum);
            let rest: f32 = query_rest.iter().zip(rest).map(|(a, b)| a * b).sum();
            *output = (lanes.iter().sum::<f32>() + rest) * scale;
        }
    }

    /// Up to 64 columns stay in registers while the rows go by.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn add_rows(target: &mut [f32], factors: &[f32], rows: &[f32], stride: usize) {
        let mut column = 0;
        for target in target.chunks_mut(8 * LANES) {
            let rows = rows.get(column..).unwrap_or_default();
            column += target.len();
            match target.as_chunks_mut::<LANES>() {
                (target, []) => match target {
                    [_, _, _, _, _, _, _, _] => columns::<8>(target, factors, rows, stride),
                    _ => target.iter_mut().enumerate().for_each(|(number, target)| {
                        let rows = rows.get(number * LANES..).unwrap_or_default();
                        columns::<1>(std::slice::from_mut(target), factors, rows, stride);
                    }),
                },
                _ => portable::add_rows(target, factors, rows, stride),
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    fn columns<const N: usize>(target: &mut [[f32; LANES]], factors: &[f32], rows: &[f32], stride: usize) {
        let mut sums = [_mm256_setzero_ps(); N];
        for (sum, target) in sums.iter_mut().zip(target.iter()) {
            *sum = load(target);
        }
        for (factor, row) in factors.iter().zip(rows.chunks(stride)) {
            let factor = _mm256_set1_ps(*factor);
            let Some(row) = row.as_chunks::<LANES>().0.first_chunk::<N>() else {
                continue;
            };
            for (sum, row) in sums.iter_mut().zip(row) {
                *sum = _mm256_fmadd_ps(factor, load(row), *sum);
            }
        }
        for (sum, target) in sums.iter().zip(target) {
            store(target, *sum);
        }
    }

    #[target_feature(enable = "avx2")]
    fn load(values: &[f32; LANES]) -> __m256 {
        // SAFETY: eight floats are there; the load needs no alignment.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }

    #[target_feature(enable = "avx2")]
    fn store(target: &mut [f32; LANES], values: __m256) {
        // SAFETY: eight floats are there; the store needs no alignment.
        unsafe { _mm256_storeu_ps(target.as_mut_ptr(), values) };
    }
}

#[cfg(test)]
mod tests {
    use super::{add_rows, dot, dots, maximum, portable, sum};

    fn close(found: &[f32], expect: &[f32]) {
        assert_eq!(found.len(), expect.len());
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4 + 1e-6 * b.abs();
        assert!(found.iter().zip(expect).all(near), "{found:?} {expect:?}");
    }

    #[test]
    fn all_widths_and_counts_are_as_in_the_portable_code() {
        let numbers: Vec<f32> = (0..4000).map(|it| (it * 37 % 101) as f32 * 0.01 - 0.5).collect();
        for width in [1, 7, 8, 15, 16, 20, 64, 72, 80, 128, 130] {
            for count in [0, 1, 3, 4, 5, 11, 20] {
                let stride = width + width % 3;
                // The last row may end with its width.
                let rows = &numbers[..(count * stride).max(stride) - (stride - width)];
                let query = &numbers[1000..1000 + width];
                let (mut found, mut expect) = (vec![0.0; count], vec![0.0; count]);
                dots(query, rows, stride, 0.5, &mut found);
                let padded: Vec<f32> = query.iter().copied().chain(vec![0.0; stride - width]).collect();
                portable::dots(&padded, rows, stride, 0.5, &mut expect);
                close(&found, &expect);

                let factors = &numbers[2000..2000 + count];
                let (mut found, mut expect) = (query.to_vec(), query.to_vec());
                add_rows(&mut found, factors, rows, stride);
                portable::add_rows(&mut expect, factors, rows, stride);
                close(&found, &expect);
            }
        }
    }

    #[test]
    fn single_values_of_a_vector() {
        for length in [0_usize, 1, 7, 16, 33] {
            let values: Vec<f32> = (0..length).map(|it| it as f32 * 0.5 - 3.0).collect();
            close(&[dot(&values, &values)], &[values.iter().map(|it| it * it).sum()]);
            close(&[sum(&values)], &[values.iter().sum()]);
            assert_eq!(
                maximum(&values),
                values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
        }
    }
}
