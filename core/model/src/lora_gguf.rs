//! LoRA adapters in GGUF files, as llama.cpp's `convert_lora_to_gguf.py` writes them: for each adapted tensor
//! `NAME.lora_a`, rank × input, and `NAME.lora_b`, output × rank, applied times `adapter.lora.alpha` / rank.

use std::{collections::BTreeMap, path::Path};

use crate::{
    decoder::{Adapter, AdapterError, LinearKind, LowRankUpdate},
    gguf::{GgufError, GgufFile},
    model::Model,
};

#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("{path}: {problem}")]
    NotLora { path: String, problem: String },
    #[error("{path}: it is for the architecture `{found}`, the model is `{wanted}`")]
    Architecture {
        path: String,
        found: String,
        wanted: String,
    },
    #[error("{path}: tensor {tensor}: only the seven linears of a layer can be adapted")]
    Tensor { path: String, tensor: String },
    #[error("{path}: {error}")]
    Misfit { path: String, error: AdapterError },
}

/// Reads an adapter for a model.
///
/// # Errors
/// [`LoraError`], which names the file and what in it does not fit.
pub fn load(path: &Path, model: &Model) -> Result<Adapter, LoraError> {
    let gguf = GgufFile::open(path)?;
    let shown = || path.display().to_string();
    let wrong = |problem: String| LoraError::NotLora {
        path: shown(),
        problem,
    };
    for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora")] {
        let found = gguf.optional_text(key)?.unwrap_or("missing");
        if found != wanted {
            return Err(wrong(format!("no LoRA adapter: {key} is {found}, not {wanted}")));
        }
    }
    let (found, description) = (gguf.text("general.architecture")?, model.decoder.description());
    if found != description.architecture {
        return Err(LoraError::Architecture {
            path: shown(),
            found: found.to_owned(),
            wanted: description.architecture.clone(),
        });
    }
    let alpha = gguf
        .optional_float("adapter.lora.alpha")?
        .ok_or_else(|| wrong("adapter.lora.alpha is missing".to_owned()))?;
    let mut pairs: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for name in gguf.tensors().keys() {
        let half = name.strip_suffix(".lora_a").map(|it| (it, 0));
        let Some((base, half)) = half.or_else(|| name.strip_suffix(".lora_b").map(|it| (it, 1))) else {
            return Err(LoraError::Tensor {
                path: shown(),
                tensor: name.clone(),
            });
        };
        pairs.entry(base).or_default()[half] = true;
    }
    let mut updates = Vec::new();
    for (base, halves) in pairs {
        let tensor = || base.to_owned();
        let Some((layer, linear)) = place(base) else {
            return Err(LoraError::Tensor {
                path: shown(),
                tensor: tensor(),
            });
        };
        if halves != [true; 2] {
            return Err(wrong(format!(
                "tensor {base}: one of .lora_a and .lora_b is missing"
            )));
        }
        let (a, b) = (format!("{base}.lora_a"), format!("{base}.lora_b"));
        let rank = gguf
            .tensors()
            .get(&a)
            .and_then(|it| it.shape.first())
            .copied()
            .unwrap_or(0);
        let (rows, columns) = linear.shape(description);
        let scale = alpha / rank.max(1) as f32;
        updates.push(LowRankUpdate {
            layer,
            linear,
            rank,
            a: gguf.matrix(&a, rank, columns)?,
            b: gguf
                .matrix(&b, rows, rank)?
                .into_iter()
                .map(|it| it * scale)
                .collect(),
        });
    }
    Adapter::new(description, updates, None).map_err(|error| LoraError::Misfit { path: shown(), error })
}

/// `blk.3.attn_q.weight` → layer 3, query.
fn place(name: &str) -> Option<(usize, LinearKind)> {
    let (layer, part) = name
        .strip_prefix("blk.")?
        .strip_suffix(".weight")?
        .split_once('.')?;
    let kind = LinearKind::ALL.into_iter().find(|it| it.tensor() == part)?;
    Some((layer.parse().ok()?, kind))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use candle_core::{
        Device, Tensor,
        quantized::{
            GgmlDType, QTensor,
            gguf_file::{self, Value},
        },
    };
    use tempfile::TempDir;

    use super::load;
    use crate::{
        decoder::{KvPrecision, Solo},
        model::Model,
        pull::NoProgress,
        testing::{HEAD_WIDTH, KV_HEADS, TinyModel, WIDTH},
        threads::Threads,
    };

    fn model() -> (TempDir, Model) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::default().write(&path);
        (folder, Model::load(&path, &NoProgress).unwrap())
    }

    fn tensor(rows: usize, columns: usize, value: f32) -> QTensor {
        let tensor = Tensor::full(value, (rows, columns), &Device::Cpu).unwrap();
        QTensor::quantize(&tensor, GgmlDType::F32).unwrap()
    }

    fn write(folder: &TempDir, metadata: &[(&str, Value)], tensors: &[(&str, QTensor)]) -> PathBuf {
        let path = folder.path().join("adapter.gguf");
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
        gguf_file::write(&mut std::fs::File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        path
    }

    fn metadata() -> Vec<(&'static str, Value)> {
        vec![
            ("general.type", Value::String("adapter".into())),
            ("general.architecture", Value::String("llama".into())),
            ("adapter.type", Value::String("lora".into())),
            ("adapter.lora.alpha", Value::F32(4.0)),
        ]
    }

    #[test]
    fn an_adapter_is_read_and_changes_the_answer() {
        let (folder, model) = model();
        let tensors = [
            ("blk.1.attn_k.weight.lora_a", tensor(2, WIDTH, 0.01)),
            (
                "blk.1.attn_k.weight.lora_b",
                tensor(KV_HEADS * HEAD_WIDTH, 2, 1.0),
            ),
        ];
        let path = write(&folder, &metadata(), &tensors);
        let adapter = load(&path, &model).unwrap();
        let run = |adapter| {
            let mut solo = Solo::new(&model.decoder, Threads::new(1).unwrap(), 64, KvPrecision::F16);
            solo.read(&[5, 6, 7, 8], 1, adapter).unwrap()
        };
        assert_ne!(run(Some(&adapter)), run(None));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (folder, model) = model();
        let check = |metadata: &[(&str, Value)], tensors: &[(&str, QTensor)], expect: &str| {
            let path = write(&folder, metadata, tensors);
            let error = load(&path, &model).unwrap_err().to_string();
            assert!(
                error.contains("adapter.gguf") && error.contains(expect),
                "{error}"
            );
        };
        let pair = |width: usize| {
            [
                ("blk.0.attn_q.weight.lora_a", tensor(2, width, 0.1)),
                ("blk.0.attn_q.weight.lora_b", tensor(64, 2, 0.1)),
            ]
        };
        check(&[], &pair(WIDTH), "general.type is missing, not adapter");
        let mut other = metadata();
        other[1].1 = Value::String("qwen2".into());
        check(&other, &pair(WIDTH), "architecture `qwen2`, the model is `llama`");
        check(&metadata(), &pair(32), "has shape [2, 32], [2, 64] is needed");
        check(
            &metadata(),
            &pair(WIDTH)[..1],
            "one of .lora_a and .lora_b is missing",
        );
        check(
            &metadata(),
            &[("token_embd.weight.lora_a", tensor(2, 64, 0.1))],
            "only the seven linears",
        );
    }
}
