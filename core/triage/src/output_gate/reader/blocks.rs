//! A reading of a sentence as blocks of features.

use super::concepts::{concepts, tokens};
use crate::{
    learning::features::{Block, characters, hash},
    output_gate::reading::Reading,
};

const LONGEST_CHARACTERS: usize = 4;
const LONGEST_WORDS: usize = 3;
const LONGEST_CONCEPTS: usize = 3;
/// Two concepts of a pair stand at most so far apart.
const PAIRS_WITHIN: usize = 8;
/// Sentences are read so far, in tokens.
const MOST_TOKENS: usize = 120;
const WEIGHT_OF_FLAGS: f32 = 0.5;

// 1 is that of characters.
const WORDS: u8 = 4;
const CONCEPTS: u8 = 5;
const PAIRS: u8 = 6;
const FLAGS: u8 = 7;

pub(super) fn blocks(reading: &Reading) -> Vec<Block> {
    let text = without_digits(&reading.marked);
    let mut words = tokens(&text);
    words.truncate(MOST_TOKENS);
    let mut meant = concepts(&reading.marked);
    meant.truncate(MOST_TOKENS);
    let (words, meant) = (bordered(words), bordered(meant));
    let block = |buckets, weight| Block { buckets, weight };
    vec![
        block(characters(&text, LONGEST_CHARACTERS), 1.0),
        block(runs(WORDS, &words, LONGEST_WORDS), 1.0),
        block(runs(CONCEPTS, &meant, LONGEST_CONCEPTS), 1.0),
        block(pairs(&meant), 1.0),
        block(flags(reading, words.len()), WEIGHT_OF_FLAGS),
    ]
}

/// "38.5" and "500" as "0": which number it is matters less than that there is one.
fn without_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if !c.is_ascii_digit() {
            out.push(c);
            continue;
        }
        out.push('0');
        while let Some(next) = characters.next_if(|it| it.is_ascii_digit() || matches!(it, '.' | ',')) {
            // A full stop that ends the sentence.
            if !next.is_ascii_digit() && !characters.peek().is_some_and(char::is_ascii_digit) {
                out.push(next);
                break;
            }
        }
    }
    out
}

fn bordered(mut things: Vec<&str>) -> Vec<&str> {
    things.insert(0, "^");
    things.push("$");
    things
}

fn runs(kind: u8, things: &[&str], longest: usize) -> Vec<u32> {
    (1..=longest)
        .flat_map(|length| things.windows(length))
        .map(|run| hash(kind, run.join(" ").as_bytes()))
        .collect()
}

fn pairs(things: &[&str]) -> Vec<u32> {
    let mut pairs = Vec::new();
    for (at, first) in things.iter().enumerate() {
        for second in things.iter().skip(at + 1).take(PAIRS_WITHIN) {
            pairs.push(hash(PAIRS, format!("{first}~{second}").as_bytes()));
        }
    }
    pairs
}

fn flags(reading: &Reading, words: usize) -> Vec<u32> {
    let length = match words {
        0..=6 => "short",
        7..=14 => "medium",
        _ => "long",
    };
    let all = [
        (reading.question, "question"),
        (reading.diet, "diet"),
        (reading.names_medicine(), "named"),
        (reading.has_medicine(), "medicine"),
        (true, length),
    ];
    let holding = all.iter().filter(|it| it.0);
    holding.map(|it| hash(FLAGS, it.1.as_bytes())).collect()
}
