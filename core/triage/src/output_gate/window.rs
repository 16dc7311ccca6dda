//! What two sentences of an answer say together: "Take paracetamol." "Every six hours."

use std::collections::VecDeque;

use super::{
    discourages_care, dose, medicine_change, prescription, quantities::QUANTITIES, reading::Reading,
    template_token,
};

/// So many sentences are remembered: a list under "Paracetamol:" has a few.
const REMEMBERED: usize = 3;
/// Longer sentences say themselves what they are about.
const SHORT: usize = 60;

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
        let last = self.before.iter().rev().find(|it| it.kept);
        if let Some(last) = last {
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
            if discourages_care::answers(&last.reading, reading) {
                return Some("discourages-care");
            }
        }
        let medicine = self.before.iter().any(|it| it.reading.has_medicine());
        if !medicine {
            return None;
        }
        let named = self.before.iter().any(|it| it.reading.names_medicine());
        let short = reading.text.chars().count() <= SHORT;
        if short
            && !reading.diet
            && dose::gives_beside(reading, true, named && starts_with_amount(&reading.text))
        {
            return Some("dose");
        }
        if medicine_change::changes_it(reading) {
            return Some("medicine-change");
        }
        (named && prescription::orders_it(reading)).then_some("prescription")
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
