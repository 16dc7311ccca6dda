//! One pass: what is computed in which order, and what it is computed with.
#![expect(unsafe_code, reason = "tasks write to shared buffers apart from each other")]

use std::ops::Range;

use crate::{
    kernels::{self, activations::Forms},
    threads::{Spread, Threads},
};

use super::{
    Adapter, Decoder, Description, KvCache, LinearKind, Slice, attending,
    cache::BLOCK_TOKENS,
    inputs::Inputs,
    linear::Linear,
    product::{Product, Then, multiply},
    rotations::Rotations,
    step::Step,
    weights::{Layer, Norm},
};

/// Rows whose feed-forward is computed at a time: its buffers are the widest, and contexts that see themselves in both
/// directions come whole.
const FEED_ROWS: usize = 256;

/// Threads, and buffers that are kept from pass to pass.
#[derive(Debug)]
pub struct Executor {
    threads: Threads,
    /// The residual stream, rows × width.
    hidden: Vec<f32>,
    inputs: Inputs,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    mixed: Vec<f32>,
    feed: Vec<f32>,
    /// A layer's output where a norm comes before it is added.
    output: Vec<f32>,
    logits: Vec<f32>,
    global: Rotations,
    local: Option<Rotations>,
    attending: attending::plan::Plan,
    parts: attending::Parts,
    runs: Vec<Run>,
}

/// Logits after the tokens that wanted them.
#[derive(Debug)]
pub struct Logits<'a> {
    numbers: &'a mut [f32],
    vocabulary: usize,
}

impl<'a> Logits<'a> {
    /// Slice by slice, token by token: as many numbers as the vocabulary has tokens.
    pub fn rows(self) -> std::slice::ChunksExactMut<'a, f32> {
        self.numbers.chunks_exact_mut(self.vocabulary.max(1))
    }
}

/// Rows of a pass that are kept in one block.
#[derive(Debug, Clone)]
struct Run {
    rows: Range<usize>,
    block: usize,
    slot: usize,
}

impl Executor {
    pub(super) fn new(decoder: &Decoder, threads: Threads) -> Self {
        let description = &decoder.description;
        Self {
            threads,
            hidden: Vec::new(),
            inputs: Inputs::default(),
            query: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            mixed: Vec::new(),
            feed: Vec::new(),
            output: Vec::new(),
            logits: Vec::new(),
            global: Rotations::new(description, false, decoder.weights.rope_factors.as_deref()),
            local: description.local.map(|_| Rotations::new(description, true, None)),
            attending: attending::plan::Plan::default(),
            parts: attending::Parts::default(),
            runs: Vec::new(),
        }
    }

    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    pub(super) fn logits(&mut self, vocabulary: usize) -> Logits<'_> {
        Logits {
            numbers: &mut self.logits,
            vocabulary,
        }
    }

    pub(super) fn pass(&mut self, decoder: &Decoder, cache: &mut KvCache, batch: &[Slice<'_>]) {
        let description = &decoder.description;
        let rows: usize = batch.iter().map(|it| it.tokens.len()).sum();
        let adapters: Vec<Option<&Adapter>> = batch
            .iter()
            .flat_map(|it| std::iter::repeat_n(it.adapter, it.tokens.len()))
            .collect();
        self.embed(decoder, batch, rows);
        self.plan(description, batch);
        for (number, layer) in decoder.weights.layers.iter().enumerate() {
            let step = Step {
                description,
                number,
                layer,
                rows,
                first: 0,
                adapters: &adapters,
            };
            self.attention(&step, cache, batch);
            self.feed_forward(&step);
        }
        self.head(decoder, batch);
    }

    fn embed(&mut self, decoder: &Decoder, batch: &[Slice<'_>], rows: usize) {
        let Description {
            width,
            embedding_scale,
            ..
        } = decoder.description;
        self.hidden.resize(rows * width, 0.0);
        let tokens = batch.iter().flat_map(|it| it.tokens);
        for (token, row) in tokens.zip(self.hidden.chunks_exact_mut(width)) {
            decoder.weights.embedding.weights.decode_row(*token as usize, row);
            if embedding_scale != 1.0 {
                row.iter_mut().for_each(|it| *it *= embedding_scale);
            }
        }
    }

    /// Positions, blocks and attention's tasks, the same for all layers.
    fn plan(&mut self, description: &Description, batch: &[Slice<'_>]) {
        let places = || batch.iter().flat_map(|it| it.places(description.positions));
        self.global.prepare(places());
        if let Some(local) = &mut self.local {
            local.prepare(places());
        }
        self.runs.clear();
        let mut row = 0;
        for slice in batch {
            let end = slice.start + slice.tokens.len();
            let mut position = slice.start;
            while position < end {
                let next = end.min((position / BLOCK_TOKENS + 1) * BLOCK_TOKENS);
                let block = slice
                    .blocks
                    .get(position / BLOCK_TOKENS)
                    .copied()
                    .unwrap_or_default();
                self.runs.push(Run {
                    rows: row..row + (next - position),
                    block: block as usize,
                    slot: position % BLOCK_TOKENS,
                });
                row += next - position;
                position = next;
            }
        }
        self.attending.make(description, batch);
    }

    fn attention(&mut self, step: &Step<'_>, cache: &mut KvCache, batch: &[Slice<'_>]) {
        let Description {
            heads,
            kv_heads,
            head_width,
            ..
        } = *step.description;
        let Layer {
            query,
            key,
            value,
            output,
            ..
        } = step.layer;
        let rows = step.rows;
        self.query.resize(rows * heads * head_width, 0.0);
        self.key.resize(rows * kv_heads * head_width, 0.0);
        self.value.resize(rows * kv_heads * head_width, 0.0);
        self.mixed.resize(rows * heads * head_width, 0.0);

        const KINDS: [LinearKind; 3] = [LinearKind::Query, LinearKind::Key, LinearKind::Value];
        self.norm(
            step,
            &step.layer.attention_norm,
            forms(&[query, key, value]),
            &KINDS,
        );
        let product = |linear, kind, output| Product {
            linear,
            kind: Some(kind),
            output: Spread::new(output),
            then: Then::Store,
        };
        let products = [
            product(query, KINDS[0], self.query.as_mut_slice()),
            product(key, KINDS[1], self.key.as_mut_slice()),
            product(value, KINDS[2], self.value.as_mut_slice()),
        ];
        step.multiply(&self.threads, &self.inputs, &products);

        self.keep(step, cache);
        let layer = attending::Layer {
            description: step.description,
            number: step.number,
            window: step.description.window(step.number),
            cache,
            batch,
            query: &self.query,
        };
        attending::attend(
            &self.threads,
            &layer,
            &self.attending,
            &mut self.parts,
            &mut self.mixed,
        );

        let (parts, plan) = (&self.parts, &self.attending);
        self.inputs.take(
            &self.threads,
            &mut self.mixed,
            heads * head_width,
            forms(&[output]),
            |row, mixed| parts.put_together(step.description, plan, row, mixed),
            step.down(&[LinearKind::Output]),
        );
        self.add_to_stream(
            step,
            output,
            LinearKind::Output,
            step.layer.after_attention_norm.as_deref(),
        );
    }

    /// Norms and rotates queries and keys, and puts keys and values into the cache.
    fn keep(&mut self, step: &Step<'_>, cache: &mut KvCache) {
        let Description {
            heads,
            kv_heads,
            head_width,
            norm_epsilon,
            ..
        } = *step.description;
        let rotations = self
            .local
            .as_ref()
            .filter(|_| step.description.window(step.number).is_some())
            .unwrap_or(&self.global);
        let (query_width, key_width) = (heads * head_width, kv_heads * head_width);
        let (precision, shape) = (cache.precision(), cache.shape());
        let query = Spread::new(&mut self.query);
        let key = Spread::new(&mut self.key);
        let value = &self.value;
        let kept = Spread::new(cache.bytes_mut());
        let runs = &self.runs;
        self.threads.run(runs.len(), |number| {
            let Some(run) = runs.get(number) else { return };
            for (slot, row) in (run.slot..).zip(run.rows.clone()) {
                // SAFETY: each row belongs to one run.
                let (query, key) = unsafe {
                    (
                        query.part(row * query_width..(row + 1) * query_width),
                        key.part(row * key_width..(row + 1) * key_width),
                    )
                };
                if let Some(weight) = &step.layer.query_norm {
                    kernels::rms_norm_in_place(query, weight, norm_epsilon);
                }
                if let Some(weight) = &step.layer.key_norm {
                    kernels::rms_norm_in_place(key, weight, norm_epsilon);
                }
                rotations.apply(row, query);
                rotations.apply(row, key);
                let values = row_of(value, key_width, row).chunks_exact(head_width);
                for (head, (key, value)) in key.chunks_exact(head_width).zip(values).enumerate() {
                    let start = shape.place(run.block, step.number, head);
                    // SAFETY: each block is written by one sequence, and its rows are one run.
                    let room = unsafe { kept.part(start..start + 2 * shape.head_bytes()) };
                    let (keys, values) = room.split_at_mut(shape.head_bytes());
                    precision.write_key(key, slot, keys);
                    precision.write_value(value, slot, values);
                }
            }
        });
    }

    fn feed_forward(&mut self, step: &Step<'_>) {
        for first in (0..step.rows).step_by(FEED_ROWS) {
            let rows = FEED_ROWS.min(step.rows - first);
            let adapters = step.adapters.get(first..first + rows).unwrap_or_default();
            self.feed_rows(&Step {
                rows,
                first,
                adapters,
                ..*step
            });
        }
    }

    fn feed_rows(&mut self, step: &Step<'_>) {
        let Layer { gate, up, down, .. } = step.layer;
        let feed_width = step.description.feed_width;
        self.feed.resize(step.rows * feed_width, 0.0);
        const KINDS: [LinearKind; 2] = [LinearKind::Gate, LinearKind::Up];
        let read = gate
            .iter()
            .fold(forms(&[up]), |forms, it| forms.and(it.weights.forms()));
        self.norm(step, &step.layer.feed_norm, read, &KINDS);
        step.feed(&self.threads, &self.inputs, &mut self.feed);
        self.inputs.take(
            &self.threads,
            &mut self.feed,
            feed_width,
            forms(&[down]),
            |_, _| {},
            step.down(&[LinearKind::Down]),
        );
        self.add_to_stream(
            step,
            down,
            LinearKind::Down,
            step.layer.after_feed_norm.as_deref(),
        );
    }

    /// Makes the normed stream the input of what comes; where the family adds to that, it becomes the stream.
    fn norm(&mut self, step: &Step<'_>, norm: &Norm, forms: Forms, kinds: &'static [LinearKind]) {
        let Description {
            width,
            norm_epsilon,
            residual_scale,
            ..
        } = *step.description;
        let hidden = Spread::new(&mut self.hidden);
        let write = |row: usize, normed: &mut [f32]| {
            // SAFETY: each row belongs to one task.
            let row = unsafe { hidden.part((step.first + row) * width..(step.first + row + 1) * width) };
            norm.apply(row, norm_epsilon, normed);
            if let Some(scale) = residual_scale {
                for (stream, normed) in row.iter_mut().zip(normed) {
                    *stream = *normed * scale;
                }
            }
        };
        self.inputs
            .fill(&self.threads, step.rows, width, forms, write, step.down(kinds));
    }

    /// `hidden += linear(input)`, with a norm between where the family has one.
    fn add_to_stream(&mut self, step: &Step<'_>, linear: &Linear, kind: LinearKind, norm: Option<&[f32]>) {
        let width = step.description.width;
        let rows = step.first * width..(step.first + step.rows) * width;
        let hidden = self.hidden.get_mut(rows).unwrap_or_default();
        let Some(norm) = norm else {
            let product = Product {
                linear,
                kind: Some(kind),
                output: Spread::new(hidden),
                then: Then::Add,
            };
            return step.multiply(&self.threads, &self.inputs, &[product]);
        };
        self.output.resize(hidden.len(), 0.0);
        let product = Product {
            linear,
            kind: Some(kind),
            output: Spread::new(&mut self.output),
            then: Then::Store,
        };
        step.multiply(&self.threads, &self.inputs, &[product]);
        kernels::rms_norm_in_place(&mut self.output, norm, step.description.norm_epsilon);
        for (hidden, output) in hidden.iter_mut().zip(&self.output) {
            *hidden += output;
        }
    }

    fn head(&mut self, decoder: &Decoder, batch: &[Slice<'_>]) {
        let Description {
            width,
            vocabulary,
            norm_epsilon,
            ..
        } = decoder.description;
        let mut wanted = Vec::new();
        let mut row = 0;
        for slice in batch {
            row += slice.tokens.len();
            wanted.extend(row - slice.logits.min(slice.tokens.len())..row);
        }
        self.logits.resize(wanted.len() * vocabulary, 0.0);
        if wanted.is_empty() {
            return;
        }
        let head = decoder.weights.head();
        let (hidden, norm) = (&self.hidden, &decoder.weights.output_norm);
        self.inputs.fill(
            &self.threads,
            wanted.len(),
            width,
            head.weights.forms(),
            |number, normed| {
                let row = wanted.get(number).copied().unwrap_or_default();
                norm.apply(row_of(hidden, width, row), norm_epsilon, normed);
            },
            None::<fn(Range<usize>, &[f32], &mut [f32])>,
        );
        let product = Product {
            linear: head,
            kind: None,
            output: Spread::new(&mut self.logits),
            then: Then::Store,
        };
        multiply(
            &self.threads,
            &self.inputs,
            wanted.len(),
            &[product],
            |_, _, _, _| {},
        );
    }
}

impl Norm {
    fn apply(&self, row: &[f32], epsilon: f32, output: &mut [f32]) {
        match &self.bias {
            Some(bias) => kernels::layer_norm(row, &self.weight, bias, epsilon, output),
            None => kernels::rms_norm(row, &self.weight, epsilon, output),
        }
    }
}

fn row_of(rows: &[f32], width: usize, row: usize) -> &[f32] {
    rows.get(row * width..(row + 1) * width).unwrap_or_default()
}

fn forms(linears: &[&Linear]) -> Forms {
    linears
        .iter()
        .map(|it| it.weights.forms())
        .fold(Forms::default(), Forms::and)
}
