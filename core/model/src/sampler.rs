//! Draws the next token from the logits.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use bedside_contract::Sampling;

/// One generation's sampler: its settings, its random numbers and the tokens seen so far.
///
/// The steps and their order are those of transformers' logits processors: logit bias, penalties,
/// temperature, top-k, top-p, min-p.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
    seen: Vec<u32>,
    is_seen: HashSet<u32>,
    /// How often the answer holds each of its tokens.
    answered: HashMap<u32, u32>,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    token: u32,
    logit: f32,
}

/// How many candidates are looked at first where only top-p cuts.
const FIRST_LOOK: usize = 256;

impl Sampler {
    /// The penalty counts the prompt's tokens, too, as in transformers.
    #[must_use]
    pub fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let mut sampler = Self {
            random: SplitMix64(sampling.seed.unwrap_or_else(rand::random)),
            sampling: sampling.clone(),
            seen: Vec::new(),
            is_seen: HashSet::new(),
            answered: HashMap::new(),
            candidates: Vec::new(),
        };
        prompt.iter().for_each(|token| sampler.remember(*token));
        sampler
    }

    /// The next token; it is remembered for the penalty. Logits that are no numbers are never drawn.
    ///
    /// Token 0 if `logits` is empty.
    pub fn sample(&mut self, logits: &mut [f32]) -> u32 {
        for (token, bias) in &self.sampling.logit_bias {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit += bias;
            }
        }
        self.penalize(logits);
        let token = if self.sampling.temperature > 0.0 {
            self.draw(logits)
        } else {
            most_likely(logits)
        };
        self.remember(token);
        if self.sampling.frequency_penalty != 0.0 || self.sampling.presence_penalty != 0.0 {
            *self.answered.entry(token).or_default() += 1;
        }
        token
    }

    fn remember(&mut self, token: u32) {
        if self.is_seen.insert(token) {
            self.seen.push(token);
        }
    }

    /// What repeats is made less likely: by Keskar et al., "CTRL", 2019, section 4.1, over prompt and answer; by
    /// frequency and presence, as OpenAI's API defines them, over the answer.
    fn penalize(&self, logits: &mut [f32]) {
        let Sampling {
            frequency_penalty,
            presence_penalty,
            ..
        } = self.sampling;
        for (token, count) in &self.answered {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit -= frequency_penalty * *count as f32 + presence_penalty;
            }
        }
        let penalty = self.sampling.repetition_penalty;
        if penalty <= 0.0 || (penalty - 1.0).abs() < f32::EPSILON {
            return;
        }
        for token in &self.seen {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
            }
        }
    }

    fn draw(&mut self, logits: &[f32]) -> u32 {
        let Sampling {
            top_k, top_p, min_p, ..
        } = self.sampling;
        if top_k == 0 && top_p >= 1.0 && min_p <= 0.0 {
            return self.draw_from_all(logits);
        }
        let mut candidates = std::mem::take(&mut self.candidates);
        self.keep_likely(logits, &mut candidates);
        let token = self.pick(&candidates);
        self.candidates = candidates;
        token.unwrap_or_else(|| most_likely(logits))
    }

    /// Where nothing is cut off, nothing need be sorted.
    fn draw_from_all(&mut self, logits: &[f32]) -> u32 {
        let weights: Vec<f64> = self.weights(logits.iter().copied(), maximum(logits)).collect();
        let mut left = self.random.unit() * weights.iter().sum::<f64>();
        let mut chosen = None;
        for (token, weight) in (0..).zip(weights).filter(|it| it.1 > 0.0) {
            chosen = Some(token);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        chosen.unwrap_or_else(|| most_likely(logits))
    }

    /// Leaves the candidates that may be drawn, best first.
    fn keep_likely(&self, logits: &[f32], candidates: &mut Vec<Candidate>) {
        let Sampling {
            top_k, top_p, min_p, ..
        } = self.sampling;
        let cut_by_mass = top_p < 1.0;
        if top_k > 0 {
            best(logits, top_k, candidates);
        } else if cut_by_mass {
            // The mass that is wanted nearly always lies in the first few: sorting all is the exception.
            let all: f64 = self.weights(logits.iter().copied(), maximum(logits)).sum();
            let mut look = FIRST_LOOK;
            loop {
                best(logits, look, candidates);
                let mass: f64 = self
                    .weights(candidates.iter().map(|it| it.logit), maximum(logits))
                    .sum();
                if look >= logits.len() || mass >= f64::from(top_p) * all {
                    return self.cut(candidates, f64::from(top_p) * all, min_p);
                }
                look *= 4;
            }
        } else {
            best(logits, logits.len(), candidates);
        }
        let all: f64 = self
            .weights(candidates.iter().map(|it| it.logit), maximum(logits))
            .sum();
        self.cut(
            candidates,
            if cut_by_mass {
                f64::from(top_p) * all
            } else {
                f64::INFINITY
            },
            min_p,
        );
    }

    /// Keeps the smallest number of candidates that reach the mass, at least one, then those that are at
    /// least `min_p` times as likely as the best.
    fn cut(&self, candidates: &mut Vec<Candidate>, mass: f64, min_p: f32) {
        let Some(best) = candidates.first().map(|it| it.logit) else {
            return;
        };
        let mut sum = 0.0;
        let mut keep = 0;
        for weight in self.weights(candidates.iter().map(|it| it.logit), best) {
            if keep > 0 && (sum >= mass || weight < f64::from(min_p)) {
                break;
            }
            sum += weight;
            keep += 1;
        }
        candidates.truncate(keep);
    }

    fn pick(&mut self, candidates: &[Candidate]) -> Option<u32> {
        let best = candidates.first()?.logit;
        let all: f64 = self.weights(candidates.iter().map(|it| it.logit), best).sum();
        let mut left = self.random.unit() * all;
        let mut chosen = candidates.first()?.token;
        for (candidate, weight) in candidates
            .iter()
            .zip(self.weights(candidates.iter().map(|it| it.logit), best))
        {
            if weight > 0.0 {
                chosen = candidate.token;
            }
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        Some(chosen)
    }

    /// Likelihoods relative to that of the best logit.
    fn weights(&self, logits: impl Iterator<Item = f32>, best: f32) -> impl Iterator<Item = f64> {
        let temperature = f64::from(self.sampling.temperature);
        logits.map(move |it| {
            if it.is_nan() {
                0.0
            } else {
                ((f64::from(it) - f64::from(best)) / temperature).exp()
            }
        })
    }
}

fn better(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// The `count` largest logits, best first, in one pass: a buffer of twice that size is cut back whenever
/// it is full.
fn best(logits: &[f32], count: usize, candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let count = count.max(1);
    let mut least = f32::NEG_INFINITY;
    for (token, logit) in (0..).zip(logits.iter().copied()) {
        if logit <= least || logit.is_nan() {
            continue;
        }
        candidates.push(Candidate { token, logit });
        if candidates.len() >= count.saturating_mul(2) {
            candidates.select_nth_unstable_by(count - 1, better);
            candidates.truncate(count);
            least = candidates.last().map_or(least, |it| it.logit);
        }
    }
    candidates.sort_unstable_by(better);
    candidates.truncate(count);
}

fn maximum(logits: &[f32]) -> f32 {
    crate::kernels::largest(logits)
}

/// The first of the largest, so that equal logits always give the same token.
fn most_likely(logits: &[f32]) -> u32 {
    let largest = maximum(logits);
    let place = logits.iter().position(|it| *it == largest);
    place.and_then(|it| u32::try_from(it).ok()).unwrap_or_default()
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. Written out so that a seed
/// gives the same answer with every version of every library.
#[derive(Debug, Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
