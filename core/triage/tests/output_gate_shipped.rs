//! The shipped articles pass whole, sentence by sentence and one behind another; and a judgement is quick.
#![expect(clippy::unwrap_used, reason = "a measure that reads its data")]

use std::{path::Path, time::Instant};

use bedside_triage::{OutputGate, OutputVerdict};

/// The sections of the shipped articles, in sentences.
fn sections() -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/knowledge/data/conditions");
    let mut sections = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let body = text.splitn(3, "+++").nth(2).unwrap();
        sections.extend(body.lines().filter(|it| !it.trim().is_empty()).map(sentences));
    }
    sections
}

fn sentences(paragraph: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    let mut characters = paragraph.chars().peekable();
    while let Some(c) = characters.next() {
        sentences.last_mut().unwrap().push(c);
        let over = matches!(c, '。' | '！' | '？' | '；')
            || matches!(c, '.' | '!' | '?') && characters.peek().is_some_and(|it| it.is_whitespace());
        if over && characters.peek().is_some() {
            sentences.push(String::new());
        }
    }
    sentences
}

#[test]
fn shipped_articles_pass_whole() {
    let sections = sections();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for section in &sections {
        let mut gate = OutputGate::default();
        for sentence in section {
            judged += 1;
            let alone = OutputGate::default().check(sentence);
            let behind = gate.judge(sentence);
            if (alone, behind) != (OutputVerdict::Pass, OutputVerdict::Pass) {
                wrong.push(format!("{sentence} → {alone:?}, {behind:?}"));
            }
        }
    }
    println!("{judged} sentences of {} sections", sections.len());
    assert!(judged > 3000, "{judged}");
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}

#[test]
fn a_judgement_takes_less_than_a_millisecond() {
    let sections = sections();
    for sentence in sections.iter().flatten().take(200) {
        assert_eq!(OutputGate::default().check(sentence), OutputVerdict::Pass);
    }
    // The best of five, as other work on the machine only adds.
    let mut each = std::time::Duration::MAX;
    for part in sections.chunks(sections.len() / 5 + 1) {
        let (mut count, began) = (0_u32, Instant::now());
        for section in part {
            let mut gate = OutputGate::default();
            for sentence in section {
                gate.judge(sentence);
                count += 1;
            }
        }
        each = each.min(began.elapsed() / count);
    }
    println!("{each:?} each");
    assert!(each.as_micros() < 1000, "{each:?}");
}
