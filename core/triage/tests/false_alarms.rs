//! What only sounds like an emergency, kind by kind, beside neighbours that are one.

use bedside_triage::{Disposition, PatientFacts, Rules};
use serde::Deserialize;

#[derive(Deserialize)]
struct Data {
    kind: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    name: String,
    calm: Vec<String>,
    alarm: Vec<String>,
}

/// The rules alone: the second reader is trained anew from time to time.
#[test]
fn kinds_of_false_alarms() {
    let data: Data = toml::from_str(include_str!("data/false_alarms.toml")).unwrap();
    let rules = Rules::builtin();
    let (mut called, mut missed) = (Vec::new(), Vec::new());
    for kind in &data.kind {
        assert!(kind.calm.len() + kind.alarm.len() >= 30, "{}", kind.name);
        for (texts, wanted, wrong) in [(&kind.calm, false, &mut called), (&kind.alarm, true, &mut missed)] {
            for text in texts {
                let said = rules.assess_by_rules(text, &PatientFacts::default());
                if (said.disposition == Disposition::Emergency) != wanted {
                    let flags: Vec<_> = said.red_flags.iter().map(|it| it.id.as_str()).collect();
                    let findings: Vec<_> = said
                        .findings
                        .iter()
                        .map(|it| format!("{} {:?}", it.name, it.status))
                        .collect();
                    wrong.push(format!("{}: {text}: {flags:?} {findings:?}", kind.name));
                }
            }
        }
    }
    let calm: usize = data.kind.iter().map(|it| it.calm.len()).sum();
    println!(
        "{} of {calm} called emergencies\n{}",
        called.len(),
        called.join("\n")
    );
    assert_eq!(missed, Vec::<String>::new(), "emergencies missed");
    assert!(
        called.len() * 100 <= calm * MOST_CALLED,
        "{} of {calm} called emergencies\n{}",
        called.len(),
        called.join("\n")
    );
}

/// Percent. What is left is listed when the test is run with `--nocapture`.
const MOST_CALLED: usize = 3;
