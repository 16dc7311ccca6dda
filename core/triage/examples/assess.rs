//! Reads texts, one a line, and shows what the rules make of them: a help for those who write rules.
//! An extra rule file may be named as the first argument.

use std::io::{self, BufRead, Write};

use bedside_triage::{PatientFacts, Rules};

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
    for line in io::stdin().lock().lines() {
        let line = line?;
        let assessment = rules.assess(&line, &PatientFacts::default());
        writeln!(out, "{line}\n  {}", serde_json::to_string(&assessment)?)?;
    }
    Ok(())
}
