//! Trains the second reader: `cargo run --release -p bedside-triage --example train_reader -- OUT FILE…`
//!
//! Each file holds one batch of labelled messages in JSON lines, `core/triage/data/messages/*.jsonl` and a hospital's
//! own reviewed ones.

use std::path::Path;

use bedside_triage::{
    Rules,
    training::{Batch, train},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().ok_or("OUT and files are missing")?;
    let batches = arguments
        .map(|file| {
            let name = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy();
            Ok(Batch::parse(&name, &std::fs::read_to_string(&file)?)?)
        })
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let trained = train(Rules::builtin(), &batches)?;
    std::fs::write(&out, &trained.bytes)?;
    std::io::Write::write_all(
        &mut std::io::stdout(),
        serde_json::to_string_pretty(&trained.report)?.as_bytes(),
    )?;
    Ok(())
}
