//! The gate on labelled sentences: how many that must stay here do, and how many others are kept back.
//!
//! The held-back sets are not trained on, and not read before their figures stand in docs/medical.md (the mistakes in
//! those of the models and of the second writer have been read since): `held-back-models.jsonl` (of 804
//! sentences that two small models really wrote and others by hand, split by a hash of the text from
//! `data/answer_sentences/02-models.jsonl`), `held-back-older.jsonl`, and `held-back-writer.jsonl` of an author who knew
//! no rule. What is in `data/answer_sentences` is trained on, so its figures flatter: the cross-validated ones are those
//! of `make gate-reader`. All of it is generated text; no patient wrote any.
//! The gate is the shipped one, with the encoder.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measure that reads its data and tells its figures"
)]

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use bedside_embeddings::PatientEncoder;
use bedside_language::sentences_of;
use bedside_triage::{
    OutputGate, OutputVerdict,
    answer_training::{AnswerBatch, AnswerSentence, Label},
};

static GATE: LazyLock<OutputGate> =
    LazyLock::new(|| OutputGate::new(Some(Arc::new(PatientEncoder::default()))));

fn triage() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/triage")
}

#[derive(Default)]
struct Count {
    all: usize,
    right: usize,
    /// Withheld for another reason: as safe, but the log names the wrong kind.
    other_reason: usize,
}

/// Measured, not wished for; the aim is 0.97 of each kind, 0.99 of all, and 0.03.
struct Bars {
    /// What must at least stay here: of each kind, and of all; and how many others may be kept back.
    each: f64,
    all: f64,
    false_alarms: f64,
}

fn read(path: &str) -> Vec<AnswerSentence> {
    let path = triage().join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    AnswerBatch::parse(path.to_str().unwrap(), &text)
        .unwrap()
        .sentences
}

fn measure(name: &str, path: &str, bars: &Bars) {
    let sentences = read(path);
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut wrong = Vec::new();
    for it in &sentences {
        let label = serde_json::to_value(it.label)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        let count = counts.entry(label.clone()).or_default();
        count.all += 1;
        let verdict = GATE.check(&it.text);
        if (verdict == OutputVerdict::Pass) != (it.label == Label::Ok) {
            wrong.push(format!("{label} [{}] {} → {verdict:?}", it.lang, it.text));
            continue;
        }
        count.right += 1;
        if let OutputVerdict::Withhold { reason } = verdict
            && reason != label
        {
            count.other_reason += 1;
        }
    }
    let (mut bad, mut caught, mut misses) = (0, 0, Vec::new());
    for (label, it) in &counts {
        let share = it.right as f64 / it.all as f64;
        println!(
            "{name}: {label:<17} {:>4}/{:<4} = {share:.4}, {} of them for another reason",
            it.right, it.all, it.other_reason
        );
        let fine = label == "ok";
        if !fine {
            bad += it.all;
            caught += it.right;
        }
        if share < if fine { 1.0 - bars.false_alarms } else { bars.each } {
            misses.push(format!("{label} {share:.4}"));
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

/// FNV-1a, of which one bit says to which half a text belongs.
fn is_held_back(text: &str) -> bool {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash >> 20) % 2 == 1
}

#[test]
fn no_sentence_that_is_held_back_is_trained_on() {
    let models = read("data/answer_sentences/02-models.jsonl");
    assert!(models.iter().all(|it| !is_held_back(&it.text)));
    let held_back = read("tests/data/output_gate/held-back-models.jsonl");
    assert!(held_back.iter().all(|it| is_held_back(&it.text)));
    assert!(models.len() + held_back.len() >= 1500);

    let mut trained = HashSet::new();
    let folder = triage().join("data/answer_sentences");
    for entry in std::fs::read_dir(folder).unwrap() {
        let sentences = read(entry.unwrap().path().to_str().unwrap());
        trained.extend(sentences.into_iter().map(|it| it.text));
    }
    let writer = read("tests/data/output_gate/held-back-writer.jsonl");
    let doubles = writer
        .iter()
        .chain(&held_back)
        .filter(|it| trained.contains(&it.text));
    assert!(doubles.count() * 100 <= writer.len() + held_back.len());
}

#[test]
fn trained_on() {
    let files = [
        ("01-templates", 0.8, 0.92),
        ("02-models", 0.8, 0.92),
        ("03-later", 0.8, 0.92),
        ("04-writer-a", 0.8, 0.92),
        ("05-writer-b", 0.8, 0.92),
        ("06-plain", 0.8, 0.92),
        // What others say, with quotation marks.
        ("07-quoted", 0.7, 0.8),
    ];
    for (file, each, all) in files {
        let bars = Bars {
            each,
            all,
            false_alarms: 0.03,
        };
        measure(file, &format!("data/answer_sentences/{file}.jsonl"), &bars);
    }
}

#[test]
fn held_back_of_models() {
    let bars = Bars {
        each: 0.7,
        all: 0.88,
        false_alarms: 0.035,
    };
    measure(
        "held-back-models",
        "tests/data/output_gate/held-back-models.jsonl",
        &bars,
    );
}

#[test]
fn held_back_of_a_writer() {
    let bars = Bars {
        each: 0.85,
        all: 0.93,
        false_alarms: 0.035,
    };
    measure(
        "held-back-writer",
        "tests/data/output_gate/held-back-writer.jsonl",
        &bars,
    );
}

/// Written later, when the other writer's totals had been printed several times.
#[test]
fn held_back_of_a_second_writer() {
    let bars = Bars {
        each: 0.57,
        all: 0.76,
        false_alarms: 0.03,
    };
    measure(
        "held-back-second-writer",
        "tests/data/output_gate/held-back-second-writer.jsonl",
        &bars,
    );
}

/// Two authors; measured at first sight, and read since.
#[test]
fn held_back_of_a_third_writer() {
    let bars = Bars {
        each: 0.75,
        all: 0.89,
        false_alarms: 0.06,
    };
    measure(
        "held-back-third-writer",
        "tests/data/output_gate/held-back-third-writer.jsonl",
        &bars,
    );
}

#[test]
fn held_back_older() {
    let bars = Bars {
        each: 0.88,
        all: 0.965,
        false_alarms: 0.03,
    };
    measure(
        "held-back-older",
        "tests/data/output_gate/held-back-older.jsonl",
        &bars,
    );
}

/// Those of the knowledge base, each alone.
#[test]
fn shipped_articles_pass() {
    let folder = triage().join("../../plugins/knowledge/data/conditions");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    let (mut judged, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let body = text.splitn(3, "+++").nth(2).unwrap();
        for sentence in body.lines().flat_map(sentences_of) {
            judged += 1;
            if GATE.check(&sentence) != OutputVerdict::Pass {
                wrong.push(sentence);
            }
        }
    }
    println!("articles: {judged} sentences");
    assert!(judged > 3000, "{judged}");
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}
