//! `adapter_config.json`: read leniently, but what changes the maths and is not supported is refused.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use regex::Regex;
use serde_json::{Map, Value};

use crate::{BaseClaim, FormatError};

const FILE: &str = "adapter_config.json";

/// Keys that change what is computed, unless they are null, false, empty or `none`, and what each of them means.
const REFUSED: [(&str, &str); 13] = [
    ("use_dora", OTHER_MATHS),
    ("use_qalora", OTHER_MATHS),
    ("use_bdlora", OTHER_MATHS),
    ("lora_bias", OTHER_MATHS),
    ("bias", OTHER_MATHS),
    (
        "modules_to_save",
        "so whole matrices were trained, which an adapter cannot carry here; train without them, or",
    ),
    ("layer_replication", OTHER_MATHS),
    ("target_parameters", OTHER_MATHS),
    (
        "trainable_token_indices",
        "so rows of the embedding were trained, which an adapter cannot carry here; train without them, or",
    ),
    ("alora_invocation_tokens", OTHER_MATHS),
    ("arrow_config", OTHER_MATHS),
    ("kasa_config", OTHER_MATHS),
    ("monteclora_config", OTHER_MATHS),
];

pub(crate) const OTHER_MATHS: &str = "which changes what the adapter computes and is not supported;";

/// Keys of adapters that work for some tokens only.
const CANNOT_BE_MERGED: [&str; 2] = ["alora_invocation_tokens", "arrow_config"];

/// What can be done with them.
pub(crate) const PLAIN: &str = "train a plain LoRA in its place";

/// What can be done with all others.
pub(crate) const MERGE: &str = "merge it into its base (merge_and_unload of PEFT) and convert the merged model with `bedside model convert`";

/// Ways to begin that leave the base's weights as they are.
const STARTS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// Ways to begin that take a part out of the base's weights, which PEFT can put back when it saves.
const STARTS_FROM_BASE: [&str; 4] = ["pissa", "olora", "corda", "lora_ga"];

#[derive(Debug)]
pub(crate) struct AdapterConfig {
    path: PathBuf,
    keys: Map<String, Value>,
}

/// The file of tensors in a folder, where PEFT's names come before all others.
pub(crate) fn weights(path: &Path) -> Result<PathBuf, FormatError> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let inside = ["adapter_model.safetensors", "adapter_model.bin"].map(|it| path.join(it));
    Ok(inside
        .into_iter()
        .find(|it| it.is_file())
        .unwrap_or_else(|| path.to_owned()))
}

/// The folders within one that hold an adapter: PEFT saves what has a name of its own in a folder of that name.
pub(crate) fn adapters_within(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|it| it.path().join(FILE).is_file())
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

impl AdapterConfig {
    /// That of a folder, if it has one.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, FormatError> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FormatError::Io { path, error }),
        };
        match serde_json::from_slice(&text) {
            Ok(keys) => Ok(Some(Self { path, keys })),
            Err(error) => Err(FormatError::Config {
                path,
                problem: format!("line {}, column {}: {error}", error.line(), error.column()),
            }),
        }
    }

    pub(crate) fn is_merged_linear(&self) -> bool {
        self.keys.get("enable_lora").is_some_and(Value::is_array)
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("peft_type").unwrap_or("missing")
    }

    pub(crate) fn base(&self) -> BaseClaim {
        let of_trainer = self.keys.get("bedside").and_then(|it| it.get("base_sha256"));
        BaseClaim {
            name: self.text("base_model_name_or_path").map(str::to_owned),
            architecture: None,
            sha256: of_trainer.and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// # Errors
    /// [`FormatError::Unsupported`] with the first key that is refused.
    pub(crate) fn check_maths(&self) -> Result<(), FormatError> {
        for (key, why) in REFUSED {
            let harmless = match self.keys.get(key) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::String(text)) => text.is_empty() || text == "none",
                Some(Value::Array(list)) => list.is_empty(),
                Some(Value::Object(object)) => object.is_empty(),
                Some(_) => false,
            };
            if !harmless {
                let advice = if CANNOT_BE_MERGED.contains(&key) {
                    PLAIN
                } else {
                    MERGE
                };
                return Err(self.unsupported(key, format!("{why} {advice}")));
            }
        }
        self.check_start()
    }

    /// Refuses what was trained on weights that only the training had: nothing in the tensors tells.
    fn check_start(&self) -> Result<(), FormatError> {
        const KEY: &str = "init_lora_weights";
        let start = match self.keys.get(KEY) {
            None | Some(Value::Null | Value::Bool(_)) => return Ok(()),
            Some(Value::String(text)) => text.to_lowercase(),
            Some(other) => other.to_string(),
        };
        if STARTS.contains(&start.as_str()) {
            return Ok(());
        }
        let problem = if STARTS_FROM_BASE.iter().any(|it| start.starts_with(it)) {
            "so training took a part out of the base's weights at its start, and on the original base the adapter \
             answers wrongly; convert it when saving (path_initial_model_for_weight_conversion of PEFT's \
             save_pretrained), which makes it a plain LoRA of twice the rank, or merge it into the base that it was \
             trained on and convert that model with `bedside model convert`"
        } else if start == "loftq" {
            "so it was trained on a base that LoftQ had quantized and changed, and on the original base it answers \
             wrongly; merge it into the base that it was trained on and convert that model with `bedside model convert`"
        } else {
            "a start of training that is not known; if it left the base's weights as they were, write true instead, \
             else merge it into the base that it was trained on and convert that model with `bedside model convert`"
        };
        Err(self.unsupported(KEY, problem))
    }

    /// `problem` goes on behind the key and its value.
    pub(crate) fn unsupported(&self, key: &str, problem: impl Into<String>) -> FormatError {
        FormatError::Unsupported {
            path: self.path.clone(),
            key: key.to_owned(),
            found: self.keys.get(key).map_or("missing".to_owned(), Value::to_string),
            problem: problem.into(),
        }
    }

    pub(crate) fn bad(&self, problem: impl Into<String>) -> FormatError {
        FormatError::Config {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    pub(crate) fn is(&self, key: &str) -> bool {
        self.keys.get(key) == Some(&Value::Bool(true))
    }

    pub(crate) fn list(&self, key: &str) -> Vec<Value> {
        self.keys
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn size(&self, key: &str) -> Result<usize, FormatError> {
        let number = self.keys.get(key).and_then(Value::as_u64);
        let number = number
            .and_then(|it| usize::try_from(it).ok())
            .filter(|it| *it > 0);
        number.ok_or_else(|| self.bad(format!("{key} is no whole number from 1 on")))
    }

    pub(crate) fn number(&self, key: &str) -> Result<f32, FormatError> {
        let number = self.keys.get(key).and_then(Value::as_f64).map(|it| it as f32);
        let number = number.filter(|it| it.is_finite());
        number.ok_or_else(|| self.bad(format!("{key} is no number")))
    }

    /// Rank and alpha of a module: those of the first pattern that its path ends with, else those of all.
    pub(crate) fn rank_and_alpha(&self, module: &str) -> Result<(usize, f32), FormatError> {
        let of = |key: &str| -> Result<Option<f64>, FormatError> {
            let patterns = self.keys.get(key).and_then(Value::as_object);
            for (pattern, number) in patterns.into_iter().flatten() {
                let whole = Regex::new(&format!("^(?:.*\\.)?(?:{pattern})$"));
                let whole = whole.map_err(|error| self.bad(format!("{key}: {error}")))?;
                if whole.is_match(module) {
                    let number = number.as_f64();
                    return number
                        .map(Some)
                        .ok_or_else(|| self.bad(format!("{key}: {pattern} is no number")));
                }
            }
            Ok(None)
        };
        let rank = match of("rank_pattern")? {
            Some(rank) => rank as usize,
            None => self.size("r")?,
        };
        let alpha = match of("alpha_pattern")? {
            Some(alpha) => alpha as f32,
            None => self.number("lora_alpha")?,
        };
        Ok((rank, alpha))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key)?.as_str()
    }
}
