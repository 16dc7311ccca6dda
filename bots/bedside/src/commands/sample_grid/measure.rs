//! How varied, repetitive and long answers are.

use std::collections::HashSet;

use serde::Serialize;

use super::Answer;

/// Words in a row that count as repeated.
const REPEATED_WORDS: usize = 4;

/// Of all answers in one cell of the grid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Different words by all words (Li et al., "A Diversity-Promoting Objective Function", 2016).
    pub distinct_1: f64,
    /// The same of pairs of words.
    pub distinct_2: f64,
    /// Of four words in a row, the share that the same answer has said before (Welleck et al., "Neural Text
    /// Generation with Unlikelihood Training", 2020, seq-rep-4); the mean over answers.
    pub repeated: f64,
    /// Words, the mean over answers.
    pub length: f64,
    /// The share of answers that came to their own end.
    pub whole: f64,
}

pub(super) fn figures(answers: &[Answer]) -> Figures {
    let words: Vec<Vec<String>> = answers.iter().map(|it| words(&it.text)).collect();
    let mean = |of: &dyn Fn(&Vec<String>) -> f64| {
        let sum: f64 = words.iter().map(of).sum();
        sum / words.len().max(1) as f64
    };
    let whole = answers.iter().filter(|it| it.is_whole).count();
    Figures {
        distinct_1: distinct(&words, 1),
        distinct_2: distinct(&words, 2),
        repeated: mean(&|it| match it.windows(REPEATED_WORDS).len() {
            0 => 0.0,
            count => 1.0 - different(it, REPEATED_WORDS).len() as f64 / count as f64,
        }),
        length: mean(&|it| it.len() as f64),
        whole: whole as f64 / answers.len().max(1) as f64,
    }
}

fn distinct(answers: &[Vec<String>], length: usize) -> f64 {
    let all: usize = answers.iter().map(|it| it.windows(length).len()).sum();
    let sets = answers.iter().map(|it| different(it, length));
    let together: HashSet<&[String]> = sets.flatten().collect();
    together.len() as f64 / all.max(1) as f64
}

fn different(words: &[String], length: usize) -> HashSet<&[String]> {
    words.windows(length).collect()
}

/// Runs of letters and digits in lower case; every Chinese character stands for a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars().chain([' ']) {
        let alone = matches!(character, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
        if character.is_alphanumeric() && !alone {
            word.extend(character.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if alone {
            words.push(character.to_string());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{super::Answer, figures, words};

    fn answer(text: &str, is_whole: bool) -> Answer {
        Answer {
            text: text.to_owned(),
            is_whole,
        }
    }

    #[test]
    fn chinese_is_counted_by_characters() {
        assert_eq!(
            words("Drink 2 cups, 多喝水。"),
            ["drink", "2", "cups", "多", "喝", "水"]
        );
    }

    #[test]
    fn figures_are_those_of_their_definitions() {
        // Eight words, of which five differ; six pairs, all different but one.
        let found = figures(&[
            answer("rest and rest well", true),
            answer("rest and drink water", false),
        ]);
        assert!((found.distinct_1 - 5.0 / 8.0).abs() < 1e-9, "{found:?}");
        assert!((found.distinct_2 - 5.0 / 6.0).abs() < 1e-9, "{found:?}");
        assert_eq!((found.length, found.whole, found.repeated), (4.0, 0.5, 0.0));
        // Of the five fours in a row, two came before.
        let found = figures(&[answer("a b c a b c a b", true)]);
        assert!((found.repeated - 2.0 / 5.0).abs() < 1e-9, "{found:?}");
        assert_eq!(figures(&[]).length, 0.0);
    }
}
