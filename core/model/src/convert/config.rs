//! `config.json` of a Hugging Face folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

/// Its keys, read one by one: each family has others.
#[derive(Debug, Clone)]
pub(super) struct ModelConfig {
    path: PathBuf,
    keys: Map<String, Value>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "{path}: {error}; a model's folder has its config.json beside the weights (or name it with --config-from)"
    )]
    Io { path: PathBuf, error: io::Error },
    #[error("{path}: line {}, column {}: {error}", error.line(), error.column())]
    Json { path: PathBuf, error: serde_json::Error },
    #[error("{path}: {key} is missing")]
    Missing { path: PathBuf, key: &'static str },
    #[error("{path}: {key} is {found}, {wanted} is needed")]
    Value {
        path: PathBuf,
        key: &'static str,
        found: String,
        wanted: &'static str,
    },
    #[error("{path}: the family `{family}` is not supported; supported are {supported}")]
    Family {
        path: PathBuf,
        family: String,
        supported: String,
    },
}

impl ModelConfig {
    pub(super) fn read(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join("config.json");
        match fs::read(&path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) => Err(ConfigError::Io { path, error }),
        }
    }

    pub(super) fn parse(path: PathBuf, text: &[u8]) -> Result<Self, ConfigError> {
        match serde_json::from_slice(text) {
            Ok(keys) => Ok(Self { path, keys }),
            Err(error) => Err(ConfigError::Json { path, error }),
        }
    }

    pub(super) fn family(&self) -> &str {
        let kind = self.keys.get("model_type").and_then(Value::as_str);
        kind.unwrap_or_default()
    }

    /// The name of its folder.
    pub(super) fn name(&self) -> String {
        let folder = self.path.canonicalize().ok();
        let folder = folder.as_deref().unwrap_or(&self.path).parent();
        let name = folder.and_then(Path::file_name);
        name.map_or_else(|| "model".to_owned(), |it| it.to_string_lossy().into_owned())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|it| !it.is_null())
    }

    /// A number from 1 on.
    pub(super) fn size(&self, key: &'static str) -> Result<usize, ConfigError> {
        self.optional_size(key)?.ok_or_else(|| ConfigError::Missing {
            path: self.path.clone(),
            key,
        })
    }

    pub(super) fn optional_size(&self, key: &'static str) -> Result<Option<usize>, ConfigError> {
        let number = match self.keys.get(key) {
            None | Some(Value::Null) => return Ok(None),
            Some(it) => it.as_u64().and_then(|it| u32::try_from(it).ok()),
        };
        let number = number.filter(|it| *it > 0).map(|it| it as usize);
        number
            .map(Some)
            .ok_or_else(|| self.unfit(key, "a whole number from 1 on"))
    }

    pub(super) fn float(&self, key: &'static str, without: f32) -> Result<f32, ConfigError> {
        let number = match self.keys.get(key) {
            None | Some(Value::Null) => return Ok(without),
            Some(it) => it.as_f64().map(|it| it as f32),
        };
        let number = number.filter(|it| it.is_finite());
        number.ok_or_else(|| self.unfit(key, "a number"))
    }

    pub(super) fn is(&self, key: &'static str, without: bool) -> Result<bool, ConfigError> {
        match self.keys.get(key) {
            None | Some(Value::Null) => Ok(without),
            Some(Value::Bool(it)) => Ok(*it),
            Some(_) => Err(self.unfit(key, "true or false")),
        }
    }

    /// Refuses a model whose maths differ from what is supported.
    pub(super) fn must_be(&self, key: &'static str, wanted: bool) -> Result<(), ConfigError> {
        let text = if wanted { "true" } else { "false" };
        if self.is(key, wanted)? == wanted {
            Ok(())
        } else {
            Err(self.unfit(key, text))
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key)?.as_str()
    }

    /// A key of an object within.
    pub(super) fn within(&self, key: &str) -> Option<Self> {
        let keys = self.keys.get(key)?.as_object()?.clone();
        Some(Self {
            path: self.path.clone(),
            keys,
        })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.keys == other.keys
    }

    /// The method by which the checkpoint says that it is quantized.
    pub(super) fn quantization(&self) -> Option<String> {
        let mut own = ["quantization_config", "compression_config"]
            .into_iter()
            .filter_map(|it| self.within(it));
        let own = own.find(|it| !it.keys.is_empty())?;
        let is = |key: &str| own.keys.get(key) == Some(&Value::Bool(true));
        // The oldest files of bitsandbytes do not name it.
        let unnamed = if is("load_in_4bit") || is("load_in_8bit") {
            "bitsandbytes"
        } else {
            "a method that config.json does not name"
        };
        Some(own.text("quant_method").unwrap_or(unnamed).to_owned())
    }

    pub(super) fn unfit(&self, key: &'static str, wanted: &'static str) -> ConfigError {
        ConfigError::Value {
            path: self.path.clone(),
            key,
            found: self.keys.get(key).map_or("missing".to_owned(), Value::to_string),
            wanted,
        }
    }

    pub(super) fn unsupported(&self, supported: &[&str]) -> ConfigError {
        ConfigError::Family {
            path: self.path.clone(),
            family: self.family().to_owned(),
            supported: supported.join(", "),
        }
    }
}
