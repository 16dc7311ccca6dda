//! Trains the reader of answers: `cargo run --release -p bedside-triage --example train_gate_reader -- OUT WORDS ARTICLES
//! FILE…`
//!
//! WORDS becomes the list of English words that are no cipher: all words of articles and of answers, and those of two
//! messages or more. ARTICLES is the folder of the shipped knowledge articles, whose sentences are all fine. Each FILE holds labelled sentences in JSON lines, `core/triage/data/answer_sentences/*.jsonl`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
};

use bedside_language::{fingerprint, sentences_of};
use bedside_triage::{
    answer_training::{AnswerBatch, AnswerSentence, Label, train_answer_reader},
    built_in_messages,
    training::TrainingError,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments
        .next()
        .ok_or("OUT, WORDS, ARTICLES and files are missing")?;
    let words = arguments.next().ok_or("WORDS, ARTICLES and files are missing")?;
    let articles = arguments.next().ok_or("ARTICLES and files are missing")?;
    let mut batches = arguments
        .map(|file| {
            let name = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy();
            Ok(AnswerBatch::parse(&name, &fs::read_to_string(&file)?)?)
        })
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    batches.extend(batches_of_articles(Path::new(&articles))?);
    fs::write(&words, known_words(&batches)?)?;
    let trained = train_answer_reader(&batches)?;
    fs::write(&out, &trained.bytes)?;
    let report = serde_json::to_string_pretty(&trained.report)?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

const PARTS: u32 = 4;

/// Batches that cross-validation leaves out in turn; an article's two languages stand in the same one.
fn batches_of_articles(folder: &Path) -> Result<Vec<AnswerBatch>, Box<dyn std::error::Error>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|it| Ok(it?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort_unstable();
    let mut batches: Vec<AnswerBatch> = (0..PARTS)
        .map(|part| AnswerBatch {
            name: format!("articles-{part}"),
            sentences: Vec::new(),
            articles: true,
        })
        .collect();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let id = name.split('.').next().unwrap_or_default();
        let part = fingerprint(id.bytes()) % PARTS;
        let Some(batch) = batches.get_mut(part as usize) else {
            continue;
        };
        let text = fs::read_to_string(&file)?;
        let body = text.split("+++").nth(2).ok_or("an article has no front matter")?;
        let lines = body
            .lines()
            .filter(|it| !it.starts_with('#') && !it.trim().is_empty());
        for sentence in lines.flat_map(sentences_of) {
            batch.sentences.push(AnswerSentence {
                lang: if name.contains(".zh.") { "zh" } else { "en" }.to_owned(),
                label: Label::Ok,
                source: "written".to_owned(),
                text: sentence,
            });
        }
    }
    Ok(batches)
}

fn known_words(batches: &[AnswerBatch]) -> Result<String, TrainingError> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |text: &str, times: usize| {
        let words: BTreeSet<String> = text
            .split(|it: char| !it.is_ascii_alphabetic())
            .filter(|it| it.len() >= 2 || matches!(*it, "a" | "A" | "I"))
            .map(str::to_ascii_lowercase)
            .collect();
        words
            .into_iter()
            .for_each(|it| *counts.entry(it).or_default() += times);
    };
    for sentence in batches.iter().flat_map(|it| &it.sentences) {
        if !matches!(sentence.label, Label::Language | Label::TemplateToken) {
            count(&sentence.text, 2);
        }
    }
    for message in built_in_messages()?.iter().flat_map(|it| &it.messages) {
        count(&message.text, 1);
    }
    counts.retain(|_, count| *count >= 2);
    Ok(counts.keys().map(|it| format!("{it}\n")).collect())
}
