//! What the linears of one step read: rows, rounded as their weights want them.
#![expect(unsafe_code, reason = "tasks write to shared buffers apart from each other")]

use std::ops::Range;

use crate::{
    kernels::activations::{Forms, Input, Rounded32, Rounded256, round32, round256},
    threads::{Spread, Threads},
};

use super::adapter::LOW_WIDTH;

/// Rows below which another thread does not pay.
const ROWS_PER_TASK: usize = 4;

/// Buffers for one step's input; they grow to what the largest pass needs.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    columns: usize,
    floats: Vec<f32>,
    rounded32: Vec<Rounded32>,
    rounded256: Vec<Rounded256>,
    /// Between the two matrices of low-rank updates, [`LOW_WIDTH`] a row.
    low: Vec<f32>,
}

/// What the first halves of updates make of some rows: their numbers, and [`LOW_WIDTH`] for each.
pub(super) trait Down: Fn(Range<usize>, &[f32], &mut [f32]) + Sync {}

impl<F: Fn(Range<usize>, &[f32], &mut [f32]) + Sync> Down for F {}

impl Inputs {
    /// `write` makes a row's numbers; `down` what some rows' updates make of theirs, if there are any.
    pub(super) fn fill(
        &mut self,
        threads: &Threads,
        rows: usize,
        columns: usize,
        forms: Forms,
        write: impl Fn(usize, &mut [f32]) + Sync,
        down: Option<impl Down>,
    ) {
        self.floats.resize(rows * columns, 0.0);
        self.round(threads, columns, forms, write, down);
    }

    /// As [`Inputs::fill`], with rows that are there already, but for what `finish` does to each; the buffers
    /// are exchanged.
    pub(super) fn take(
        &mut self,
        threads: &Threads,
        rows: &mut Vec<f32>,
        columns: usize,
        forms: Forms,
        finish: impl Fn(usize, &mut [f32]) + Sync,
        down: Option<impl Down>,
    ) {
        std::mem::swap(&mut self.floats, rows);
        self.round(threads, columns, forms, finish, down);
    }

    fn round(
        &mut self,
        threads: &Threads,
        columns: usize,
        forms: Forms,
        write: impl Fn(usize, &mut [f32]) + Sync,
        down: Option<impl Down>,
    ) {
        self.columns = columns;
        let rows = self.floats.len() / columns;
        let short = if forms.rounded32 { columns / 32 } else { 0 };
        let long = if forms.rounded256 { columns / 256 } else { 0 };
        self.rounded32.resize(rows * short, Rounded32::ZERO);
        self.rounded256.resize(rows * long, Rounded256::ZERO);
        self.low
            .resize(if down.is_some() { rows * LOW_WIDTH } else { 0 }, 0.0);
        let floats = Spread::new(&mut self.floats);
        let rounded32 = Spread::new(&mut self.rounded32);
        let rounded256 = Spread::new(&mut self.rounded256);
        let low = Spread::new(&mut self.low);
        threads.run_parts(rows, rows / ROWS_PER_TASK, |rows| {
            for row in rows.clone() {
                // SAFETY: each row belongs to one task.
                let (numbers, short, long) = unsafe {
                    (
                        floats.part(row * columns..(row + 1) * columns),
                        rounded32.part(row * short..(row + 1) * short),
                        rounded256.part(row * long..(row + 1) * long),
                    )
                };
                write(row, numbers);
                round32(numbers, short);
                round256(numbers, long);
            }
            if let Some(down) = &down {
                // SAFETY: as above; `numbers` of these rows are no longer in use.
                let (numbers, low) = unsafe {
                    (
                        floats.part(rows.start * columns..rows.end * columns),
                        low.part(rows.start * LOW_WIDTH..rows.end * LOW_WIDTH),
                    )
                };
                down(rows, numbers, low);
            }
        });
    }

    pub(super) fn input(&self) -> Input<'_> {
        Input {
            columns: self.columns,
            floats: &self.floats,
            rounded32: &self.rounded32,
            rounded256: &self.rounded256,
        }
    }

    /// Of the rows from one on, [`LOW_WIDTH`] each.
    pub(super) fn low(&self, row: usize) -> &[f32] {
        self.low.get(row * LOW_WIDTH..).unwrap_or_default()
    }
}
