//! Rotary positions. Su et al., "RoFormer", 2021.

use super::{Description, Positions, Rotary};

/// Sines and cosines for the positions of one pass.
#[derive(Debug, Default)]
pub(super) struct Rotations {
    rotary: Rotary,
    /// Width of what is turned as one: a head, or half of it where there are two places.
    section: usize,
    sections: usize,
    /// Half the rotated numbers of a section.
    half: usize,
    frequencies: Vec<f32>,
    /// (cosine, sine) per row, section and pair.
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
        let sections = match description.positions {
            Positions::Index => 1,
            Positions::Blocks { .. } => 2,
        };
        Self {
            rotary: description.rotary,
            section: description.head_width / sections,
            sections,
            half,
            frequencies: frequencies.collect(),
            angles: Vec::new(),
        }
    }

    /// Makes ready for rows at these places; of the two, as many count as there are sections.
    pub(super) fn prepare(&mut self, places: impl Iterator<Item = [usize; 2]>) {
        self.angles.clear();
        for place in places.flat_map(|it| it.into_iter().take(self.sections)) {
            self.angles.extend(self.frequencies.iter().map(|it| {
                let (sine, cosine) = (place as f32 * it).sin_cos();
                (cosine, sine)
            }));
        }
    }

    /// Rotates every head of one row.
    pub(super) fn apply(&self, row: usize, heads: &mut [f32]) {
        if self.half == 0 {
            return;
        }
        let of_row = self.sections * self.half;
        let angles = self
            .angles
            .get(row * of_row..(row + 1) * of_row)
            .unwrap_or_default();
        let angles = angles.chunks_exact(self.half).cycle();
        for (section, angles) in heads.chunks_exact_mut(self.section).zip(angles) {
            let head = section.get_mut(..2 * self.half).unwrap_or_default();
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
