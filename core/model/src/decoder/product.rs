//! Products of one input with one or several matrices, shared out among the threads.
#![expect(unsafe_code, reason = "tasks write to shared buffers apart from each other")]

use crate::{
    kernels::packed::{ROWS, Sums, TILE},
    threads::{Spread, Threads},
};

use super::{LinearKind, inputs::Inputs, linear::Linear};

/// Multiply-adds below which another thread does not pay.
const WORK_PER_TASK: usize = 1 << 15;
/// Parts of a step for each thread: enough that none waits long for another's last.
const TASKS_PER_THREAD: usize = 8;
/// Rows that go over a part of the weights together; their numbers stay in the first cache.
pub(super) const ROWS_TOGETHER: usize = 36;

/// What is done with a product.
pub(super) enum Then {
    Store,
    Add,
}

/// Where a linear's product goes.
pub(super) struct Product<'a> {
    pub(super) linear: &'a Linear,
    pub(super) kind: Option<LinearKind>,
    pub(super) output: Spread<'a, f32>,
    pub(super) then: Then,
}

/// All products of one input; `update` adds what the adapters add to eight outputs of the rows from one on.
pub(super) fn multiply(
    threads: &Threads,
    inputs: &Inputs,
    rows: usize,
    products: &[Product<'_>],
    update: impl Fn(LinearKind, usize, usize, &mut [[f32; ROWS]]) + Sync,
) {
    let input = inputs.input();
    let groups: usize = products.iter().map(|it| it.linear.weights.groups()).sum();
    let parts = parts(threads, groups * ROWS * input.columns * rows);
    threads.run_parts(groups, parts, |part| {
        let mut before = 0;
        for product in products {
            let count = product.linear.weights.groups();
            let groups = part.start.max(before)..part.end.min(before + count);
            for first in (0..rows).step_by(ROWS_TOGETHER) {
                for group in groups.clone().map(|it| it - before) {
                    for (row, count) in tiles(first, rows) {
                        let mut sums: Sums = [[0.0; ROWS]; TILE];
                        product.linear.weights.tile(group, &input, row, count, &mut sums);
                        add_bias(product.linear, group, count, &mut sums);
                        if let Some(kind) = product.kind {
                            update(kind, row, group, sums.get_mut(..count).unwrap_or_default());
                        }
                        for (row, sums) in (row..row + count).zip(&sums) {
                            let width = product.linear.weights.rows();
                            store(&product.output, width, row, group, sums, &product.then);
                        }
                    }
                }
            }
            before += count;
        }
    });
}

/// How many tasks so many multiply-adds are worth: the same number for each thread.
pub(super) fn parts(threads: &Threads, work: usize) -> usize {
    let each = work / (WORK_PER_TASK * threads.count());
    each.clamp(1, TASKS_PER_THREAD) * threads.count()
}

/// First rows and numbers of rows of the tiles from `first` on, up to [`ROWS_TOGETHER`] rows.
pub(super) fn tiles(first: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = rows.min(first + ROWS_TOGETHER);
    (first..end)
        .step_by(TILE)
        .map(move |row| (row, TILE.min(end - row)))
}

pub(super) fn add_bias(linear: &Linear, group: usize, count: usize, sums: &mut Sums) {
    if let Some(bias) = &linear.bias {
        for sums in sums.iter_mut().take(count) {
            for (sum, bias) in sums.iter_mut().zip(bias.iter().skip(group * ROWS)) {
                *sum += bias;
            }
        }
    }
}

/// Puts eight numbers of a row, or as many as the row has there, where they belong.
#[inline]
pub(super) fn store(
    output: &Spread<'_, f32>,
    width: usize,
    row: usize,
    group: usize,
    sums: &[f32; ROWS],
    then: &Then,
) {
    let columns = group * ROWS..width.min((group + 1) * ROWS);
    // SAFETY: each group of outputs belongs to one task.
    let room = unsafe { output.part(row * width + columns.start..row * width + columns.end) };
    match (then, room.first_chunk_mut::<ROWS>()) {
        // Of a known length, so that it is two instructions and no call.
        (Then::Store, Some(room)) => *room = *sums,
        (Then::Store, None) => room.iter_mut().zip(sums).for_each(|(room, sum)| *room = *sum),
        (Then::Add, Some(room)) => room.iter_mut().zip(sums).for_each(|(room, sum)| *room += sum),
        (Then::Add, None) => room.iter_mut().zip(sums).for_each(|(room, sum)| *room += sum),
    }
}
