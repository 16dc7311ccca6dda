//! What the rules found in a text, as words that the second reader weighs like others.

use crate::{
    assessment::FindingStatus,
    bundle::Bundle,
    condition::{Fact, Value},
    data::FindingKind,
    evidence::Evidence,
};

/// Findings with their status, facts and measurements in steps, red flags that hold.
pub(crate) fn evidence_words(bundle: &Bundle, evidence: &Evidence) -> Vec<String> {
    let mut words = Vec::new();
    for reading in &evidence.mentions {
        let Some(finding) = bundle.findings.get(reading.mention.entry) else {
            continue;
        };
        let status = match reading.status() {
            FindingStatus::Present => "present",
            FindingStatus::Absent => "absent",
            FindingStatus::Uncertain => "uncertain",
            FindingStatus::OtherPerson => "other",
        };
        words.push(format!("{}:{status}", finding.id));
        if reading.active && finding.kind != FindingKind::Mask {
            words.push(format!("{}:counts", finding.id));
        }
    }
    for flag in &bundle.red_flags {
        for (name, condition) in [("flag", &flag.certain), ("suspicion", &flag.suspected)] {
            let holding: Vec<usize> = condition.alternatives_that_hold(evidence).collect();
            if holding.is_empty() {
                continue;
            }
            words.push(name.to_owned());
            words.push(format!("{name}:{}", flag.id));
            words.extend(holding.iter().map(|it| format!("{name}:{}:{it}", flag.id)));
        }
    }
    for rule in bundle.rules.iter().filter(|it| it.holds(evidence)) {
        words.push(format!("rule:{}", rule.disposition.name()));
        words.push(format!("rule:{}", rule.id));
    }
    for (fact, name) in [
        (Fact::Female, "female"),
        (Fact::Male, "male"),
        (Fact::Pregnant, "pregnant"),
        (Fact::Child, "child"),
        (Fact::Infant, "infant"),
        (Fact::Elderly, "elderly"),
    ] {
        if evidence.fact(fact) {
            words.push(format!("fact:{name}"));
        }
    }
    for (value, name, steps) in STEPS {
        if let Some(measured) = evidence.value(*value) {
            let step = steps.iter().filter(|it| measured >= **it).count();
            words.push(format!("{name}:{step}"));
        }
    }
    words
}

/// Where a value begins to mean something else.
const STEPS: &[(Value, &str, &[f32])] = &[
    (Value::Age, "age", &[0.25, 1.0, 3.0, 14.0, 18.0, 40.0, 60.0, 75.0]),
    (Value::Temperature, "temp", &[35.0, 37.5, 38.0, 39.0, 40.0]),
    (Value::OxygenSaturation, "spo2", &[88.0, 92.0, 94.0, 96.0]),
    (Value::Systolic, "sbp", &[90.0, 100.0, 140.0, 160.0, 180.0, 200.0]),
    (Value::Diastolic, "dbp", &[60.0, 90.0, 110.0, 120.0]),
    (Value::Glucose, "glucose", &[3.0, 4.0, 7.8, 11.1, 16.7, 25.0]),
    (
        Value::HeartRate,
        "heart-rate",
        &[40.0, 50.0, 100.0, 120.0, 130.0, 150.0],
    ),
    (
        Value::BreathingRate,
        "breathing-rate",
        &[10.0, 20.0, 25.0, 30.0, 40.0, 60.0],
    ),
    (Value::PainScore, "pain", &[4.0, 7.0, 9.0]),
    (Value::Gestation, "gestation", &[12.0, 20.0, 28.0, 37.0]),
];
