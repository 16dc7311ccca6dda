//! `bedside second-reader`: training it with a hospital's own messages, and its reasons.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use bedside_embeddings::PatientEncoder;
use bedside_triage::{
    Explanation, PatientFacts, Rules, SecondReading, built_in_messages,
    training::{Batch, train as train_reader},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{config::Config, output::say, wiring::rules};

pub(crate) fn train(config: &Config, out: &Path, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut batches = built_in_messages()?;
    let brought: usize = batches.iter().map(|it| it.messages.len()).sum();
    for file in files {
        let text = fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read as UTF-8", file.display()))?;
        batches.push(Batch::parse(&file.display().to_string(), &text)?);
    }
    // Before the minutes of training; what stands at `out` stays until there is something better.
    let unfinished = out.with_extension("unfinished");
    let cannot = || format!("{} cannot be written", out.display());
    fs::File::create(&unfinished).with_context(cannot)?;
    let all: usize = batches.iter().map(|it| it.messages.len()).sum();
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}")?)
        .with_message(format!(
            "training with {brought} messages and {} of your own",
            all - brought
        ));
    bar.enable_steady_tick(Duration::from_millis(200));
    let trained = train_reader(rules(config)?, &batches, Some(&PatientEncoder::default()))?;
    bar.finish_and_clear();
    fs::write(&unfinished, &trained.bytes).with_context(cannot)?;
    fs::rename(&unfinished, out).with_context(cannot)?;
    let report = &trained.report;
    say(&format!(
        "{}: {} messages, of which the measured model had not seen those that it was measured on\n\
         area under the curve {:.3}; with the rules {:.2} of the emergencies found, {:.3} of the others called; \
         {:.2} of the urgencies right, {:.2} safe\n\
         Name it as second_reader under [bot] and restart the bot.",
        out.display(),
        report.messages,
        report.area_under_curve,
        report.found_together,
        report.called_together,
        report.dispositions_right,
        report.safe,
    ));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn explain(config: &Config, text: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let rules = rules(config)?;
    let text = super::text_or_standard_input(text)?;
    let assessment = rules.assess(&text, &PatientFacts::default());
    let (Some(reading), Some(explanation)) = (
        &assessment.second_reading,
        rules.explain(&text, &built_in_messages()?),
    ) else {
        anyhow::bail!(
            "the second reader does not read this: it knows Chinese and English only, other languages are left to \
             their emergency words"
        );
    };
    say(&if json {
        serde_json::json!({ "reading": reading, "explanation": explanation }).to_string()
    } else {
        in_words(rules, reading, &explanation)
    });
    Ok(ExitCode::SUCCESS)
}

fn in_words(rules: &Rules, reading: &SecondReading, explanation: &Explanation) -> String {
    let urgency = |it| rules.disposition_text(it, bedside_triage::Language::En);
    let mut lines = vec![format!(
        "Emergency: probability {:.2}. By itself: {} ({})",
        reading.emergency,
        urgency(reading.disposition),
        if reading.raised {
            "raised above what the rules say"
        } else {
            "the rules say no less"
        }
    )];
    lines.push("Words that speak for an emergency, by weight:".to_owned());
    let words = explanation.words_for.iter();
    lines.extend(words.map(|(words, weight)| format!("  {weight:.3}  {words}")));
    lines.push("Nearest written examples, by likeness:".to_owned());
    lines.extend(explanation.examples.iter().map(|it| {
        let (level, text, why) = (it.disposition.name(), &it.text, &it.why);
        format!("  {:.2}  {level}: {text} ({why})", it.likeness)
    }));
    lines.join("\n")
}
