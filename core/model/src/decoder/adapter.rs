//! What a sequence adds to the weights that all share: low-rank updates (Hu et al., "LoRA", 2021) or a prefix
//! of keys and values (Li and Liang, "Prefix-Tuning", 2021; Liu et al., "P-Tuning v2", 2022).

use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use half::f16;

use crate::kernels::{
    activations::Input,
    arena::Arena,
    attention::{KvPrecision, SLOTS},
    low_rank,
    packed::{Packed, ROWS, Sums, TILE},
};

use super::{Description, cache::Shape};

/// The largest rank that a low-rank update may have.
pub const MAX_RANK: usize = 256;
/// The most linears that read the same input.
pub(super) const SLOTS_OF_INPUT: usize = 3;
/// Numbers between input and output of one row's updates.
pub(super) const LOW_WIDTH: usize = SLOTS_OF_INPUT * MAX_RANK;

/// One adapter, ready to be used by any number of sequences.
pub struct Adapter {
    layers: Vec<[Option<LowRank>; LinearKind::COUNT]>,
    pub(super) prefix: Option<Prefix>,
}

/// The matrices of a layer that may be adapted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinearKind {
    Query,
    Key,
    Value,
    Output,
    Gate,
    Up,
    Down,
}

/// `output += B (A input)`, with the scale already in B.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRankUpdate {
    pub layer: usize,
    pub linear: LinearKind,
    pub rank: usize,
    /// rank × input width.
    pub a: Vec<f32>,
    /// output width × rank.
    pub b: Vec<f32>,
}

/// Keys and values that stand before a sequence's own; they are not rotated again.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixTensors {
    pub tokens: usize,
    /// layers × tokens × (key-value heads · head width), the numbers of a head in the order of the model's file: with
    /// [`Rotary::Neighbours`](super::Rotary) those of a llama checkpoint, which has halves, are put in turn.
    pub keys: Vec<f32>,
    /// As `keys`.
    pub values: Vec<f32>,
    /// Where the sequence's own tokens begin to count: 0 if the prefix takes no positions.
    pub first_position: usize,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AdapterError {
    #[error("layer {layer}: the model has {layers}")]
    Layer { layer: usize, layers: usize },
    #[error(
        "layer {layer}, {linear:?}: rank {rank} is not between 1 and {MAX_RANK}; merge a larger one into its base \
         (merge_and_unload of PEFT) and convert the merged model with `bedside model convert`"
    )]
    Rank {
        layer: usize,
        linear: LinearKind,
        rank: usize,
    },
    #[error(
        "layer {layer}, {linear:?}: {found} numbers in {matrix}, {wanted} are needed for rank {rank} of this model"
    )]
    Shape {
        layer: usize,
        linear: LinearKind,
        matrix: &'static str,
        rank: usize,
        found: usize,
        wanted: usize,
    },
    #[error("layer {layer}, {linear:?} is there twice")]
    Twice { layer: usize, linear: LinearKind },
    #[error("layer {layer}: this model's feed-forward has no {linear:?}")]
    Missing { layer: usize, linear: LinearKind },
    #[error("layer {layer}, {linear:?} has no numbers")]
    Empty { layer: usize, linear: LinearKind },
    #[error("the prefix has {found} numbers, {wanted} are needed for {tokens} tokens of this model")]
    Prefix {
        tokens: usize,
        found: usize,
        wanted: usize,
    },
}

/// Both matrices in 16 bits, each in steps of a power of two that brings its largest number near the upper end
/// of what halves can hold: so none is too small for one, and a department's adapter takes half the memory.
pub(super) struct LowRank {
    rank: usize,
    a: Packed,
    /// Rank by rank, for eight rows at a time.
    b: Vec<[u16; ROWS]>,
    /// What the product of the two has to be multiplied with.
    step: f32,
}

pub(super) struct Prefix {
    pub(super) tokens: usize,
    pub(super) first_position: usize,
    pub(super) shape: Shape,
    /// Blocks as in a cache of [`KvPrecision::F16`].
    pub(super) bytes: Vec<u8>,
}

impl LinearKind {
    pub(super) const COUNT: usize = 7;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// Output and input width.
    #[must_use]
    pub fn shape(self, description: &Description) -> (usize, usize) {
        let Description {
            width,
            feed_width,
            heads,
            kv_heads,
            head_width,
            ..
        } = *description;
        match self {
            Self::Query => (heads * head_width, width),
            Self::Key | Self::Value => (kv_heads * head_width, width),
            Self::Output => (width, heads * head_width),
            Self::Gate | Self::Up => (feed_width, width),
            Self::Down => (width, feed_width),
        }
    }

    /// The tensor's name in a layer, as llama.cpp gives it.
    pub(crate) fn tensor(self) -> &'static str {
        match self {
            Self::Query => "attn_q",
            Self::Key => "attn_k",
            Self::Value => "attn_v",
            Self::Output => "attn_output",
            Self::Gate => "ffn_gate",
            Self::Up => "ffn_up",
            Self::Down => "ffn_down",
        }
    }

    /// Which of the linears that read one input it is.
    pub(super) fn slot(self) -> usize {
        match self {
            Self::Query | Self::Output | Self::Gate | Self::Down => 0,
            Self::Key | Self::Up => 1,
            Self::Value => 2,
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Adapter {
    /// # Errors
    /// If something does not fit the model.
    pub fn new(
        description: &Description,
        updates: Vec<LowRankUpdate>,
        prefix: Option<PrefixTensors>,
    ) -> Result<Self, AdapterError> {
        let mut layers: Vec<[Option<LowRank>; LinearKind::COUNT]> =
            (0..description.layers).map(|_| Default::default()).collect();
        // Ranks are filled up to whole groups of rows; a cache line is left for each matrix.
        let numbers = updates
            .iter()
            .map(|it| it.a.len() / it.rank.max(1) * it.rank.next_multiple_of(ROWS) + 32);
        let arena = Arena::new(numbers.sum::<usize>() * size_of::<f16>());
        for update in updates {
            let (layer, linear) = (update.layer, update.linear);
            let room = layers
                .get_mut(layer)
                .and_then(|it| it.get_mut(linear.index()))
                .ok_or(AdapterError::Layer {
                    layer,
                    layers: description.layers,
                })?;
            if room.is_some() {
                return Err(AdapterError::Twice { layer, linear });
            }
            if linear == LinearKind::Gate && !description.gated {
                return Err(AdapterError::Missing { layer, linear });
            }
            *room = Some(LowRank::new(description, &update, &arena)?);
        }
        let prefix = prefix.map(|it| Prefix::new(description, &it)).transpose()?;
        Ok(Self { layers, prefix })
    }

    pub(super) fn low_rank(&self, layer: usize, linear: LinearKind) -> Option<&LowRank> {
        self.layers.get(layer)?.get(linear.index())?.as_ref()
    }

    /// Memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let updates = self.layers.iter().flatten().flatten();
        let updates: usize = updates
            .map(|it| it.a.bytes() + size_of_val(it.b.as_slice()))
            .sum();
        updates + self.prefix.as_ref().map_or(0, |it| it.bytes.len())
    }
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapter").field("bytes", &self.bytes()).finish()
    }
}

impl LowRank {
    fn new(
        description: &Description,
        update: &LowRankUpdate,
        arena: &Arc<Arena>,
    ) -> Result<Self, AdapterError> {
        let &LowRankUpdate {
            layer, linear, rank, ..
        } = update;
        if !(1..=MAX_RANK).contains(&rank) {
            return Err(AdapterError::Rank { layer, linear, rank });
        }
        let (rows, columns) = linear.shape(description);
        for (matrix, numbers, wanted) in [("A", &update.a, rank * columns), ("B", &update.b, rows * rank)] {
            if numbers.len() != wanted {
                return Err(AdapterError::Shape {
                    layer,
                    linear,
                    matrix,
                    rank,
                    found: numbers.len(),
                    wanted,
                });
            }
        }
        let (step_a, step_b) = (step(&update.a), step(&update.b));
        let number = |row: usize, it: usize| update.b.get(row * rank + it).copied().unwrap_or_default();
        let groups = 0..rows.div_ceil(ROWS);
        let b = groups.flat_map(|group| {
            (0..rank).map(move |it| {
                std::array::from_fn(|row| {
                    let row = group * ROWS + row;
                    let number = if row < rows { number(row, it) } else { 0.0 };
                    f16::from_f32(number / step_b).to_bits()
                })
            })
        });
        let halves = update.a.iter().map(|it| f16::from_f32(it / step_a));
        let a: Vec<u8> = halves.flat_map(f16::to_le_bytes).collect();
        let a = Packed::pack(GgmlDType::F16, &a, rank, columns, arena)
            .ok_or(AdapterError::Empty { layer, linear })?;
        Ok(Self {
            rank,
            b: b.collect(),
            a,
            step: step_a * step_b,
        })
    }

    /// `output = A input` of some rows; theirs lie [`LOW_WIDTH`] apart.
    pub(super) fn down(&self, columns: usize, input: &[f32], output: &mut [f32]) {
        let input = Input {
            columns,
            floats: input,
            rounded32: &[],
            rounded256: &[],
        };
        let rows = input.floats.len() / columns.max(1);
        for group in 0..self.a.groups() {
            for first in (0..rows).step_by(TILE) {
                let count = TILE.min(rows - first);
                let mut sums: Sums = [[0.0; ROWS]; TILE];
                self.a.tile(group, &input, first, count, &mut sums);
                for (row, sums) in (first..).zip(sums.iter().take(count)) {
                    let start = row * LOW_WIDTH + group * ROWS;
                    let room = output.get_mut(start..start + ROWS).unwrap_or_default();
                    for (room, sum) in room.iter_mut().zip(sums) {
                        *room = sum * self.step;
                    }
                }
            }
        }
    }

    /// `sums += B low` for eight outputs of some rows, whose `low` lie [`LOW_WIDTH`] apart.
    pub(super) fn up(&self, group: usize, low: &[f32], sums: &mut [[f32; ROWS]]) {
        let b = self
            .b
            .get(group * self.rank..(group + 1) * self.rank)
            .unwrap_or_default();
        low_rank::add(sums, b, low, LOW_WIDTH);
    }
}

/// The power of two that divides numbers so that the largest lies in 2^14..2^15.
fn step(numbers: &[f32]) -> f32 {
    let largest = numbers
        .iter()
        .fold(f32::MIN_POSITIVE, |largest, it| largest.max(it.abs()));
    (largest.log2().floor() - 14.0).clamp(-126.0, 100.0).exp2()
}

impl Prefix {
    fn new(description: &Description, tensors: &PrefixTensors) -> Result<Self, AdapterError> {
        let Description {
            layers,
            kv_heads,
            head_width,
            ..
        } = *description;
        let width = kv_heads * head_width;
        let wanted = layers * tensors.tokens * width;
        for numbers in [&tensors.keys, &tensors.values] {
            if numbers.len() != wanted || wanted == 0 {
                return Err(AdapterError::Prefix {
                    tokens: tensors.tokens,
                    found: numbers.len(),
                    wanted,
                });
            }
        }
        let precision = KvPrecision::F16;
        let shape = Shape::new(description, precision);
        let mut bytes = vec![0; tensors.tokens.div_ceil(SLOTS) * shape.block_bytes()];
        let rows = tensors
            .keys
            .chunks_exact(width)
            .zip(tensors.values.chunks_exact(width));
        for (number, (keys, values)) in rows.enumerate() {
            let (layer, token) = (number / tensors.tokens, number % tensors.tokens);
            let heads = keys.chunks_exact(head_width).zip(values.chunks_exact(head_width));
            for (head, (key, value)) in heads.enumerate() {
                let start = shape.place(token / SLOTS, layer, head);
                let room = bytes
                    .get_mut(start..start + 2 * shape.head_bytes())
                    .unwrap_or_default();
                let (key_room, value_room) = room.split_at_mut(shape.head_bytes());
                precision.write_key(key, token % SLOTS, key_room);
                precision.write_value(value, token % SLOTS, value_room);
            }
        }
        Ok(Self {
            tokens: tensors.tokens,
            first_position: tensors.first_position,
            shape,
            bytes,
        })
    }
}
