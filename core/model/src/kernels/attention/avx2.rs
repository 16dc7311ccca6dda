//! The same for AVX2: keys and values are widened once for up to [`TILE`] queries.

use std::arch::x86_64::{
    __m128i, __m256, _MM_HINT_T0, _MM_HINT_T1, _mm_loadl_epi64, _mm_loadu_si128, _mm_prefetch,
    _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::{CHUNK, Chunk, KvPrecision, SLOTS, TILE, portable};

/// Queries up to which there are too few sums under way to keep the units busy with one block of keys.
const FEW: usize = 2;

/// How keys and values are kept.
trait Numbers {
    const BYTES: usize;
    /// A block ends with a scale for each slot.
    const SCALED: bool;

    /// Eight numbers, `at` of them behind the start.
    ///
    /// # Safety
    /// They must be there; the processor must have AVX2 and F16C.
    unsafe fn eight(start: *const u8, at: usize) -> __m256;
}

struct Floats;
struct Halves;
struct Quants;

impl Numbers for Floats {
    const BYTES: usize = 4;
    const SCALED: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn eight(start: *const u8, at: usize) -> __m256 {
        // SAFETY: as of the caller; the load needs no alignment.
        unsafe { _mm256_loadu_ps(start.add(4 * at).cast()) }
    }
}

impl Numbers for Halves {
    const BYTES: usize = 2;
    const SCALED: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn eight(start: *const u8, at: usize) -> __m256 {
        // SAFETY: as of the caller; the load needs no alignment.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(start.add(2 * at).cast::<__m128i>())) }
    }
}

impl Numbers for Quants {
    const BYTES: usize = 1;
    const SCALED: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn eight(start: *const u8, at: usize) -> __m256 {
        // SAFETY: as of the caller; the load needs no alignment.
        let eight = unsafe { _mm_loadl_epi64(start.add(at).cast::<__m128i>()) };
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn scores(chunk: &Chunk<'_>, queries: &[f32], tile: usize, width: usize, output: &mut [f32]) {
    assert!(tile <= TILE && queries.len() >= tile * width && output.len() >= tile * CHUNK);
    let bytes = chunk.precision.head_bytes(width);
    assert!(chunk.blocks.len() * SLOTS <= CHUNK && chunk.blocks.iter().all(|it| it.0.len() >= bytes));
    let (queries, output) = (queries.as_ptr(), output.as_mut_ptr());
    // SAFETY: the lengths have been checked: `tile` queries of `width`, blocks of keys, and room for a row of
    // `CHUNK` scores each.
    unsafe {
        match chunk.precision {
            KvPrecision::F32 => scores_of::<Floats>(chunk, queries, tile, width, output),
            KvPrecision::F16 => scores_of::<Halves>(chunk, queries, tile, width, output),
            KvPrecision::Q8 => scores_of::<Quants>(chunk, queries, tile, width, output),
        }
    }
}

/// # Safety
/// `tile` queries of `width`, whole blocks of keys, and room for a row of `CHUNK` scores each must be there.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn scores_of<N: Numbers>(
    chunk: &Chunk<'_>,
    queries: *const f32,
    tile: usize,
    width: usize,
    output: *mut f32,
) {
    let mut number = 0;
    while let Some((keys, values)) = chunk.blocks.get(number) {
        let second = chunk.blocks.get(number + 1).filter(|_| tile <= FEW);
        let next = number + 1 + usize::from(second.is_some());
        let ahead = Ahead {
            keys: [next, next + 1].map(|it| chunk.blocks.get(it).map_or(keys.as_ptr(), |it| it.0.as_ptr())),
            values: [
                values.as_ptr(),
                second.map_or(values.as_ptr(), |it| it.1.as_ptr()),
            ],
        };
        let one = [keys.as_ptr()];
        // SAFETY: as of the caller.
        unsafe {
            let output = output.add(number * SLOTS);
            if let Some((keys, _)) = second {
                let two = [one[0], keys.as_ptr()];
                match tile {
                    1 => blocks::<N, 1, 2>(queries, two, &ahead, width, output),
                    _ => blocks::<N, FEW, 2>(queries, two, &ahead, width, output),
                }
            } else {
                match tile {
                    1 => blocks::<N, 1, 1>(queries, one, &ahead, width, output),
                    2 => blocks::<N, 2, 1>(queries, one, &ahead, width, output),
                    3 => blocks::<N, 3, 1>(queries, one, &ahead, width, output),
                    4 => blocks::<N, 4, 1>(queries, one, &ahead, width, output),
                    5 => blocks::<N, 5, 1>(queries, one, &ahead, width, output),
                    _ => blocks::<N, TILE, 1>(queries, one, &ahead, width, output),
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

/// # Safety
/// `Q` queries of `width`, `B` blocks of keys, and 16 · `B` places in each of `Q` rows of `CHUNK` must be there.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn blocks<N: Numbers, const Q: usize, const B: usize>(
    queries: *const f32,
    keys: [*const u8; B],
    ahead: &Ahead,
    width: usize,
    output: *mut f32,
) {
    let mut sums = [[[_mm256_setzero_ps(); 2]; B]; Q];
    for at in 0..width {
        let bytes = at * SLOTS * N::BYTES;
        if bytes.is_multiple_of(64) {
            for (keys, values) in ahead.keys.iter().zip(&ahead.values).take(B) {
                // Hints, which no address makes fail.
                _mm_prefetch::<_MM_HINT_T0>(keys.wrapping_add(bytes).cast());
                _mm_prefetch::<_MM_HINT_T1>(values.wrapping_add(bytes).cast());
            }
        }
        // SAFETY: as of the caller.
        unsafe {
            // What is fewer stays in registers, beside up to twelve sums; the other comes one at a time.
            if Q <= FEW {
                let mut numbers = [_mm256_setzero_ps(); Q];
                for (query, number) in numbers.iter_mut().enumerate() {
                    *number = _mm256_set1_ps(*queries.add(query * width + at));
                }
                for (block, keys) in keys.iter().enumerate() {
                    for half in 0..2 {
                        let keys = N::eight(*keys, at * SLOTS + 8 * half);
                        for (sums, number) in sums.iter_mut().zip(&numbers) {
                            sums[block][half] = _mm256_fmadd_ps(*number, keys, sums[block][half]);
                        }
                    }
                }
            } else {
                let mut loaded = [[_mm256_setzero_ps(); 2]; B];
                for (loaded, keys) in loaded.iter_mut().zip(&keys) {
                    loaded[0] = N::eight(*keys, at * SLOTS);
                    loaded[1] = N::eight(*keys, at * SLOTS + 8);
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
                // SAFETY: as of the caller; the scales follow the numbers.
                unsafe {
                    let sum = if N::SCALED {
                        let scales = keys.add(SLOTS * width * N::BYTES).cast::<f32>().add(8 * half);
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
        match chunk.precision {
            KvPrecision::F32 => mix_of::<Floats>(chunk, tile, width, weights, output),
            KvPrecision::F16 => mix_of::<Halves>(chunk, tile, width, weights, output),
            KvPrecision::Q8 => mix_of::<Quants>(chunk, tile, width, weights, output),
        }
    }
}

/// # Safety
/// As of [`values`], for `tile` rows.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn mix_of<N: Numbers>(
    chunk: &Chunk<'_>,
    tile: usize,
    width: usize,
    weights: *const f32,
    output: *mut f32,
) {
    // SAFETY: as of the caller.
    unsafe {
        match tile {
            1 => values::<N, 1, 4>(chunk, weights, width, output),
            2 => values::<N, 2, 4>(chunk, weights, width, output),
            3 => values::<N, 3, 2>(chunk, weights, width, output),
            4 => values::<N, 4, 2>(chunk, weights, width, output),
            5 => values::<N, 5, 2>(chunk, weights, width, output),
            _ => values::<N, TILE, 2>(chunk, weights, width, output),
        }
    }
}

/// # Safety
/// `Q` rows of `CHUNK` weights, whole blocks of values, and room for `Q` rows of `width` must be there;
/// `width` must be a multiple of eight.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn values<N: Numbers, const Q: usize, const V: usize>(
    chunk: &Chunk<'_>,
    weights: *const f32,
    width: usize,
    output: *mut f32,
) {
    let mut column = 0;
    // SAFETY: as of the caller, and the columns lie inside.
    unsafe {
        while column + 8 * V <= width {
            columns::<N, Q, V>(chunk, weights, width, column, output);
            column += 8 * V;
        }
        while column < width {
            columns::<N, Q, 1>(chunk, weights, width, column, output);
            column += 8;
        }
    }
}

/// # Safety
/// As of [`values`]; 8 · `V` columns from `column` on must be there.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn columns<N: Numbers, const Q: usize, const V: usize>(
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
                if Q <= FEW {
                    let mut rows = [_mm256_setzero_ps(); Q];
                    for (query, weight) in rows.iter_mut().enumerate() {
                        *weight = _mm256_set1_ps(*weights.add(query * CHUNK + number * SLOTS + slot));
                    }
                    for part in 0..V {
                        let numbers = N::eight(values.as_ptr(), at + 8 * part);
                        for (sums, weight) in sums.iter_mut().zip(&rows) {
                            sums[part] = _mm256_fmadd_ps(*weight, numbers, sums[part]);
                        }
                    }
                } else {
                    let mut numbers = [_mm256_setzero_ps(); V];
                    for (part, numbers) in numbers.iter_mut().enumerate() {
                        *numbers = N::eight(values.as_ptr(), at + 8 * part);
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
