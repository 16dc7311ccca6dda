//! The one place where an answer becomes a [`Part`]: nothing leaves as one that was not gated here, whoever said it.

use std::sync::LazyLock;

use bedside_contract::{Citation, Disposition, Language, Part, PartKind};
use bedside_language::sentences_of;
use bedside_triage::{OutputGate, OutputVerdict, Rules};

use crate::context::{Context, red_flags::on_a_blocking_thread, words::say};

/// What an answer is made of, before the gate: words of the model, of plugins, of passages, of our own.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnswerWords {
    pub text: String,
    pub disposition: Option<Disposition>,
    /// In the rules' or a plugin's names.
    pub departments: Vec<String>,
    pub citations: Vec<Citation>,
    /// Words of our own that end the text, whatever the gate leaves of it.
    pub ending: Option<String>,
}

/// Characters; a model's answer is bounded by its tokens, a plugin's by nothing.
const LONGEST_ANSWER: usize = 8_000;
const LONGEST_TITLE: usize = 120;
const LONGEST_SOURCE: usize = 160;
const LONGEST_DEPARTMENT: usize = 60;

/// Our own refusal of doses, which speaks of doses.
static NO_DOSES: LazyLock<[String; 2]> =
    LazyLock::new(|| [Language::En, Language::Zh].map(|it| say(it, "no-doses")));

pub(crate) async fn answer_part(context: &Context, language: Language, words: AnswerWords) -> Part {
    let AnswerWords {
        text,
        disposition,
        departments,
        citations,
        ending,
    } = words;
    let rules = context.rules;
    let (mut text, departments, citations) = on_a_blocking_thread(move || {
        let gate = rules.output_gate();
        let departments = departments
            .iter()
            .filter_map(|it| gated_line(&gate, &rules.department_name(it, language), LONGEST_DEPARTMENT));
        let citations = citations.into_iter().map(|it| gated_citation(&gate, it));
        (gated(&gate, &text).0, departments.collect(), citations.collect())
    })
    .await;
    if let Some((end, _)) = text.char_indices().nth(LONGEST_ANSWER) {
        text.truncate(end);
        text.push_str(" … ");
        text.push_str(&say(language, "cut-short"));
    }
    if let Some(ending) = ending {
        text = format!("{} {ending}", text.trim_end()).trim_start().to_owned();
    }
    if text.trim().is_empty() {
        text = context.say_with_number(language, "withheld");
    }
    Part {
        kind: PartKind::Answer,
        disposition,
        disposition_text: disposition.map(|it| context.rules.disposition_text(it, language)),
        departments,
        citations,
        label: context.config.label(language),
        ..Part::notice(language, text)
    }
}

/// [`gated`] for async code.
pub(crate) async fn gated_text(rules: &'static Rules, text: String) -> (String, bool) {
    on_a_blocking_thread(move || gated(&rules.output_gate(), &text)).await
}

/// A finished text without the sentences that must not leave; whether there were any.
pub(crate) fn gated(gate: &OutputGate, text: &str) -> (String, bool) {
    let mut kept = String::new();
    let mut withheld = false;
    let mut gate = gate.clone();
    for sentence in sentences_of(text) {
        if NO_DOSES.iter().any(|it| it == sentence.trim()) {
            kept.push_str(&sentence);
            continue;
        }
        match gate.judge(&sentence) {
            OutputVerdict::Pass => kept.push_str(&sentence),
            OutputVerdict::Withhold { reason } => {
                tracing::info!(reason, "The output gate withheld a sentence.");
                withheld = true;
            }
        }
    }
    (kept.trim_end().to_owned(), withheld)
}

/// A title, a source or a name on one line of at most so many characters; `None` where it must not leave.
pub(crate) fn gated_line(gate: &OutputGate, line: &str, longest: usize) -> Option<String> {
    let one_line = line
        .split(|it: char| it.is_whitespace() || it.is_control())
        .filter(|it| !it.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let is_withheld = |text: &str| matches!(gate.check(text), OutputVerdict::Withhold { .. });
    // Sentence by sentence and as one, since a title has no full stops.
    if one_line.is_empty() || is_withheld(&one_line) || gated(gate, &one_line).1 {
        return None;
    }
    Some(match one_line.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", one_line.get(..end).unwrap_or_default().trim_end()),
        None => one_line,
    })
}

pub(crate) fn gated_title(gate: &OutputGate, title: &str) -> Option<String> {
    gated_line(gate, title, LONGEST_TITLE)
}

/// The number stays, since the text refers to it.
fn gated_citation(gate: &OutputGate, citation: Citation) -> Citation {
    let Citation {
        number,
        title,
        source,
    } = citation;
    Citation {
        number,
        title: gated_title(gate, &title).unwrap_or_else(|| "…".to_owned()),
        source: gated_line(gate, &source, LONGEST_SOURCE).unwrap_or_else(|| "…".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::Citation;
    use bedside_triage::OutputGate;
    use proptest::prelude::{prop_assert, proptest};

    use super::{LONGEST_TITLE, gated, gated_citation, gated_line};

    const DOSES: [&str; 4] = [
        "Take 500 mg of paracetamol three times a day.",
        "每天三次，每次两片布洛芬。",
        "Take 400 mg ibuprofen every six hours",
        "一次吃两片阿司匹林",
    ];

    #[test]
    fn titles_and_sources_are_answers_too() {
        let gate = OutputGate::default();
        for dose in DOSES {
            assert!(gated(&gate, dose).1, "{dose}");
            assert_eq!(gated_line(&gate, dose, 100), None, "{dose}");
            assert_eq!(
                gated_line(&gate, &format!("Common cold\n{dose}"), 100),
                None,
                "{dose}"
            );
            let citation = gated_citation(
                &gate,
                Citation {
                    number: 7,
                    title: dose.to_owned(),
                    source: format!("Guide. {dose}"),
                },
            );
            assert_eq!(
                (citation.number, citation.title.as_str(), citation.source.as_str()),
                (7, "…", "…")
            );
        }
        assert_eq!(
            gated_line(&gate, "Common cold –\r\n Treatment", 100).as_deref(),
            Some("Common cold – Treatment")
        );
    }

    proptest! {
        #[test]
        fn lines_are_short_and_single(line in "\\PC{0,300}|[ab感\n\t ]{0,300}") {
            if let Some(line) = gated_line(&OutputGate::default(), &line, LONGEST_TITLE) {
                prop_assert!(line.chars().count() <= LONGEST_TITLE + 1);
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
