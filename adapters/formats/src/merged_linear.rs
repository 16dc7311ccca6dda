//! The MergedLinear of loralib and PEFT 0.2: one update for some equal parts of a fused linear's rows, as DoctorGLM's
//! released LoRA has it.
//!
//! With `enable_lora` [true, false, true] the first and last third of the rows are updated, each by its own group:
//! `A` is 2 r × columns, `B` two thirds of the rows × r, and group g adds `B_g A_g` to its third. On ChatGLM-6B, whose
//! rows lie head by head, these thirds are queries, keys and values of heads 0 to 10 and 21 to 31, not queries and
//! values; what was trained is reproduced.

use bedside_tensors::checkpoint::Checkpoint;
use serde_json::Value;

use crate::{
    Format, FormatError, RowOrder, SavedAdapter, SavedUpdate,
    config::AdapterConfig,
    names,
    peft::{bad, matrix, pairs},
};

pub(crate) fn read(checkpoint: &Checkpoint, config: &AdapterConfig) -> Result<SavedAdapter, FormatError> {
    config.check_maths()?;
    let enabled: Option<Vec<bool>> = config.list("enable_lora").iter().map(Value::as_bool).collect();
    let enabled = enabled.filter(|it| it.contains(&true)).ok_or_else(|| {
        config.unsupported(
            "enable_lora",
            "a list of true and false, with one true at least, is needed",
        )
    })?;
    let groups = enabled.iter().filter(|it| **it).count();
    let (rank, alpha) = (config.size("r")?, config.number("lora_alpha")?);
    let mut updates = Vec::new();
    for (module, pair) in pairs(checkpoint)? {
        let (layer, linear) =
            names::of_module(&module).ok_or_else(|| bad(checkpoint, &pair.a, names::not_adapted(&module)))?;
        let (of_a, columns) = matrix(checkpoint, &pair.a)?;
        let (of_b, width) = matrix(checkpoint, &pair.b)?;
        if of_a != groups * rank || width != rank || of_b % groups != 0 {
            let problem = format!(
                "lora_A is {of_a} × {columns}, lora_B {of_b} × {width}; rank {rank} with {groups} parts was expected"
            );
            return Err(bad(checkpoint, &module, problem));
        }
        let part = of_b / groups;
        let saved = checkpoint.floats(&pair.b)?;
        // One update whose B has a block for each part: rows of parts that are left out stay zero.
        let (rows, all) = (part * enabled.len(), groups * rank);
        let mut b = vec![0.0; rows * all];
        let places = enabled.iter().enumerate().filter(|(_, it)| **it);
        for (group, (place, _)) in places.enumerate() {
            for row in 0..part {
                let from = (group * part + row) * rank;
                let to = (place * part + row) * all + group * rank;
                if let (Some(from), Some(to)) = (saved.get(from..from + rank), b.get_mut(to..to + rank)) {
                    to.copy_from_slice(from);
                }
            }
        }
        updates.push(SavedUpdate {
            name: module,
            layer,
            linear,
            rank: all,
            scale: alpha / rank as f32,
            columns,
            rows,
            a: checkpoint.floats(&pair.a)?,
            b,
        });
    }
    Ok(SavedAdapter {
        path: checkpoint.path().to_owned(),
        format: Format::MergedLinear,
        base: config.base(),
        updates,
        prefix: None,
        order: RowOrder::Checkpoint,
    })
}
