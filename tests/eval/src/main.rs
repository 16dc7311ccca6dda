//! `bedside-eval`: what triage makes of messages whose authors knew no rule.
//!
//! A batch is `NAME.jsonl`. Its first result is kept in `NAME.first.json` beside it and never changed; after that
//! look the batch is development data, and a new one has to be written.
#![forbid(unsafe_code)]

mod batch;
mod by_rule;
mod departments;
mod measure;
mod picture;
mod questions;
mod speed;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use bedside_embeddings::PatientEncoder;
use bedside_triage::{Rules, SecondReader};
use clap::Parser;

use batch::{Case, batches_in, read};
use departments::Half;
use measure::{Measured, measure};
use questions::show_alarms;
use speed::speed;

/// Measures triage on batches of labelled messages.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the batches.
    #[arg(long, default_value = "tests/eval/batches")]
    batches: PathBuf,
    /// Measure this batch for the first time and keep the result. Fails if there is one.
    #[arg(long)]
    first_look: Option<String>,
    /// Also measure these files (JSON lines with `text` and `disposition` or `gold`).
    #[arg(long)]
    also: Vec<PathBuf>,
    /// Measure only departments, on labelled first messages in these files: `.json`, `.csv` or `.jsonl`.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    departments: Vec<PathBuf>,
    /// With `--departments`: which half of an outside file.
    #[arg(long, value_enum, default_value = "held-back")]
    half: Half,
    /// Show the messages that were read wrongly. They are no test afterwards: say so in the looks of the batch.
    #[arg(long)]
    show: bool,
    /// Draw the confusion matrix of the last batch's first look.
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Show which of a file's unlabelled questions are called emergencies, and by what; nothing else is measured.
    /// Lines of text, or `.csv`, `.json` or `.jsonl` with a column or field such as `text`, `question` or `ask`.
    #[arg(long)]
    questions: Vec<PathBuf>,
    /// Show how often each red flag is right on these files' messages, with the texts of its false alarms; nothing else
    /// is measured.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    by_rule: Vec<PathBuf>,
    /// Measure without the second reader's encoder.
    #[arg(long)]
    without_encoder: bool,
    /// Measure with this model of the second reader, e.g. one that a hospital trained.
    #[arg(long)]
    second_reader: Option<PathBuf>,
    /// Of each file of questions only so many, at even distances.
    #[arg(long)]
    sample: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut rules = Rules::with_additions("", "none")?;
    if let Some(file) = &arguments.second_reader {
        let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
        rules = rules.with_second_reader(Some(SecondReader::from_bytes(&bytes)?));
    }
    if !arguments.without_encoder {
        rules = rules.with_encoder(Arc::new(PatientEncoder::default()));
    }
    let rules = &rules;
    let mut out = std::io::stdout().lock();
    if let Some(name) = &arguments.first_look {
        let measured = first_look(&arguments.batches, name, rules)?;
        writeln!(out, "{name}, first look\n{measured}")?;
        return Ok(());
    }
    if !arguments.departments.is_empty() {
        for file in &arguments.departments {
            let measured = departments::measure(rules, file, arguments.half, |label, text, named| {
                if arguments.show {
                    let _closed_pipe = writeln!(std::io::stderr(), "{label} sent to {named:?}: {text}");
                }
            })?;
            writeln!(out, "# {}\n{measured}", file.display())?;
        }
        return Ok(());
    }
    if !arguments.by_rule.is_empty() {
        let mut cases = Vec::new();
        for file in &arguments.by_rule {
            cases.extend(read(file)?);
        }
        write!(out, "{}", by_rule::by_rule(rules, &cases))?;
        return Ok(());
    }
    if !arguments.questions.is_empty() {
        for file in &arguments.questions {
            show_alarms(rules, file, arguments.sample, &mut out)?;
        }
        return Ok(());
    }
    let mut last = None;
    let mut all = Vec::new();
    for file in batches_in(&arguments.batches)? {
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let cases = read(&file)?;
        writeln!(out, "# Batch {name}: {} messages", cases.len())?;
        let first = kept(&file)?;
        match &first {
            Some(first) => writeln!(out, "## First look\n{first}")?,
            None => {
                writeln!(out, "not looked at yet: bedside-eval --first-look {name}")?;
                continue;
            }
        }
        let now = measure(rules, &cases, |case, said| show(arguments.show, case, said));
        writeln!(out, "## Now, as development data\n{now}")?;
        last = first;
        all.extend(cases);
    }
    writeln!(out, "# Speed, {} messages\n{}", all.len(), speed(rules, &all))?;
    for file in &arguments.also {
        let measured = measure(rules, &read(file)?, |case, said| show(arguments.show, case, said));
        writeln!(out, "# {}\n{measured}", file.display())?;
    }
    if let (Some(path), Some(last)) = (&arguments.picture, &last) {
        picture::draw(path, &last.together.confusion)?;
    }
    Ok(())
}

fn show(wanted: bool, case: &Case, said: &bedside_triage::Assessment) {
    if !wanted || case.disposition == said.disposition {
        return;
    }
    let flags: Vec<_> = said.red_flags.iter().map(|it| it.id.as_str()).collect();
    let reader = said.second_reading.as_ref().map_or(0.0, |it| it.emergency);
    let line = format!(
        "{} read as {} by {flags:?}, reader {reader:.2}: {}",
        case.disposition.name(),
        said.disposition.name(),
        case.text.replace('\n', " / ")
    );
    let _closed_pipe = writeln!(std::io::stderr(), "{line}");
}

fn first_look(folder: &Path, name: &str, rules: &Rules) -> anyhow::Result<Measured> {
    let file = folder.join(format!("{name}.jsonl"));
    if kept(&file)?.is_some() {
        bail!("batch {name} was looked at already: write a new batch");
    }
    let measured = measure(rules, &read(&file)?, |_, _| ());
    let path = file.with_extension("first.json");
    std::fs::write(&path, serde_json::to_string_pretty(&measured)? + "\n")
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(measured)
}

fn kept(batch: &Path) -> anyhow::Result<Option<Measured>> {
    let path = batch.with_extension("first.json");
    if !path.exists() {
        return Ok(None);
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let measured = serde_json::from_str(&text).with_context(|| format!("{} is no result", path.display()))?;
    Ok(Some(measured))
}
