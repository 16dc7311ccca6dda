//! Attention of a whole text to itself, as encoders have it: every token looks at all, before it and behind it.

use super::{exp, maximum, sum};

/// Width of a head.
pub(crate) const HEAD: usize = 32;
/// Keys whose products with a query are computed side by side.
const KEYS: usize = 16;

/// What one head needs to compute; it grows to what the longest text needs.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Sixteen keys each, transposed.
    keys: Vec<[[f32; KEYS]; HEAD]>,
    values: Vec<[f32; HEAD]>,
    scores: Vec<f32>,
}

widened! {
    /// One head: `queries`, `keys`, `values` and `outputs` are rows of `width` numbers, of which those from `first`
    /// on are the head's.
    attend_both_ways, attend_both_ways_avx2, (
        queries: &[f32], keys: &[f32], values: &[f32], outputs: &mut [f32], width: usize, first: usize, room: &mut Room
    ), {
        let scale = 1.0 / (HEAD as f32).sqrt();
        let tokens = keys.len() / width;
        let of_head = |row: &[f32]| row.get(first..).and_then(|it| it.first_chunk::<HEAD>()).copied();
        room.keys.clear();
        room.keys.resize(tokens.div_ceil(KEYS), [[0.0; KEYS]; HEAD]);
        for (number, row) in keys.chunks_exact(width).enumerate() {
            if let (Some(head), Some(block)) = (of_head(row), room.keys.get_mut(number / KEYS)) {
                for (column, number_of_key) in block.iter_mut().zip(head) {
                    column[number % KEYS] = number_of_key * scale;
                }
            }
        }
        room.values.clear();
        room.values.extend(values.chunks_exact(width).filter_map(of_head));
        for (row, output) in queries.chunks_exact(width).zip(outputs.chunks_exact_mut(width)) {
            let (Some(query), Some(output)) =
                (of_head(row), output.get_mut(first..).and_then(|it| it.first_chunk_mut::<HEAD>()))
            else {
                return;
            };
            room.scores.clear();
            for block in &room.keys {
                let mut products = [0.0_f32; KEYS];
                for (column, number) in block.iter().zip(&query) {
                    for (product, key) in products.iter_mut().zip(column) {
                        *product += key * number;
                    }
                }
                room.scores.extend_from_slice(&products);
            }
            room.scores.truncate(tokens);
            let largest = maximum(&room.scores);
            for score in &mut room.scores {
                *score = exp(*score - largest);
            }
            let inverse = 1.0 / sum(&room.scores);
            let mut sums = [0.0_f32; HEAD];
            for (weight, value) in room.scores.iter().zip(&room.values) {
                for (sum, number) in sums.iter_mut().zip(value) {
                    *sum += weight * number;
                }
            }
            *output = sums.map(|it| it * inverse);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HEAD, Room, attend_both_ways};

    #[test]
    fn the_same_as_written_plainly() {
        let width = 2 * HEAD;
        let mut room = Room::default();
        for tokens in [1, 15, 16, 17, 70] {
            let number = |at: usize| ((at * 7919 % 1013) as f32 - 506.0) / 300.0;
            let rows = |from: usize| -> Vec<f32> { (from..from + tokens * width).map(number).collect() };
            let (queries, keys, values) = (rows(1), rows(500), rows(77));
            let mut outputs = vec![0.0; tokens * width];
            for first in [0, HEAD] {
                attend_both_ways(&queries, &keys, &values, &mut outputs, width, first, &mut room);
            }
            for token in 0..tokens {
                for column in 0..width {
                    let first = column / HEAD * HEAD;
                    let weights: Vec<f64> = (0..tokens)
                        .map(|other| {
                            let products = (first..first + HEAD).map(|it| {
                                f64::from(queries[token * width + it]) * f64::from(keys[other * width + it])
                            });
                            (products.sum::<f64>() / (HEAD as f64).sqrt()).exp()
                        })
                        .collect();
                    let of_values =
                        (0..tokens).map(|it| weights[it] * f64::from(values[it * width + column]));
                    let expect = of_values.sum::<f64>() / weights.iter().sum::<f64>();
                    let found = f64::from(outputs[token * width + column]);
                    assert!((found - expect).abs() < 1e-5, "{found} {expect}");
                }
            }
        }
    }
}
