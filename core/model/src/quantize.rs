//! A model's weights in fewer bits, as `bedside model quantize` and `convert` write them.

mod encode;
mod recipe;

use std::{io, path::Path};

use bedside_tensors::gguf::{Entry, GgufError, GgufFile, GgufWriter, PlannedTensor, WriteError};

use crate::{
    adapters::QUANTIZED_FROM,
    decoder::{DecoderError, Description},
    pull::{Progress, PullError, sha256},
};

pub(crate) use encode::encode;
pub use recipe::Quantization;
pub(crate) use recipe::Sizes;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantized {
    pub tensors: usize,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Description(#[from] DecoderError),
    #[error(transparent)]
    Checksum(#[from] PullError),
    #[error("tensor {tensor}: {problem}")]
    Encode { tensor: String, problem: String },
    #[error("{0}: the source cannot be the target, too")]
    Same(String),
    #[error("threads cannot be started: {0}")]
    Threads(io::Error),
}

/// Numbers that are encoded at a time.
const PIECE: usize = 1 << 22;

/// Writes a model with its matrices in another precision; all else stays as it is. No more than a piece of one
/// tensor is in memory at a time.
///
/// # Errors
/// [`QuantizeError`]; `target` is then as it was.
pub fn quantize(
    source: &Path,
    target: &Path,
    quantization: Quantization,
    progress: &dyn Progress,
) -> Result<Quantized, QuantizeError> {
    let same = |path: &Path| path.canonicalize().ok();
    if same(source).is_some() && same(source) == same(target) {
        return Err(QuantizeError::Same(source.display().to_string()));
    }
    let gguf = GgufFile::open(source)?;
    let sizes = Sizes::from(&Description::read(&gguf)?);
    let tied = !gguf.has_tensor("output.weight");
    // As they lie in the source, which is read from front to back.
    let mut order: Vec<_> = gguf.tensors().iter().collect();
    order.sort_by_key(|(_, it)| (it.part, it.offset));
    let planned: Vec<_> = order
        .iter()
        .map(|(name, it)| PlannedTensor {
            name: (*name).clone(),
            dtype: quantization.dtype(sizes, tied, name, &it.shape, it.dtype),
            shape: it.shape.clone(),
        })
        .collect();
    let mut metadata: Vec<_> = gguf
        .keys()
        .filter(|key| {
            ![
                "general.file_type",
                "general.quantization_version",
                "general.alignment",
            ]
            .contains(key)
                // What is written is one file.
                && !key.starts_with("split.")
        })
        .filter_map(|key| Some((key.to_owned(), Entry::Raw(gguf.entry(key)?.to_vec()))))
        .collect();
    metadata.retain(|(key, _)| key != QUANTIZED_FROM);
    metadata.push((
        QUANTIZED_FROM.to_owned(),
        Entry::Texts(ancestors(&gguf, source, progress)?),
    ));
    metadata.extend(quantization.metadata());
    progress.phase("quantizing");
    progress.total(order.iter().map(|(_, it)| it.bytes).sum());
    let mut writer = GgufWriter::create(target, &metadata, planned.clone())?;
    for plan in &planned {
        let (dtype, data) = gguf.tensor_data(&plan.name, &plan.shape)?;
        if dtype == plan.dtype {
            writer.write(data)?;
            progress.advance(data.len() as u64);
        } else {
            let columns = plan.shape.last().copied().unwrap_or(1);
            let row = (columns / dtype.block_size() * dtype.type_size()).max(1);
            for rows in data.chunks(row * (PIECE / columns.max(1)).max(1)) {
                let failed = |problem: String| QuantizeError::Encode {
                    tensor: plan.name.clone(),
                    problem,
                };
                let encoded = encode::recode(rows, columns, dtype, plan.dtype).map_err(failed)?;
                writer.write(&encoded)?;
                progress.advance(rows.len() as u64);
            }
        }
        gguf.release(&plan.name);
    }
    writer.finish()?;
    Ok(Quantized {
        tensors: planned.len(),
        bytes_before: order.iter().map(|(_, it)| it.bytes).sum(),
        bytes_after: planned.iter().map(PlannedTensor::bytes).sum(),
    })
}

/// Checksums of the source and of what that was made from, so that adapters of any of them are known to fit.
fn ancestors(gguf: &GgufFile, source: &Path, progress: &dyn Progress) -> Result<Vec<String>, QuantizeError> {
    let mut ancestors = vec![sha256(source, progress)?];
    if gguf.value(QUANTIZED_FROM).is_some() {
        ancestors.extend(gguf.texts(QUANTIZED_FROM)?.iter().cloned());
    }
    Ok(ancestors)
}

#[cfg(test)]
mod tests;
