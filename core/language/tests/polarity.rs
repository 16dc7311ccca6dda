//! How well it is told what a text denies, on sentences of which half were held back while the cues were written.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::ops::Range;

use bedside_language::{
    NormalText,
    negation::{Polarity, Span, polarities},
};

const LABELLED: &str = include_str!("data/polarity.txt");

/// A sentence and what is said of its spans.
#[derive(Debug, Default)]
struct Labelled {
    text: String,
    /// Characters of the text, those of the gap, and what is said of them.
    spans: Vec<(Range<usize>, Option<Range<usize>>, Polarity)>,
}

impl Labelled {
    fn parse(line: &str) -> Self {
        let mut labelled = Self::default();
        let mut characters = line.chars();
        let (mut start, mut gap, mut polarity) = (0, None, Polarity::Present);
        let mut at = 0;
        while let Some(c) = characters.next() {
            match c {
                '{' => {
                    (start, gap) = (at, None);
                    polarity = match characters.next().unwrap() {
                        '+' => Polarity::Present,
                        '-' => Polarity::Absent,
                        '<' => Polarity::Over,
                        '?' => Polarity::Possible,
                        '~' => Polarity::Hypothetical,
                        other => panic!("{other} in {line}"),
                    };
                }
                '}' => labelled.spans.push((start..at, gap.clone(), polarity)),
                '[' => gap = Some(at..at),
                ']' => gap = gap.map(|it: Range<usize>| it.start..at),
                _ => {
                    let c = if c == '\\' {
                        assert_eq!(characters.next(), Some('n'), "{line}");
                        '\n'
                    } else {
                        c
                    };
                    labelled.text.push(c);
                    at += 1;
                }
            }
        }
        labelled
    }

    fn found(&self) -> Vec<Polarity> {
        let normal = NormalText::new(&self.text);
        let spans: Vec<Span> = self
            .spans
            .iter()
            .map(|(characters, gap, _)| Span {
                gap: gap.as_ref().map(|it| normal.bytes_of(it)),
                ..Span::complaint(normal.bytes_of(characters))
            })
            .collect();
        polarities(&normal.text, &spans)
    }
}

/// The sentences of the parts whose heading begins so.
fn labelled(part: &str) -> Vec<Labelled> {
    let mut inside = false;
    let mut all = Vec::new();
    for line in LABELLED.lines().filter(|it| !it.is_empty()) {
        match line.strip_prefix("## ") {
            Some(heading) => inside = heading.starts_with(part),
            None if inside => all.push(Labelled::parse(line)),
            None => {}
        }
    }
    all
}

/// Harmonic mean of precision and recall of `polarity`.
fn f1(pairs: &[(Polarity, Polarity)], polarity: Polarity) -> f64 {
    let count = |which: fn(bool, bool) -> bool| {
        pairs
            .iter()
            .filter(|(expect, found)| which(*expect == polarity, *found == polarity))
            .count() as f64
    };
    let right = count(|expect, found| expect && found);
    let wrong = count(|expect, found| expect != found);
    2.0 * right / (2.0 * right + wrong)
}

/// The figures, if they are good enough.
fn check(part: &str, least_spans: usize, least_absent: f64, least_present: f64) -> String {
    let mut pairs = Vec::new();
    let mut wrong = Vec::new();
    for sentence in labelled(part) {
        for ((characters, _, expect), found) in sentence.spans.iter().zip(sentence.found()) {
            pairs.push((*expect, found));
            if *expect != found {
                let span: String = sentence
                    .text
                    .chars()
                    .skip(characters.start)
                    .take(characters.len())
                    .collect();
                wrong.push(format!(
                    "{}: {span} is {expect:?}, read as {found:?}",
                    sentence.text
                ));
            }
        }
    }
    let (absent, present) = (f1(&pairs, Polarity::Absent), f1(&pairs, Polarity::Present));
    let figures = format!(
        "{part}: {} spans, F1 of absent {absent:.3}, of present {present:.3}",
        pairs.len()
    );
    assert!(
        pairs.len() >= least_spans && absent >= least_absent && present >= least_present,
        "{figures}\n{wrong:#?}"
    );
    figures
}

#[test]
fn sentences_that_the_cues_were_written_for() {
    println!("{}", check("learning", 200, 0.985, 0.985));
}

#[test]
fn sentences_that_the_cues_have_not_seen() {
    println!("{}", check("held back", 200, 0.965, 0.93));
}
