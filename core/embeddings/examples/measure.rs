//! How long a message takes: `cargo run --release -p bedside-embeddings --example measure -- MODEL [ROUNDS]`.
//! One line for each kind of text; texts are those of the tests.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures"
)]

use std::{path::Path, process::ExitCode, time::Instant};

use bedside_contract::EmbeddingPurpose;
use bedside_embeddings::Embeddings;

const REFERENCE: &str = include_str!("../src/tests/reference.jsonl");

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("name the model's file, e.g. ~/.local/share/bedside/models/e5-small-q4.bin");
        return ExitCode::FAILURE;
    };
    let rounds = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(200);
    let start = Instant::now();
    let model = match Embeddings::open(Path::new(&path)) {
        Ok(model) => model,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "loaded in {} ms, one thread computes",
        start.elapsed().as_millis()
    );
    let texts: Vec<String> = REFERENCE.lines().filter_map(text_of).collect();
    let messages: Vec<&str> = texts
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    if let Some(long) = texts.get(1) {
        report(&model, "one message", &[long], rounds);
        report(&model, "eight of them", &[&long.repeat(8)], rounds / 8);
    }
    report(&model, "all messages", &messages, rounds / 8);
    ExitCode::SUCCESS
}

fn text_of(line: &str) -> Option<String> {
    let row: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(row.get("text")?.as_str()?.to_owned())
}

fn report(model: &Embeddings, name: &str, texts: &[&str], rounds: usize) {
    let mut times = Vec::new();
    let mut sum = 0.0;
    for round in 0..rounds.max(1) + 1 {
        for text in texts {
            let start = Instant::now();
            sum += model.embed_one(text, EmbeddingPurpose::Query).iter().sum::<f32>();
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        times
            .get((share * (times.len() - 1) as f64).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    };
    let tokens: usize = texts
        .iter()
        .map(|it| model.count_tokens(it, EmbeddingPurpose::Query))
        .sum();
    println!(
        "{name}: {} tokens on average, p50 {:.1} ms, p99 {:.1} ms, least {:.1} ms (sum {sum:.3})",
        tokens / texts.len(),
        at(0.5),
        at(0.99),
        at(0.0)
    );
}
