//! Puts an answer together sentence by sentence, each through the gates.

use std::collections::HashSet;

use bedside_contract::{Language, Passage};
use bedside_language::Sentences;
use bedside_triage::{OutputGate, OutputVerdict, Rules};

use super::{
    grounding::Grounding,
    instructions::Instructions,
    part::{gated, gated_title},
};
use crate::context::{red_flags::on_a_blocking_thread, words::say};

/// Reads what the model says and keeps what may be said.
pub(crate) struct Writer {
    sentences: Sentences,
    grounding: Grounding,
    /// Drop what no passage supports.
    grounded: bool,
    /// Remembers the sentences before.
    gate: OutputGate,
    instructions: Instructions,
    language: Language,
    /// Normalised.
    titles: Vec<String>,
    visible: String,
    /// Normalised sentences that stand there already: small models repeat themselves.
    said: HashSet<String>,
    used: Vec<usize>,
    /// The passage whose number stands behind the next change of passage.
    current: Option<usize>,
    kept: usize,
    dropped: usize,
    repeated: usize,
    withheld: usize,
    cut: bool,
}

/// What became of an answer.
pub(crate) struct Written {
    pub text: String,
    /// Indices of the cited passages in the order of their numbers.
    pub used: Vec<usize>,
    pub kept: usize,
    pub dropped: usize,
    pub withheld: usize,
}

impl Writer {
    pub(crate) fn new(passages: &[Passage], grounded: bool, gate: OutputGate) -> Self {
        Self {
            sentences: Sentences::default(),
            grounding: Grounding::new(passages),
            grounded,
            gate,
            instructions: Instructions::default(),
            language: passages.first().map_or(Language::En, |it| it.language),
            titles: passages.iter().flat_map(|it| titles_of(&it.title)).collect(),
            visible: String::new(),
            said: HashSet::new(),
            used: Vec::new(),
            current: None,
            kept: 0,
            dropped: 0,
            repeated: 0,
            withheld: 0,
            cut: false,
        }
    }

    /// A writer that leaves out what repeats these.
    pub(crate) fn without(self, instructions: Instructions) -> Self {
        Self { instructions, ..self }
    }

    pub(crate) async fn push(&mut self, text: &str) {
        for sentence in self.sentences.push(text) {
            self.read(&sentence).await;
        }
    }

    /// The text that may be shown so far.
    pub(crate) fn visible(&self) -> &str {
        self.visible.trim()
    }

    /// The model only repeats itself: there is no use in waiting for its end.
    pub(crate) fn is_looping(&self) -> bool {
        self.repeated >= 2
    }

    /// The model was cut off: its last, unfinished sentence is left out.
    pub(crate) fn set_cut(&mut self, cut: bool) {
        self.cut = cut;
    }

    pub(crate) async fn finish(mut self) -> Written {
        if let Some(rest) = self.sentences.finish() {
            if !self.cut {
                self.read(&rest).await;
            } else if !self.grounded && self.kept > 0 {
                self.visible.push_str(&say(self.language, "cut-short"));
            }
        }
        self.close_citation();
        let Self {
            visible,
            used,
            kept,
            dropped,
            withheld,
            ..
        } = self;
        Written {
            text: visible.trim().to_owned(),
            used,
            kept,
            dropped,
            withheld,
        }
    }

    async fn read(&mut self, sentence: &str) {
        let sentence = self.without_title(sentence);
        let normalised = normalised(sentence);
        if normalised.is_empty() {
            if self.visible.ends_with(|it: char| !it.is_whitespace()) && sentence.contains('\n') {
                self.visible.push('\n');
            }
            return;
        }
        if !self.said.insert(normalised) {
            self.dropped += 1;
            self.repeated += 1;
            return;
        }
        let passage = self.grounding.passage_for(sentence);
        if passage.is_none() && self.grounded {
            self.dropped += 1;
            return;
        }
        if self.instructions.are_repeated_in(sentence) {
            tracing::info!("The model repeated its instructions.");
            self.dropped += 1;
            return;
        }
        // Last, so that it remembers only what would be shown.
        if let OutputVerdict::Withhold { reason } = self.judged(sentence).await {
            tracing::info!(reason, "The output gate withheld a sentence.");
            self.withheld += 1;
            return;
        }
        if passage != self.current {
            self.close_citation();
            self.current = passage;
        }
        if let Some(passage) = passage
            && !self.used.contains(&passage)
        {
            self.used.push(passage);
        }
        self.kept += 1;
        // What is quoted is the passage; its number says so.
        if self.grounded {
            self.visible
                .extend(sentence.chars().filter(|it| !matches!(it, '"' | '“' | '”')));
        } else {
            self.visible.push_str(sentence);
        }
    }

    async fn judged(&mut self, sentence: &str) -> OutputVerdict {
        let mut gate = std::mem::take(&mut self.gate);
        let sentence = sentence.to_owned();
        let (gate, verdict) = on_a_blocking_thread(move || {
            let verdict = gate.judge(&sentence);
            (gate, verdict)
        })
        .await;
        self.gate = gate;
        verdict
    }

    /// Small models begin with the title of the passage that they reword ("Common cold – Treatment: Rest …") or
    /// announce themselves ("The correct answer is: …").
    fn without_title<'s>(&self, sentence: &'s str) -> &'s str {
        let Some((head, rest)) = sentence.split_once([':', '：']) else {
            return sentence;
        };
        let announces = head.split_whitespace().count() <= 6 && head.to_lowercase().contains("answer");
        if announces || self.titles.contains(&normalised(head)) {
            rest.trim_start()
        } else {
            sentence
        }
    }

    /// Puts `[n]` behind the last sentence that rests on the current passage.
    fn close_citation(&mut self) {
        let Some(passage) = self.current.take() else {
            return;
        };
        let Some(number) = self.used.iter().position(|it| *it == passage) else {
            return;
        };
        let trimmed = self.visible.trim_end().len();
        let white = self.visible.split_off(trimmed);
        self.visible.push_str(&format!(" [{}]", number + 1));
        self.visible.push_str(if white.is_empty() { " " } else { &white });
    }
}

/// "Common cold – Treatment", "Common cold" and "Treatment", normalised.
fn titles_of(title: &str) -> impl Iterator<Item = String> {
    std::iter::once(title).chain(title.split(" – ")).map(normalised)
}

/// Letters and digits alone, to compare by.
fn normalised(text: &str) -> String {
    text.chars()
        .filter(|it| it.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

const MOST_QUOTED: usize = 3;

/// The passages themselves as the answer, and which were used.
pub(crate) async fn passages_text(rules: &'static Rules, passages: &[Passage]) -> (String, Vec<usize>) {
    let passages = passages.iter().take(MOST_QUOTED).cloned().collect::<Vec<_>>();
    on_a_blocking_thread(move || quoted(&rules.output_gate(), &passages)).await
}

fn quoted(gate: &OutputGate, passages: &[Passage]) -> (String, Vec<usize>) {
    let mut blocks = Vec::new();
    let mut used = Vec::new();
    for (index, passage) in passages.iter().enumerate() {
        let (text, _) = gated(gate, &passage.text);
        if text.trim().is_empty() {
            continue;
        }
        used.push(index);
        let text = text.trim();
        let number = used.len();
        blocks.push(match gated_title(gate, &passage.title) {
            Some(title) => format!("**{title}**\n{text} [{number}]"),
            None => format!("{text} [{number}]"),
        });
    }
    (blocks.join("\n\n"), used)
}

#[cfg(test)]
mod tests {
    use bedside_contract::{Language, Passage};

    use bedside_triage::OutputGate;

    use super::{Writer, quoted};

    fn passages() -> Vec<Passage> {
        let passage = |title: &str, text: &str| Passage {
            id: title.to_owned(),
            title: title.to_owned(),
            text: text.to_owned(),
            language: Language::En,
            source: "test".to_owned(),
            score: 1.0,
            departments: Vec::new(),
            disposition: None,
        };
        vec![
            passage(
                "Common cold – Treatment",
                "Rest and drink enough fluids. Honey eases a sore throat.",
            ),
            passage(
                "Common cold – Causes",
                "A virus causes the illness and spreads by coughing.",
            ),
        ]
    }

    async fn write(grounded: bool, pieces: &[&str]) -> super::Written {
        let mut writer = Writer::new(&passages(), grounded, OutputGate::default());
        for piece in pieces {
            writer.push(piece).await;
        }
        writer.finish().await
    }

    #[tokio::test]
    async fn supported_sentences_are_kept_and_cited_by_passage() {
        let written = write(
            true,
            &[
                "Rest and drink enou",
                "gh fluids. Honey eases a sore throat. ",
                "A virus causes it and spreads by coughing. Eat cabbage daily.",
            ],
        )
        .await;
        assert_eq!(
            written.text,
            "Rest and drink enough fluids. Honey eases a sore throat. [1] A virus causes it and spreads by coughing. [2]"
        );
        assert_eq!((written.used, written.dropped), (vec![0, 1], 1));
    }

    #[tokio::test]
    async fn an_echo_of_the_title_is_left_out() {
        for head in ["Common Cold - Treatment", "Treatment", "The correct answer is"] {
            let written = write(true, &[&format!("{head}: \"Rest and drink enough fluids.\"")]).await;
            assert_eq!(written.text, "Rest and drink enough fluids. [1]");
        }
    }

    #[tokio::test]
    async fn doses_and_repetitions_never_leave() {
        let written = write(
            false,
            &["Rest well now. Take 500 mg of paracetamol three times a day. Rest well now. Sleep enough."],
        )
        .await;
        assert_eq!(written.text, "Rest well now. Sleep enough.");
        assert_eq!((written.withheld, written.dropped), (1, 1));
    }

    #[test]
    fn passages_themselves_are_an_answer() {
        let (text, used) = quoted(&OutputGate::default(), &passages());
        assert!(
            text.contains("**Common cold – Treatment**\nRest") && text.contains("[2]"),
            "{text}"
        );
        assert_eq!(used, [0, 1]);
    }
}
