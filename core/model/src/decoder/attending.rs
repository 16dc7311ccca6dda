//! Attention of a pass: which queries go over which blocks.
#![expect(unsafe_code, reason = "tasks write to shared buffers apart from each other")]

use std::{cell::RefCell, ops::Range};

use crate::{
    kernels::attention::{Attending, CHUNK, Chunk, KvPrecision, Part, SLOTS, Taken},
    threads::{Spread, Threads},
};

use super::{Description, Slice, cache::KvCache};
use plan::{Piece, Place, Plan, Reader, Stretch};

pub(super) mod plan;

const BLOCKS_OF_CHUNK: usize = CHUNK / SLOTS;

/// One layer of it.
pub(super) struct Layer<'a> {
    pub(super) description: &'a Description,
    pub(super) number: usize,
    pub(super) window: Option<usize>,
    pub(super) cache: &'a KvCache,
    pub(super) batch: &'a [Slice<'a>],
    /// Rows × (heads · head width).
    pub(super) query: &'a [f32],
}

/// What the short slices' queries take from each chunk, until it is put together.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Part by part: sums of values, the largest score, the sum of the weights.
    numbers: Vec<f32>,
}

thread_local! {
    static ATTENDING: RefCell<Attending> = RefCell::default();
}

/// Causal attention with grouped heads (Ainslie et al., "GQA", 2023): each query sees its sequence's prefix
/// and what was read up to its own position, or the last `window` tokens of that. `output` is complete for the
/// rows of long slices; [`Parts::put_together`] gives the others.
pub(super) fn attend(
    threads: &Threads,
    layer: &Layer<'_>,
    plan: &Plan,
    parts: &mut Parts,
    output: &mut [f32],
) {
    let width = part_width(layer.description);
    parts.numbers.resize(plan.parts() * width, 0.0);
    let output = Spread::new(output);
    let parts = Spread::new(&mut parts.numbers);
    threads.run(plan.stretches.len() + plan.pieces.len(), |number| {
        ATTENDING.with_borrow_mut(|attending| match plan.stretches.get(number) {
            Some(stretch) => layer.attend(stretch, attending, &output),
            None => {
                if let Some(piece) = plan.pieces.get(number - plan.stretches.len()) {
                    layer.attend_piece(piece, plan.readers_of(piece), attending, &parts);
                }
            }
        });
    });
}

fn part_width(description: &Description) -> usize {
    description.head_width + 2
}

impl Parts {
    /// All heads of a row, if they are to be put together; in the order of the chunks, as it is done for long
    /// slices.
    pub(super) fn put_together(
        &self,
        description: &Description,
        plan: &Plan,
        row: usize,
        output: &mut [f32],
    ) {
        let Some(of_row) = plan.parts_of(row) else { return };
        let width = part_width(description);
        for (head, output) in output.chunks_exact_mut(description.head_width).enumerate() {
            let first = of_row.first + head * of_row.chunks;
            let parts = self.numbers.get(first * width..(first + of_row.chunks) * width);
            let mut taken = Taken::nothing(output);
            for part in parts.unwrap_or_default().chunks_exact(width) {
                if let [mixed @ .., largest, total] = part {
                    taken.add(Part {
                        mixed,
                        largest: *largest,
                        total: *total,
                    });
                }
            }
            taken.finish();
        }
    }
}

impl Layer<'_> {
    fn attend(&self, stretch: &Stretch, attending: &mut Attending, output: &Spread<'_, f32>) {
        let Some(slice) = self.batch.get(stretch.slice) else {
            return;
        };
        let width = self.description.head_width;
        let group = self.description.heads / self.description.kv_heads;
        // Query by query: the heads of one token, then those of the next.
        let place = |query: usize| self.place(stretch.first_row + query / group, stretch.head, query % group);
        let queries = (0..stretch.tokens * group).map(|it| self.query.get(place(it)).unwrap_or_default());
        attending.start(width, self.description.score_scale, queries);
        let prefix = slice.adapter.and_then(|it| it.prefix.as_ref());
        for first in (0..prefix.map_or(0, |it| it.tokens)).step_by(CHUNK) {
            self.with_chunk(slice, Place::Prefix { first }, stretch.head, |chunk| {
                attending.look(chunk, |_| self.visible(slice, Place::Prefix { first }, 0));
            });
        }
        let end = slice.seen_to(stretch.position + stretch.tokens - 1);
        let first_chunk = self.seen_from(stretch.position) / CHUNK;
        for first in (first_chunk * CHUNK..end).step_by(CHUNK) {
            let place = Place::Own { first, end };
            self.with_chunk(slice, place, stretch.head, |chunk| {
                attending.look(chunk, |query| {
                    self.visible(slice, place, stretch.position + query / group)
                });
            });
        }
        attending.finish(|query, row| {
            // SAFETY: each query belongs to one task.
            let room = unsafe { output.part(place(query)) };
            room.copy_from_slice(row);
        });
    }

    fn attend_piece(
        &self,
        piece: &Piece,
        readers: &[Reader],
        attending: &mut Attending,
        parts: &Spread<'_, f32>,
    ) {
        let Some(first) = readers.first().and_then(|it| self.batch.get(it.slice)) else {
            return;
        };
        let group = self.description.heads / self.description.kv_heads;
        let width = part_width(self.description);
        let queries = readers.iter().flat_map(|reader| {
            (0..group).map(|head| {
                self.query
                    .get(self.place(reader.row, piece.head, head))
                    .unwrap_or_default()
            })
        });
        attending.start(self.description.head_width, self.description.score_scale, queries);
        let visible = |query: usize| {
            let reader = readers.get(query / group)?;
            Some(self.visible(self.batch.get(reader.slice)?, piece.place, reader.position))
        };
        self.with_chunk(first, piece.place, piece.head, |chunk| {
            attending.parts(
                chunk,
                |query| visible(query).unwrap_or_default(),
                |query, part| {
                    let Some(reader) = readers.get(query / group) else {
                        return;
                    };
                    let number = reader.part(piece.head * group + query % group);
                    // SAFETY: each part belongs to one query, and this to one task.
                    let room = unsafe { parts.part(number * width..(number + 1) * width) };
                    if let [mixed @ .., largest, total] = room {
                        mixed.copy_from_slice(part.mixed);
                        (*largest, *total) = (part.largest, part.total);
                    }
                },
            );
        });
    }

    /// Where one head of a row lies in queries and output.
    fn place(&self, row: usize, kv_head: usize, head_of_group: usize) -> Range<usize> {
        let Description {
            heads,
            kv_heads,
            head_width,
            ..
        } = *self.description;
        let start = (row * heads + kv_head * (heads / kv_heads) + head_of_group) * head_width;
        start..start + head_width
    }

    /// The first position that a token sees.
    fn seen_from(&self, position: usize) -> usize {
        self.window.map_or(0, |it| (position + 1).saturating_sub(it))
    }

    /// What a token at `position` sees of a chunk, counted from the chunk's first.
    fn visible(&self, slice: &Slice<'_>, place: Place, position: usize) -> Range<usize> {
        match place {
            Place::Prefix { first } => {
                let tokens = slice
                    .adapter
                    .and_then(|it| it.prefix.as_ref())
                    .map_or(0, |it| it.tokens);
                0..tokens.saturating_sub(first)
            }
            Place::Own { first, .. } => {
                let start = self.seen_from(position).saturating_sub(first);
                start..slice.seen_to(position).saturating_sub(first).max(start)
            }
        }
    }

    fn with_chunk(&self, slice: &Slice<'_>, place: Place, head: usize, look: impl FnOnce(&Chunk<'_>)) {
        let mut heads: [(&[u8], &[u8]); BLOCKS_OF_CHUNK] = Default::default();
        let mut count = 0;
        let precision = match place {
            Place::Prefix { first } => {
                let Some(prefix) = slice.adapter.and_then(|it| it.prefix.as_ref()) else {
                    return;
                };
                let blocks = first / SLOTS..prefix.tokens.div_ceil(SLOTS);
                for (room, block) in heads.iter_mut().zip(blocks) {
                    *room = prefix.shape.head(&prefix.bytes, block, self.number, head);
                    count += 1;
                }
                KvPrecision::F16
            }
            Place::Own { .. } => {
                for (room, block) in heads.iter_mut().zip(place.blocks_of(slice)) {
                    let shape = self.cache.shape();
                    *room = shape.head(self.cache.bytes(), *block as usize, self.number, head);
                    count += 1;
                }
                self.cache.precision()
            }
        };
        look(&Chunk {
            precision,
            blocks: heads.get(..count).unwrap_or_default(),
        });
    }
}
