//! Guesses of what comes next, taken from what was there before: an answer that repeats its passages goes on
//! as they do. Saxena, "Prompt Lookup Decoding", 2023. The model checks the guesses, so they change when
//! tokens come and never which.

use std::collections::HashMap;

/// Tokens that must be alike for a guess.
const PATTERN: usize = 3;
/// The longest guess.
const MAX_GUESS: usize = 8;
/// After so many guesses in a row that were wholly wrong, there is none for a while.
const PATIENCE: u32 = 3;
const PAUSE: usize = 24;

/// One sequence's tokens by what went before them.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Where the pattern was seen last: the place behind it.
    places: HashMap<[u32; PATTERN], usize>,
    /// Tokens that are in `places`.
    read: usize,
    /// How long the next guess may be.
    length: usize,
    wrong: u32,
    /// No guesses before the sequence is so long.
    paused_until: usize,
}

impl Lookup {
    pub(crate) fn new() -> Self {
        Self {
            length: PATTERN,
            ..Self::default()
        }
    }

    /// At most `limit` tokens that may come next; mostly none.
    pub(crate) fn guess<'t>(&mut self, tokens: &'t [u32], limit: usize) -> &'t [u32] {
        // The pattern at the very end has nothing behind it yet.
        while self.read + PATTERN < tokens.len() {
            if let Some(pattern) = tokens.get(self.read..).and_then(|it| it.first_chunk()) {
                self.places.insert(*pattern, self.read + PATTERN);
            }
            self.read += 1;
        }
        if tokens.len() < self.paused_until {
            return &[];
        }
        let place = tokens.last_chunk().and_then(|it| self.places.get(it));
        let Some(place) = place else { return &[] };
        let end = tokens.len().min(place + self.length.min(limit));
        tokens.get(*place..end).unwrap_or_default()
    }

    /// How much of a guess was right.
    pub(crate) fn judge(&mut self, guessed: usize, right: usize, length: usize) {
        if guessed == 0 {
            return;
        }
        if right == 0 {
            self.wrong += 1;
            self.length = (self.length / 2).max(1);
            if self.wrong >= PATIENCE {
                self.wrong = 0;
                self.paused_until = length + PAUSE;
            }
        } else {
            self.wrong = 0;
            if right == guessed {
                self.length = (self.length * 2).min(MAX_GUESS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lookup, MAX_GUESS};

    #[test]
    fn what_went_on_before_is_guessed() {
        let mut lookup = Lookup::new();
        assert!(lookup.guess(&[1, 2, 3, 4, 5, 6], 8).is_empty());
        assert_eq!(lookup.guess(&[1, 2, 3, 4, 5, 6, 1, 2, 3], 8), [4, 5, 6]);
        assert_eq!(lookup.guess(&[1, 2, 3, 4, 5, 6, 1, 2, 3], 2), [4, 5]);
        assert!(lookup.guess(&[1, 2, 3, 4, 5, 6, 1, 2, 3, 9], 8).is_empty());
        // The latest place counts.
        assert_eq!(lookup.guess(&[1, 2, 3, 4, 5, 6, 1, 2, 3, 9, 1, 2, 3], 1), [9]);
    }

    #[test]
    fn right_guesses_grow_and_wrong_ones_rest() {
        let tokens: Vec<u32> = (0..40).chain(0..20).collect();
        let mut lookup = Lookup::new();
        for expect in [3, 6, MAX_GUESS, MAX_GUESS] {
            let guess = lookup.guess(&tokens, 99).len();
            assert_eq!(guess, expect);
            lookup.judge(guess, guess, tokens.len());
        }
        for expect in [8, 4, 2] {
            assert_eq!(lookup.guess(&tokens, 99).len(), expect);
            lookup.judge(expect, 0, tokens.len());
        }
        assert!(lookup.guess(&tokens, 99).is_empty());
        let longer: Vec<u32> = (0..40).chain(0..30).chain(0..20).collect();
        assert!(!lookup.guess(&longer, 99).is_empty());
    }
}
