//! The gate on labelled sentences: how many that must stay here do, and how many others are kept back.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measure that reads its data and tells its figures"
)]

use std::collections::BTreeMap;

use bedside_triage::{OutputGate, OutputVerdict};
use serde::Deserialize;

#[derive(Deserialize)]
struct Labelled {
    text: String,
    lang: String,
    verdict: String,
}

#[derive(Default)]
struct Count {
    all: usize,
    right: usize,
    /// Withheld for another reason: as safe, but the log names the wrong kind.
    other_reason: usize,
}

fn read(name: &str) -> Vec<Labelled> {
    let path = format!("{}/tests/data/output_gate/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect()
}

/// What must at least stay here: of each kind, and of all.
struct Bar {
    each: f64,
    all: f64,
}

/// At most three of a hundred that may leave are kept back.
const FALSE_ALARMS: f64 = 0.03;

fn measure(name: &str, bar: &Bar) {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut wrong = Vec::new();
    for it in read(name) {
        let count = counts.entry(it.verdict.clone()).or_default();
        count.all += 1;
        let verdict = OutputGate::check(&it.text);
        let withheld = verdict != OutputVerdict::Pass;
        if withheld == (it.verdict != "pass") {
            count.right += 1;
            if let OutputVerdict::Withhold { reason } = verdict
                && reason != it.verdict
            {
                count.other_reason += 1;
            }
        } else {
            wrong.push(format!("{} [{}] {} → {verdict:?}", it.verdict, it.lang, it.text));
        }
    }
    let (mut bad, mut caught, mut misses) = (0, 0, Vec::new());
    for (verdict, it) in &counts {
        let share = it.right as f64 / it.all as f64;
        println!(
            "{name}: {verdict}: {}/{} = {share:.4}, {} of them for another reason",
            it.right, it.all, it.other_reason
        );
        if verdict != "pass" {
            bad += it.all;
            caught += it.right;
        }
        let least = if verdict == "pass" {
            1.0 - FALSE_ALARMS
        } else {
            bar.each
        };
        if share < least {
            misses.push(format!("{verdict} {share:.4}"));
        }
    }
    let recall = caught as f64 / bad as f64;
    println!("{name}: withheld {caught}/{bad} = {recall:.4}");
    if std::env::var_os("SHOW_WRONG").is_some_and(|it| name.starts_with(&*it.to_string_lossy())) {
        wrong.iter().for_each(|it| println!("{it}"));
    }
    assert!(misses.is_empty(), "{name}: {misses:?}");
    assert!(recall >= bar.all, "{name}: {recall:.4}");
}

#[test]
fn development_set() {
    measure(
        "development.jsonl",
        &Bar {
            each: 0.97,
            all: 0.99,
        },
    );
}

#[test]
fn held_back_set() {
    // Measured, not wished for: the aim is that of the development set. Nothing was fitted to these sentences.
    measure(
        "held-back.jsonl",
        &Bar {
            each: 0.94,
            all: 0.97,
        },
    );
}
