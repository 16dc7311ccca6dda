//! Adapters in GGUF files. LoRA as llama.cpp's `convert_lora_to_gguf.py` writes it: `NAME.lora_a`, rank × columns, and
//! `NAME.lora_b`, rows × rank, applied times `adapter.lora.alpha` / rank, or as they are if alpha is 0. Prefixes, which
//! llama.cpp does not know, as `adapter.type` `prefix` with one tensor.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use bedside_tensors::gguf::GgufFile;

use crate::{
    BaseClaim, Format, FormatError, RowOrder, SavedAdapter, SavedPrefix, SavedUpdate,
    config::{OTHER_MATHS, PLAIN},
    names,
};

/// What a prefix is called in a file of its own.
pub(crate) const PREFIX: &str = "prefix.weight";
pub(crate) const TAKES_POSITIONS: &str = "adapter.prefix.takes_positions";
pub(crate) const BASE_SHA256: &str = "adapter.bedside.base_sha256";
pub(crate) const BASE_NAME: &str = "general.base_model.0.name";

pub(crate) fn is_gguf(path: &Path) -> Result<bool, FormatError> {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut it| it.read(&mut magic));
    let read = read.map_err(|error| FormatError::Io {
        path: path.to_owned(),
        error,
    })?;
    Ok(read == 4 && &magic == b"GGUF")
}

pub(crate) fn read(path: &Path) -> Result<SavedAdapter, FormatError> {
    let gguf = GgufFile::open(path)?;
    let not = |problem: String| FormatError::NotAnAdapter {
        path: path.to_owned(),
        problem,
    };
    let kind = gguf.optional_text("general.type")?.unwrap_or("missing");
    if kind != "adapter" {
        return Err(not(format!("general.type is {kind}, not adapter")));
    }
    let text = |key: &str| -> Result<Option<String>, FormatError> {
        Ok(gguf.optional_text(key)?.map(str::to_owned))
    };
    let architecture = gguf.text("general.architecture")?.to_owned();
    let base = BaseClaim {
        name: text(BASE_NAME)?,
        architecture: Some(architecture.clone()),
        sha256: text(BASE_SHA256)?,
    };
    let adapter = |updates, prefix| SavedAdapter {
        path: path.to_owned(),
        format: Format::Gguf,
        base: base.clone(),
        updates,
        prefix,
        order: RowOrder::Gguf,
    };
    match gguf.optional_text("adapter.type")?.unwrap_or("missing") {
        "lora" => Ok(adapter(lora(&gguf, &architecture)?, None)),
        "prefix" => Ok(adapter(Vec::new(), Some(prefix(&gguf)?))),
        other => Err(not(format!("adapter.type is {other}, not lora or prefix"))),
    }
}

fn lora(gguf: &GgufFile, architecture: &str) -> Result<Vec<SavedUpdate>, FormatError> {
    let bad = |tensor: &str, problem: &str| FormatError::Tensor {
        path: gguf.path().to_owned(),
        tensor: tensor.to_owned(),
        problem: problem.to_owned(),
    };
    if gguf.value("adapter.alora.invocation_tokens").is_some() {
        return Err(FormatError::Unsupported {
            path: gguf.path().to_owned(),
            key: "adapter.alora.invocation_tokens".to_owned(),
            found: "there".to_owned(),
            problem: format!("{OTHER_MATHS} {PLAIN}"),
        });
    }
    let alpha = gguf.optional_float("adapter.lora.alpha")?;
    let alpha = alpha.ok_or_else(|| gguf.bad_value("adapter.lora.alpha", "it is missing"))?;
    let mut halves: BTreeMap<&str, usize> = BTreeMap::new();
    for name in gguf.tensors().keys() {
        let half = name.strip_suffix(".lora_a").or(name.strip_suffix(".lora_b"));
        let base = half.ok_or_else(|| bad(name, "it is no part of a LoRA"))?;
        *halves.entry(base).or_default() += 1;
    }
    let mut updates = Vec::new();
    for (base, halves) in halves {
        let (layer, linear) =
            names::of_gguf(base, architecture).ok_or_else(|| bad(base, &names::not_adapted(base)))?;
        if halves != 2 {
            return Err(bad(base, "one of .lora_a and .lora_b is missing"));
        }
        let (a, b) = (format!("{base}.lora_a"), format!("{base}.lora_b"));
        let shape = |name: &str| match gguf.tensors().get(name).map(|it| it.shape.as_slice()) {
            Some([rows, columns]) => Ok((*rows, *columns)),
            _ => Err(bad(name, "it is no matrix")),
        };
        let ((rank, columns), (rows, of_b)) = (shape(&a)?, shape(&b)?);
        if rank != of_b || rank == 0 {
            return Err(bad(base, &format!("lora_a has rank {rank}, lora_b {of_b}")));
        }
        updates.push(SavedUpdate {
            name: base.to_owned(),
            layer,
            linear,
            rank,
            scale: if alpha == 0.0 { 1.0 } else { alpha / rank as f32 },
            columns,
            rows,
            a: gguf.matrix(&a, rank, columns)?,
            b: gguf.matrix(&b, rows, rank)?,
        });
    }
    Ok(updates)
}

fn prefix(gguf: &GgufFile) -> Result<SavedPrefix, FormatError> {
    let missing = || FormatError::NotAnAdapter {
        path: gguf.path().to_owned(),
        problem: format!("there is no matrix {PREFIX}"),
    };
    let shape = gguf.tensors().get(PREFIX).ok_or_else(missing)?;
    let &[tokens, width] = shape.shape.as_slice() else {
        return Err(missing());
    };
    Ok(SavedPrefix {
        tokens,
        width,
        numbers: gguf.matrix(PREFIX, tokens, width)?,
        takes_positions: gguf.optional_bool(TAKES_POSITIONS)?.unwrap_or(false),
    })
}
