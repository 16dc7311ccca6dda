//! From a question to an answer: hooks, prompt, model, gates.

use std::time::Instant;

use bedside_contract::{ConversationKey, Language, Observation, Part, PluginNote, Turn};
use bedside_triage::{Assessment, FindingStatus};

#[cfg(test)]
pub(crate) use self::part::gated;
pub(crate) use self::part::{AnswerWords, answer_part, gated_line};
pub use self::report::{AnswerReport, Timings};
use self::{live::Live, report::milliseconds};
use crate::context::{Context, interrupt::Interrupt};

mod drafting;
mod grounding;
mod hooks;
mod instructions;
pub(crate) mod live;
mod part;
mod prompt;
mod report;
pub(crate) mod third_reader;
mod writer;

/// What is asked, by whom it is known, and what the gate found.
pub(crate) struct Asked<'a> {
    pub conversation: &'a ConversationKey,
    pub text: &'a str,
    pub language: Language,
    pub department: Option<&'a str>,
    /// Earlier turns, oldest first.
    pub turns: &'a [Turn],
    pub assessment: &'a Assessment,
}

/// Answers one question. `live` shows progress; `interrupt` ends it early with what is there.
pub(crate) async fn answer(
    context: &Context,
    asked: &Asked<'_>,
    live: &mut Live,
    interrupt: &Interrupt,
) -> AnswerReport {
    let started = Instant::now();
    live.typing().await;
    let mut answering = Answering {
        context,
        asked,
        started,
        timings: Timings::default(),
        adapter: None,
        notes: Vec::new(),
    };
    let mut report = answering.run(live, interrupt).await;
    report.timings = Timings {
        total_ms: milliseconds(started.elapsed()),
        ..answering.timings
    };
    for note in &answering.notes {
        context.observe(Observation::PluginProblem {
            plugin: &note.plugin,
            hook: &note.hook,
        });
        tracing::warn!(
            plugin = note.plugin,
            hook = note.hook,
            problem = note.problem,
            "A plugin's hook failed."
        );
    }
    report
}

struct Answering<'a> {
    context: &'a Context,
    asked: &'a Asked<'a>,
    started: Instant,
    timings: Timings,
    notes: Vec<PluginNote>,
    /// What a plugin chose, if the model has it.
    adapter: Option<String>,
}

impl Answering<'_> {
    async fn run(&mut self, live: &mut Live, interrupt: &Interrupt) -> AnswerReport {
        let Self { context, asked, .. } = *self;
        // Neither knowledge nor gates could tell whether an answer fits.
        if let Some(other) = context.rules.other_language(asked.text) {
            return self.notice(other.sentence(&context.config.contacts()));
        }
        let hooks_started = Instant::now();
        let facts = self.facts();
        if let Some(report) = self.replied(&facts).await {
            return report;
        }
        let Some(prompt) = self.prompt(&facts).await else {
            return self.refusal();
        };
        self.adapter = self.chosen_adapter(&facts).await;
        self.timings.hooks_ms = milliseconds(hooks_started.elapsed());

        let passages = prompt.passages.clone();
        let draft = self.draft(prompt, live, interrupt).await;
        if draft.interrupted.is_some() {
            return self.report(draft, &passages, None).await;
        }
        match self.read_by_plugins(&facts, draft, &passages).await {
            Some((draft, appended)) => self.report(draft, &passages, appended).await,
            None => self.notice(context.say_with_number(asked.language, "withheld")),
        }
    }

    fn refusal(&self) -> AnswerReport {
        self.notice(
            self.context
                .say_with_number(self.asked.language, "plugin-refused"),
        )
    }

    fn notice(&self, text: String) -> AnswerReport {
        AnswerReport {
            part: Part::notice(self.asked.language, text),
            disposition: self.asked.assessment.disposition,
            passages: Vec::new(),
            model: None,
            adapter: None,
            timings: self.timings,
            interrupted: None,
            remember: false,
        }
    }
}

fn present_findings(assessment: &Assessment) -> Vec<String> {
    assessment
        .findings
        .iter()
        .filter(|it| it.status == FindingStatus::Present)
        .map(|it| it.name.clone())
        .collect()
}
