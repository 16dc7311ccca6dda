//! What the families share.

use crate::Tensor;

/// One row for each token.
pub(crate) type Rows = Vec<Vec<f32>>;

/// `x Wᵀ + b`.
pub(crate) fn linear(rows: &Rows, weight: &Tensor, bias: Option<&Tensor>) -> Rows {
    let number =
        |input: &[f32], row| dot(input, weight.row(row)) + bias.map_or(0.0, |bias| bias.numbers[row]);
    let row = |input: &Vec<f32>| (0..weight.rows()).map(|row| number(input, row)).collect();
    rows.iter().map(row).collect()
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn embed(tokens: &[u32], weight: &Tensor) -> Rows {
    tokens
        .iter()
        .map(|it| weight.row(*it as usize).to_vec())
        .collect()
}

pub(crate) fn rms_norm(rows: &Rows, weight: &Tensor, epsilon: f32) -> Rows {
    rows.iter()
        .map(|row| rms_norm_row(row, &weight.numbers, epsilon))
        .collect()
}

pub(crate) fn rms_norm_row(row: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let scale = 1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt();
    row.iter()
        .zip(weight)
        .map(|(it, weight)| it * scale * weight)
        .collect()
}

pub(crate) fn layer_norm(rows: &Rows, weight: &Tensor, bias: &Tensor, epsilon: f32) -> Rows {
    let norm = |row: &Vec<f32>| {
        let mean = row.iter().sum::<f32>() / row.len() as f32;
        let variance = row.iter().map(|it| (it - mean) * (it - mean)).sum::<f32>() / row.len() as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        let parts = row.iter().zip(&weight.numbers).zip(&bias.numbers);
        parts
            .map(|((it, weight), bias)| (it - mean) * scale * weight + bias)
            .collect()
    };
    rows.iter().map(norm).collect()
}

/// `scale · a + b`.
pub(crate) fn add(scale: f32, a: &Rows, b: &Rows) -> Rows {
    let row = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| scale * a + b).collect();
    a.iter().zip(b).map(row).collect()
}

pub(crate) fn map(rows: &Rows, function: impl Fn(f32) -> f32) -> Rows {
    rows.iter()
        .map(|row| row.iter().map(|it| function(*it)).collect())
        .collect()
}

pub(crate) fn multiply(a: &Rows, b: &Rows) -> Rows {
    let row = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a * b).collect();
    a.iter().zip(b).map(row).collect()
}

/// Some numbers of each row.
pub(crate) fn columns(rows: &Rows, from: usize, count: usize) -> Rows {
    rows.iter().map(|row| row[from..from + count].to_vec()).collect()
}

pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh())
}

/// Turns pairs of numbers by `position · base^(-2 i / width)`; neighbours are a pair, or the first of one half
/// and the first of the other.
pub(crate) fn rotate(numbers: &mut [f32], position: usize, base: f32, neighbours: bool) {
    let half = numbers.len() / 2;
    for pair in 0..half {
        let angle = position as f32 * base.powf(-2.0 * pair as f32 / numbers.len() as f32);
        let (a, b) = if neighbours {
            (2 * pair, 2 * pair + 1)
        } else {
            (pair, pair + half)
        };
        let (x, y) = (numbers[a], numbers[b]);
        numbers[a] = x * angle.cos() - y * angle.sin();
        numbers[b] = x * angle.sin() + y * angle.cos();
    }
}

/// One head of one query over the keys and values that it sees.
pub(crate) fn attend<'a>(
    query: &[f32],
    scale: f32,
    seen: impl Iterator<Item = (&'a [f32], &'a [f32])>,
) -> Vec<f32> {
    let seen: Vec<_> = seen.collect();
    let scores: Vec<f32> = seen.iter().map(|(key, _)| scale * dot(query, key)).collect();
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = scores.iter().map(|it| (it - largest).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mut output = vec![0.0; query.len()];
    for ((_, value), weight) in seen.iter().zip(&weights) {
        output
            .iter_mut()
            .zip(*value)
            .for_each(|(it, value)| *it += weight / total * value);
    }
    output
}
