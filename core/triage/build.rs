//! Makes tables of the rules that Bedside brings, so that nothing has to be read or spelled out at start.
//!
//! The same modules check and compile a hospital's additions while the bot runs.
#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the library uses the rest of these modules"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[path = "src/bundle.rs"]
mod bundle;
#[path = "src/condition.rs"]
mod condition;
#[path = "src/data.rs"]
mod data;
#[path = "src/department_list.rs"]
mod departments;
#[path = "src/error.rs"]
mod error;
#[path = "src/forms.rs"]
mod forms;
#[path = "src/lexicon.rs"]
mod lexicon;
#[path = "src/literal_table.rs"]
mod literal_table;
#[path = "src/table.rs"]
mod table;
#[path = "src/word_table.rs"]
mod word_table;

use bundle::Bundle;
use data::SourceFile;
use word_table::WordTable;

/// In `data`; findings and departments get their numbers in this order.
const FILES: &[&str] = &[
    "departments.toml",
    "findings/general.toml",
    "findings/heart_and_lungs.toml",
    "findings/nerves_and_mind.toml",
    "findings/abdomen.toml",
    "findings/women_and_men.toml",
    "findings/children.toml",
    "findings/skin_eyes_ears.toml",
    "findings/bones_and_injuries.toml",
    "findings/poisons_and_environment.toml",
    "findings/infections_and_metabolism.toml",
    "findings/conditions.toml",
    "findings/context.toml",
    "findings/everyday.toml",
    "findings/calm_signs.toml",
    "groups.toml",
    "red_flags/heart_and_lungs.toml",
    "red_flags/nerves_and_mind.toml",
    "red_flags/abdomen.toml",
    "red_flags/women_and_men.toml",
    "red_flags/children.toml",
    "red_flags/infections_and_metabolism.toml",
    "red_flags/poisons_and_environment.toml",
    "red_flags/injuries.toml",
    "red_flags/skin_eyes_ears.toml",
    "rules/general.toml",
    "rules/heart_and_lungs.toml",
    "rules/nerves_and_mind.toml",
    "rules/abdomen.toml",
    "rules/women_and_men.toml",
    "rules/children.toml",
    "rules/infections_and_metabolism.toml",
    "rules/poisons_and_environment.toml",
    "rules/injuries.toml",
    "rules/skin_eyes_ears.toml",
    "rules/everyday.toml",
    "questions.toml",
    "notices.toml",
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=data");
    println!("cargo::rerun-if-changed=src");
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), Box<dyn std::error::Error>> {
    let read = |name: &&'static str| Ok((*name, fs::read_to_string(Path::new("data").join(name))?));
    let texts: Vec<(&str, String)> = FILES.iter().map(read).collect::<Result<_, std::io::Error>>()?;
    let files: Vec<SourceFile<'_>> = texts
        .iter()
        .map(|(name, text)| SourceFile::parse(name, text, bedside_language::normalized_built_in))
        .collect::<Result<_, _>>()?;
    let mut bundle = Bundle::default().with(&files)?;
    let similar = fs::read_to_string("data/similar_words.txt")?;
    let similar = similar
        .lines()
        .filter(|it| !it.starts_with('#') && !it.is_empty());
    let literals = bundle.lexicon.tables.iter().flat_map(|it| it.latin_literals());
    bundle.words = vec![WordTable::new(literals, similar)];
    let tables = postcard::to_allocvec(&bundle)?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("rules.bin"), tables)?;
    fs::write(Path::new(&out).join("messages.rs"), messages()?)?;
    Ok(())
}

/// The second reader's messages as Rust: names of batches and their lines.
fn messages() -> Result<String, Box<dyn std::error::Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("data/messages");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|it| Ok(it?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort_unstable();
    let lines = files.iter().filter_map(|it| {
        let name = it.file_stem()?.to_str()?;
        Some(format!("({name:?}, include_str!({:?})),\n", it.to_str()?))
    });
    Ok(format!("&[{}]", lines.collect::<String>()))
}
