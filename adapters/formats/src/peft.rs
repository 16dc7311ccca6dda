//! PEFT's own files: LoRA (Hu et al., 2021), with rank-stabilized scales (Kalajdzievski, 2023) and patterns, and
//! prefix tuning (Li and Liang, 2021).

use std::collections::BTreeMap;

use bedside_tensors::checkpoint::Checkpoint;

use crate::{
    Format, FormatError, RowOrder, SavedAdapter, SavedPrefix, SavedUpdate, config::AdapterConfig, names,
};

pub(crate) fn read(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    match config.kind() {
        "LORA" => lora(checkpoint, config),
        "PREFIX_TUNING" => prefix(checkpoint, config),
        _ => Err(config.unsupported("peft_type")),
    }
}

fn lora(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    config.check_maths()?;
    let mut updates = Vec::new();
    for (module, pair) in pairs(checkpoint)? {
        let name = pair.a.trim_end_matches(".weight").trim_end_matches(".lora_A");
        let (layer, linear) = names::of_module(&module)
            .ok_or_else(|| bad(checkpoint, &pair.a, "only the linears of layers can be adapted"))?;
        let (rank, columns) = matrix(checkpoint, &pair.a)?;
        let (rows, of_b) = matrix(checkpoint, &pair.b)?;
        let (wanted, alpha) = config.rank_and_alpha(&module)?;
        if rank != wanted || of_b != wanted {
            let problem = format!(
                "lora_A has rank {rank}, lora_B {of_b}, by adapter_config.json it should be {wanted}"
            );
            return Err(bad(checkpoint, name, problem));
        }
        let divisor = if config.is("use_rslora") {
            (rank as f32).sqrt()
        } else {
            rank as f32
        };
        updates.push(SavedUpdate {
            name: name.to_owned(),
            layer,
            linear,
            rank,
            scale: alpha / divisor,
            columns,
            rows,
            a: checkpoint.floats(&pair.a)?,
            b: checkpoint.floats(&pair.b)?,
        });
    }
    Ok(SavedAdapter {
        path: checkpoint.path().to_owned(),
        format: Format::PeftLora,
        base: config.base(),
        updates,
        prefix: None,
        order: RowOrder::Checkpoint,
    })
}

/// The two halves of an update by their tensors' names.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) a: String,
    pub(crate) b: String,
}

/// By the module's path in its model. Anything that is no half is an error.
pub(crate) fn pairs(checkpoint: &Checkpoint) -> Result<BTreeMap<String, Pair>, FormatError> {
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for tensor in checkpoint.tensors().keys() {
        let name = tensor.strip_suffix(".weight").unwrap_or(tensor);
        let name = name.strip_suffix(".default").unwrap_or(name);
        let half = name.strip_suffix(".lora_A").map(|it| (it, true));
        let half = half.or_else(|| name.strip_suffix(".lora_B").map(|it| (it, false)));
        let Some((module, first)) = half else {
            return Err(bad(checkpoint, tensor, "it is no part of a LoRA of linears"));
        };
        let module = module.rsplit_once("base_model.model.").map_or(module, |it| it.1);
        let pair = pairs.entry(module.to_owned()).or_default();
        let place = if first { &mut pair.a } else { &mut pair.b };
        if !place.is_empty() {
            return Err(bad(checkpoint, tensor, format!("so is {place}")));
        }
        tensor.clone_into(place);
    }
    for (module, pair) in &pairs {
        if pair.a.is_empty() || pair.b.is_empty() {
            return Err(bad(checkpoint, module, "one of lora_A and lora_B is missing"));
        }
    }
    Ok(pairs)
}

pub(crate) fn matrix(checkpoint: &Checkpoint, name: &str) -> Result<(usize, usize), FormatError> {
    let shape = checkpoint.tensors().get(name).map(|it| it.shape.as_slice());
    match shape {
        Some([rows, columns] | [rows, columns, 1]) if *rows > 0 && *columns > 0 => Ok((*rows, *columns)),
        other => {
            let shape = other.unwrap_or_default();
            Err(bad(
                checkpoint,
                name,
                format!("its shape is {shape:?}, a matrix is needed"),
            ))
        }
    }
}

pub(crate) fn bad(checkpoint: &Checkpoint, tensor: &str, problem: impl Into<String>) -> FormatError {
    FormatError::Tensor {
        path: checkpoint.path().to_owned(),
        tensor: tensor.to_owned(),
        problem: problem.into(),
    }
}

fn prefix(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    const TENSOR: &str = "prompt_embeddings";
    let (tokens, width) = matrix(checkpoint, TENSOR)?;
    let wanted = (
        config.size("num_virtual_tokens")?,
        2 * config.size("num_layers")? * config.size("token_dim")?,
    );
    if (tokens, width) != wanted {
        let problem = format!(
            "its shape is {:?}, by adapter_config.json it should be {wanted:?}",
            (tokens, width)
        );
        return Err(bad(checkpoint, TENSOR, problem));
    }
    Ok(SavedAdapter {
        path: checkpoint.path().to_owned(),
        format: Format::PeftPrefix,
        base: config.base(),
        updates: Vec::new(),
        prefix: Some(SavedPrefix {
            tokens,
            width,
            numbers: checkpoint.floats(TENSOR)?,
            takes_positions: true,
        }),
        order: RowOrder::Checkpoint,
    })
}
