//! Rotary positions and attention over a session's blocks.

use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::{Description, Rotary, Session};
use crate::kernels;

/// Sines and cosines for the positions of one pass. Su et al., "RoFormer", 2021.
pub(super) struct Rotations {
    rotary: Rotary,
    head_width: usize,
    /// Half the rotated numbers.
    half: usize,
    /// (cosine, sine) per token and pair.
    angles: Vec<(f32, f32)>,
}

impl Rotations {
    /// `factors` stretch single frequencies (Llama 3.1's `rope_freqs.weight`).
    pub(super) fn new(
        description: &Description,
        start: usize,
        tokens: usize,
        local: bool,
        factors: Option<&[f32]>,
    ) -> Self {
        let half = description.rotary_width / 2;
        let (base, scale) = match &description.local {
            Some(it) if local => (it.rotary_base, 1.0),
            _ => (description.rotary_base, description.rotary_scale),
        };
        let frequencies: Vec<f32> = (0..half)
            .map(|it| {
                let factor = factors.and_then(|all| all.get(it)).copied().unwrap_or(1.0);
                1.0 / (base.powf(2.0 * it as f32 / description.rotary_width as f32) * factor * scale)
            })
            .collect();
        let angles = (start..start + tokens)
            .flat_map(|position| {
                frequencies.iter().map(move |it| {
                    let (sine, cosine) = (position as f32 * it).sin_cos();
                    (cosine, sine)
                })
            })
            .collect();
        Self { rotary: description.rotary, head_width: description.head_width, half, angles }
    }

    /// Rotates every head of every token.
    pub(super) fn apply(&self, rows: &mut [f32], heads: usize) {
        if self.half == 0 {
            return;
        }
        let tokens = rows.chunks_exact_mut(heads * self.head_width).zip(self.angles.chunks_exact(self.half));
        for (row, angles) in tokens {
            for head in row.chunks_exact_mut(self.head_width) {
                let head = head.get_mut(..2 * self.half).unwrap_or_default();
                match self.rotary {
                    Rotary::Neighbours => {
                        for (pair, (cosine, sine)) in head.chunks_exact_mut(2).zip(angles) {
                            if let [a, b] = pair {
                                (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                            }
                        }
                    }
                    Rotary::Halves => {
                        let (first, second) = head.split_at_mut(self.half);
                        for ((a, b), (cosine, sine)) in first.iter_mut().zip(second).zip(angles) {
                            (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
                        }
                    }
                }
            }
        }
    }
}

/// Causal attention with grouped heads (Ainslie et al., "GQA", 2023): each query sees the session up to its
/// own position, or the last `window` tokens of that.
pub(super) fn attend(
    description: &Description,
    session: &Session,
    layer: usize,
    start: usize,
    query: &[f32],
    window: Option<usize>,
) -> Vec<f32> {
    let Description { heads, kv_heads, head_width, score_scale, .. } = *description;
    let blocks: Vec<(&[f32], &[f32])> = session.layer(layer).collect();
    let mut mixed = vec![0.0; query.len()];
    let one = |scores: &mut Vec<f32>, number: usize, output: &mut [f32]| {
        let (token, head) = (number / heads, number % heads);
        let Some(query) = query.get(number * head_width..(number + 1) * head_width) else { return };
        let seen = start + token + 1;
        let first = window.map_or(0, |it| seen.saturating_sub(it));
        let column = head / (heads / kv_heads) * head_width;
        let rows = Rows { blocks: &blocks, width: session.width(), column, head_width };
        scores.clear();
        scores.extend(rows.keys(first, seen).map(|key| kernels::dot(query, key) * score_scale));
        kernels::softmax(scores);
        for (score, value) in scores.iter().zip(rows.values(first, seen)) {
            kernels::add_scaled(output, *score, value);
        }
    };
    // Below this, waking the other threads costs more than they save.
    let work = query.len() * (start + 1);
    if work < 1 << 16 {
        let mut scores = Vec::new();
        mixed.chunks_exact_mut(head_width).enumerate().for_each(|(number, output)| one(&mut scores, number, output));
    } else {
        mixed
            .par_chunks_exact_mut(head_width)
            .enumerate()
            .for_each_init(Vec::new, |scores, (number, output)| one(scores, number, output));
    }
    mixed
}

/// One head's keys and values.
struct Rows<'a> {
    blocks: &'a [(&'a [f32], &'a [f32])],
    width: usize,
    column: usize,
    head_width: usize,
}

impl<'a> Rows<'a> {
    fn keys(&self, first: usize, end: usize) -> impl Iterator<Item = &'a [f32]> {
        self.rows(first, end, |it| it.0)
    }

    fn values(&self, first: usize, end: usize) -> impl Iterator<Item = &'a [f32]> {
        self.rows(first, end, |it| it.1)
    }

    fn rows(
        &self,
        first: usize,
        end: usize,
        side: impl Fn(&(&'a [f32], &'a [f32])) -> &'a [f32],
    ) -> impl Iterator<Item = &'a [f32]> {
        let columns = self.column..self.column + self.head_width;
        let rows = self.blocks.iter().flat_map(move |it| side(it).chunks_exact(self.width));
        rows.take(end).skip(first).map(move |row| row.get(columns.clone()).unwrap_or_default())
    }
}
