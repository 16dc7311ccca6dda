//! BM25 (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework") over a few hundred texts.

use std::collections::{HashMap, HashSet};

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// An index of documents, each a bag of tokens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bm25 {
    /// From a token to the documents that have it, and how often.
    postings: HashMap<String, Vec<(usize, f32)>>,
    lengths: Vec<f32>,
    mean_length: f32,
}

/// How well a document fits a question.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Fit {
    pub(crate) score: f32,
    /// Different tokens of the question that the document has.
    pub(crate) tokens: usize,
}

impl Bm25 {
    pub(crate) fn new(documents: Vec<Vec<String>>) -> Self {
        let mut index = Self {
            lengths: Vec::with_capacity(documents.len()),
            ..Self::default()
        };
        for (place, tokens) in documents.into_iter().enumerate() {
            index.lengths.push(tokens.len() as f32);
            let mut counts: HashMap<String, f32> = HashMap::new();
            for token in tokens {
                *counts.entry(token).or_default() += 1.0;
            }
            for (token, count) in counts {
                index.postings.entry(token).or_default().push((place, count));
            }
        }
        index.mean_length = index.lengths.iter().sum::<f32>() / (index.lengths.len().max(1) as f32);
        index
    }

    /// The fit of every document, by its place.
    pub(crate) fn fits(&self, question: &[String]) -> Vec<Fit> {
        let mut fits = vec![Fit::default(); self.lengths.len()];
        let mut seen = HashSet::new();
        let distinct: Vec<&String> = question.iter().filter(|it| seen.insert(*it)).collect();
        for token in distinct {
            let information = self.information(token);
            for (place, count) in self.postings.get(token).into_iter().flatten() {
                let length =
                    self.lengths.get(*place).copied().unwrap_or_default() / self.mean_length.max(1.0);
                let Some(fit) = fits.get_mut(*place) else { continue };
                fit.score += information * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length));
                fit.tokens += 1;
            }
        }
        fits
    }

    /// The share of the information in `question` that is known of a document: its own tokens, and those
    /// that `explained` names by their place in the question. A token that no document has counts as the
    /// rarest. 1 if the question has no tokens.
    pub(crate) fn coverage(
        &self,
        question: &[String],
        place: usize,
        explained: impl Fn(usize) -> bool,
    ) -> f32 {
        let (mut known, mut total) = (0.0, 0.0);
        for (index, token) in question.iter().enumerate() {
            let information = self.information(token);
            let having = self
                .postings
                .get(token)
                .is_some_and(|it| it.iter().any(|it| it.0 == place));
            total += information;
            known += if having || explained(index) {
                information
            } else {
                0.0
            };
        }
        if total > 0.0 { known / total } else { 1.0 }
    }

    /// The inverse document frequency, never negative.
    fn information(&self, token: &str) -> f32 {
        let having = self.postings.get(token).map_or(0, Vec::len) as f32;
        let all = self.lengths.len() as f32;
        (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::Bm25;

    fn tokens(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn rare_words_weigh_more_and_unknown_ones_lower_the_coverage() {
        let index = Bm25::new(
            ["cough fever", "cough rash", "cough headache nausea"]
                .map(tokens)
                .into(),
        );
        let question = tokens("cough rash");
        let fits = index.fits(&question);
        assert!(fits[1].score > fits[0].score && fits[0].score > 0.0);
        assert_eq!((fits[0].tokens, fits[1].tokens), (1, 2));
        let coverage = |place| index.coverage(&question, place, |_| false);
        assert!((coverage(1) - 1.0).abs() < 1e-6);
        assert!(coverage(0) < 0.2);
        assert!((index.coverage(&question, 0, |it| it == 1) - 1.0).abs() < 1e-6);
        assert!(index.coverage(&tokens("football rash"), 1, |_| false) < 0.5);
        assert!((index.coverage(&[], 1, |_| false) - 1.0).abs() < 1e-6);
        assert!(Bm25::new(Vec::new()).fits(&question).is_empty());
    }
}
