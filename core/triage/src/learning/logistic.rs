//! L2-regularised logistic regression by L-BFGS, on one thread and in one order: the same bits every time.

use super::features::Features;

/// Weights by bucket and a bias, for labels true and false.
pub(crate) struct Fitted {
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: f32,
}

/// How strongly weights are held to zero: 1/`FREEDOM` per message, liblinear's C.
pub(crate) const FREEDOM: f64 = 12.0;
const MOST_STEPS: usize = 120;
const REMEMBERED: usize = 8;
/// Training ends where the gradient has shrunk to this share of its first length.
const SMALL_ENOUGH: f64 = 2e-4;

/// Minimises ½|w|² + C Σ ln(1 + exp(-y (w·x + b))) over the used buckets.
pub(crate) fn fit(messages: &[&Features], labels: &[bool]) -> Fitted {
    fit_weighed(messages, labels, &vec![FREEDOM; messages.len()])
}

/// With a C for each message.
pub(crate) fn fit_weighed(messages: &[&Features], labels: &[bool], freedom: &[f64]) -> Fitted {
    let problem = Problem::new(messages, labels, freedom);
    let solution = minimise(&problem);
    let mut weights = vec![0.0; super::features::BUCKETS];
    for (bucket, weight) in problem.used.iter().zip(&solution) {
        if let Some(it) = weights.get_mut(*bucket as usize) {
            *it = *weight as f32;
        }
    }
    let bias = solution.last().copied().unwrap_or_default() as f32;
    Fitted { weights, bias }
}

/// The messages with buckets numbered densely; the last unknown is the bias.
struct Problem {
    used: Vec<u32>,
    rows: Vec<Vec<(usize, f64)>>,
    signs: Vec<f64>,
    freedom: Vec<f64>,
}

impl Problem {
    fn new(messages: &[&Features], labels: &[bool], freedom: &[f64]) -> Self {
        let mut used: Vec<u32> = messages
            .iter()
            .flat_map(|it| it.entries.iter().map(|(bucket, _)| *bucket))
            .collect();
        used.sort_unstable();
        used.dedup();
        let rows = messages
            .iter()
            .map(|it| {
                let columns = it.entries.iter().filter_map(|(bucket, value)| {
                    let column = used.binary_search(bucket).ok()?;
                    Some((column, f64::from(*value)))
                });
                columns.collect()
            })
            .collect();
        let signs = labels.iter().map(|it| if *it { 1.0 } else { -1.0 }).collect();
        Self {
            used,
            rows,
            signs,
            freedom: freedom.to_vec(),
        }
    }

    /// The loss at `point`; its gradient goes into `gradient`.
    fn loss(&self, point: &[f64], gradient: &mut [f64]) -> f64 {
        let bias_at = self.used.len();
        gradient.copy_from_slice(point);
        if let Some(bias) = gradient.get_mut(bias_at) {
            *bias = 0.0;
        }
        let weights = point.get(..bias_at).unwrap_or_default();
        let mut loss = 0.5 * dot(weights, weights);
        let bias = point.get(bias_at).copied().unwrap_or_default();
        for ((row, sign), freedom) in self.rows.iter().zip(&self.signs).zip(&self.freedom) {
            let score: f64 = row
                .iter()
                .map(|(column, value)| weights.get(*column).copied().unwrap_or_default() * value)
                .sum();
            let margin = sign * (score + bias);
            loss += freedom * softplus(-margin);
            let pull = -freedom * sign / (1.0 + margin.exp());
            for (column, value) in row {
                if let Some(it) = gradient.get_mut(*column) {
                    *it += pull * value;
                }
            }
            if let Some(it) = gradient.get_mut(bias_at) {
                *it += pull;
            }
        }
        loss
    }
}

/// Limited-memory BFGS with a backtracking line search (Nocedal and Wright, algorithm 7.5).
fn minimise(problem: &Problem) -> Vec<f64> {
    let size = problem.used.len() + 1;
    let mut point = vec![0.0; size];
    let mut gradient = vec![0.0; size];
    let mut loss = problem.loss(&point, &mut gradient);
    let first_length = dot(&gradient, &gradient).sqrt();
    let mut history: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    for _ in 0..MOST_STEPS {
        if dot(&gradient, &gradient).sqrt() <= SMALL_ENOUGH * first_length {
            break;
        }
        let direction = descent(&gradient, &history);
        let slope = dot(&gradient, &direction);
        let mut step = if history.is_empty() {
            1.0 / first_length.max(1.0)
        } else {
            1.0
        };
        let mut next_gradient = vec![0.0; size];
        let (next, next_loss) = loop {
            let next: Vec<f64> = point
                .iter()
                .zip(&direction)
                .map(|(at, by)| at + step * by)
                .collect();
            let next_loss = problem.loss(&next, &mut next_gradient);
            if next_loss <= loss + 1e-4 * step * slope || step < 1e-10 {
                break (next, next_loss);
            }
            step *= 0.5;
        };
        let moved: Vec<f64> = next.iter().zip(&point).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-12 {
            history.push((moved, turned, curvature));
            if history.len() > REMEMBERED {
                history.remove(0);
            }
        }
        (point, gradient, loss) = (next, next_gradient, next_loss);
    }
    point
}

/// The two-loop recursion.
fn descent(gradient: &[f64], history: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut direction = gradient.to_vec();
    let mut shares = Vec::with_capacity(history.len());
    for (moved, turned, curvature) in history.iter().rev() {
        let share = dot(moved, &direction) / curvature;
        add(&mut direction, turned, -share);
        shares.push(share);
    }
    if let Some((_, turned, curvature)) = history.last() {
        let scale = curvature / dot(turned, turned);
        direction.iter_mut().for_each(|it| *it *= scale);
    }
    for ((moved, turned, curvature), share) in history.iter().zip(shares.iter().rev()) {
        let other = dot(turned, &direction) / curvature;
        add(&mut direction, moved, share - other);
    }
    direction.iter_mut().for_each(|it| *it = -*it);
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], what: &[f64], times: f64) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += times * what);
}

fn softplus(value: f64) -> f64 {
    if value > 30.0 { value } else { value.exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::{Features, fit};

    #[test]
    fn what_tells_labels_apart_gets_weight() {
        let message = |buckets: &[u32]| Features {
            entries: buckets.iter().map(|it| (*it, 1.0)).collect(),
        };
        let messages = [
            message(&[1, 7]),
            message(&[2, 7]),
            message(&[1, 9]),
            message(&[2, 9]),
        ];
        let fitted = fit(&messages.iter().collect::<Vec<_>>(), &[true, false, true, false]);
        assert!(fitted.weights[1] > 1.0 && fitted.weights[2] < -1.0);
        assert!(fitted.weights[7].abs() < 0.01 && fitted.weights[9].abs() < 0.01);
        let again = fit(&messages.iter().collect::<Vec<_>>(), &[true, false, true, false]);
        assert_eq!(fitted.weights, again.weights);
    }
}
