//! Rotary positions. Su et al., "RoFormer", 2021.

use super::{Description, Rotary};

/// Sines and cosines for the positions of one pass.
#[derive(Debug, Default)]
pub(super) struct Rotations {
    rotary: Rotary,
    head_width: usize,
    /// Half the rotated numbers.
    half: usize,
    frequencies: Vec<f32>,
    /// (cosine, sine) per row and pair.
    angles: Vec<(f32, f32)>,
}

impl Rotations {
    /// `factors` stretch single frequencies (Llama 3.1's `rope_freqs.weight`); `local` is for layers with a
    /// window.
    pub(super) fn new(description: &Description, local: bool, factors: Option<&[f32]>) -> Self {
        let half = description.rotary_width / 2;
        let (base, scale) = match &description.local {
            Some(it) if local => (it.rotary_base, 1.0),
            _ => (description.rotary_base, description.rotary_scale),
        };
        let frequencies = (0..half).map(|it| {
            let factor = factors.and_then(|all| all.get(it)).copied().unwrap_or(1.0);
            1.0 / (base.powf(2.0 * it as f32 / description.rotary_width as f32) * factor * scale)
        });
        Self {
            rotary: description.rotary,
            head_width: description.head_width,
            half,
            frequencies: frequencies.collect(),
            angles: Vec::new(),
        }
    }

    /// Makes ready for rows at these positions.
    pub(super) fn prepare(&mut self, positions: impl Iterator<Item = usize>) {
        self.angles.clear();
        for position in positions {
            self.angles.extend(self.frequencies.iter().map(|it| {
                let (sine, cosine) = (position as f32 * it).sin_cos();
                (cosine, sine)
            }));
        }
    }

    /// Rotates every head of one row.
    pub(super) fn apply(&self, row: usize, heads: &mut [f32]) {
        if self.half == 0 {
            return;
        }
        let angles = self
            .angles
            .get(row * self.half..(row + 1) * self.half)
            .unwrap_or_default();
        for head in heads.chunks_exact_mut(self.head_width) {
            let head = head.get_mut(..2 * self.half).unwrap_or_default();
            match self.rotary {
                Rotary::Neighbours => {
                    for ([a, b], (cosine, sine)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                        (*a, *b) = (*a * cosine - *b * sine, *a * sine + *b * cosine);
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
