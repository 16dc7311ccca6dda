//! The last look at what a model says, sentence by sentence.
//!
//! A sentence is read without its Markdown, in the one spelling of `normal_text`, and a second time with
//! every medicine replaced by a mark ([`reading`]). Exact rules keep numbers with units of a medicine, tokens of chat
//! templates, other languages and ciphers here, whatever else a sentence says. What can be put in any words is left to
//! a trained reader ([`reader`]), for which the looser rules are evidence.

mod against_care;
mod amounts;
mod bare_order;
mod dose;
mod encoded;
mod language;
mod named_alone;
mod plain_text;
mod prescription;
mod quantities;
mod reader;
mod reading;
mod template_token;
mod window;
mod words;

pub use reader::training as answer_training;

use std::sync::Arc;

use bedside_contract::Embedder;
use reader::READER;
use reading::Reading;
use window::Window;

/// Withholds what must never come from a machine: doses, prescriptions, changes of a medicine, "no need to
/// see a doctor", languages that no rule reads, and the special tokens of chat templates.
///
/// [`OutputGate::check`] judges a sentence alone. A gate of its own for each answer, with
/// [`OutputGate::judge`], also finds what is said in two sentences: "Take paracetamol. Every six hours."
#[derive(Clone, Default)]
pub struct OutputGate {
    /// Without it the trained reader has n-grams alone.
    encoder: Option<Arc<dyn Embedder>>,
    window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputVerdict {
    Pass,
    /// `dose`, `prescription`, `medicine-change`, `discourages-care`, `language`, `encoded` or `template-token`:
    /// for the log, which never holds the sentence.
    Withhold {
        reason: &'static str,
    },
}

impl OutputGate {
    /// A gate that has seen nothing of an answer yet. The encoder takes some 15 ms a sentence, in the caller's thread.
    #[must_use]
    pub fn new(encoder: Option<Arc<dyn Embedder>>) -> Self {
        Self {
            encoder,
            window: Window::default(),
        }
    }

    /// Judges one sentence of an answer, in English or Chinese.
    #[must_use]
    pub fn check(&self, sentence: &str) -> OutputVerdict {
        self.verdict(sentence, &Reading::new(sentence))
    }

    /// Judges the next sentence of an answer alone and together with those before it, and remembers it.
    pub fn judge(&mut self, sentence: &str) -> OutputVerdict {
        let reading = Reading::new(sentence);
        let verdict = match self.verdict(sentence, &reading) {
            OutputVerdict::Pass => self
                .window
                .reason(sentence, &reading)
                .map_or(OutputVerdict::Pass, |reason| OutputVerdict::Withhold { reason }),
            withheld @ OutputVerdict::Withhold { .. } => withheld,
        };
        self.window
            .remember(sentence, reading, verdict == OutputVerdict::Pass);
        verdict
    }

    fn verdict(&self, sentence: &str, reading: &Reading) -> OutputVerdict {
        let reason = if template_token::holds(sentence) {
            Some("template-token")
        } else if dose::is_exact(reading) {
            Some("dose")
        } else if bare_order::is_given(reading) {
            Some("medicine-change")
        } else if against_care::speaks(reading) {
            Some("discourages-care")
        } else if language::is_foreign(sentence) {
            Some("language")
        } else if encoded::hides(sentence) {
            Some("encoded")
        } else {
            READER.reason(reading, self.encoder.as_deref())
        };
        reason.map_or(OutputVerdict::Pass, |reason| OutputVerdict::Withhold { reason })
    }
}
