//! Rotary positions and attention over a session's blocks.

use std::ops::Range;

use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

use super::{Description, Rotary, Session, session::BLOCK};
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
        Self {
            rotary: description.rotary,
            head_width: description.head_width,
            half,
            angles,
        }
    }

    /// Rotates every head of every token.
    pub(super) fn apply(&self, rows: &mut [f32], heads: usize) {
        if self.half == 0 {
            return;
        }
        let tokens = rows
            .chunks_exact_mut(heads * self.head_width)
            .zip(self.angles.chunks_exact(self.half));
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

/// Tokens whose queries go over the keys together, so that these are fetched into the cache once.
const TILE: usize = 8;
/// Multiply-adds below which another thread does not pay.
const WORK_PER_TASK: usize = 1 << 17;

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
    let Description {
        heads,
        kv_heads,
        head_width,
        score_scale,
        ..
    } = *description;
    let tokens = query.len() / (heads * head_width);
    let group = heads / kv_heads;
    // A single token has too few queries to share keys and keep all threads busy.
    let (tile, task_heads) = if tokens == 1 { (1, 1) } else { (TILE, group) };
    let pass = Pass {
        blocks: session.layer(layer).collect(),
        width: session.width(),
        heads,
        group,
        head_width,
        scale: score_scale,
        start,
        window,
        query,
    };
    let columns = heads / task_heads;
    let size = tile * task_heads * head_width;
    let mut grouped = vec![0.0; tokens.div_ceil(tile) * columns * size];
    let task = |scores: &mut Vec<f32>, number: usize, output: &mut [f32]| {
        let first_token = number / columns * tile;
        let first_head = number % columns * task_heads;
        pass.tile(
            first_token..tokens.min(first_token + tile),
            first_head..first_head + task_heads,
            scores,
            output,
        );
    };
    let work = size * (start + tokens);
    if work * columns < 2 * WORK_PER_TASK {
        let mut scores = Vec::new();
        grouped
            .chunks_exact_mut(size)
            .enumerate()
            .for_each(|(number, output)| task(&mut scores, number, output));
    } else {
        grouped
            .par_chunks_exact_mut(size)
            .enumerate()
            .with_min_len((WORK_PER_TASK / work.max(1)).max(1))
            .for_each_init(Vec::new, |scores, (number, output)| task(scores, number, output));
    }
    if tokens == 1 {
        return grouped;
    }
    let mut mixed = Vec::with_capacity(query.len());
    for rows in grouped.chunks_exact(columns * size) {
        for token in 0..tile {
            let at = token * task_heads * head_width;
            for task in rows.chunks_exact(size) {
                mixed.extend_from_slice(task.get(at..at + task_heads * head_width).unwrap_or_default());
            }
        }
    }
    mixed.truncate(query.len());
    mixed
}

/// What all tiles of one layer share.
struct Pass<'a> {
    /// Keys and values.
    blocks: Vec<(&'a [f32], &'a [f32])>,
    /// Numbers in a row of them.
    width: usize,
    heads: usize,
    /// Heads that share keys.
    group: usize,
    head_width: usize,
    scale: f32,
    /// Position of the first query.
    start: usize,
    window: Option<usize>,
    query: &'a [f32],
}

impl<'a> Pass<'a> {
    /// Some tokens by some heads of one group; `output` is tokens × heads × head width, zero before.
    fn tile(&self, tokens: Range<usize>, heads: Range<usize>, scores: &mut Vec<f32>, output: &mut [f32]) {
        let first = self.visible(tokens.start).start;
        let span = first..self.visible(tokens.end - 1).end;
        let column = heads.start / self.group * self.head_width;
        let queries: Vec<(usize, usize)> = tokens
            .flat_map(|token| heads.clone().map(move |head| (token, head)))
            .collect();
        scores.clear();
        scores.resize(queries.len() * span.len(), 0.0);
        for (positions, keys, _) in self.pieces(span.clone(), column) {
            for ((token, head), scores) in queries.iter().zip(scores.chunks_exact_mut(span.len())) {
                let at = (token * self.heads + head) * self.head_width;
                let query = self.query.get(at..at + self.head_width).unwrap_or_default();
                let scores = scores.get_mut(positions.clone()).unwrap_or_default();
                kernels::dots(query, keys, self.width, self.scale, scores);
            }
        }
        for ((token, _), scores) in queries.iter().zip(scores.chunks_exact_mut(span.len())) {
            let visible = self.visible(*token);
            let (before, rest) = scores.split_at_mut(visible.start - first);
            let (seen, after) = rest.split_at_mut(visible.len());
            before.fill(0.0);
            kernels::softmax(seen);
            after.fill(0.0);
        }
        for (positions, _, values) in self.pieces(span.clone(), column) {
            let rows = scores
                .chunks_exact(span.len())
                .zip(output.chunks_exact_mut(self.head_width));
            for (scores, output) in rows {
                kernels::add_rows(
                    output,
                    scores.get(positions.clone()).unwrap_or_default(),
                    values,
                    self.width,
                );
            }
        }
    }

    /// The positions that a token of this pass sees.
    fn visible(&self, token: usize) -> Range<usize> {
        let end = self.start + token + 1;
        self.window.map_or(0, |it| end.saturating_sub(it))..end
    }

    /// The keys and values of a span of positions, block by block, with the part of the span that they are.
    /// They begin at `column` of their rows and go on row after row.
    fn pieces(
        &self,
        span: Range<usize>,
        column: usize,
    ) -> impl Iterator<Item = (Range<usize>, &'a [f32], &'a [f32])> {
        let mut position = span.start;
        let width = self.width;
        self.blocks
            .iter()
            .skip(span.start / BLOCK)
            .map_while(move |(keys, values)| {
                let end = span.end.min((position / BLOCK + 1) * BLOCK);
                let from = position % BLOCK * width + column;
                let piece = position - span.start..end.max(position) - span.start;
                position = end;
                (!piece.is_empty()).then(|| {
                    (
                        piece,
                        keys.get(from..).unwrap_or_default(),
                        values.get(from..).unwrap_or_default(),
                    )
                })
            })
    }
}
