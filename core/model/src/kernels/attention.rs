//! Attention of a few queries over keys and values that lie in blocks of [`SLOTS`] positions.
//!
//! Softmax runs along (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et
//! al., "FlashAttention", 2022) in chunks of [`CHUNK`] positions. A chunk's own sums are taken first and then
//! added to those before it, and chunks begin at multiples of their length, so that a query's result does not
//! depend on how many others are computed with it.

use std::ops::Range;

use half::{f16, slice::HalfFloatSliceExt as _};

/// Positions in a block.
pub(crate) const SLOTS: usize = 16;
/// Positions whose scores are looked at together.
pub(crate) const CHUNK: usize = 8 * SLOTS;
/// Queries that share a loaded key.
const TILE: usize = 6;

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KvPrecision {
    /// 16 bits.
    #[default]
    F16,
    /// 8 bits and a scale for each head of each token: half the memory, slightly less exact.
    Q8,
}

impl KvPrecision {
    /// Bytes of one block of one head's keys, or values.
    pub(crate) fn head_bytes(self, head_width: usize) -> usize {
        match self {
            Self::F16 => SLOTS * head_width * 2,
            Self::Q8 => SLOTS * head_width + SLOTS * size_of::<f32>(),
        }
    }

    /// Puts one position's key into its slot of a block: number `d` of slot `s` lies at `16 d + s`.
    pub(crate) fn write_key(self, key: &[f32], slot: usize, block: &mut [u8]) {
        self.write(key, slot, block, |number| number * SLOTS + slot);
    }

    /// Puts one position's value into its slot of a block: number `d` of slot `s` lies at `s · width + d`.
    pub(crate) fn write_value(self, value: &[f32], slot: usize, block: &mut [u8]) {
        self.write(value, slot, block, |number| slot * value.len() + number);
    }

    #[inline(always)]
    fn write(self, row: &[f32], slot: usize, block: &mut [u8], place: impl Fn(usize) -> usize) {
        match self {
            Self::F16 => {
                let (places, _) = block.as_chunks_mut::<2>();
                let mut halves = [f16::ZERO; 64];
                for (part, values) in row.chunks(halves.len()).enumerate() {
                    let mut limited = [0.0; 64];
                    for (limited, value) in limited.iter_mut().zip(values) {
                        // What is too large for a half must not become infinite: 0 × ∞ is no number.
                        *limited = value.clamp(-65504.0, 65504.0);
                    }
                    halves.convert_from_f32_slice(&limited);
                    for (number, half) in (part * limited.len()..).zip(&halves).take(values.len()) {
                        if let Some(room) = places.get_mut(place(number)) {
                            *room = half.to_le_bytes();
                        }
                    }
                }
            }
            Self::Q8 => {
                let largest = row.iter().fold(0.0_f32, |largest, it| largest.max(it.abs()));
                let inverse = if largest > 1e-30 { 127.0 / largest } else { 0.0 };
                let (quants, scales) = block.split_at_mut(SLOTS * row.len());
                for (number, value) in row.iter().enumerate() {
                    if let Some(room) = quants.get_mut(place(number)) {
                        *room = ((value * inverse).round_ties_even() as i8).cast_unsigned();
                    }
                }
                if let Some(room) = scales.as_chunks_mut::<4>().0.get_mut(slot) {
                    *room = (largest / 127.0).to_le_bytes();
                }
            }
        }
    }
}

/// Up to [`CHUNK`] positions of one head: keys and values block by block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) precision: KvPrecision,
    pub(crate) blocks: &'a [(&'a [u8], &'a [u8])],
}

/// Queries of one head group, and what they have seen so far.
#[derive(Debug, Default)]
pub(crate) struct Attending {
    head_width: usize,
    /// queries × head width, scaled.
    queries: Vec<f32>,
    /// Sums of values, weighted relative to `largest`; queries × head width.
    mixed: Vec<f32>,
    largest: Vec<f32>,
    total: Vec<f32>,
    scores: Vec<f32>,
    part: Vec<f32>,
}

impl Attending {
    /// Forgets all and begins with these queries.
    pub(crate) fn start<'q>(
        &mut self,
        head_width: usize,
        scale: f32,
        queries: impl Iterator<Item = &'q [f32]>,
    ) {
        self.head_width = head_width;
        self.queries.clear();
        for query in queries {
            self.queries.extend(query.iter().map(|it| it * scale));
        }
        let count = self.queries.len() / head_width.max(1);
        self.mixed.clear();
        self.mixed.resize(self.queries.len(), 0.0);
        self.largest.clear();
        self.largest.resize(count, f32::NEG_INFINITY);
        self.total.clear();
        self.total.resize(count, 0.0);
        self.scores.resize(TILE * CHUNK, 0.0);
        self.part.resize(TILE * head_width, 0.0);
    }

    /// Looks at a chunk; `visible` gives the positions, counted from the chunk's first, that a query sees.
    pub(crate) fn look(&mut self, chunk: &Chunk<'_>, visible: impl Fn(usize) -> Range<usize>) {
        let width = self.head_width;
        let length = chunk.blocks.len() * SLOTS;
        let count = self.largest.len();
        for first in (0..count).step_by(TILE) {
            let tile = TILE.min(count - first);
            let seen = |query: usize| {
                let visible = visible(first + query);
                visible.start.min(length)..visible.end.min(length)
            };
            if (0..tile).all(|query| seen(query).is_empty()) {
                continue;
            }
            let queries = self
                .queries
                .get(first * width..(first + tile) * width)
                .unwrap_or_default();
            scores(chunk, queries, tile, width, &mut self.scores);
            let mut own = [(f32::NEG_INFINITY, 0.0_f32); TILE];
            for (query, (scores, own)) in self
                .scores
                .chunks_exact_mut(CHUNK)
                .zip(&mut own)
                .take(tile)
                .enumerate()
            {
                let scores = scores.get_mut(..length).unwrap_or_default();
                *own = weights(scores, seen(query));
            }
            mix(chunk, tile, width, &mut self.scores, &mut self.part);
            let rows = self.part.chunks_exact(width).zip(own).take(tile);
            for (query, (part, (largest, total))) in (first..).zip(rows) {
                let mixed = self
                    .mixed
                    .get_mut(query * width..(query + 1) * width)
                    .unwrap_or_default();
                merge(
                    (mixed, &mut self.largest[query], &mut self.total[query]),
                    (part, largest, total),
                );
            }
        }
    }

    /// The result of each query.
    pub(crate) fn finish(&mut self, mut output: impl FnMut(usize, &[f32])) {
        let rows = self.mixed.chunks_exact_mut(self.head_width).zip(&self.total);
        for (query, (mixed, total)) in rows.enumerate() {
            let scale = if *total > 0.0 { 1.0 / total } else { 0.0 };
            mixed.iter_mut().for_each(|it| *it *= scale);
            output(query, mixed);
        }
    }
}

/// Adds a chunk's sums to those before it.
fn merge(before: (&mut [f32], &mut f32, &mut f32), chunk: (&[f32], f32, f32)) {
    let (mixed, largest, total) = before;
    let (part, chunk_largest, chunk_total) = chunk;
    if chunk_total == 0.0 {
        return;
    }
    let both = largest.max(chunk_largest);
    let (old, new) = (super::exp(*largest - both), super::exp(chunk_largest - both));
    let old = if *total == 0.0 { 0.0 } else { old };
    for (mixed, part) in mixed.iter_mut().zip(part) {
        *mixed = *mixed * old + part * new;
    }
    *total = *total * old + chunk_total * new;
    *largest = both;
}

widened! {
    /// Turns scores into weights relative to the largest that is visible; gives that and their sum.
    weights, weights_avx2, (scores: &mut [f32], visible: Range<usize>) -> (f32, f32), {
        let (before, rest) = scores.split_at_mut(visible.start);
        let (seen, after) = rest.split_at_mut(visible.len());
        before.fill(0.0);
        after.fill(0.0);
        if seen.is_empty() {
            return (f32::NEG_INFINITY, 0.0);
        }
        let largest = super::maximum(seen);
        for score in seen.iter_mut() {
            *score = super::exp(*score - largest);
        }
        // In a fixed order over all positions, so that what is not seen changes nothing.
        (largest, super::sum(scores))
    }
}

/// `output[query][position]`, rows [`CHUNK`] apart.
fn scores(chunk: &Chunk<'_>, queries: &[f32], tile: usize, width: usize, output: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: the processor has AVX2, FMA and F16C.
        return unsafe { avx2::scores(chunk, queries, tile, width, output) };
    }
    portable::scores(chunk, queries, tile, width, output);
}

/// `output[query]` = the values, weighted; `weights` are changed.
fn mix(chunk: &Chunk<'_>, tile: usize, width: usize, weights: &mut [f32], output: &mut [f32]) {
    if chunk.precision == KvPrecision::Q8 {
        for (number, (_, values)) in chunk.blocks.iter().enumerate() {
            for row in weights.chunks_exact_mut(CHUNK).take(tile) {
                let row = row
                    .get_mut(number * SLOTS..(number + 1) * SLOTS)
                    .unwrap_or_default();
                row.iter_mut()
                    .zip(scales(values, width))
                    .for_each(|(weight, scale)| *weight *= scale);
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    if super::has_avx2() {
        // SAFETY: the processor has AVX2, FMA and F16C.
        return unsafe { avx2::mix(chunk, tile, width, weights, output) };
    }
    portable::mix(chunk, tile, width, weights, output);
}

/// Of a block in 8 bits.
fn scales(block: &[u8], width: usize) -> impl Iterator<Item = f32> {
    let bytes = block.get(SLOTS * width..).unwrap_or_default();
    bytes.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it))
}

mod portable {
    use half::f16;

    use super::{CHUNK, Chunk, KvPrecision, SLOTS, scales};

    fn number(precision: KvPrecision, block: &[u8], at: usize) -> f32 {
        match precision {
            KvPrecision::F16 => block
                .as_chunks::<2>()
                .0
                .get(at)
                .map_or(0.0, |it| f16::from_le_bytes(*it).to_f32()),
            KvPrecision::Q8 => block.get(at).map_or(0.0, |it| f32::from(it.cast_signed())),
        }
    }

    pub(super) fn scores(chunk: &Chunk<'_>, queries: &[f32], tile: usize, width: usize, output: &mut [f32]) {
        let rows = queries
            .chunks_exact(width)
            .zip(output.chunks_exact_mut(CHUNK))
            .take(tile);
        for (query, output) in rows {
            for ((keys, _), output) in chunk.blocks.iter().zip(output.chunks_exact_mut(SLOTS)) {
                for (slot, output) in output.iter_mut().enumerate() {
                    let terms = query.iter().enumerate();
                    *output = terms
                        .map(|(at, it)| it * number(chunk.precision, keys, at * SLOTS + slot))
                        .sum();
                }
                if chunk.precision == KvPrecision::Q8 {
                    output
                        .iter_mut()
                        .zip(scales(keys, width))
                        .for_each(|(score, scale)| *score *= scale);
                }
            }
        }
    }

    pub(super) fn mix(chunk: &Chunk<'_>, tile: usize, width: usize, weights: &[f32], output: &mut [f32]) {
        let rows = weights
            .chunks_exact(CHUNK)
            .zip(output.chunks_exact_mut(width))
            .take(tile);
        for (weights, output) in rows {
            output.fill(0.0);
            for ((_, values), weights) in chunk.blocks.iter().zip(weights.chunks_exact(SLOTS)) {
                for (slot, weight) in weights.iter().enumerate().filter(|it| *it.1 != 0.0) {
                    for (at, output) in output.iter_mut().enumerate() {
                        *output += weight * number(chunk.precision, values, slot * width + at);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, __m256, _mm_loadl_epi64, _mm_loadu_si128, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
        _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps,
        _mm256_storeu_ps,
    };

    use super::{CHUNK, Chunk, KvPrecision, SLOTS, TILE, portable};

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn scores(chunk: &Chunk<'_>, queries: &[f32], tile: usize, width: usize, output: &mut [f32]) {
        assert!(tile <= TILE && queries.len() >= tile * width && output.len() >= tile * CHUNK);
        let bytes = chunk.precision.head_bytes(width);
        assert!(chunk.blocks.len() * SLOTS <= CHUNK && chunk.blocks.iter().all(|it| it.0.len() >= bytes));
        for (number, (keys, _)) in chunk.blocks.iter().enumerate() {
            let (queries, keys) = (queries.as_ptr(), keys.as_ptr());
            // SAFETY: the lengths have been checked: `tile` queries of `width`, a block of keys, and room
            // for a row of `CHUNK` scores each.
            unsafe {
                let output = output.as_mut_ptr().add(number * SLOTS);
                match (chunk.precision, tile) {
                    (KvPrecision::F16, 1) => block::<1, false>(queries, keys, width, output),
                    (KvPrecision::F16, 2) => block::<2, false>(queries, keys, width, output),
                    (KvPrecision::F16, 3) => block::<3, false>(queries, keys, width, output),
                    (KvPrecision::F16, 4) => block::<4, false>(queries, keys, width, output),
                    (KvPrecision::F16, 5) => block::<5, false>(queries, keys, width, output),
                    (KvPrecision::F16, _) => block::<6, false>(queries, keys, width, output),
                    (KvPrecision::Q8, 1) => block::<1, true>(queries, keys, width, output),
                    (KvPrecision::Q8, 2) => block::<2, true>(queries, keys, width, output),
                    (KvPrecision::Q8, 3) => block::<3, true>(queries, keys, width, output),
                    (KvPrecision::Q8, 4) => block::<4, true>(queries, keys, width, output),
                    (KvPrecision::Q8, 5) => block::<5, true>(queries, keys, width, output),
                    (KvPrecision::Q8, _) => block::<6, true>(queries, keys, width, output),
                }
            }
        }
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
    /// `Q` queries of `width`, a block of keys, and sixteen places in each of `Q` rows of `CHUNK` must be there.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn block<const Q: usize, const Q8: bool>(
        queries: *const f32,
        keys: *const u8,
        width: usize,
        output: *mut f32,
    ) {
        let mut sums = [[_mm256_setzero_ps(); 2]; Q];
        for at in 0..width {
            // SAFETY: as of the caller.
            unsafe {
                let first = eight::<Q8>(keys, at * SLOTS);
                let second = eight::<Q8>(keys, at * SLOTS + 8);
                for (query, sums) in sums.iter_mut().enumerate() {
                    let number = _mm256_set1_ps(*queries.add(query * width + at));
                    sums[0] = _mm256_fmadd_ps(number, first, sums[0]);
                    sums[1] = _mm256_fmadd_ps(number, second, sums[1]);
                }
            }
        }
        for (query, sums) in sums.into_iter().enumerate() {
            for (half, sum) in sums.into_iter().enumerate() {
                // SAFETY: as of the caller; in 8 bits the scales follow the quants.
                unsafe {
                    let sum = if Q8 {
                        let scales = keys.add(SLOTS * width).cast::<f32>().add(8 * half);
                        _mm256_mul_ps(sum, _mm256_loadu_ps(scales))
                    } else {
                        sum
                    };
                    _mm256_storeu_ps(output.add(query * CHUNK + 8 * half), sum);
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
                (KvPrecision::F16, 1) => values::<1, false>(chunk, weights, width, output),
                (KvPrecision::F16, 2) => values::<2, false>(chunk, weights, width, output),
                (KvPrecision::F16, 3) => values::<3, false>(chunk, weights, width, output),
                (KvPrecision::F16, 4) => values::<4, false>(chunk, weights, width, output),
                (KvPrecision::F16, 5) => values::<5, false>(chunk, weights, width, output),
                (KvPrecision::F16, _) => values::<6, false>(chunk, weights, width, output),
                (KvPrecision::Q8, 1) => values::<1, true>(chunk, weights, width, output),
                (KvPrecision::Q8, 2) => values::<2, true>(chunk, weights, width, output),
                (KvPrecision::Q8, 3) => values::<3, true>(chunk, weights, width, output),
                (KvPrecision::Q8, 4) => values::<4, true>(chunk, weights, width, output),
                (KvPrecision::Q8, 5) => values::<5, true>(chunk, weights, width, output),
                (KvPrecision::Q8, _) => values::<6, true>(chunk, weights, width, output),
            }
        }
    }

    /// # Safety
    /// `Q` rows of `CHUNK` weights, whole blocks of values, and room for `Q` rows of `width` must be there;
    /// `width` must be a multiple of eight.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn values<const Q: usize, const Q8: bool>(
        chunk: &Chunk<'_>,
        weights: *const f32,
        width: usize,
        output: *mut f32,
    ) {
        let mut column = 0;
        while column < width {
            let both = column + 16 <= width;
            let mut sums = [[_mm256_setzero_ps(); 2]; Q];
            for (number, (_, values)) in chunk.blocks.iter().enumerate() {
                for slot in 0..SLOTS {
                    // SAFETY: as of the caller.
                    unsafe {
                        let at = slot * width + column;
                        let first = eight::<Q8>(values.as_ptr(), at);
                        let second = if both {
                            eight::<Q8>(values.as_ptr(), at + 8)
                        } else {
                            first
                        };
                        for (query, sums) in sums.iter_mut().enumerate() {
                            let weight = _mm256_set1_ps(*weights.add(query * CHUNK + number * SLOTS + slot));
                            sums[0] = _mm256_fmadd_ps(weight, first, sums[0]);
                            sums[1] = _mm256_fmadd_ps(weight, second, sums[1]);
                        }
                    }
                }
            }
            for (query, sums) in sums.into_iter().enumerate() {
                // SAFETY: as of the caller.
                unsafe {
                    _mm256_storeu_ps(output.add(query * width + column), sums[0]);
                    if both {
                        _mm256_storeu_ps(output.add(query * width + column + 8), sums[1]);
                    }
                }
            }
            column += if both { 16 } else { 8 };
        }
    }
}

#[cfg(test)]
mod tests;
