//! Text of a wanted length: plain words, each of which is one token to the usual tokenizers.

use rand::{RngExt, SeedableRng, rngs::StdRng};

const WORDS: &str = include_str!("words.txt");
const SENTENCE_TOKENS: usize = 12;

/// Which text of a run; equal places give equal texts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    System,
    Question {
        patient: usize,
        chat: usize,
        turn: usize,
    },
}

/// A text of about so many tokens; the full stops count as well.
pub(crate) fn text(seed: u64, place: Place, tokens: usize) -> String {
    let words: Vec<&str> = WORDS.split_ascii_whitespace().collect();
    let mut random = StdRng::seed_from_u64(mixed(seed, place));
    let mut text = String::new();
    for number in 1..=tokens {
        if number % SENTENCE_TOKENS == 0 || number == tokens {
            text.push('.');
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(words[random.random_range(0..words.len())]);
    }
    text
}

/// Different for each place of a run; 20 bits hold any patient, chat and turn.
fn mixed(seed: u64, place: Place) -> u64 {
    let place = match place {
        Place::System => u64::MAX,
        Place::Question { patient, chat, turn } => (patient as u64) << 40 | (chat as u64) << 20 | turn as u64,
    };
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Place, text};

    #[test]
    fn a_text_has_as_many_words_and_stops_as_tokens_are_wanted() {
        for tokens in [2, 11, 12, 13, 120, 600] {
            let text = text(7, Place::System, tokens);
            let stops = text.matches('.').count();
            assert_eq!(text.split_whitespace().count() + stops, tokens);
        }
    }

    #[test]
    fn every_question_is_another_and_the_same_the_next_time() {
        let all = || -> Vec<String> {
            let places = (0..4).flat_map(|patient| {
                (0..4).flat_map(move |chat| (0..4).map(move |turn| (patient, chat, turn)))
            });
            places
                .map(|(patient, chat, turn)| text(1, Place::Question { patient, chat, turn }, 24))
                .collect()
        };
        assert_eq!(all(), all());
        assert_eq!(all().into_iter().collect::<HashSet<_>>().len(), 64);
    }
}
