//! Batches of labelled messages.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bedside_triage::Disposition;
use serde::Deserialize;

/// One labelled message.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) text: String,
    #[serde(alias = "gold")]
    pub(crate) disposition: Disposition,
    /// Ids or names.
    #[serde(default)]
    pub(crate) departments: Vec<String>,
}

/// The batches of a folder in the order of their names.
pub(crate) fn batches_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|it| Some(it.ok()?.path()))
        .filter(|it| it.extension().is_some_and(|it| it == "jsonl"))
        .collect();
    files.sort();
    Ok(files)
}

pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Case>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    text.lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
        .map(|(line, number)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}:{number} is no labelled message", file.display()))
        })
        .collect()
}
