//! Products of a layer's linears with what the rows' adapters add.

use std::ops::Range;

use crate::{
    kernels::{
        self,
        packed::{ROWS, Sums, TILE},
    },
    threads::{Spread, Threads},
};

use super::{
    Activation, Adapter, Description, LinearKind,
    adapter::{LOW_WIDTH, MAX_RANK},
    inputs::{Down, Inputs},
    linear::Linear,
    product::{self, Product, ROWS_TOGETHER, Then, add_bias, multiply, store, tiles},
    weights::Layer,
};

/// What the steps of one layer share.
pub(super) struct Step<'a> {
    pub(super) description: &'a Description,
    pub(super) number: usize,
    pub(super) layer: &'a Layer,
    pub(super) rows: usize,
    /// Where they begin among those of the pass.
    pub(super) first: usize,
    /// Of each row.
    pub(super) adapters: &'a [Option<&'a Adapter>],
}

impl Step<'_> {
    fn has_adapters(&self) -> bool {
        self.adapters.iter().any(Option::is_some)
    }

    /// Neighbouring rows that share an adapter, and it.
    fn runs(&self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, &Adapter)> {
        let mut start = rows.start;
        let same = |one: &Option<&Adapter>, next: &Option<&Adapter>| match (one, next) {
            (Some(one), Some(next)) => std::ptr::eq(*one, *next),
            _ => false,
        };
        let adapters = self.adapters.get(rows).unwrap_or_default();
        adapters.chunk_by(same).filter_map(move |run| {
            let rows = start..start + run.len();
            start = rows.end;
            Some((rows, run.first().copied().flatten()?))
        })
    }

    /// The first halves of the low-rank updates of linears that read the same input.
    pub(super) fn down(&self, kinds: &'static [LinearKind]) -> Option<impl Down> {
        self.has_adapters()
            .then_some(move |rows: Range<usize>, input: &[f32], low: &mut [f32]| {
                let columns = input.len() / rows.len().max(1);
                for (run, adapter) in self.runs(rows.clone()) {
                    let run = run.start - rows.start..run.end - rows.start;
                    let input = input.get(run.start * columns..run.end * columns);
                    for kind in kinds {
                        let start = run.start * LOW_WIDTH + kind.slot() * MAX_RANK;
                        let low = low.get_mut(start..run.end * LOW_WIDTH);
                        if let Some(update) = adapter.low_rank(self.number, *kind) {
                            update.down(columns, input.unwrap_or_default(), low.unwrap_or_default());
                        }
                    }
                }
            })
    }

    /// The second half, for eight outputs of some rows.
    fn up(&self, inputs: &Inputs, kind: LinearKind, first: usize, group: usize, sums: &mut [[f32; ROWS]]) {
        for (run, adapter) in self.runs(first..first + sums.len()) {
            if let Some(update) = adapter.low_rank(self.number, kind) {
                let low = inputs.low(run.start).get(kind.slot() * MAX_RANK..);
                let sums = sums.get_mut(run.start - first..run.end - first);
                update.up(group, low.unwrap_or_default(), sums.unwrap_or_default());
            }
        }
    }

    pub(super) fn multiply(&self, threads: &Threads, inputs: &Inputs, products: &[Product<'_>]) {
        let has_adapters = self.has_adapters();
        multiply(
            threads,
            inputs,
            self.rows,
            products,
            |kind, first, group, sums| {
                if has_adapters {
                    self.up(inputs, kind, first, group, sums);
                }
            },
        );
    }

    /// `output = activation(gate(input)) · up(input)`, or without a gate `activation(up(input))`.
    pub(super) fn feed(&self, threads: &Threads, inputs: &Inputs, output: &mut [f32]) {
        let Layer { gate, up, .. } = self.layer;
        let width = self.description.feed_width;
        let output = Spread::new(output);
        let input = inputs.input();
        let has_adapters = self.has_adapters();
        let groups = up.weights.groups();
        let linears = 1 + usize::from(gate.is_some());
        let parts = product::parts(
            threads,
            linears * groups * ROWS * up.weights.columns() * self.rows,
        );
        let sum = |linear: &Linear, kind, row, count, group, sums: &mut Sums| {
            linear.weights.tile(group, &input, row, count, sums);
            add_bias(linear, group, count, sums);
            if has_adapters {
                self.up(
                    inputs,
                    kind,
                    row,
                    group,
                    sums.get_mut(..count).unwrap_or_default(),
                );
            }
        };
        threads.run_parts(groups, parts, |groups| {
            for first in (0..self.rows).step_by(ROWS_TOGETHER) {
                for group in groups.clone() {
                    for (row, count) in tiles(first, self.rows) {
                        let (mut gated, mut upped): (Sums, Sums) = ([[0.0; ROWS]; TILE], [[0.0; ROWS]; TILE]);
                        sum(up, LinearKind::Up, row, count, group, &mut upped);
                        if let Some(gate) = gate {
                            sum(gate, LinearKind::Gate, row, count, group, &mut gated);
                            let gates = gated.as_flattened_mut().get_mut(..count * ROWS);
                            self.activate_times(gates.unwrap_or_default(), upped.as_flattened());
                        } else {
                            gated = upped;
                            let values = gated.as_flattened_mut().get_mut(..count * ROWS);
                            self.activate(values.unwrap_or_default());
                        }
                        for (row, gated) in (row..row + count).zip(&gated) {
                            store(&output, width, row, group, gated, &Then::Store);
                        }
                    }
                }
            }
        });
    }

    fn activate_times(&self, gates: &mut [f32], values: &[f32]) {
        match self.description.activation {
            Activation::Silu => kernels::silu_times(gates, values),
            Activation::GeluTanh => kernels::gelu_times(gates, values),
        }
    }

    fn activate(&self, values: &mut [f32]) {
        match self.description.activation {
            Activation::Silu => kernels::silu(values),
            Activation::GeluTanh => kernels::gelu(values),
        }
    }
}
