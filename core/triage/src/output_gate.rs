//! The last look at what a model says, sentence by sentence. No model.
//!
//! A sentence is read without its Markdown, in the one spelling of `normal_text`, and a second time with
//! every medicine replaced by a mark ([`reading`]). Each kind of sentence that must not leave has a file of
//! its own. Where a rule cannot tell, the sentence stays here.

mod amounts;
mod belittles;
mod discourages_care;
mod dose;
mod language;
mod medicine_change;
mod named_alone;
mod other_courses;
mod plain_text;
mod prescription;
mod quantities;
mod reading;
mod template_token;
mod window;
mod words;

use reading::Reading;
use window::Window;

/// Withholds what must never come from a machine: doses, prescriptions, changes of a medicine, "no need to
/// see a doctor", languages that no rule reads, and the special tokens of chat templates.
///
/// [`OutputGate::check`] judges a sentence alone. A gate of its own for each answer, with
/// [`OutputGate::judge`], also finds what is said in two sentences: "Take paracetamol. Every six hours."
#[derive(Debug, Clone, Default)]
pub struct OutputGate {
    window: Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputVerdict {
    Pass,
    /// `dose`, `prescription`, `medicine-change`, `discourages-care`, `language` or `template-token`: for
    /// the log, which never holds the sentence.
    Withhold {
        reason: &'static str,
    },
}

impl OutputGate {
    /// A gate that has seen nothing of an answer yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges one sentence of an answer, in English or Chinese.
    #[must_use]
    pub fn check(sentence: &str) -> OutputVerdict {
        verdict(sentence, &Reading::new(sentence))
    }

    /// Judges the next sentence of an answer alone and together with those before it, and remembers it.
    pub fn judge(&mut self, sentence: &str) -> OutputVerdict {
        let reading = Reading::new(sentence);
        let verdict = match verdict(sentence, &reading) {
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
}

fn verdict(sentence: &str, reading: &Reading) -> OutputVerdict {
    let rules: [(&'static str, &dyn Fn() -> bool); 6] = [
        ("template-token", &|| template_token::holds(sentence)),
        ("dose", &|| dose::gives(reading)),
        ("medicine-change", &|| medicine_change::changes(reading)),
        ("prescription", &|| prescription::prescribes(reading)),
        ("discourages-care", &|| discourages_care::discourages(reading)),
        ("language", &|| language::is_foreign(sentence)),
    ];
    rules
        .into_iter()
        .find(|(_, holds)| holds())
        .map_or(OutputVerdict::Pass, |(reason, _)| OutputVerdict::Withhold {
            reason,
        })
}
