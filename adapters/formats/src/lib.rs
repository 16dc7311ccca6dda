//! Adapters as they are saved, in one form whatever the format: PEFT's LoRA and prefix tuning, the MergedLinear of
//! PEFT 0.2 that DoctorGLM shipped, ChatGLM's P-tuning v2, and GGUF files as llama.cpp reads them.
//!
//! ```text
//! SavedAdapter::open(path) → SavedAdapter { updates: B A of a linear, prefix: keys and values } → core/model
//! ```
#![forbid(unsafe_code)]

mod config;
mod gguf;
mod merged_linear;
mod names;
mod peft;
mod ptuning;
mod write;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use bedside_tensors::{
    checkpoint::{Checkpoint, CheckpointError},
    gguf::{GgufError, WriteError},
};
use serde::Serialize;

pub use write::{ModulePaths, write_gguf, write_peft_lora, write_peft_prefix, write_ptuning};

/// One adapter, with nothing of its base assumed.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedAdapter {
    pub path: PathBuf,
    pub format: Format,
    pub base: BaseClaim,
    pub updates: Vec<SavedUpdate>,
    pub prefix: Option<SavedPrefix>,
    pub order: RowOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `adapter_config.json` with `peft_type` LORA.
    PeftLora,
    /// The same with `enable_lora`: PEFT 0.2, DoctorGLM.
    MergedLinear,
    /// `adapter_config.json` with `peft_type` PREFIX_TUNING.
    PeftPrefix,
    /// `prefix_encoder` of ChatGLM's own training code.
    PTuningV2,
    Gguf,
}

/// What an adapter says of the model that it was trained for; mostly little.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BaseClaim {
    /// A name or path.
    pub name: Option<String>,
    /// As GGUF files name it.
    pub architecture: Option<String>,
    /// Of the base's file, as Bedside's own trainer writes it.
    pub sha256: Option<String>,
}

/// `output += scale · B (A input)`.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedUpdate {
    /// The tensor's name without its end, for messages.
    pub name: String,
    pub layer: usize,
    pub linear: SavedLinear,
    pub rank: usize,
    pub scale: f32,
    /// Of A.
    pub columns: usize,
    /// Of B.
    pub rows: usize,
    /// rank × columns.
    pub a: Vec<f32>,
    /// rows × rank, without the scale.
    pub b: Vec<f32>,
}

/// The matrices of a layer that adapters are saved for; some families keep several as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedLinear {
    Query,
    Key,
    Value,
    QueryKeyValue,
    Output,
    Gate,
    Up,
    GateUp,
    Down,
}

/// Keys and values before a sequence's own.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPrefix {
    pub tokens: usize,
    /// Numbers of one token: keys and values of each layer in turn.
    pub width: usize,
    /// tokens × width.
    pub numbers: Vec<f32>,
    /// PEFT counts the text's places from behind the prefix, P-tuning v2 from 0.
    pub takes_positions: bool,
}

/// In which order rows of queries and keys lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Of the published checkpoint.
    Checkpoint,
    /// Of the GGUF file; llama's lie differently there.
    Gguf,
}

#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(
        "{path}: no adapter: {problem}; known are PEFT's LoRA and prefix tuning, MergedLinear, ChatGLM's P-tuning v2 and GGUF"
    )]
    NotAnAdapter { path: PathBuf, problem: String },
    #[error("{path}: {problem}")]
    Config { path: PathBuf, problem: String },
    #[error("{path}: {key} is {found}, {problem}")]
    Unsupported {
        path: PathBuf,
        key: String,
        found: String,
        /// What that means, and what to do.
        problem: String,
    },
    #[error("{path}: tensor {tensor}: {problem}")]
    Tensor {
        path: PathBuf,
        tensor: String,
        problem: String,
    },
}

impl SavedAdapter {
    /// Reads an adapter: a folder, or a file of it.
    ///
    /// # Errors
    /// [`FormatError`], with the file and what in it cannot be used.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        if path.is_file() && gguf::is_gguf(path)? {
            return gguf::read(path);
        }
        let folder = if path.is_dir() {
            path
        } else {
            path.parent().unwrap_or(Path::new("."))
        };
        let config = config::AdapterConfig::read(folder)?;
        let checkpoint = Checkpoint::open(&config::weights(path)?).map_err(|error| empty(path, error))?;
        let adapter = match (ptuning::embedding(&checkpoint), config) {
            // A prefix needs no config, and may lie in a folder with other things.
            (Some(embedding), _) => ptuning::read(&checkpoint, embedding),
            (None, Some(config)) if config.is_merged_linear() => merged_linear::read(&checkpoint, &config),
            (None, Some(config)) => peft::read(&checkpoint, &config),
            (None, None) => match ptuning::embedding_alone(&checkpoint) {
                Some(embedding) => ptuning::read(&checkpoint, embedding),
                None => Err(FormatError::NotAnAdapter {
                    path: path.to_owned(),
                    problem: "there is neither adapter_config.json nor a prefix_encoder's embedding.weight"
                        .to_owned(),
                }),
            },
        }?;
        if adapter.updates.is_empty() && adapter.prefix.is_none() {
            return Err(FormatError::NotAnAdapter {
                path: path.to_owned(),
                problem: "it holds no tensors of an adapter".to_owned(),
            });
        }
        Ok(adapter)
    }

    /// Numbers that were trained.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let updates = self.updates.iter().map(|it| it.a.len() + it.b.len());
        updates.sum::<usize>() + self.prefix.as_ref().map_or(0, |it| it.numbers.len())
    }
}

/// Says where adapters are, if a folder without one has folders with some.
fn empty(path: &Path, error: CheckpointError) -> FormatError {
    let within = match error {
        CheckpointError::EmptyFolder { .. } => config::adapters_within(path),
        _ => Vec::new(),
    };
    if within.is_empty() {
        return error.into();
    }
    FormatError::NotAnAdapter {
        path: path.to_owned(),
        problem: format!(
            "adapters are in the folders within: {}; name one of them",
            within.join(", ")
        ),
    }
}

impl fmt::Display for SavedLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::QueryKeyValue => "query, key and value",
            Self::Output => "output",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::GateUp => "gate and up",
            Self::Down => "down",
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeftLora => "LoRA (PEFT)",
            Self::MergedLinear => "LoRA (MergedLinear of PEFT 0.2)",
            Self::PeftPrefix => "prefix tuning (PEFT)",
            Self::PTuningV2 => "P-tuning v2 (ChatGLM)",
            Self::Gguf => "GGUF",
        })
    }
}

#[cfg(test)]
mod tests;
