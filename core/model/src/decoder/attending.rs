//! Attention of a pass: which queries go over which blocks.

use std::cell::RefCell;

use crate::{
    kernels::attention::{Attending, CHUNK, Chunk, KvPrecision, SLOTS},
    threads::{Spread, Threads},
};

use super::{Description, Slice, adapter::Prefix, cache::KvCache, cache::Shape};

/// Tokens of one sequence whose queries go over the keys together, so that these are fetched once.
const TOKENS: usize = 16;
const BLOCKS_OF_CHUNK: usize = CHUNK / SLOTS;

/// Some tokens of one sequence by the heads that share keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    slice: usize,
    /// Of the pass.
    first_row: usize,
    /// Of the sequence.
    position: usize,
    tokens: usize,
    head: usize,
}

/// The tasks of every layer of a pass.
pub(super) fn plan(description: &Description, batch: &[Slice<'_>], tasks: &mut Vec<Task>) {
    tasks.clear();
    let mut row = 0;
    for (slice, it) in batch.iter().enumerate() {
        for first in (0..it.tokens.len()).step_by(TOKENS) {
            for head in 0..description.kv_heads {
                tasks.push(Task {
                    slice,
                    first_row: row + first,
                    position: it.start + first,
                    tokens: TOKENS.min(it.tokens.len() - first),
                    head,
                });
            }
        }
        row += it.tokens.len();
    }
}

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

thread_local! {
    static ATTENDING: RefCell<Attending> = RefCell::default();
}

/// Causal attention with grouped heads (Ainslie et al., "GQA", 2023): each query sees its sequence's prefix
/// and what was read up to its own position, or the last `window` tokens of that.
pub(super) fn attend(threads: &Threads, layer: &Layer<'_>, tasks: &[Task], output: &mut [f32]) {
    let output = Spread::new(output);
    threads.run(tasks.len(), |number| {
        if let Some(task) = tasks.get(number) {
            ATTENDING.with_borrow_mut(|attending| layer.attend(task, attending, &output));
        }
    });
}

impl Layer<'_> {
    fn attend(&self, task: &Task, attending: &mut Attending, output: &Spread<'_, f32>) {
        let Some(slice) = self.batch.get(task.slice) else {
            return;
        };
        let width = self.description.head_width;
        let group = self.description.heads / self.description.kv_heads;
        let stride = self.description.heads * width;
        // Query by query: the heads of one token, then those of the next.
        let place = |query: usize| {
            let row = task.first_row + query / group;
            row * stride + (task.head * group + query % group) * width
        };
        let queries = (0..task.tokens * group).map(|it| {
            let start = place(it);
            self.query.get(start..start + width).unwrap_or_default()
        });
        attending.start(width, self.description.score_scale, queries);
        if let Some(prefix) = slice.adapter.and_then(|it| it.prefix.as_ref()) {
            self.look_at_prefix(prefix, task.head, attending);
        }
        let end = |query: usize| task.position + query / group + 1;
        let start = |query: usize| self.window.map_or(0, |it| end(query).saturating_sub(it));
        let last = end((task.tokens * group).saturating_sub(1));
        let first_chunk = start(0) / CHUNK;
        for chunk in first_chunk..last.div_ceil(CHUNK) {
            let before = chunk * CHUNK;
            let blocks = slice
                .blocks
                .get(before / SLOTS..last.div_ceil(SLOTS))
                .unwrap_or_default();
            let mut heads: [(&[u8], &[u8]); BLOCKS_OF_CHUNK] = Default::default();
            let count = blocks.len().min(BLOCKS_OF_CHUNK);
            for (head, block) in heads.iter_mut().zip(blocks) {
                let shape = self.cache.shape();
                *head = shape.head(self.cache.bytes(), *block as usize, self.number, task.head);
            }
            let chunk = Chunk {
                precision: self.cache.precision(),
                blocks: heads.get(..count).unwrap_or_default(),
            };
            attending.look(&chunk, |query| {
                let start = start(query).saturating_sub(before);
                start..end(query).saturating_sub(before).max(start)
            });
        }
        attending.finish(|query, row| {
            let start = place(query);
            // SAFETY: each query belongs to one task.
            #[expect(unsafe_code, reason = "tasks write apart from each other")]
            let room = unsafe { output.part(start..start + width) };
            room.copy_from_slice(row);
        });
    }

    fn look_at_prefix(&self, prefix: &Prefix, head: usize, attending: &mut Attending) {
        let shape: Shape = prefix.shape;
        let blocks = prefix.tokens.div_ceil(SLOTS);
        for first in (0..blocks).step_by(BLOCKS_OF_CHUNK) {
            let mut heads: [(&[u8], &[u8]); BLOCKS_OF_CHUNK] = Default::default();
            let count = (blocks - first).min(BLOCKS_OF_CHUNK);
            for (number, it) in heads.iter_mut().enumerate().take(count) {
                *it = shape.head(&prefix.bytes, first + number, self.number, head);
            }
            let chunk = Chunk {
                precision: KvPrecision::F16,
                blocks: heads.get(..count).unwrap_or_default(),
            };
            attending.look(&chunk, |_| 0..prefix.tokens - first * SLOTS);
        }
    }
}
