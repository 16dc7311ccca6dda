//! Saved adapters made ready for a model, and written in other formats.

mod fit;
mod save;

use std::path::{Path, PathBuf};

use bedside_formats::{Format, FormatError, SavedAdapter};

use crate::{
    decoder::{Adapter, AdapterError, Description},
    gguf::{GgufError, GgufFile},
    model::Model,
    pull::{Progress, PullError, sha256},
};

pub use bedside_formats as formats;
pub use fit::{Fitted, fit};
pub use save::{Target, save};

/// Key of a GGUF file: checksums of the files that it was quantized from, nearest first.
pub const QUANTIZED_FROM: &str = "bedside.quantized_from.sha256";

#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Checksum(#[from] PullError),
    #[error("{path}: it is for the architecture `{found}`, the model is `{wanted}`")]
    Architecture {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error(
        "{path}: it was trained for the base with SHA-256 {wanted}; {base} has {found} and was not quantized from that"
    )]
    OtherBase {
        path: PathBuf,
        wanted: String,
        base: PathBuf,
        found: String,
    },
    #[error(
        "{path}: {tensor}: it changes a matrix of {found_rows} × {found_columns}, that of this model ({architecture}) \
         is {rows} × {columns}; it is for another base"
    )]
    Shape {
        path: PathBuf,
        tensor: String,
        architecture: String,
        found_rows: usize,
        found_columns: usize,
        rows: usize,
        columns: usize,
    },
    #[error(
        "{path}: a token of its prefix has {found} numbers, this model ({architecture}: {layers} layers of {width} for \
         keys and as many for values) needs {wanted}; it is for another base"
    )]
    PrefixWidth {
        path: PathBuf,
        architecture: String,
        found: usize,
        wanted: usize,
        layers: usize,
        width: usize,
    },
    #[error("{path}: {error}")]
    Adapter { path: PathBuf, error: AdapterError },
    #[error("{path}: {problem}")]
    Unusable { path: PathBuf, problem: String },
}

/// Reads an adapter of whatever format for a model.
///
/// # Errors
/// [`FitError`], which names the file and what in it does not fit.
pub fn load(path: &Path, model: &Model, progress: &dyn Progress) -> Result<Adapter, FitError> {
    let saved = SavedAdapter::open(path)?;
    check_base(&saved, &model.facts.path, progress)?;
    let description = model.decoder.description();
    let fitted = fit(&saved, description)?;
    fitted.adapter(path, description)
}

/// Refuses an adapter that says that it was trained for another file.
///
/// # Errors
/// [`FitError::OtherBase`] with both checksums.
pub fn check_base(saved: &SavedAdapter, base: &Path, progress: &dyn Progress) -> Result<(), FitError> {
    let Some(wanted) = &saved.base.sha256 else {
        return Ok(());
    };
    let gguf = GgufFile::open(base)?;
    let from_it = match gguf.value(QUANTIZED_FROM) {
        Some(_) => gguf.texts(QUANTIZED_FROM)?.contains(wanted),
        None => false,
    };
    let found = sha256(base, progress)?;
    if from_it || found == *wanted {
        return Ok(());
    }
    Err(FitError::OtherBase {
        path: saved.path.clone(),
        wanted: wanted.clone(),
        base: base.to_owned(),
        found,
    })
}

/// What `bedside adapter inspect` tells.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AdapterInspection {
    pub format: Format,
    pub base: formats::BaseClaim,
    pub parameters: usize,
    /// Ranks that occur, and the factors that products are multiplied with.
    pub ranks: Vec<usize>,
    pub scales: Vec<f32>,
    pub layers: usize,
    pub linears: Vec<formats::SavedLinear>,
    /// Tokens before every text.
    pub prefix_tokens: usize,
    /// In the memory of a bot that runs the given base.
    pub memory_bytes: Option<usize>,
}

/// Reads an adapter, and whether it fits a base if one is given.
///
/// # Errors
/// [`FitError`].
pub fn inspect(
    path: &Path,
    base: Option<&Path>,
    progress: &dyn Progress,
) -> Result<AdapterInspection, FitError> {
    let saved = SavedAdapter::open(path)?;
    let mut memory_bytes = None;
    if let Some(base) = base {
        check_base(&saved, base, progress)?;
        let description = describe(base)?;
        let adapter = fit(&saved, &description)?.adapter(path, &description)?;
        memory_bytes = Some(adapter.bytes());
    }
    let mut ranks: Vec<_> = saved.updates.iter().map(|it| it.rank).collect();
    let mut scales: Vec<_> = saved.updates.iter().map(|it| it.scale).collect();
    let mut layers: Vec<_> = saved.updates.iter().map(|it| it.layer).collect();
    let mut linears: Vec<_> = saved.updates.iter().map(|it| it.linear).collect();
    ranks.sort_unstable();
    scales.sort_by(f32::total_cmp);
    layers.sort_unstable();
    linears.sort_unstable();
    ranks.dedup();
    scales.dedup();
    layers.dedup();
    linears.dedup();
    Ok(AdapterInspection {
        format: saved.format,
        parameters: saved.parameters(),
        ranks,
        scales,
        layers: layers.len(),
        linears,
        prefix_tokens: saved.prefix.as_ref().map_or(0, |it| it.tokens),
        memory_bytes,
        base: saved.base,
    })
}

/// Writes an adapter in another format, for the base that it belongs to: rows lie in another order in files of other
/// formats.
///
/// # Errors
/// [`FitError`].
pub fn convert(path: &Path, base: &Path, target: &Target, progress: &dyn Progress) -> Result<(), FitError> {
    let saved = SavedAdapter::open(path)?;
    check_base(&saved, base, progress)?;
    let description = describe(base)?;
    save(&fit(&saved, &description)?, &description, &saved.base, target)
}

fn describe(base: &Path) -> Result<Description, FitError> {
    let gguf = GgufFile::open(base)?;
    Description::read(&gguf).map_err(|error| FitError::Unusable {
        path: base.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
