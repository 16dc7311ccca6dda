//! Checkpoints that others have quantized, in forms that are not read.

use std::path::PathBuf;

use bedside_tensors::checkpoint::CheckpointError;

use super::{ConvertError, config::ModelConfig};

/// Ends of names that only such checkpoints have, and whose they are.
const MARKS: [(&str, &str); 12] = [
    (".g_idx", "GPTQ"),
    (".qweight", "GPTQ or AWQ"),
    (".qzeros", "GPTQ or AWQ"),
    ("absmax", "bitsandbytes"),
    (".quant_map", "bitsandbytes"),
    (".SCB", "bitsandbytes"),
    (".weight_format", "bitsandbytes"),
    (".weight_packed", "compressed-tensors"),
    (".weight_scale_inv", "fp8"),
    (".W_q", "HQQ"),
    (".codebooks", "AQLM"),
    ("_blocks", "MXFP4"),
];

/// Says that a checkpoint is quantized where that is why its tensors do not fit.
///
/// What `config.json` says alone is no reason: weights that were merged in 16 bits often have that of the training's
/// quantized base beside them.
pub(super) fn explain(error: ConvertError, config: &ModelConfig) -> ConvertError {
    let Some((path, tensor)) = place(&error) else {
        return error;
    };
    let mark = MARKS.iter().find(|(end, _)| tensor.ends_with(end)).map(|it| it.1);
    match config.quantization().or(mark.map(str::to_owned)) {
        Some(method) => ConvertError::Quantized { path, method, tensor },
        None => error,
    }
}

/// The tensor that does not fit.
fn place(error: &ConvertError) -> Option<(PathBuf, String)> {
    match error {
        ConvertError::Checkpoint(CheckpointError::Tensor { path, tensor, .. })
        | ConvertError::Missing { path, tensor }
        | ConvertError::Shape { path, tensor, .. }
        | ConvertError::Tensor { path, tensor, .. }
        | ConvertError::Unknown { path, tensor, .. } => Some((path.clone(), tensor.clone())),
        _ => None,
    }
}
