//! Departments by what a text means: a linear head a department on the text's vector.
//!
//! N-grams know the words that they were trained with; a vector also knows what lies near them (双眼皮 beside 隆鼻). For
//! urgency vectors add nothing to n-grams (docs/medical.md), so they are asked for departments only.

use bedside_contract::{EmbedError, Embedder, EmbeddingPurpose};
use serde::{Deserialize, Serialize};

use crate::learning::{
    features::Features,
    logistic::{FREEDOM, fit_weighed},
    parallel::in_parallel,
};

/// What a text means, for [`Rules::consider_meaning`](crate::Rules::consider_meaning).
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// The embedding model's id; heads trained with another one do not read it.
    pub model: String,
    pub vector: Vec<f32>,
}

impl Meaning {
    /// Of the beginning of a text: 20 ms for a message of usual length, and at most a tenth of a second.
    ///
    /// # Errors
    /// [`EmbedError`] where there is no model.
    pub fn of(text: &str, embedder: &dyn Embedder) -> Result<Self, EmbedError> {
        let vector = vector_of(text, embedder)?;
        let unnamed = || EmbedError::Unavailable("it has no name".to_owned());
        let model = embedder.model().ok_or_else(unnamed)?.id;
        Ok(Self { model, vector })
    }
}

/// What a patient wants stands at the beginning; a vector of more says less.
const BEGINNING: usize = 400;

fn vector_of(text: &str, embedder: &dyn Embedder) -> Result<Vec<f32>, EmbedError> {
    let end = text.char_indices().nth(BEGINNING).map_or(text.len(), |it| it.0);
    let beginning = text.get(..end).unwrap_or(text);
    let vectors = embedder.embed(&[beginning], EmbeddingPurpose::Query)?;
    Ok(vectors.into_iter().next().unwrap_or_default())
}

/// A text with its departments, for training.
pub(super) struct Sample<'a> {
    pub(super) text: &'a str,
    pub(super) departments: &'a [String],
    /// Beside a message's 1.
    pub(super) weight: f64,
}

/// The heads side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeaningHeads {
    /// The embedding model's id.
    model: String,
    heads: Vec<MeaningHead>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MeaningHead {
    department: String,
    bias: f32,
    /// In steps of `step`, a dimension of the vector each.
    weights: Vec<i16>,
    step: f32,
}

/// e5's vectors lie close together; their spread is brought to this, which sets how free the weights are.
const SPREAD: f32 = 0.09;

impl MeaningHeads {
    /// # Errors
    /// [`EmbedError`] where there is no model.
    pub(super) fn train(
        samples: &[Sample<'_>],
        departments: &[&str],
        embedder: &dyn Embedder,
    ) -> Result<Self, EmbedError> {
        let texts: Vec<&Sample<'_>> = samples.iter().collect();
        let vectors = in_parallel(&texts, |it| vector_of(it.text, embedder));
        let vectors = vectors.into_iter().collect::<Result<Vec<_>, _>>()?;
        let model = embedder.model().map_or_else(String::new, |it| it.id);
        let middle = mean(&vectors);
        let squares = vectors
            .iter()
            .flat_map(|it| centred(it, &middle))
            .map(|it| it * it);
        let count = vectors.len() * middle.len();
        let scale = SPREAD / (squares.sum::<f32>() / count.max(1) as f32).sqrt().max(1e-6);
        let rows: Vec<Features> = vectors
            .iter()
            .map(|it| Features {
                entries: (0..).zip(centred(it, &middle).map(|it| it * scale)).collect(),
            })
            .collect();
        let rows: Vec<&Features> = rows.iter().collect();
        let freedom: Vec<f64> = samples.iter().map(|it| it.weight * FREEDOM).collect();
        let heads = in_parallel(&departments.iter().collect::<Vec<_>>(), |id| {
            let labels: Vec<bool> = samples
                .iter()
                .map(|it| it.departments.iter().any(|it| it == *id))
                .collect();
            let fitted = fit_weighed(&rows, &labels, &freedom);
            let weights: Vec<f32> = fitted
                .weights
                .iter()
                .take(middle.len())
                .map(|it| it * scale)
                .collect();
            let shift: f32 = weights.iter().zip(&middle).map(|(a, b)| a * b).sum();
            MeaningHead::rounded(id, &weights, fitted.bias - shift)
        });
        Ok(Self { model, heads })
    }

    /// The log odds of each department, by id; nothing if the vector is another model's.
    pub(super) fn read<'a>(&'a self, meaning: &'a Meaning) -> impl Iterator<Item = (&'a str, f32)> {
        let known = meaning.model == self.model;
        let heads = self.heads.iter().filter(move |_| known);
        heads.map(|it| (it.department.as_str(), it.score(&meaning.vector)))
    }
}

impl MeaningHead {
    fn rounded(department: &str, weights: &[f32], bias: f32) -> Self {
        let largest = weights.iter().fold(1e-6_f32, |a, b| a.max(b.abs()));
        let step = largest / f32::from(i16::MAX);
        Self {
            department: department.to_owned(),
            bias,
            weights: weights.iter().map(|it| (it / step).round() as i16).collect(),
            step,
        }
    }

    fn score(&self, vector: &[f32]) -> f32 {
        let products = self
            .weights
            .iter()
            .zip(vector)
            .map(|(weight, it)| f32::from(*weight) * it);
        self.bias + self.step * products.sum::<f32>()
    }
}

fn mean(vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0_f32; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(sum, it)| *sum += it);
    }
    let count = vectors.len().max(1) as f32;
    sum.into_iter().map(|it| it / count).collect()
}

fn centred<'a>(vector: &'a [f32], middle: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    vector.iter().zip(middle).map(|(a, b)| a - b)
}

#[cfg(test)]
mod tests {
    use bedside_contract::{EmbedError, Embedder, EmbeddingModel, EmbeddingPurpose};

    use super::{Meaning, MeaningHeads, Sample};

    /// Two numbers: how many Latin letters, how many others.
    struct Letters;

    impl Embedder for Letters {
        fn model(&self) -> Option<EmbeddingModel> {
            Some(EmbeddingModel {
                id: "letters".to_owned(),
                dimensions: 2,
            })
        }

        fn embed(&self, texts: &[&str], _: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, EmbedError> {
            let vector = |text: &&str| {
                let latin = text.chars().filter(char::is_ascii_alphabetic).count() as f32;
                vec![latin, text.chars().count() as f32 - latin]
            };
            Ok(texts.iter().map(vector).collect())
        }
    }

    #[test]
    fn heads_learn_what_vectors_tell_apart() {
        let (eye, ear) = (["ophthalmology".to_owned()], ["ent".to_owned()]);
        let sample = |text, departments| Sample {
            text,
            departments,
            weight: 1.0,
        };
        let samples = [
            sample("aaaa", &eye[..]),
            sample("bbb", &eye),
            sample("1234", &ear),
            sample("555", &ear),
        ];
        let heads = MeaningHeads::train(&samples, &["ophthalmology", "ent"], &Letters).unwrap();
        let best = |text: &str| {
            let meaning = Meaning::of(text, &Letters).unwrap();
            let read = heads.read(&meaning).max_by(|a, b| a.1.total_cmp(&b.1));
            read.map(|it| it.0.to_owned())
        };
        assert_eq!(best("cccc").as_deref(), Some("ophthalmology"));
        assert_eq!(best("9876").as_deref(), Some("ent"));
        let other = Meaning {
            model: "another".to_owned(),
            vector: vec![1.0, 0.0],
        };
        assert_eq!(heads.read(&other).count(), 0);
    }
}
