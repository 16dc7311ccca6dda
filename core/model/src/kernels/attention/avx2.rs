//! The same for AVX2: keys and values are widened once for up to [`TILE`] queries.

use std::arch::x86_64::{
    __m128i, __m256, _MM_HINT_T0, _MM_HINT_T1, _mm_loadl_epi64, _mm_loadu_si128, _mm_prefetch,
    _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::{CHUNK, Chunk, KvPrecision, SLOTS, TILE, portable};

/// Queries from which on one block of keys keeps the units busy.
const WIDE_TILE: usize = 2;

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scores(chunk: &Chunk<'_>, queries: &[f32], tile: usize, width: usize, output: &mut [f32]) {
    assert!(tile <= TILE && queries.len() >= tile * width && output.len() >= tile * CHUNK);
    let bytes = chunk.precision.head_bytes(width);
    assert!(chunk.blocks.len() * SLOTS <= CHUNK && chunk.blocks.iter().all(|it| it.0.len() >= bytes));
    let mut number = 0;
    while let Some((keys, values)) = chunk.blocks.get(number) {
        // Few queries have too few sums under way to keep the units busy, so they take two blocks at once.
        let second = chunk.blocks.get(number + 1).filter(|_| tile <= WIDE_TILE);
        let next = number + 1 + usize::from(second.is_some());
        let ahead = Ahead {
            keys: [next, next + 1].map(|it| chunk.blocks.get(it).map_or(keys.as_ptr(), |it| it.0.as_ptr())),
            values: [
                values.as_ptr(),
                second.map_or(values.as_ptr(), |it| it.1.as_ptr()),
            ],
        };
        let (queries, first) = (queries.as_ptr(), keys.as_ptr());
        // SAFETY: the lengths have been checked: `tile` queries of `width`, blocks of keys, and room for a row
        // of `CHUNK` scores each.
        unsafe {
            let output = output.as_mut_ptr().add(number * SLOTS);
            if let Some((keys, _)) = second {
                let keys = [first, keys.as_ptr()];
                match (chunk.precision, tile) {
                    (KvPrecision::F16, 1) => blocks::<1, 2, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::F16, _) => blocks::<2, 2, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, 1) => blocks::<1, 2, true>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, _) => blocks::<2, 2, true>(queries, keys, &ahead, width, output),
                }
            } else {
                let keys = [first];
                match (chunk.precision, tile) {
                    (KvPrecision::F16, 1) => blocks::<1, 1, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::F16, 2) => blocks::<2, 1, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::F16, 3) => blocks::<3, 1, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::F16, 4) => blocks::<4, 1, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::F16, 5) => blocks::<5, 1, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::F16, _) => blocks::<6, 1, false>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, 1) => blocks::<1, 1, true>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, 2) => blocks::<2, 1, true>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, 3) => blocks::<3, 1, true>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, 4) => blocks::<4, 1, true>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, 5) => blocks::<5, 1, true>(queries, keys, &ahead, width, output),
                    (KvPrecision::Q8, _) => blocks::<6, 1, true>(queries, keys, &ahead, width, output),
                }
            }
        }
        number = next;
    }
}

/// What will be read next. Blocks lie apart from each other, so the processor does not foresee it.
struct Ahead {
    keys: [*const u8; 2],
    values: [*const u8; 2],
}

/// Eight numbers, `at` of them behind the start.
///
/// # Safety
/// They must be there.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn eight<const Q8: bool>(start: *const u8, at: usize) -> __m256 {
    // SAFETY: as of the caller; the loads need no alignment.
    unsafe {
        if Q8 {
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(
                start.add(at).cast::<__m128i>(),
            )))
        } else {
            _mm256_cvtph_ps(_mm_loadu_si128(start.add(2 * at).cast::<__m128i>()))
        }
    }
}

/// # Safety
/// `Q` queries of `width`, `B` blocks of keys, and 16 · `B` places in each of `Q` rows of `CHUNK` must be there.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn blocks<const Q: usize, const B: usize, const Q8: bool>(
    queries: *const f32,
    keys: [*const u8; B],
    ahead: &Ahead,
    width: usize,
    output: *mut f32,
) {
    let mut sums = [[[_mm256_setzero_ps(); 2]; B]; Q];
    for at in 0..width {
        let bytes = at * if Q8 { SLOTS } else { 2 * SLOTS };
        if bytes.is_multiple_of(64) {
            for (keys, values) in ahead.keys.iter().zip(&ahead.values).take(B) {
                _mm_prefetch::<_MM_HINT_T0>(keys.wrapping_add(bytes).cast());
                _mm_prefetch::<_MM_HINT_T1>(values.wrapping_add(bytes).cast());
            }
        }
        // SAFETY: as of the caller.
        unsafe {
            // What is fewer stays in registers, beside twelve sums; the other comes one at a time.
            if Q <= WIDE_TILE {
                let mut numbers = [_mm256_setzero_ps(); Q];
                for (query, number) in numbers.iter_mut().enumerate() {
                    *number = _mm256_set1_ps(*queries.add(query * width + at));
                }
                for (block, keys) in keys.iter().enumerate() {
                    for half in 0..2 {
                        let keys = eight::<Q8>(*keys, at * SLOTS + 8 * half);
                        for (sums, number) in sums.iter_mut().zip(&numbers) {
                            sums[block][half] = _mm256_fmadd_ps(*number, keys, sums[block][half]);
                        }
                    }
                }
            } else {
                let mut loaded = [[_mm256_setzero_ps(); 2]; B];
                for (loaded, keys) in loaded.iter_mut().zip(&keys) {
                    loaded[0] = eight::<Q8>(*keys, at * SLOTS);
                    loaded[1] = eight::<Q8>(*keys, at * SLOTS + 8);
                }
                for (query, sums) in sums.iter_mut().enumerate() {
                    let number = _mm256_set1_ps(*queries.add(query * width + at));
                    for (sum, keys) in sums.as_flattened_mut().iter_mut().zip(loaded.as_flattened()) {
                        *sum = _mm256_fmadd_ps(number, *keys, *sum);
                    }
                }
            }
        }
    }
    for (query, sums) in sums.into_iter().enumerate() {
        for (block, (sums, keys)) in sums.into_iter().zip(&keys).enumerate() {
            for (half, sum) in sums.into_iter().enumerate() {
                // SAFETY: as of the caller; in 8 bits the scales follow the quants.
                unsafe {
                    let sum = if Q8 {
                        let scales = keys.add(SLOTS * width).cast::<f32>().add(8 * half);
                        _mm256_mul_ps(sum, _mm256_loadu_ps(scales))
                    } else {
                        sum
                    };
                    _mm256_storeu_ps(output.add(query * CHUNK + block * SLOTS + 8 * half), sum);
                }
            }
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn mix(chunk: &Chunk<'_>, tile: usize, width: usize, weights: &[f32], output: &mut [f32]) {
    if !width.is_multiple_of(8) {
        return portable::mix(chunk, tile, width, weights, output);
    }
    assert!(tile <= TILE && weights.len() >= tile * CHUNK && output.len() >= tile * width);
    let bytes = chunk.precision.head_bytes(width);
    assert!(chunk.blocks.len() * SLOTS <= CHUNK && chunk.blocks.iter().all(|it| it.1.len() >= bytes));
    let (weights, output) = (weights.as_ptr(), output.as_mut_ptr());
    // SAFETY: the lengths have been checked: `tile` rows of `CHUNK` weights, blocks of values, and room for
    // `tile` rows of `width`, which is a multiple of eight.
    unsafe {
        match (chunk.precision, tile) {
            (KvPrecision::F16, 1) => values::<1, 4, false>(chunk, weights, width, output),
            (KvPrecision::F16, 2) => values::<2, 4, false>(chunk, weights, width, output),
            (KvPrecision::F16, 3) => values::<3, 2, false>(chunk, weights, width, output),
            (KvPrecision::F16, 4) => values::<4, 2, false>(chunk, weights, width, output),
            (KvPrecision::F16, 5) => values::<5, 2, false>(chunk, weights, width, output),
            (KvPrecision::F16, _) => values::<6, 2, false>(chunk, weights, width, output),
            (KvPrecision::Q8, 1) => values::<1, 4, true>(chunk, weights, width, output),
            (KvPrecision::Q8, 2) => values::<2, 4, true>(chunk, weights, width, output),
            (KvPrecision::Q8, 3) => values::<3, 2, true>(chunk, weights, width, output),
            (KvPrecision::Q8, 4) => values::<4, 2, true>(chunk, weights, width, output),
            (KvPrecision::Q8, 5) => values::<5, 2, true>(chunk, weights, width, output),
            (KvPrecision::Q8, _) => values::<6, 2, true>(chunk, weights, width, output),
        }
    }
}

/// # Safety
/// `Q` rows of `CHUNK` weights, whole blocks of values, and room for `Q` rows of `width` must be there;
/// `width` must be a multiple of eight.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn values<const Q: usize, const V: usize, const Q8: bool>(
    chunk: &Chunk<'_>,
    weights: *const f32,
    width: usize,
    output: *mut f32,
) {
    let mut column = 0;
    // SAFETY: as of the caller, and the columns lie inside.
    unsafe {
        while column + 8 * V <= width {
            columns::<Q, V, Q8>(chunk, weights, width, column, output);
            column += 8 * V;
        }
        while column < width {
            columns::<Q, 1, Q8>(chunk, weights, width, column, output);
            column += 8;
        }
    }
}

/// # Safety
/// As of [`values`]; 8 · `V` columns from `column` on must be there.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn columns<const Q: usize, const V: usize, const Q8: bool>(
    chunk: &Chunk<'_>,
    weights: *const f32,
    width: usize,
    column: usize,
    output: *mut f32,
) {
    let mut sums = [[_mm256_setzero_ps(); V]; Q];
    for (number, (_, values)) in chunk.blocks.iter().enumerate() {
        for slot in 0..SLOTS {
            // SAFETY: as of the caller.
            unsafe {
                let at = slot * width + column;
                if Q <= WIDE_TILE {
                    let mut rows = [_mm256_setzero_ps(); Q];
                    for (query, weight) in rows.iter_mut().enumerate() {
                        *weight = _mm256_set1_ps(*weights.add(query * CHUNK + number * SLOTS + slot));
                    }
                    for part in 0..V {
                        let numbers = eight::<Q8>(values.as_ptr(), at + 8 * part);
                        for (sums, weight) in sums.iter_mut().zip(&rows) {
                            sums[part] = _mm256_fmadd_ps(*weight, numbers, sums[part]);
                        }
                    }
                } else {
                    let mut numbers = [_mm256_setzero_ps(); V];
                    for (part, numbers) in numbers.iter_mut().enumerate() {
                        *numbers = eight::<Q8>(values.as_ptr(), at + 8 * part);
                    }
                    for (query, sums) in sums.iter_mut().enumerate() {
                        let weight = _mm256_set1_ps(*weights.add(query * CHUNK + number * SLOTS + slot));
                        for (sum, numbers) in sums.iter_mut().zip(&numbers) {
                            *sum = _mm256_fmadd_ps(weight, *numbers, *sum);
                        }
                    }
                }
            }
        }
    }
    for (query, sums) in sums.into_iter().enumerate() {
        for (part, sum) in sums.into_iter().enumerate() {
            // SAFETY: as of the caller.
            unsafe { _mm256_storeu_ps(output.add(query * width + column + 8 * part), sum) };
        }
    }
}
