//! Common self-limiting illness is left at home; what looks like it and needs more is not.

use bedside_contract::Disposition;
use bedside_triage::{PatientFacts, Rules};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    illness: Vec<Illness>,
}

#[derive(Deserialize)]
struct Illness {
    name: String,
    #[serde(default)]
    self_care: Vec<String>,
    /// What the rules may say where the second reader is needed to see more.
    rules_alone: Option<Disposition>,
    #[serde(default)]
    out_patient: Vec<String>,
    #[serde(default)]
    same_day: Vec<String>,
}

fn table() -> Vec<Illness> {
    // A table that cannot be read is empty, which the tests' counts refuse.
    toml::from_str(include_str!("data/self_limiting.toml"))
        .map_or_else(|_| Vec::new(), |it: Table| it.illness)
}

fn by_rules(text: &str) -> Disposition {
    Rules::builtin()
        .assess_by_rules(text, &PatientFacts::default())
        .disposition
}

fn wrong(name: &str, text: &str) -> String {
    let reasons = Rules::builtin().reasons(text);
    format!("{name}: {text}: {} {reasons:?}", by_rules(text).name())
}

#[test]
fn self_limiting_illness_is_left_at_home() {
    let mut failures = Vec::new();
    let mut read = 0;
    for illness in table() {
        for text in &illness.self_care {
            read += 1;
            if by_rules(text) > illness.rules_alone.unwrap_or(Disposition::SelfCare) {
                failures.push(wrong(&illness.name, text));
            }
        }
    }
    assert!(read >= 90, "{read}");
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn its_neighbours_are_seen_by_a_doctor() {
    let mut failures = Vec::new();
    let mut read = 0;
    for illness in table() {
        let clinic = illness.out_patient.iter().map(|it| (it, Disposition::OutPatient));
        let today = illness.same_day.iter().map(|it| (it, Disposition::SameDay));
        for (text, least) in clinic.chain(today) {
            read += 1;
            if by_rules(text) < least {
                failures.push(wrong(&illness.name, text));
            }
        }
    }
    assert!(read >= 60, "{read}");
    assert!(failures.is_empty(), "{}\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_second_reader_raises_few_of_them() {
    let texts: Vec<String> = table().into_iter().flat_map(|it| it.self_care).collect();
    let left = |text: &&String| {
        let assessment = Rules::builtin().assess(text, &PatientFacts::default());
        assessment.disposition == Disposition::SelfCare
    };
    assert!(texts.len() >= 90);
    let raised: Vec<&String> = texts.iter().filter(|it| !left(it)).collect();
    assert!(
        raised.len() * 4 <= texts.len(),
        "{} of {}: {raised:#?}",
        raised.len(),
        texts.len()
    );
}

#[test]
fn a_bare_complaint_is_not_left_at_home() {
    let bare = [
        "我不舒服",
        "胸闷",
        "头晕",
        "心慌",
        "吞咽困难",
        "绝经后出血",
        "黑痣变大了",
        "差点晕倒",
        "耳鸣",
        "乳房有肿块",
        "I feel unwell",
        "I have palpitations",
        "my knee hurts",
        "blood in urine",
        "breast lump",
        "I feel dizzy",
        "postmenopausal bleeding",
        "trouble swallowing",
    ];
    let left: Vec<&&str> = bare
        .iter()
        .filter(|it| {
            Rules::builtin().assess(it, &PatientFacts::default()).disposition == Disposition::SelfCare
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
