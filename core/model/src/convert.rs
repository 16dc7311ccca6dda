//! Checkpoints as they are published, Hugging Face folders above all, as GGUF files: `bedside model convert`.
//!
//! What llama.cpp has a name for is written as llama.cpp's own converter writes it; ChatGLM-6B, which it does not
//! know, as architecture `chatglm1`.

mod config;
mod families;
mod plan;
mod quantized;
mod source;
mod vocabulary;

use std::path::{Path, PathBuf};

use bedside_tensors::{
    checkpoint::{Checkpoint, CheckpointError},
    gguf::{Entry, GgufError, GgufFile, GgufWriter, PlannedTensor, WriteError},
};
use candle_core::quantized::GgmlDType;

use crate::{
    pull::Progress,
    quantize::{Quantization, encode},
    tokenizer::{Tokenizer, TokenizerError},
};

pub use config::ConfigError;
use config::ModelConfig;
use plan::Plan;
use source::Source;
pub use vocabulary::VocabularyError;

/// How a checkpoint is converted.
#[derive(Debug, Clone, Default)]
pub struct Conversion {
    /// The kind of its weights; left out, they keep the precision that they have.
    pub quantization: Option<Quantization>,
    /// Where `config.json` lies, if not beside the weights: DoctorGLM's merged weights, for one, are a single file for
    /// the folder of ChatGLM-6B.
    pub config_from: Option<PathBuf>,
    /// A GGUF file of the same base, whose tokenizer and chat template are taken instead of the folder's own.
    pub tokenizer_from: Option<PathBuf>,
    /// ChatGLM-6B: places are counted as its code of March 2023 did.
    pub legacy_positions: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    pub architecture: String,
    pub tensors: usize,
    pub bytes: u64,
    /// What the user should know.
    pub notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    VocabularyFiles(#[from] VocabularyError),
    #[error("{path}: it has {tokens} tokens, the weights only {rows}; it is another model's tokenizer")]
    Vocabulary {
        path: PathBuf,
        tokens: usize,
        rows: usize,
    },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("{path}: tensor {tensor} is missing; is the download whole?")]
    Missing { path: PathBuf, tensor: String },
    #[error("{path}: tensor {tensor} has shape {found:?}, by its config.json it should be {wanted:?}")]
    Shape {
        path: PathBuf,
        tensor: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
    #[error("{path}: tensor {tensor}: {problem}")]
    Tensor {
        path: PathBuf,
        tensor: String,
        problem: String,
    },
    #[error(
        "{path}: the checkpoint is quantized by {method} (tensor {tensor}), which is not read: convert the 16-bit \
         checkpoint that it was made from, and have it quantized by Bedside with --to"
    )]
    Quantized {
        path: PathBuf,
        method: String,
        tensor: String,
    },
    #[error(
        "{path}: {count} tensors have no place in a model of the family {family}, {tensor} for one; \
         it may be changed in a way that cannot be kept"
    )]
    Unknown {
        path: PathBuf,
        family: String,
        count: usize,
        tensor: String,
    },
}

/// Numbers that are read and encoded at a time.
const PIECE: usize = 1 << 22;

/// Writes the GGUF file of a checkpoint, with its tokenizer and chat template. Tensors go through memory piece by
/// piece, so a model may be larger than the machine's memory.
///
/// # Errors
/// [`ConvertError`]; `target` is then as it was.
pub fn convert(
    source: &Path,
    target: &Path,
    conversion: &Conversion,
    progress: &dyn Progress,
) -> Result<Converted, ConvertError> {
    let beside = if source.is_dir() {
        source
    } else {
        source.parent().unwrap_or(Path::new("."))
    };
    let folder = conversion.config_from.as_deref().unwrap_or(beside);
    let config = ModelConfig::read(folder)?;
    let converted = convert_as(&config, folder, source, target, conversion, progress);
    converted.map_err(|error| quantized::explain(error, &config))
}

/// With the config of a folder.
fn convert_as(
    config: &ModelConfig,
    folder: &Path,
    source: &Path,
    target: &Path,
    conversion: &Conversion,
    progress: &dyn Progress,
) -> Result<Converted, ConvertError> {
    let checkpoint = Checkpoint::open(source)?;
    let mut plan = families::plan(config, &checkpoint, conversion)?;
    let rows = plan.vocabulary_rows();
    let vocabulary = match &conversion.tokenizer_from {
        Some(path) => tokenizer_of(path, rows)?,
        None => {
            let read = vocabulary::of_folder(folder, plan.architecture, rows)?;
            plan.notes.extend(read.notes);
            read.metadata
        }
    };
    write(target, &plan, &checkpoint, vocabulary, conversion, progress)
}

/// What a GGUF file says of its tokenizer, chat template included.
fn tokenizer_of(path: &Path, rows: usize) -> Result<Vec<(String, Entry)>, ConvertError> {
    let gguf = GgufFile::open(path)?;
    let tokens = Tokenizer::from_gguf(&gguf)?.size();
    if tokens > rows {
        return Err(ConvertError::Vocabulary {
            path: path.to_owned(),
            tokens,
            rows,
        });
    }
    let keys = gguf.keys().filter(|it| it.starts_with("tokenizer."));
    let entry = |key: &str| Some((key.to_owned(), Entry::Raw(gguf.entry(key)?.to_vec())));
    Ok(keys.filter_map(entry).collect())
}

/// Weights alone.
#[cfg(test)]
pub(crate) fn convert_weights(
    source: &Path,
    target: &Path,
    conversion: &Conversion,
) -> Result<Converted, ConvertError> {
    let folder = conversion.config_from.as_deref().unwrap_or(source);
    let config = ModelConfig::read(folder)?;
    let converted = Checkpoint::open(source)
        .map_err(ConvertError::from)
        .and_then(|checkpoint| {
            let plan = families::plan(&config, &checkpoint, conversion)?;
            write(
                target,
                &plan,
                &checkpoint,
                Vec::new(),
                conversion,
                &crate::NoProgress,
            )
        });
    converted.map_err(|error| quantized::explain(error, &config))
}

fn write(
    target: &Path,
    plan: &Plan,
    checkpoint: &Checkpoint,
    vocabulary: Vec<(String, Entry)>,
    conversion: &Conversion,
    progress: &dyn Progress,
) -> Result<Converted, ConvertError> {
    let sources = plan
        .tensors
        .iter()
        .map(|it| Source::of(checkpoint, &plan.prefix, it))
        .collect::<Result<Vec<_>, _>>()?;
    let tied = !plan.tensors.iter().any(|it| it.name == "output.weight");
    let computed = plan.computed.iter().map(|(name, numbers)| PlannedTensor {
        name: name.clone(),
        dtype: GgmlDType::F32,
        shape: vec![numbers.len()],
    });
    let from_checkpoint: Vec<_> = plan
        .tensors
        .iter()
        .zip(&sources)
        .map(|(tensor, source)| PlannedTensor {
            name: tensor.name.clone(),
            dtype: match conversion.quantization {
                Some(it) => it.dtype(plan.sizes, tied, &tensor.name, &tensor.shape, source.dtype()),
                None => source.dtype(),
            },
            shape: tensor.shape.clone(),
        })
        .collect();
    let planned: Vec<_> = computed.chain(from_checkpoint.iter().cloned()).collect();
    let mut metadata = plan.metadata.clone();
    metadata.extend(vocabulary);
    if let Some(quantization) = conversion.quantization {
        metadata.extend(quantization.metadata());
    }
    progress.phase("converting");
    progress.total(planned.iter().map(PlannedTensor::bytes).sum());
    let mut writer = GgufWriter::create(target, &metadata, planned.clone())?;
    for (_, numbers) in &plan.computed {
        let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        writer.write(&bytes)?;
    }
    for (planned, source) in from_checkpoint.iter().zip(&sources) {
        let (rows, columns) = source.matrix();
        let data = source.bytes()?;
        let piece = (PIECE / columns.max(1)).max(1);
        for first in (0..rows).step_by(piece) {
            let numbers = source.rows(&data, first..rows.min(first + piece));
            let encoded =
                encode(&numbers, columns, planned.dtype).map_err(|problem| ConvertError::Tensor {
                    path: checkpoint.path().to_owned(),
                    tensor: source.name().to_owned(),
                    problem,
                })?;
            writer.write(&encoded)?;
            progress.advance(encoded.len() as u64);
        }
        drop(data);
        source.release();
    }
    writer.finish()?;
    Ok(Converted {
        architecture: plan.architecture.to_owned(),
        tensors: planned.len(),
        bytes: planned.iter().map(PlannedTensor::bytes).sum(),
        notes: plan.notes.clone(),
    })
}

#[cfg(test)]
mod tests;
