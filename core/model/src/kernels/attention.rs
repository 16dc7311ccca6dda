//! Attention of a few queries over keys and values that lie in blocks of [`SLOTS`] positions.
//!
//! Softmax runs along (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et
//! al., "FlashAttention", 2022) in chunks of [`CHUNK`] positions. A chunk's own sums are taken first and then
//! added to those before it, and chunks begin at multiples of their length, so that a query's result does not
//! depend on how many others are computed with it.

use std::ops::Range;

use half::{f16, slice::HalfFloatSliceExt as _};

#[cfg(target_arch = "x86_64")]
mod avx2;

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
    /// 32 bits: twice the memory for what is hardly a difference.
    F32,
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
            Self::F32 => SLOTS * head_width * 4,
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
            Self::F32 => {
                let (places, _) = block.as_chunks_mut::<4>();
                for (number, value) in row.iter().enumerate() {
                    if let Some(room) = places.get_mut(place(number)) {
                        *room = value.to_le_bytes();
                    }
                }
            }
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

/// What a query takes from one chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Sums of values, weighted relative to `largest`; head width. Of no meaning where `total` is 0.
    pub(crate) mixed: &'a [f32],
    /// The largest score.
    pub(crate) largest: f32,
    /// The sum of the weights; 0 if nothing is visible.
    pub(crate) total: f32,
}

/// What a query has taken from all chunks so far.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    mixed: &'a mut [f32],
    largest: f32,
    total: f32,
}

/// Queries of one head group, and what they have seen so far.
#[derive(Debug, Default)]
pub(crate) struct Attending {
    head_width: usize,
    /// queries × head width, scaled.
    queries: Vec<f32>,
    tiles: Tiles,
    /// queries × head width.
    mixed: Vec<f32>,
    /// (largest, total) of each query.
    sums: Vec<(f32, f32)>,
}

/// Room for the work on one tile of queries.
#[derive(Debug, Default)]
struct Tiles {
    scores: Vec<f32>,
    mixed: Vec<f32>,
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
        self.sums.clear();
        self.sums.resize(count, (f32::NEG_INFINITY, 0.0));
    }

    /// Looks at a chunk; `visible` gives the positions, counted from the chunk's first, that a query sees.
    pub(crate) fn look(&mut self, chunk: &Chunk<'_>, visible: impl Fn(usize) -> Range<usize>) {
        let Self {
            head_width: width,
            queries,
            tiles,
            mixed,
            sums,
        } = self;
        tiles.look(chunk, queries, *width, visible, |query, part| {
            if let (Some(mixed), Some((largest, total))) = (
                mixed.get_mut(query * *width..(query + 1) * *width),
                sums.get_mut(query),
            ) {
                let mut taken = Taken {
                    mixed,
                    largest: *largest,
                    total: *total,
                };
                taken.add(part);
                (*largest, *total) = (taken.largest, taken.total);
            }
        });
    }

    /// As [`Attending::look`], but gives each query's part away instead of adding it.
    pub(crate) fn parts(
        &mut self,
        chunk: &Chunk<'_>,
        visible: impl Fn(usize) -> Range<usize>,
        part: impl FnMut(usize, Part<'_>),
    ) {
        self.tiles
            .look(chunk, &self.queries, self.head_width, visible, part);
    }

    /// The result of each query.
    pub(crate) fn finish(&mut self, mut output: impl FnMut(usize, &[f32])) {
        let rows = self.mixed.chunks_exact_mut(self.head_width).zip(&self.sums);
        for (query, (mixed, (largest, total))) in rows.enumerate() {
            let taken = Taken {
                mixed,
                largest: *largest,
                total: *total,
            };
            output(query, taken.finish());
        }
    }
}

impl<'a> Taken<'a> {
    /// Of nothing yet; `mixed` is used as its room.
    pub(crate) fn nothing(mixed: &'a mut [f32]) -> Self {
        mixed.fill(0.0);
        Self {
            mixed,
            largest: f32::NEG_INFINITY,
            total: 0.0,
        }
    }

    /// Adds a chunk's part to those before it.
    pub(crate) fn add(&mut self, part: Part<'_>) {
        if part.total == 0.0 {
            return;
        }
        let both = self.largest.max(part.largest);
        let (old, new) = (super::exp(self.largest - both), super::exp(part.largest - both));
        let old = if self.total == 0.0 { 0.0 } else { old };
        for (mixed, part) in self.mixed.iter_mut().zip(part.mixed) {
            *mixed = *mixed * old + part * new;
        }
        self.total = self.total * old + part.total * new;
        self.largest = both;
    }

    /// Attention's result.
    pub(crate) fn finish(self) -> &'a [f32] {
        let scale = if self.total > 0.0 { 1.0 / self.total } else { 0.0 };
        self.mixed.iter_mut().for_each(|it| *it *= scale);
        self.mixed
    }
}

impl Tiles {
    fn look(
        &mut self,
        chunk: &Chunk<'_>,
        queries: &[f32],
        width: usize,
        visible: impl Fn(usize) -> Range<usize>,
        mut part: impl FnMut(usize, Part<'_>),
    ) {
        self.scores.resize(TILE * CHUNK, 0.0);
        self.mixed.resize(TILE * width, 0.0);
        let length = chunk.blocks.len() * SLOTS;
        for (number, queries) in queries.chunks(TILE * width.max(1)).enumerate() {
            let (first, tile) = (number * TILE, queries.len() / width);
            let seen = |query: usize| {
                let visible = visible(first + query);
                visible.start.min(length)..visible.end.min(length)
            };
            let mut sums = [(f32::NEG_INFINITY, 0.0_f32); TILE];
            if (0..tile).any(|query| !seen(query).is_empty()) {
                scores(chunk, queries, tile, width, &mut self.scores);
                let rows = self.scores.chunks_exact_mut(CHUNK).zip(&mut sums);
                for (query, (scores, sums)) in rows.take(tile).enumerate() {
                    *sums = weights(scores.get_mut(..length).unwrap_or_default(), seen(query));
                }
                mix(chunk, tile, width, &mut self.scores, &mut self.mixed);
            }
            let rows = self.mixed.chunks_exact(width).zip(sums).take(tile);
            for (query, (mixed, (largest, total))) in (first..).zip(rows) {
                part(
                    query,
                    Part {
                        mixed,
                        largest,
                        total,
                    },
                );
            }
        }
    }
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
            KvPrecision::F32 => block
                .as_chunks::<4>()
                .0
                .get(at)
                .map_or(0.0, |it| f32::from_le_bytes(*it)),
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

#[cfg(test)]
mod tests;
