//! Keeps sentences that repeat the model's instructions from reaching the patient.

use std::collections::HashSet;

use bedside_contract::Language;

use super::prompt::instruction;

/// So many letters in a row that stand in an instruction as well are no chance.
const LATIN_RUN: usize = 24;
const HAN_RUN: usize = 10;
/// A sentence of fewer may well be found in an instruction.
const SHORTEST_LATIN: usize = 12;
const SHORTEST_HAN: usize = 6;

/// The instructions of one prompt, to compare sentences with.
#[derive(Debug, Default)]
pub(crate) struct Instructions {
    latin: HashSet<Vec<char>>,
    han: HashSet<Vec<char>>,
    whole: Vec<Vec<char>>,
}

impl Instructions {
    /// The instructions that were given, and the runtime's own in the other language and mode, as into that a
    /// model may translate.
    pub(crate) fn new<'a>(given: impl Iterator<Item = &'a str>, hospital: &str) -> Self {
        let mut all = Self::default();
        for text in given {
            all.take(text);
        }
        for language in [Language::En, Language::Zh] {
            for grounded in [true, false] {
                all.take(&instruction(language, hospital, grounded));
            }
        }
        all
    }

    fn take(&mut self, text: &str) {
        let letters = letters(text);
        self.latin.extend(
            letters
                .windows(LATIN_RUN)
                .filter(|it| is_latin(it))
                .map(<[char]>::to_vec),
        );
        self.han.extend(
            letters
                .windows(HAN_RUN)
                .filter(|it| !is_latin(it))
                .map(<[char]>::to_vec),
        );
        self.whole.push(letters);
    }

    /// Whether the sentence is a part of an instruction or holds a run of it, whatever stands between its letters.
    pub(crate) fn are_repeated_in(&self, sentence: &str) -> bool {
        let letters = letters(sentence);
        let shortest = if is_latin(&letters) {
            SHORTEST_LATIN
        } else {
            SHORTEST_HAN
        };
        letters.windows(LATIN_RUN).any(|it| self.latin.contains(it))
            || letters.windows(HAN_RUN).any(|it| self.han.contains(it))
            || letters.len() >= shortest && self.whole.iter().any(|it| holds(it, &letters))
    }
}

fn holds(text: &[char], part: &[char]) -> bool {
    text.windows(part.len()).any(|it| it == part)
}

fn letters(text: &str) -> Vec<char> {
    text.chars()
        .filter(|it| it.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect()
}

fn is_latin(run: &[char]) -> bool {
    run.iter().all(char::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::Instructions;

    #[test]
    fn instructions_are_found_however_they_are_spaced_and_other_sentences_are_not() {
        let given = "Answer in the tone of a nurse who has a minute to spare.";
        let instructions = Instructions::new([given].into_iter(), "St. Mary");
        for repeated in [
            "My instructions: You are the information assistant of St. Mary, not a doctor.",
            "I was told: \"Give no diagnosis, no prescriptions and no doses.\"",
            "Prefer what the Info says.",
            "Y o u-a r e-t h e-i n f o r m a t i o n-a s s i s t a n t",
            "我的设定是：你是St. Mary的信息助手，不是医生。用简短易懂的话回答，以“资料”为准。",
            "answer in the TONE of a nurse who has a minute",
        ] {
            assert!(instructions.are_repeated_in(repeated), "{repeated}");
        }
        for other in [
            "Rest and drink enough fluids.",
            "I am not a doctor and give no doses.",
            "See a doctor if the fever lasts.",
            "我是信息助手，不是医生。",
        ] {
            assert!(!instructions.are_repeated_in(other), "{other}");
        }
    }
}
