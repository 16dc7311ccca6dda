//! The same encoder in f64, written as plainly as it can be.

use super::files::{END, EPSILON, FEED, HIDDEN, LAYERS, POSITIONS, START, Tiny};
use crate::MAX_WINDOWS;

type Rows = Vec<Vec<f64>>;

/// Of tokens without ends.
pub(super) fn embed(tiny: &Tiny, tokens: &[u32]) -> Vec<f32> {
    let mut sum = vec![0.0; HIDDEN];
    for window in tokens.chunks(POSITIONS - 2).take(MAX_WINDOWS) {
        let mut all = vec![START];
        all.extend(window);
        all.push(END);
        let rows = encode(tiny, &all);
        for (column, sum) in sum.iter_mut().enumerate() {
            let mean = rows.iter().map(|it| it[column]).sum::<f64>() / rows.len() as f64;
            *sum += mean * window.len() as f64;
        }
    }
    sum.iter().map(|it| *it as f32).collect()
}

fn encode(tiny: &Tiny, tokens: &[u32]) -> Rows {
    let matrix = |name: &str| tiny.numbers(name);
    let (words, positions, kinds) = (matrix("emb.word"), matrix("emb.pos"), matrix("emb.type"));
    let rows: Rows = tokens
        .iter()
        .enumerate()
        .map(|(place, token)| {
            let number =
                |it: usize| words[*token as usize * HIDDEN + it] + positions[place * HIDDEN + it] + kinds[it];
            (0..HIDDEN).map(|it| f64::from(number(it))).collect()
        })
        .collect();
    let mut rows = norm(tiny, "emb.ln", rows);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("l{layer}.{part}");
        let [queries, keys, values] = ["q", "k", "v"].map(|it| linear(tiny, &name(it), &rows, HIDDEN));
        let mut attended: Rows = vec![vec![0.0; HIDDEN]; rows.len()];
        for (query, output) in queries.iter().zip(&mut attended) {
            for head in (0..HIDDEN).step_by(32) {
                let score = |key: &Vec<f64>| {
                    let products = (head..head + 32).map(|it| query[it] * key[it]);
                    (products.sum::<f64>() / 32_f64.sqrt()).exp()
                };
                let scores: Vec<f64> = keys.iter().map(score).collect();
                let all: f64 = scores.iter().sum();
                for column in head..head + 32 {
                    let weighted = scores
                        .iter()
                        .zip(&values)
                        .map(|(score, value)| score * value[column]);
                    output[column] = weighted.sum::<f64>() / all;
                }
            }
        }
        let added = linear(tiny, &name("ao"), &attended, HIDDEN);
        rows = norm(tiny, &name("aln"), plus(&rows, &added));
        let mut wide = linear(tiny, &name("fi"), &rows, FEED);
        wide.iter_mut()
            .flatten()
            .for_each(|it| *it *= standard_normal_below(*it));
        let added = linear(tiny, &name("fo"), &wide, HIDDEN);
        rows = norm(tiny, &name("oln"), plus(&rows, &added));
    }
    rows
}

fn linear(tiny: &Tiny, name: &str, rows: &Rows, outputs: usize) -> Rows {
    let (weights, bias) = (
        tiny.numbers(&format!("{name}.w")),
        tiny.numbers(&format!("{name}.b")),
    );
    rows.iter()
        .map(|row| {
            let weights = weights.chunks(row.len()).take(outputs);
            let product = |weights: &[f32]| {
                weights
                    .iter()
                    .zip(row)
                    .map(|(a, b)| f64::from(*a) * b)
                    .sum::<f64>()
            };
            weights
                .zip(&bias)
                .map(|(weights, bias)| product(weights) + f64::from(*bias))
                .collect()
        })
        .collect()
}

fn norm(tiny: &Tiny, name: &str, rows: Rows) -> Rows {
    let (weight, bias) = (
        tiny.numbers(&format!("{name}.w")),
        tiny.numbers(&format!("{name}.b")),
    );
    rows.into_iter()
        .map(|row| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
            let parts = row.iter().zip(&weight).zip(&bias);
            parts
                .map(|((it, weight), bias)| (it - mean) * scale * f64::from(*weight) + f64::from(*bias))
                .collect()
        })
        .collect()
}

fn plus(a: &Rows, b: &Rows) -> Rows {
    let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
    a.iter().zip(b).map(row).collect()
}

/// Φ(x), by its series where that converges fast (Abramowitz and Stegun, 26.2.11).
fn standard_normal_below(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-15 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}
