//! Shows what the rules make of texts: a help for those who write rules.
//!
//! Reads standard input: a text a line, or JSON lines with `text` and `disposition`. Of JSON lines only those
//! with another urgency than the stated one are shown, then a summary. An extra rule file may be named as the
//! first argument.

use std::io::{self, BufRead, Write};

use bedside_triage::{Assessment, Disposition, PatientFacts, Rules};
use serde::Deserialize;

#[derive(Deserialize)]
struct Labelled {
    text: String,
    #[serde(alias = "gold")]
    disposition: Disposition,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own;
    let rules = match std::env::args().nth(1) {
        Some(file) => {
            own = Rules::with_additions(&std::fs::read_to_string(&file)?, &file)?;
            &own
        }
        None => Rules::builtin(),
    };
    let mut out = io::stdout().lock();
    let mut counts = Counts::default();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let Ok(labelled) = serde_json::from_str::<Labelled>(&line) else {
            let assessment = rules.assess(&line, &PatientFacts::default());
            writeln!(out, "{line}\n  {}", serde_json::to_string(&assessment)?)?;
            continue;
        };
        let assessment = rules.assess(&labelled.text, &PatientFacts::default());
        counts.add(labelled.disposition, assessment.disposition);
        if assessment.disposition != labelled.disposition {
            let (said, wanted) = (assessment.disposition.name(), labelled.disposition.name());
            writeln!(
                out,
                "{wanted} read as {said}: {}\n  {}",
                labelled.text,
                why(&assessment, rules, &labelled.text)
            )?;
        }
    }
    if counts.all > 0 {
        writeln!(out, "{counts:?}")?;
    }
    Ok(())
}

fn why(assessment: &Assessment, rules: &Rules, text: &str) -> String {
    let flags: Vec<_> = assessment.red_flags.iter().map(|it| it.id.as_str()).collect();
    let findings: Vec<_> = assessment
        .findings
        .iter()
        .map(|it| format!("{}:{:?}", it.name, it.status))
        .collect();
    let reasons: Vec<_> = rules
        .reasons(text)
        .iter()
        .map(|(id, it)| format!("{id} {}", it.name()))
        .collect();
    let raised = assessment.second_reading.as_ref().is_some_and(|it| it.raised);
    let reader = if raised {
        ", raised by the second reader"
    } else {
        ""
    };
    format!("flags {flags:?}, reasons {reasons:?}, findings {findings:?}{reader}")
}

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    right: u32,
    emergencies: u32,
    emergencies_found: u32,
    others: u32,
    others_called_emergencies: u32,
}

impl Counts {
    fn add(&mut self, wanted: Disposition, said: Disposition) {
        let emergency = wanted == Disposition::Emergency;
        let called = said == Disposition::Emergency;
        self.all += 1;
        self.right += u32::from(wanted == said);
        self.emergencies += u32::from(emergency);
        self.emergencies_found += u32::from(emergency && called);
        self.others += u32::from(!emergency);
        self.others_called_emergencies += u32::from(!emergency && called);
    }
}
