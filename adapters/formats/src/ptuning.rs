//! P-tuning v2 as ChatGLM's own code saves it (Liu et al., 2022): `prefix_encoder`, with a projection or without,
//! within the whole model's checkpoint or alone, then also without the names that stood before its own.

use bedside_tensors::checkpoint::Checkpoint;

use crate::{
    BaseClaim, Format, FormatError, RowOrder, SavedAdapter, SavedPrefix,
    peft::{bad, matrix},
};

const WITHIN_MODEL: &str = "prefix_encoder.embedding.weight";
const ALONE: &str = "embedding.weight";

/// What may stand before the names of a prefix encoder that is saved alone, each with a dot behind it.
const WRAPPERS: [&str; 7] = [
    "_forward_module",
    "_orig_mod",
    "base_model",
    "model",
    "module",
    "state_dict",
    "transformer",
];

/// The name of a prefix encoder's embedding, whatever else is in the checkpoint.
pub(crate) fn embedding(checkpoint: &Checkpoint) -> Option<&str> {
    let mut names = checkpoint.tensors().keys();
    names.find(|it| it.ends_with(WITHIN_MODEL)).map(String::as_str)
}

/// That of one whose names have lost their `prefix_encoder.`, as ChatGLM's own code strips them before it loads
/// them: nothing else may be in the checkpoint, since other models have an embedding, too.
pub(crate) fn embedding_alone(checkpoint: &Checkpoint) -> Option<&str> {
    let mut names = checkpoint.tensors().keys();
    let (name, at) = names.find_map(|it| Some((it.as_str(), it.strip_suffix(ALONE)?)))?;
    let is_whole = at.is_empty() || at.ends_with('.');
    let is_wrapped = at.split_terminator('.').all(|it| WRAPPERS.contains(&it));
    let is_alone = checkpoint.tensors().keys().all(|it| {
        it.strip_prefix(at)
            .is_some_and(|it| it == ALONE || it.starts_with("trans."))
    });
    (is_whole && is_wrapped && is_alone).then_some(name)
}

/// `name` is that of its embedding.
pub(crate) fn read(checkpoint: &Checkpoint, name: &str) -> Result<SavedAdapter, FormatError> {
    let (tokens, mut width) = matrix(checkpoint, name)?;
    let mut numbers = checkpoint.floats(name)?;
    let at = name.strip_suffix(ALONE).unwrap_or(name);
    if checkpoint.tensors().contains_key(&format!("{at}trans.0.weight")) {
        for layer in ["trans.0", "trans.2"] {
            let linear = Linear::read(checkpoint, &format!("{at}{layer}"))?;
            numbers = linear.apply(checkpoint, &numbers, width)?;
            width = linear.rows;
            if layer == "trans.0" {
                numbers.iter_mut().for_each(|it| *it = it.tanh());
            }
        }
    }
    Ok(SavedAdapter {
        path: checkpoint.path().to_owned(),
        format: Format::PTuningV2,
        base: BaseClaim::default(),
        updates: Vec::new(),
        prefix: Some(SavedPrefix {
            tokens,
            width,
            numbers,
            takes_positions: false,
        }),
        order: RowOrder::Checkpoint,
    })
}

/// One layer of the projection.
struct Linear {
    name: String,
    rows: usize,
    columns: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    fn read(checkpoint: &Checkpoint, name: &str) -> Result<Self, FormatError> {
        let weight = format!("{name}.weight");
        let (rows, columns) = matrix(checkpoint, &weight)?;
        Ok(Self {
            name: weight.clone(),
            rows,
            columns,
            weight: checkpoint.floats(&weight)?,
            bias: checkpoint.floats(&format!("{name}.bias"))?,
        })
    }

    fn apply(&self, checkpoint: &Checkpoint, input: &[f32], width: usize) -> Result<Vec<f32>, FormatError> {
        if self.columns != width || self.bias.len() != self.rows {
            let problem = format!(
                "it is {} × {} with {} numbers of bias, its input has {width}",
                self.rows,
                self.columns,
                self.bias.len()
            );
            return Err(bad(checkpoint, &self.name, problem));
        }
        let mut output = Vec::with_capacity(input.len() / width * self.rows);
        for row in input.chunks_exact(width) {
            let products = self.weight.chunks_exact(width).zip(&self.bias);
            output.extend(products.map(|(weights, bias)| {
                let sum: f64 = weights.iter().zip(row).map(|(a, b)| f64::from(a * b)).sum();
                sum as f32 + bias
            }));
        }
        Ok(output)
    }
}
