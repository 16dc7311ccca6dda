//! The way back: a fitted adapter in the formats that others read.

use std::path::PathBuf;

use bedside_formats::{
    BaseClaim, Format, ModulePaths, RowOrder, SavedAdapter, SavedLinear, SavedPrefix, SavedUpdate,
    write_gguf, write_peft_lora, write_peft_prefix, write_ptuning,
};

use super::{FitError, Fitted, fit::checkpoint_rows};
use crate::{
    decoder::{Description, LinearKind, LowRankUpdate, Positions, PrefixTensors},
    rows::Rows,
};

/// Where an adapter is written to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// For llama.cpp and Bedside.
    Gguf(PathBuf),
    /// A folder: PEFT for LoRA and for prefixes that take places, else ChatGLM's P-tuning v2.
    Folder(PathBuf),
}

/// # Errors
/// If it cannot be written so.
pub fn save(
    fitted: &Fitted,
    description: &Description,
    base: &BaseClaim,
    target: &Target,
) -> Result<(), FitError> {
    let (order, path) = match target {
        Target::Gguf(path) => (RowOrder::Gguf, path),
        Target::Folder(path) => (RowOrder::Checkpoint, path),
    };
    let saved = SavedAdapter {
        path: path.clone(),
        format: Format::Gguf,
        base: base.clone(),
        updates: updates(fitted, description, order),
        prefix: fitted.prefix.as_ref().map(|it| prefix(it, description, order)),
        order,
    };
    match (&target, &saved.prefix) {
        (_, Some(_)) if !saved.updates.is_empty() => {
            return Err(FitError::Unusable {
                path: path.clone(),
                problem: "no format holds both low-rank updates and a prefix".to_owned(),
            });
        }
        (Target::Gguf(path), _) => write_gguf(path, &saved, &description.architecture)?,
        (Target::Folder(folder), None) => write_peft_lora(folder, &saved, module_paths(description))?,
        (Target::Folder(folder), Some(prefix)) if prefix.takes_positions => {
            write_peft_prefix(folder, &saved, description.layers, description.kv_heads)?;
        }
        (Target::Folder(folder), Some(_)) => write_ptuning(folder, &saved)?,
    }
    Ok(())
}

fn module_paths(description: &Description) -> ModulePaths {
    match description.architecture.as_str() {
        "chatglm1" => ModulePaths::Attention,
        "chatglm" => ModulePaths::Encoder,
        _ => ModulePaths::SelfAttn,
    }
}

/// Matrices as a format keeps them: GGUF files those of the model's own, checkpoints those of the family's code.
fn matrices(description: &Description, order: RowOrder) -> Vec<(SavedLinear, Vec<LinearKind>)> {
    let first = matches!(description.positions, Positions::Blocks { .. });
    let attention = match description.architecture.as_str() {
        "chatglm" => true,
        _ => first && order == RowOrder::Checkpoint,
    };
    let feed = matches!(description.architecture.as_str(), "chatglm" | "glm4");
    let mut matrices = vec![
        (SavedLinear::Output, vec![LinearKind::Output]),
        (SavedLinear::Down, vec![LinearKind::Down]),
    ];
    if attention {
        let linears = vec![LinearKind::Query, LinearKind::Key, LinearKind::Value];
        matrices.push((SavedLinear::QueryKeyValue, linears));
    } else {
        matrices.push((SavedLinear::Query, vec![LinearKind::Query]));
        matrices.push((SavedLinear::Key, vec![LinearKind::Key]));
        matrices.push((SavedLinear::Value, vec![LinearKind::Value]));
    }
    if feed {
        matrices.push((SavedLinear::GateUp, vec![LinearKind::Gate, LinearKind::Up]));
    } else {
        matrices.push((SavedLinear::Gate, vec![LinearKind::Gate]));
        matrices.push((SavedLinear::Up, vec![LinearKind::Up]));
    }
    matrices
}

fn updates(fitted: &Fitted, description: &Description, order: RowOrder) -> Vec<SavedUpdate> {
    let mut saved = Vec::new();
    for layer in 0..description.layers {
        let find = |linear: LinearKind| {
            let own = |it: &&LowRankUpdate| it.layer == layer && it.linear == linear;
            fitted.updates.iter().find(own)
        };
        for (linear, parts) in matrices(description, order) {
            let parts: Vec<_> = parts.into_iter().map(|it| (it, find(it))).collect();
            if parts.iter().any(|(_, it)| it.is_some()) {
                saved.push(joined(description, order, layer, linear, &parts));
            }
        }
    }
    saved
}

/// One update for linears that are kept as one. Where their inner halves are the same, it is kept once, so that what
/// was cut from one update becomes one of the same rank.
fn joined(
    description: &Description,
    order: RowOrder,
    layer: usize,
    linear: SavedLinear,
    parts: &[(LinearKind, Option<&LowRankUpdate>)],
) -> SavedUpdate {
    let mut inner: Vec<&LowRankUpdate> = Vec::new();
    for update in parts.iter().filter_map(|(_, it)| *it) {
        if !inner.iter().any(|it| it.a == update.a) {
            inner.push(update);
        }
    }
    let rank = inner.iter().map(|it| it.rank).sum();
    let rows: usize = parts.iter().map(|(it, _)| it.shape(description).0).sum();
    let mut b = vec![0.0; rows * rank];
    let mut first = 0;
    for (place, (kind, update)) in parts.iter().enumerate() {
        let count = kind.shape(description).0;
        if let Some(update) = update {
            let before = inner.iter().take_while(|it| it.a != update.a);
            let column: usize = before.map(|it| it.rank).sum();
            let order_of_rows = match order {
                RowOrder::Gguf => Rows::Same,
                RowOrder::Checkpoint => checkpoint_rows(description, parts.len(), place, *kind),
            };
            for (row, numbers) in update.b.chunks_exact(update.rank).enumerate() {
                let row = match order_of_rows {
                    Rows::PartOfHeads { .. } => order_of_rows.source(row),
                    _ => first + order_of_rows.source(row),
                };
                let start = row * rank + column;
                if let Some(room) = b.get_mut(start..start + update.rank) {
                    room.copy_from_slice(numbers);
                }
            }
        }
        first += count;
    }
    SavedUpdate {
        name: String::new(),
        layer,
        linear,
        rank,
        scale: 1.0,
        columns: parts.first().map_or(0, |(it, _)| it.shape(description).1),
        rows,
        a: inner.iter().flat_map(|it| it.a.iter().copied()).collect(),
        b,
    }
}

fn prefix(tensors: &PrefixTensors, description: &Description, order: RowOrder) -> SavedPrefix {
    let (layers, width) = (description.layers, description.kv_heads * description.head_width);
    let key_rows = match order {
        RowOrder::Gguf => Rows::Same,
        RowOrder::Checkpoint => checkpoint_rows(description, 1, 0, LinearKind::Key),
    };
    let whole = 2 * layers * width;
    let mut numbers = vec![0.0; tensors.tokens * whole];
    let rows = tensors
        .keys
        .chunks_exact(width)
        .zip(tensors.values.chunks_exact(width));
    for (number, (keys, values)) in rows.enumerate() {
        let (layer, token) = (number / tensors.tokens, number % tensors.tokens);
        let start = token * whole + 2 * layer * width;
        for (place, key) in keys.iter().enumerate() {
            if let Some(room) = numbers.get_mut(start + key_rows.source(place)) {
                *room = *key;
            }
        }
        if let Some(room) = numbers.get_mut(start + width..start + 2 * width) {
            room.copy_from_slice(values);
        }
    }
    SavedPrefix {
        tokens: tensors.tokens,
        width: whole,
        numbers,
        takes_positions: tensors.first_position > 0,
    }
}
