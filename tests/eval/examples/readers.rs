//! Trains the gate's reader of answers, and writes out what the encoder learns from.
//!
//! `readers train-gate OUT WORDS ARTICLES FILE…`: WORDS becomes the list of English words that are no cipher: all words of
//! articles and of answers, and those of two messages or more. ARTICLES is the folder of the shipped knowledge articles,
//! whose sentences are all fine. Each FILE holds labelled sentences in JSON lines,
//! `core/triage/data/answer_sentences/*.jsonl`.
//!
//! `readers texts ARTICLES FILE…`: messages and sentences, JSON lines for `scripts/train-encoder.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bedside_embeddings::PatientEncoder;
use bedside_language::{fingerprint, sentences_of};
use bedside_triage::{
    Rules,
    answer_training::{AnswerBatch, AnswerSentence, Label, answer_texts, train_answer_reader},
    built_in_messages,
    training::{TrainingError, training_texts},
};
use clap::Parser;
use serde::Serialize;

#[derive(Parser)]
enum Task {
    TrainGate {
        out: PathBuf,
        words: PathBuf,
        articles: PathBuf,
        files: Vec<PathBuf>,
    },
    Texts {
        articles: PathBuf,
        files: Vec<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match Task::parse() {
        Task::TrainGate {
            out,
            words,
            articles,
            files,
        } => {
            let batches = batches(&articles, &files)?;
            fs::write(&words, known_words(&batches)?)?;
            let trained = train_answer_reader(&batches, Some(&PatientEncoder::default()))?;
            fs::write(&out, &trained.bytes)?;
            writeln!(output, "{}", serde_json::to_string_pretty(&trained.report)?)?;
        }
        Task::Texts { articles, files } => {
            write_lines(
                &mut output,
                training_texts(Rules::builtin(), &built_in_messages()?),
            )?;
            write_lines(&mut output, answer_texts(&batches(&articles, &files)?))?;
        }
    }
    Ok(())
}

fn write_lines(output: &mut impl Write, texts: Vec<impl Serialize>) -> anyhow::Result<()> {
    for text in texts {
        writeln!(output, "{}", serde_json::to_string(&text)?)?;
    }
    Ok(())
}

fn batches(articles: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<AnswerBatch>> {
    let of_files = files.iter().map(|file| {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(AnswerBatch::parse(&name, &fs::read_to_string(file)?)?)
    });
    let mut batches = of_files.collect::<anyhow::Result<Vec<_>>>()?;
    batches.extend(batches_of_articles(articles)?);
    Ok(batches)
}

const PARTS: u32 = 4;

/// Batches that cross-validation leaves out in turn; an article's two languages stand in the same one.
fn batches_of_articles(folder: &Path) -> anyhow::Result<Vec<AnswerBatch>> {
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
        let body = text
            .split("+++")
            .nth(2)
            .context("an article has no front matter")?;
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
        // A dose in pinyin would make its syllables words.
        if sentence.label == Label::Ok {
            count(&sentence.text, 2);
        }
    }
    for message in built_in_messages()?.iter().flat_map(|it| &it.messages) {
        count(&message.text, 1);
    }
    counts.retain(|_, count| *count >= 2);
    Ok(counts.keys().map(|it| format!("{it}\n")).collect())
}
