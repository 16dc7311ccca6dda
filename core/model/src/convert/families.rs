//! The families that can be converted.

mod chatglm;
mod llama;
mod rotation;

use bedside_tensors::checkpoint::Checkpoint;

use super::{Conversion, ConvertError, config::ModelConfig, plan::Plan};

/// As `model_type` in `config.json` names them.
const SUPPORTED: [&str; 7] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma3_text",
    "chatglm",
    "glm4",
];

pub(super) fn plan(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    conversion: &Conversion,
) -> Result<Plan, ConvertError> {
    let mut plan = match config.family() {
        // ChatGLM-6B and its successors share a name; only the first has this key.
        "chatglm" if config.has("inner_hidden_size") => {
            chatglm::first(config, checkpoint, conversion.legacy_positions)
        }
        "chatglm" => chatglm::later(config, checkpoint),
        "llama" | "mistral" => llama::plan(config, checkpoint, "llama"),
        "qwen2" => llama::plan(config, checkpoint, "qwen2"),
        "qwen3" => llama::plan(config, checkpoint, "qwen3"),
        "gemma3_text" => llama::plan(config, checkpoint, "gemma3"),
        "glm4" => llama::plan(config, checkpoint, "glm4"),
        _ => Err(config.unsupported(&SUPPORTED).into()),
    }?;
    plan.check_nothing_is_left(
        checkpoint,
        &[
            "rotary_emb.inv_freq",
            "rotary_pos_emb.inv_freq",
            "prefix_encoder.",
            "lm_head.weight",
        ],
    )?;
    if checkpoint
        .tensors()
        .keys()
        .any(|it| it.contains("prefix_encoder."))
    {
        let note = "the P-tuning prefix in it is left out: it is an adapter";
        plan.notes.push(note.to_owned());
    }
    Ok(plan)
}

/// Puts the head unless the model has none of its own: some files hold the embedding a second time.
fn put_head(
    plan: &mut Plan,
    checkpoint: &Checkpoint,
    embedding: &str,
    head: &str,
    shape: &[usize],
) -> Result<(), ConvertError> {
    if !plan.has(checkpoint, head) {
        return Ok(());
    }
    let bytes = |name: &str| checkpoint.bytes(&format!("{}{name}", plan.prefix));
    let same = bytes(embedding)? == bytes(head)?;
    if !same {
        plan.put("output.weight", head, shape);
    }
    Ok(())
}
