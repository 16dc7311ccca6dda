//! Adapters written in the formats that others read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use bedside_tensors::gguf::{Entry, GgufWriter, PlannedTensor};
use candle_core::quantized::GgmlDType;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use crate::{
    BaseClaim, FormatError, RowOrder, SavedAdapter, SavedLinear, SavedPrefix, SavedUpdate,
    gguf::{BASE_NAME, BASE_SHA256, PREFIX, TAKES_POSITIONS},
    names,
};

/// How a family's code names its linears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModulePaths {
    /// llama, Qwen, Gemma, and GLM-4-0414 with gate and up in one.
    SelfAttn,
    /// ChatGLM-6B.
    Attention,
    /// ChatGLM2, ChatGLM3, GLM-4-9B.
    Encoder,
}

impl ModulePaths {
    /// Of a linear of this family; some families keep several as one.
    #[must_use]
    pub fn path(self, layer: usize, linear: SavedLinear) -> String {
        let end = match (self, linear) {
            (Self::SelfAttn, SavedLinear::Query) => "self_attn.q_proj",
            (Self::SelfAttn, SavedLinear::Key) => "self_attn.k_proj",
            (Self::SelfAttn, SavedLinear::Value) => "self_attn.v_proj",
            (Self::SelfAttn, SavedLinear::QueryKeyValue) => "self_attn.qkv_proj",
            (Self::SelfAttn, SavedLinear::Output) => "self_attn.o_proj",
            (Self::SelfAttn, SavedLinear::Gate) => "mlp.gate_proj",
            (Self::SelfAttn, SavedLinear::Up) => "mlp.up_proj",
            (Self::SelfAttn, SavedLinear::GateUp) => "mlp.gate_up_proj",
            (Self::SelfAttn, SavedLinear::Down) => "mlp.down_proj",
            (Self::Attention, SavedLinear::Output) => "attention.dense",
            (Self::Encoder, SavedLinear::Output) => "self_attention.dense",
            (_, SavedLinear::Gate | SavedLinear::Up | SavedLinear::GateUp) => "mlp.dense_h_to_4h",
            (_, SavedLinear::Down) => "mlp.dense_4h_to_h",
            (Self::Attention, _) => "attention.query_key_value",
            (Self::Encoder, _) => "self_attention.query_key_value",
        };
        let at = match self {
            Self::SelfAttn => "model.layers",
            Self::Attention => "transformer.layers",
            Self::Encoder => "transformer.encoder.layers",
        };
        format!("{at}.{layer}.{end}")
    }
}

/// Writes a GGUF file, LoRA as llama.cpp reads it. Its rows are in the order of GGUF files.
///
/// # Errors
/// If it cannot be written, or the rows are in another order.
pub fn write_gguf(path: &Path, adapter: &SavedAdapter, architecture: &str) -> Result<(), FormatError> {
    if adapter.order != RowOrder::Gguf {
        return Err(FormatError::Config {
            path: path.to_owned(),
            problem: "rows are in the order of the checkpoint, not of GGUF files".to_owned(),
        });
    }
    let text = |key: &str, it: &str| (key.to_owned(), Entry::Text(it.to_owned()));
    let mut metadata = vec![
        text("general.type", "adapter"),
        text("general.architecture", architecture),
    ];
    metadata.extend(adapter.base.name.iter().map(|it| text(BASE_NAME, it)));
    metadata.extend(adapter.base.sha256.iter().map(|it| text(BASE_SHA256, it)));
    if let Some(prefix) = &adapter.prefix {
        metadata.push(text("adapter.type", "prefix"));
        metadata.push((TAKES_POSITIONS.to_owned(), Entry::Bool(prefix.takes_positions)));
        let planned = planned(PREFIX.to_owned(), prefix.tokens, prefix.width);
        return write_tensors(path, &metadata, vec![(planned, prefix.numbers.clone())]);
    }
    // One alpha stands for all: where scales differ they go into B, and 0 has it used as it is.
    let scales: BTreeSet<u32> = adapter.updates.iter().map(|it| it.scale.to_bits()).collect();
    let ranks: BTreeSet<usize> = adapter.updates.iter().map(|it| it.rank).collect();
    let uniform = scales.len() == 1 && ranks.len() == 1;
    let first = adapter.updates.first().filter(|_| uniform);
    let alpha = first.map_or(0.0, |it| it.scale * it.rank as f32);
    metadata.push(text("adapter.type", "lora"));
    metadata.push(("adapter.lora.alpha".to_owned(), Entry::F32(alpha)));
    let mut tensors = Vec::new();
    for update in &adapter.updates {
        let name = names::to_gguf(update.layer, update.linear);
        let factor = if uniform { 1.0 } else { update.scale };
        let b = update.b.iter().map(|it| it * factor).collect();
        tensors.push((
            planned(format!("{name}.lora_a"), update.rank, update.columns),
            update.a.clone(),
        ));
        tensors.push((planned(format!("{name}.lora_b"), update.rows, update.rank), b));
    }
    write_tensors(path, &metadata, tensors)
}

fn planned(name: String, rows: usize, columns: usize) -> PlannedTensor {
    PlannedTensor {
        name,
        dtype: GgmlDType::F32,
        shape: vec![rows, columns],
    }
}

fn write_tensors(
    path: &Path,
    metadata: &[(String, Entry)],
    tensors: Vec<(PlannedTensor, Vec<f32>)>,
) -> Result<(), FormatError> {
    let (planned, numbers): (Vec<_>, Vec<_>) = tensors.into_iter().unzip();
    let mut writer = GgufWriter::create(path, metadata, planned)?;
    for numbers in numbers {
        writer.write(&bytes(&numbers))?;
    }
    Ok(writer.finish()?)
}

/// Writes a folder as PEFT reads it. Its rows are in the order of the checkpoint.
///
/// # Errors
/// If it cannot be written, or the rows are in another order.
pub fn write_peft_lora(
    folder: &Path,
    adapter: &SavedAdapter,
    modules: ModulePaths,
) -> Result<(), FormatError> {
    in_checkpoint_order(folder, adapter)?;
    let path = |it: &SavedUpdate| modules.path(it.layer, it.linear);
    let first = adapter.updates.first();
    let (rank, alpha) = first.map_or((1, 1.0), |it| (it.rank, it.scale * it.rank as f32));
    let mut patterns = [BTreeMap::new(), BTreeMap::new()];
    let mut targets = BTreeSet::new();
    for update in &adapter.updates {
        let (module, own) = (path(update), update.scale * update.rank as f32);
        targets.extend(module.rsplit('.').next().map(str::to_owned));
        let key = module.replace('.', r"\.");
        if update.rank != rank {
            patterns[0].insert(key.clone(), json!(update.rank));
        }
        if own != alpha {
            patterns[1].insert(key, json!(own));
        }
    }
    let [ranks, alphas] = patterns;
    let mut config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "inference_mode": true, "r": rank, "lora_alpha": alpha,
        "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": false, "use_rslora": false, "use_dora": false,
        "target_modules": targets, "rank_pattern": ranks, "alpha_pattern": alphas, "modules_to_save": null,
    });
    claim(&mut config, &adapter.base);
    let mut tensors = Vec::new();
    for update in &adapter.updates {
        let module = path(update);
        let name = |half: &str| format!("base_model.model.{module}.{half}.weight");
        tensors.push((
            name("lora_A"),
            vec![update.rank, update.columns],
            bytes(&update.a),
        ));
        tensors.push((name("lora_B"), vec![update.rows, update.rank], bytes(&update.b)));
    }
    write_folder(folder, PEFT, &config, tensors)
}

/// Writes a prefix as PEFT reads it; `kv_heads` of `layers` share its numbers.
///
/// # Errors
/// As [`write_peft_lora`]; and if its text does not begin behind it, as PEFT's does.
pub fn write_peft_prefix(
    folder: &Path,
    adapter: &SavedAdapter,
    layers: usize,
    kv_heads: usize,
) -> Result<(), FormatError> {
    in_checkpoint_order(folder, adapter)?;
    let prefix = prefix_of(folder, adapter, true)?;
    let mut config = json!({
        "peft_type": "PREFIX_TUNING", "task_type": "CAUSAL_LM", "inference_mode": true,
        "num_virtual_tokens": prefix.tokens, "num_layers": layers, "num_attention_heads": kv_heads,
        "token_dim": prefix.width / (2 * layers.max(1)), "num_transformer_submodules": 1,
        "prefix_projection": false,
    });
    claim(&mut config, &adapter.base);
    let shape = vec![prefix.tokens, prefix.width];
    let tensors = vec![("prompt_embeddings".to_owned(), shape, bytes(&prefix.numbers))];
    write_folder(folder, PEFT, &config, tensors)
}

/// Writes a prefix as ChatGLM's own code reads it, without a projection.
///
/// # Errors
/// As [`write_peft_prefix`], the other way round.
pub fn write_ptuning(folder: &Path, adapter: &SavedAdapter) -> Result<(), FormatError> {
    in_checkpoint_order(folder, adapter)?;
    let prefix = prefix_of(folder, adapter, false)?;
    let config = json!({ "pre_seq_len": prefix.tokens, "prefix_projection": false });
    let shape = vec![prefix.tokens, prefix.width];
    let name = "transformer.prefix_encoder.embedding.weight".to_owned();
    let tensors = vec![(name, shape, bytes(&prefix.numbers))];
    write_folder(folder, CHATGLM, &config, tensors)
}

fn in_checkpoint_order(folder: &Path, adapter: &SavedAdapter) -> Result<(), FormatError> {
    if adapter.order == RowOrder::Checkpoint {
        return Ok(());
    }
    Err(FormatError::Config {
        path: folder.to_owned(),
        problem: "rows are in the order of GGUF files, not of the checkpoint".to_owned(),
    })
}

fn prefix_of<'a>(
    folder: &Path,
    adapter: &'a SavedAdapter,
    takes_positions: bool,
) -> Result<&'a SavedPrefix, FormatError> {
    let prefix = adapter.prefix.as_ref();
    prefix
        .filter(|it| it.takes_positions == takes_positions)
        .ok_or_else(|| FormatError::Config {
            path: folder.to_owned(),
            problem: "PEFT counts the text's places from behind a prefix, P-tuning v2 from 0: \
                      one cannot be written as the other"
                .to_owned(),
        })
}

fn claim(config: &mut Value, base: &BaseClaim) {
    let Value::Object(keys) = config else { return };
    keys.insert("base_model_name_or_path".to_owned(), json!(base.name));
    if let Some(sha256) = &base.sha256 {
        keys.insert("bedside".to_owned(), json!({ "base_sha256": sha256 }));
    }
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|it| it.to_le_bytes()).collect()
}

/// Of a folder: the config's file and that of the tensors.
const PEFT: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];
const CHATGLM: [&str; 2] = ["config.json", "model.safetensors"];

fn write_folder(
    folder: &Path,
    [config_name, weights]: [&str; 2],
    config: &Value,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
) -> Result<(), FormatError> {
    let path = folder.join(weights);
    let wrong = |error: &dyn std::fmt::Display| FormatError::Config {
        path: path.clone(),
        problem: error.to_string(),
    };
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        view.map(|it| (name.as_str(), it)).map_err(|error| wrong(&error))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let written = safetensors::serialize(views, None).map_err(|error| wrong(&error))?;
    fs::create_dir_all(folder).map_err(|error| FormatError::Io {
        path: folder.to_owned(),
        error,
    })?;
    write_whole(&path, &written)?;
    write_whole(&folder.join(config_name), format!("{config:#}\n").as_bytes())
}

/// A file gets its name when all of it is there.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FormatError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| FormatError::Io {
        path: path.to_owned(),
        error,
    })
}
