//! A GGUF file, checked before anything in it is used.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. Versions 2 and 3, little-endian.

mod header;
mod parts;
mod writer;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use candle_core::{
    Device,
    quantized::{GgmlDType, QStorage, QTensor},
};
use memmap2::Mmap;

use crate::mapped;

pub use parts::{PartName, part_paths};
pub use writer::{Entry, GgufWriter, PlannedTensor, WriteError};

/// An open GGUF file whose header and tensor table have been checked against the file's length. One in several parts
/// is opened by its first, with the others beside it.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    parts: Vec<Part>,
    metadata: BTreeMap<String, Value>,
    places: BTreeMap<String, Range<u64>>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// One file on disk.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    map: Mmap,
    length: u64,
}

impl Part {
    fn open(path: &Path) -> Result<(Self, header::Header), GgufError> {
        let io = |error| GgufError::Io {
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let header = header::read(path, &file, length)?;
        let part = Self {
            path: path.to_owned(),
            map: mapped::open(&file).map_err(io)?,
            length,
        };
        Ok((part, header))
    }
}

/// A metadata value; integers of all widths are one kind, as are floats.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    /// An array of integers of eight bits, signed ones as they lie in the file.
    Bytes(Vec<u8>),
    /// An array of wider ones.
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    /// An array of bools or of arrays: read over, never used here.
    Other,
}

/// Where a tensor lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    pub dtype: GgmlDType,
    /// Slowest dimension first: `[rows, columns]` for a matrix.
    pub shape: Vec<usize>,
    /// The file's part that it lies in, from 0.
    pub part: usize,
    /// From the part's beginning, in bytes.
    pub offset: u64,
    pub bytes: u64,
}

impl TensorInfo {
    fn range(&self) -> Option<Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        Some(start..start.checked_add(usize::try_from(self.bytes).ok()?)?)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{path}: no GGUF file: it begins with {found}, not with \"GGUF\"")]
    NotGguf { path: PathBuf, found: String },
    #[error("{path}: GGUF version {version} is not supported, only 2 and 3 (little-endian)")]
    Version { path: PathBuf, version: u32 },
    #[error(
        "{path}: truncated: {what} at byte {offset} needs {needed} bytes, {left} are left; fetch the file again"
    )]
    Truncated {
        path: PathBuf,
        what: String,
        offset: u64,
        needed: u64,
        left: u64,
    },
    #[error("{path}: byte {offset}: {problem}")]
    Header {
        path: PathBuf,
        offset: u64,
        problem: String,
    },
    #[error("{path}: metadata {key} at byte {offset}: {problem}")]
    Metadata {
        path: PathBuf,
        key: String,
        offset: u64,
        problem: String,
    },
    #[error("{path}: tensor {tensor} at byte {offset}: {problem}")]
    Tensor {
        path: PathBuf,
        tensor: String,
        offset: u64,
        problem: String,
    },
    #[error("{path}: part {number} of {count}; name the first, {first}, with the others in the same folder")]
    NotFirstPart {
        path: PathBuf,
        number: usize,
        count: usize,
        first: String,
    },
    #[error(
        "{path}: the first of {count} parts; {missing} must lie beside it: fetch what is missing, or merge the parts \
         with llama-gguf-split --merge"
    )]
    MissingParts {
        path: PathBuf,
        count: usize,
        missing: String,
    },
    #[error(
        "{path}: part {number} of {count}, but its name does not end in -{number:05}-of-{count:05}.gguf, by which the \
         others would be found; give all parts their names back"
    )]
    PartName {
        path: PathBuf,
        number: usize,
        count: usize,
    },
    #[error("{path}: not part {number} of {count}, as its name says; fetch the file again")]
    OtherPart {
        path: PathBuf,
        number: usize,
        count: usize,
    },
    #[error("{path}: metadata {key} is missing")]
    MissingKey { path: PathBuf, key: String },
    #[error("{path}: metadata {key} should be {wanted}")]
    WrongType {
        path: PathBuf,
        key: String,
        wanted: &'static str,
    },
    #[error("{path}: tensor {tensor} is missing")]
    MissingTensor { path: PathBuf, tensor: String },
    #[error("{path}: tensor {tensor} has shape {found:?}, {wanted:?} is needed")]
    Shape {
        path: PathBuf,
        tensor: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
}

impl GgufFile {
    /// Opens and checks a file, and the other parts of a model whose first part it is; tensor data is not read yet.
    ///
    /// # Errors
    /// [`GgufError`] with the byte offset of the first thing that is wrong, or the parts that are missing.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let (part, header) = Part::open(path)?;
        let mut gguf = Self {
            path: path.to_owned(),
            parts: vec![part],
            metadata: header.metadata,
            places: header.places,
            tensors: header.tensors,
        };
        gguf.open_other_parts()?;
        Ok(gguf)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of the whole file, all its parts together, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|it| it.length).sum()
    }

    /// Files that it consists of.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// Weights in all tensors, the tables of rotary frequencies left out.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let weights = self.tensors.iter().filter(|(name, _)| !name.starts_with("rope_"));
        weights
            .map(|(_, it)| it.shape.iter().product::<usize>() as u64)
            .sum()
    }

    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// All metadata keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    /// Type and value of a metadata entry as they lie in the file, to be copied: [`Entry::Raw`].
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&[u8]> {
        let place = self.places.get(key)?;
        let first = self.parts.first()?;
        first
            .map
            .get(usize::try_from(place.start).ok()?..usize::try_from(place.end).ok()?)
    }

    /// # Errors
    /// If the key is missing or no text.
    pub fn text(&self, key: &str) -> Result<&str, GgufError> {
        self.optional_text(key)?.ok_or_else(|| self.missing(key))
    }

    /// # Errors
    /// If the key is there and no text.
    pub fn optional_text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(key, "a text")),
        }
    }

    /// # Errors
    /// If the key is missing or no number that is at least 0.
    pub fn unsigned(&self, key: &str) -> Result<usize, GgufError> {
        self.optional_unsigned(key)?.ok_or_else(|| self.missing(key))
    }

    /// # Errors
    /// If the key is there and no number that is at least 0.
    pub fn optional_unsigned(&self, key: &str) -> Result<Option<usize>, GgufError> {
        let number = match self.metadata.get(key) {
            None => return Ok(None),
            Some(Value::Unsigned(number)) => usize::try_from(*number).ok(),
            Some(Value::Signed(number)) => usize::try_from(*number).ok(),
            Some(_) => None,
        };
        number
            .map(Some)
            .ok_or_else(|| self.wrong_type(key, "a number that is not negative"))
    }

    /// # Errors
    /// If the key is there and no finite number.
    pub fn optional_float(&self, key: &str) -> Result<Option<f32>, GgufError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(number)) if number.is_finite() => Ok(Some(*number as f32)),
            Some(_) => Err(self.wrong_type(key, "a finite number")),
        }
    }

    /// # Errors
    /// If the key is there and neither true nor false.
    pub fn optional_bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong_type(key, "true or false")),
        }
    }

    /// # Errors
    /// If the key is missing or no list of texts.
    pub fn texts(&self, key: &str) -> Result<&[String], GgufError> {
        match self.metadata.get(key) {
            None => Err(self.missing(key)),
            Some(Value::Texts(texts)) => Ok(texts),
            Some(_) => Err(self.wrong_type(key, "a list of texts")),
        }
    }

    /// # Errors
    /// If the key is there and no list of whole numbers of more than eight bits.
    pub fn optional_integers(&self, key: &str) -> Result<Option<&[i64]>, GgufError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Integers(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(self.wrong_type(key, "a list of whole numbers of more than eight bits")),
        }
    }

    /// Bytes, however wide they are written.
    ///
    /// # Errors
    /// If the key is there and no list of bytes.
    pub fn optional_bytes(&self, key: &str) -> Result<Option<Cow<'_, [u8]>>, GgufError> {
        let wrong = || self.wrong_type(key, "a list of bytes");
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) => Ok(Some(Cow::Borrowed(bytes))),
            Some(Value::Integers(numbers)) => {
                // Some are signed.
                let byte = |it: &i64| (-128..256).contains(it).then_some(*it as u8);
                let bytes: Option<Vec<u8>> = numbers.iter().map(byte).collect();
                bytes.map(|it| Some(Cow::Owned(it))).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// # Errors
    /// If the key is there and no list of numbers.
    pub fn optional_floats(&self, key: &str) -> Result<Option<&[f32]>, GgufError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Floats(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(self.wrong_type(key, "a list of numbers")),
        }
    }

    #[must_use]
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// A tensor that must have this shape, as it lies in the file.
    ///
    /// # Errors
    /// If it is missing or of another shape.
    pub fn tensor_data(&self, name: &str, shape: &[usize]) -> Result<(GgmlDType, &[u8]), GgufError> {
        let info = self.tensors.get(name).ok_or_else(|| GgufError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })?;
        if info.shape != shape {
            return Err(GgufError::Shape {
                path: self.path.clone(),
                tensor: name.to_owned(),
                found: info.shape.clone(),
                wanted: shape.to_vec(),
            });
        }
        let part = self.parts.get(info.part);
        let data = part
            .zip(info.range())
            .and_then(|(part, range)| part.map.get(range))
            .ok_or_else(|| self.bad_tensor(name, "it lies outside the file"))?;
        Ok((info.dtype, data))
    }

    /// Tells the system that a tensor's pages will hardly be read again, so that they do not count as this
    /// process's memory beside what was made of them.
    pub fn release(&self, name: &str) {
        let Some(info) = self.tensors.get(name) else {
            return;
        };
        if let (Some(part), Some(range)) = (self.parts.get(info.part), info.range()) {
            mapped::release(&part.map, range);
        }
    }

    /// Reads rows × columns of any type as f32.
    ///
    /// # Errors
    /// As [`GgufFile::tensor_data`], or if candle cannot read such a type.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>, GgufError> {
        self.decoded(name, &[rows, columns])
    }

    /// Reads a vector of this length as f32.
    ///
    /// # Errors
    /// As [`GgufFile::matrix`].
    pub fn floats(&self, name: &str, length: usize) -> Result<Vec<f32>, GgufError> {
        self.decoded(name, &[length])
    }

    fn decoded(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, GgufError> {
        let (dtype, data) = self.tensor_data(name, shape)?;
        QStorage::from_data(data.into(), &Device::Cpu, dtype)
            .and_then(|storage| {
                QTensor::new(storage, shape)?
                    .dequantize(&Device::Cpu)?
                    .flatten_all()?
                    .to_vec1()
            })
            .map_err(|error| self.bad_tensor(name, &error.to_string()))
    }

    fn bad_tensor(&self, name: &str, problem: &str) -> GgufError {
        let info = self.tensors.get(name);
        let part = info.and_then(|it| self.parts.get(it.part));
        GgufError::Tensor {
            path: part.map_or(&self.path, |it| &it.path).clone(),
            tensor: name.to_owned(),
            offset: info.map_or(0, |it| it.offset),
            problem: problem.to_owned(),
        }
    }

    /// As [`GgufFile::floats`], if the tensor is there.
    ///
    /// # Errors
    /// As [`GgufFile::floats`].
    pub fn optional_vector(&self, name: &str, length: usize) -> Result<Option<Vec<f32>>, GgufError> {
        if self.has_tensor(name) {
            self.floats(name, length).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Refuses a metadata value that cannot be right.
    #[must_use]
    pub fn bad_value(&self, key: &str, problem: impl Into<String>) -> GgufError {
        GgufError::Metadata {
            path: self.path.clone(),
            key: key.to_owned(),
            offset: 0,
            problem: problem.into(),
        }
    }

    fn missing(&self, key: &str) -> GgufError {
        GgufError::MissingKey {
            path: self.path.clone(),
            key: key.to_owned(),
        }
    }

    fn wrong_type(&self, key: &str, wanted: &'static str) -> GgufError {
        GgufError::WrongType {
            path: self.path.clone(),
            key: key.to_owned(),
            wanted,
        }
    }
}

#[cfg(test)]
mod tests;
