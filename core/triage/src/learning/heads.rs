//! Linear functions of the features, their weights in whole steps.

use super::features::{BUCKETS, Features, Vocabulary};

/// One function, its weights in whole steps of `scale`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    /// By bucket.
    pub(crate) weights: Vec<i8>,
    pub(crate) scale: f32,
    pub(crate) bias: f32,
}

impl Head {
    pub(crate) fn rounded(weights: &[f32], bias: f32) -> Self {
        let largest = weights.iter().fold(0.0_f32, |a, b| a.max(b.abs())).max(1e-6);
        let scale = largest / 127.0;
        Self {
            weights: weights.iter().map(|it| (it / scale).round() as i8).collect(),
            scale,
            bias,
        }
    }

    pub(crate) fn score(&self, features: &Features) -> f32 {
        let sum: f32 = features
            .entries
            .iter()
            .map(|(bucket, value)| f32::from(self.weight(*bucket)) * value)
            .sum();
        self.bias + self.scale * sum
    }

    pub(crate) fn weight(&self, bucket: u32) -> i8 {
        self.weights.get(bucket as usize).copied().unwrap_or_default()
    }
}

/// Several heads side by side: the weights of one bucket for all of them stand together, and only for buckets that
/// the vocabulary knows.
pub(crate) struct Heads {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) names: Vec<HeadName>,
    /// For each known bucket, in their order, a weight for each head.
    pub(crate) weights: Vec<i8>,
    /// A bucket's place among those.
    places: Vec<u32>,
}

pub(crate) struct HeadName {
    pub(crate) id: String,
    /// The step of its weights.
    pub(crate) scale: f32,
    pub(crate) bias: f32,
}

impl Heads {
    pub(crate) fn new(vocabulary: Vocabulary, names: Vec<HeadName>, weights: Vec<i8>) -> Self {
        let mut next = 0;
        let places = (0..BUCKETS as u32).map(|bucket| {
            let place = next;
            next += u32::from(vocabulary.knows(bucket));
            place
        });
        let places = places.collect();
        Self {
            vocabulary,
            names,
            weights,
            places,
        }
    }

    pub(crate) fn side_by_side(vocabulary: Vocabulary, heads: &[(&str, Head)]) -> Self {
        let known = (0..BUCKETS as u32).filter(|it| vocabulary.knows(*it));
        let weights = known.flat_map(|bucket| heads.iter().map(move |(_, it)| it.weight(bucket)));
        let weights = weights.collect();
        let names = heads.iter().map(|(id, head)| HeadName {
            id: (*id).to_owned(),
            scale: head.scale,
            bias: head.bias,
        });
        let names = names.collect();
        Self::new(vocabulary, names, weights)
    }

    /// The log odds of each head, by id.
    pub(crate) fn read(&self, features: &Features) -> Vec<(&str, f32)> {
        let mut sums = vec![0.0_f32; self.names.len()];
        for (bucket, value) in &features.entries {
            let Some(place) = self.places.get(*bucket as usize) else {
                continue;
            };
            let start = *place as usize * sums.len();
            let weights = self.weights.get(start..start + sums.len()).unwrap_or_default();
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += f32::from(*weight) * value;
            }
        }
        let names = self.names.iter().zip(sums);
        names
            .map(|(it, sum)| (it.id.as_str(), it.bias + it.scale * sum))
            .collect()
    }
}
