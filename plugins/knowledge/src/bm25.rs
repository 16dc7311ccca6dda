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
    /// The share of the question's information that the document has, 0 to 1; words that no document has
    /// count as the rarest.
    pub(crate) coverage: f32,
    /// Different tokens of the question that the document has.
    pub(crate) tokens: usize,
}

impl Bm25 {
    pub(crate) fn new(documents: Vec<Vec<String>>) -> Self {
        let mut index = Self { lengths: Vec::with_capacity(documents.len()), ..Self::default() };
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
        let total: f32 = distinct.iter().map(|it| self.information(it)).sum();
        for token in distinct {
            let information = self.information(token);
            for (place, count) in self.postings.get(token).into_iter().flatten() {
                let length = self.lengths.get(*place).copied().unwrap_or_default() / self.mean_length.max(1.0);
                let Some(fit) = fits.get_mut(*place) else { continue };
                fit.score += information * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length));
                fit.coverage += information / total;
                fit.tokens += 1;
            }
        }
        fits
    }

    /// The inverse document frequency, never negative.
    pub(crate) fn information(&self, token: &str) -> f32 {
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
        let index = Bm25::new(["cough fever", "cough rash", "cough headache nausea"].map(tokens).into());
        let fits = index.fits(&tokens("cough rash"));
        assert!(fits[1].score > fits[0].score && fits[0].score > 0.0);
        assert!((fits[1].coverage - 1.0).abs() < 1e-6);
        assert_eq!(fits[1].tokens, 2);
        assert!(fits[0].coverage < 0.2, "{fits:?}");
        let fits = index.fits(&tokens("football rash"));
        assert!(fits[1].coverage < 0.5 && fits[0].coverage == 0.0, "{fits:?}");
        assert!(Bm25::new(Vec::new()).fits(&tokens("cough")).is_empty());
    }
}
