//! Makes `data/similar_words.txt`: reads a list of English words, one a line, from standard input and prints
//! those that lie one slip from a word of the rules' forms without being one. Run it after forms were added:
//!
//! `cat /usr/share/dict/american-english /usr/share/dict/british-english | cargo run --release -p bedside-triage
//! --example similar_words > words && mv words core/triage/data/similar_words.txt`

use std::io::{self, BufRead, Write};

use bedside_triage::Rules;

fn main() -> io::Result<()> {
    let words = io::stdin().lock().lines().collect::<io::Result<Vec<_>>>()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "# English words one slip from a word of the rules, from SCOWL (Kevin Atkinson, free to use with this notice)."
    )?;
    for word in Rules::builtin().similar_words(&words) {
        writeln!(out, "{word}")?;
    }
    Ok(())
}
