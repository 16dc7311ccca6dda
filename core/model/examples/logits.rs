//! Tokens and logits of a text, for scripts/compare-logits.py: `logits MODEL TEXT OUT` writes the logits behind every
//! token to OUT (f32, little-endian) and prints the tokens as a JSON list.
//!
//! With kernels that round activations to eight bits, as llama.cpp's do.
#![expect(clippy::print_stdout, reason = "it is what the script reads")]

use std::{env, error::Error, fs, path::Path};

use bedside_model::{KvPrecision, Model, NoProgress, Threads, decoder::Solo};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, text, out] = arguments.as_slice() else {
        return Err("usage: logits MODEL TEXT OUT".into());
    };
    let model = Model::load(Path::new(model), &NoProgress)?;
    let mut tokens = model.tokenizer.encode_text(text)?;
    if let Some(first) = model.tokenizer.first_token() {
        tokens.insert(0, first);
    }
    let threads = Threads::new(bedside_model::physical_cores())?;
    let mut solo = Solo::new(&model.decoder, threads, tokens.len(), KvPrecision::F16);
    let rows = solo.read(&tokens, tokens.len(), None)?;
    let bytes: Vec<u8> = rows.concat().iter().flat_map(|it| it.to_le_bytes()).collect();
    fs::write(out, bytes)?;
    println!("{tokens:?}");
    Ok(())
}
