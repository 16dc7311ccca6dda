//! The encoder (Devlin et al., "BERT", 2018): tokens in, the mean of what it makes of them out.

use std::ops::Range;

use bedside_model::encoder::{
    AttentionRoom, BLOCK, BLOCK_BYTES, Matrix, Memory, Rounded, add_and_normalize, attend, gelu,
};
use half::f16;

use crate::file::{Contents, Fault, Shape};

pub(crate) struct Encoder {
    shape: Shape,
    /// Where in the file a row of blocks for each word lies.
    words: Range<usize>,
    /// A row for each position, what every token gets included.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    queries: Matrix,
    keys: Matrix,
    values: Matrix,
    attended: Matrix,
    norm: Norm,
    up: Matrix,
    down: Matrix,
    final_norm: Norm,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Encoder {
    pub(crate) fn new(contents: &Contents, bytes: &[u8]) -> Result<Self, Fault> {
        let shape = contents.shape;
        let width = shape.hidden;
        let floats = |name: &str, count: usize| contents.floats(bytes, name, count);
        let norm = |name: &str| -> Result<Norm, Fault> {
            Ok(Norm {
                weight: floats(&format!("{name}.w"), width)?,
                bias: floats(&format!("{name}.b"), width)?,
                epsilon: shape.epsilon,
            })
        };
        let numbers = shape.layers * (4 * width * width + 2 * width * shape.feed);
        let memory = Memory::for_bytes(numbers / BLOCK * BLOCK_BYTES);
        let matrix = |name: &str, rows: usize, columns: usize| {
            let weights = format!("{name}.w");
            let range = contents.blocks(bytes, &weights, rows, columns)?;
            let bias = floats(&format!("{name}.b"), rows)?;
            let blocks = bytes.get(range.clone()).unwrap_or_default();
            Matrix::from_q4_0(&memory, blocks, bias, columns).ok_or_else(|| Fault {
                at: range.start,
                problem: format!("{weights} is no matrix of {rows} × {columns}"),
            })
        };
        let layer = |number: usize| -> Result<Layer, Fault> {
            let name = |part: &str| format!("l{number}.{part}");
            Ok(Layer {
                queries: matrix(&name("q"), width, width)?,
                keys: matrix(&name("k"), width, width)?,
                values: matrix(&name("v"), width, width)?,
                attended: matrix(&name("ao"), width, width)?,
                norm: norm(&name("aln"))?,
                up: matrix(&name("fi"), shape.feed, width)?,
                down: matrix(&name("fo"), width, shape.feed)?,
                final_norm: norm(&name("oln"))?,
            })
        };
        let mut positions = floats("emb.pos", shape.positions * width)?;
        let of_every_token = floats("emb.type", shape.type_numbers())?;
        for row in positions.chunks_exact_mut(width) {
            row.iter_mut()
                .zip(&of_every_token)
                .for_each(|(it, more)| *it += more);
        }
        Ok(Self {
            words: contents.blocks(bytes, "emb.word", shape.words, width)?,
            positions,
            norm: norm("emb.ln")?,
            layers: (0..shape.layers).map(layer).collect::<Result<_, _>>()?,
            shape,
        })
    }

    /// Tokens in a window, its ends included.
    pub(crate) fn longest(&self) -> usize {
        self.shape.positions
    }

    /// The mean over the tokens of what the last layer says of them; `file` is the one that it was read from.
    pub(crate) fn mean(&self, tokens: &[u32], file: &[u8]) -> Vec<f32> {
        let width = self.shape.hidden;
        let words = file.get(self.words.clone()).unwrap_or_default();
        let mut rows = vec![0.0; tokens.len() * width];
        let mut added: Vec<f32> = Vec::with_capacity(rows.len());
        for (token, position) in tokens.iter().zip(self.positions.chunks_exact(width)) {
            let row_bytes = width / BLOCK * BLOCK_BYTES;
            let row = words
                .chunks_exact(row_bytes)
                .nth(*token as usize)
                .unwrap_or_default();
            let numbers = row.as_chunks().0.iter().flat_map(decode);
            added.extend(numbers.zip(position).map(|(word, place)| word + place));
        }
        self.norm.of_sum(&mut rows, &mut added);

        let (mut queries, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (mut attended, mut wide) = (Vec::new(), Vec::new());
        let mut room = AttentionRoom::default();
        let mut input = Rounded::default();
        for layer in &self.layers {
            input.fill(&rows, width);
            layer.queries.multiply(&input, &mut queries);
            layer.keys.multiply(&input, &mut keys);
            layer.values.multiply(&input, &mut values);
            attend(&queries, &keys, &values, width, &mut attended, &mut room);
            input.fill(&attended, width);
            layer.attended.multiply(&input, &mut added);
            layer.norm.of_sum(&mut rows, &mut added);

            input.fill(&rows, width);
            layer.up.multiply(&input, &mut wide);
            gelu(&mut wide);
            input.fill(&wide, self.shape.feed);
            layer.down.multiply(&input, &mut added);
            layer.final_norm.of_sum(&mut rows, &mut added);
        }
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
        }
        let count = tokens.len().max(1) as f32;
        mean.iter_mut().for_each(|it| *it /= count);
        mean
    }
}

impl Norm {
    /// `rows` = the norm of `rows + added`.
    fn of_sum(&self, rows: &mut [f32], added: &mut [f32]) {
        add_and_normalize(rows, added, &self.weight, &self.bias, self.epsilon);
    }
}

/// The 32 numbers of a block: bytes hold columns `i` low and `i + 16` high, eight steps above the number.
fn decode(block: &[u8; BLOCK_BYTES]) -> [f32; BLOCK] {
    let [low, high, quants @ ..] = block;
    let scale = f16::from_le_bytes([*low, *high]).to_f32();
    let number = |quant: u8| (f32::from(quant) - 8.0) * scale;
    let mut numbers = [0.0; BLOCK];
    let (first, second) = numbers.split_at_mut(BLOCK / 2);
    for ((first, second), byte) in first.iter_mut().zip(second).zip(quants) {
        *first = number(byte & 15);
        *second = number(byte >> 4);
    }
    numbers
}
