//! What two sentences of an answer say together: "Take paracetamol." "Every six hours."

use std::collections::VecDeque;

use super::{
    against_care, dose, encoded, quantities::QUANTITIES, reader::READER, reading::Reading, template_token,
};

/// So many sentences are remembered: a list under "Paracetamol:" has a few.
const REMEMBERED: usize = 3;
/// Longer sentences say themselves what they are about.
const SHORT: usize = 60;
/// So many sentences before are read together with one.
const PIECES: usize = 2;
/// In characters; what is longer is no sentence in pieces.
const LONGEST_TOGETHER: usize = 120;

#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    before: VecDeque<Before>,
}

#[derive(Debug, Clone)]
struct Before {
    sentence: String,
    reading: Reading,
    kept: bool,
}

impl Window {
    pub(super) fn remember(&mut self, sentence: &str, reading: Reading, kept: bool) {
        if reading.text.is_empty() {
            return;
        }
        if self.before.len() == REMEMBERED {
            self.before.pop_front();
        }
        self.before.push_back(Before {
            sentence: sentence.to_owned(),
            reading,
            kept,
        });
    }

    /// Why a sentence that may leave alone may not behind those before it. A medicine in a sentence that was
    /// withheld counts too: the patient has asked about it.
    pub(super) fn reason(&self, sentence: &str, reading: &Reading) -> Option<&'static str> {
        let kept: Vec<&Before> = self
            .before
            .iter()
            .rev()
            .filter(|it| it.kept)
            .take(PIECES)
            .collect();
        if let Some(last) = kept.first() {
            if template_token::holds(&format!("{}{}", last.sentence.trim_end(), sentence.trim_start())) {
                return Some("template-token");
            }
            if quantity_across(
                &last.reading.text,
                &reading.text,
                last.reading.has_medicine() || reading.has_medicine(),
            ) {
                return Some("dose");
            }
        }
        let short = |it: &Reading| it.text.chars().count() <= SHORT;
        if short(reading) && !reading.diet && self.before.iter().any(|it| it.reading.has_medicine()) {
            let named = self.before.iter().any(|it| it.reading.names_medicine());
            if dose::gives_beside(reading, true, named && starts_with_amount(&reading.text)) {
                return Some("dose");
            }
        }
        // Said in two or three pieces: read as one sentence.
        let mut together = sentence.to_owned();
        for piece in kept {
            together = format!("{} {together}", piece.sentence.trim_end());
            let joined = Reading::new(&together);
            if together.chars().count() > LONGEST_TOGETHER {
                break;
            }
            if dose::is_exact(&joined) {
                return Some("dose");
            }
            if encoded::hides(&together) {
                return Some("encoded");
            }
            if against_care::answers_no(&joined) {
                return Some("discourages-care");
            }
            if let Some(reason) = READER.reason(&joined, None) {
                return Some(reason);
            }
        }
        None
    }
}

/// A number at the end of one sentence and its unit at the beginning of the next.
fn quantity_across(before: &str, after: &str, medicine: bool) -> bool {
    if !before.ends_with(|it: char| it.is_alphanumeric()) {
        return false;
    }
    let together = format!("{before} {after}");
    let border = before.len();
    let mut patterns = vec![&QUANTITIES.counted, &QUANTITIES.mass, &QUANTITIES.counted_han];
    if medicine {
        patterns.push(&QUANTITIES.volume);
        patterns.push(&QUANTITIES.counted_weakly);
    }
    patterns.into_iter().any(|pattern| {
        pattern
            .find_iter(&together)
            .any(|it| it.start() < border && it.end() > border + 1)
    })
}

fn starts_with_amount(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit()) || text.contains(" is enough") || text.contains("就够")
}
