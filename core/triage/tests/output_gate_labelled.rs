//! The gate on labelled sentences: how many that must stay here do, and how many others are kept back.
//!
//! `sentences.jsonl` was made for this: two small models really wrote 804, the others are by hand, all of it
//! labelled by reading, and split by a hash of the text. What is held back is never looked at while the gate is
//! worked on. `later.jsonl` was written while it was; `development.jsonl` and `held-back.jsonl` are older. All of it is
//! generated text; no patient wrote any.
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
    #[serde(alias = "verdict")]
    category: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    split: String,
}

impl Labelled {
    fn is_fine(&self) -> bool {
        matches!(self.category.as_str(), "fine" | "pass")
    }
}

#[derive(Default)]
struct Count {
    all: usize,
    right: usize,
    /// Withheld for another reason: as safe, but the log names the wrong kind.
    other_reason: usize,
}

/// What must at least stay here: of each kind, and of all; and how many others may be kept back.
struct Bars {
    each: f64,
    all: f64,
    false_alarms: f64,
}

const AIM: Bars = Bars {
    each: 0.97,
    all: 0.99,
    false_alarms: 0.03,
};

fn read(name: &str) -> Vec<Labelled> {
    let path = format!("{}/tests/data/output_gate/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect()
}

fn measure(name: &str, sentences: &[Labelled], bars: &Bars) {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut wrong = Vec::new();
    for it in sentences {
        let count = counts.entry(&it.category).or_default();
        count.all += 1;
        let verdict = OutputGate::check(&it.text);
        if (verdict == OutputVerdict::Pass) != it.is_fine() {
            wrong.push(format!("{} [{}] {} → {verdict:?}", it.category, it.lang, it.text));
            continue;
        }
        count.right += 1;
        if let OutputVerdict::Withhold { reason } = verdict
            && reason != it.category
        {
            count.other_reason += 1;
        }
    }
    let (mut bad, mut caught, mut misses) = (0, 0, Vec::new());
    for (category, it) in &counts {
        let share = it.right as f64 / it.all as f64;
        println!(
            "{name}: {category:<17} {:>4}/{:<4} = {share:.4}, {} of them for another reason",
            it.right, it.all, it.other_reason
        );
        let fine = matches!(*category, "fine" | "pass");
        if !fine {
            bad += it.all;
            caught += it.right;
        }
        if share < if fine { 1.0 - bars.false_alarms } else { bars.each } {
            misses.push(format!("{category} {share:.4}"));
        }
    }
    let recall = caught as f64 / bad as f64;
    println!("{name}: withheld {caught}/{bad} = {recall:.4}");
    if std::env::var_os("SHOW_WRONG").is_some_and(|it| it == *name) {
        wrong.iter().for_each(|it| println!("{it}"));
    }
    assert!(misses.is_empty(), "{name}: {misses:?}");
    assert!(recall >= bars.all, "{name}: {recall:.4}");
}

fn half(split: &str) -> Vec<Labelled> {
    let mut all = read("sentences.jsonl");
    all.retain(|it| it.split == split);
    all
}

/// FNV-1a, of which one bit says to which half a text belongs.
fn is_held_back(text: &str) -> bool {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash >> 20) % 2 == 1
}

#[test]
fn sentences_are_many_half_from_models_and_split_by_their_text() {
    let all = read("sentences.jsonl");
    let from_models = all.iter().filter(|it| it.source == "model").count();
    println!("{} sentences, {from_models} from models", all.len());
    assert!(
        all.len() >= 1500 && from_models >= 750,
        "{} {from_models}",
        all.len()
    );
    for it in &all {
        assert!(matches!(it.source.as_str(), "model" | "written"), "{}", it.source);
        assert_eq!(it.split == "held_back", is_held_back(&it.text), "{}", it.text);
    }
}

#[test]
fn development_half() {
    let bars = Bars {
        each: 0.97,
        all: 0.98,
        ..AIM
    };
    measure("development", &half("development"), &bars);
}

#[test]
fn held_back_half() {
    // Measured, not wished for: the aim is that of the development half. Nothing was fitted to these sentences.
    let bars = Bars {
        each: 0.88,
        all: 0.91,
        false_alarms: 0.045,
    };
    measure("held back", &half("held_back"), &bars);
}

#[test]
fn later_development_set() {
    // In three batches, each measured before its mistakes were read: 0.71, 0.80 and 0.86 withheld at first.
    let bars = Bars {
        each: 0.91,
        all: 0.94,
        ..AIM
    };
    measure("later development", &read("later.jsonl"), &bars);
}

#[test]
fn older_development_set() {
    measure("older development", &read("development.jsonl"), &AIM);
}

#[test]
fn older_held_back_set() {
    // Measured, not wished for.
    let bars = Bars {
        each: 0.97,
        all: 0.99,
        false_alarms: 0.035,
    };
    measure("older held back", &read("held-back.jsonl"), &bars);
}
