//! Checkpoints as Hugging Face folders and PyTorch files hold them, checked before anything in them is used.
//!
//! Files are mapped, and a tensor is a range of its file, so that memory is bounded by the one tensor that is
//! read. Formats: <https://github.com/huggingface/safetensors#format> and what `torch.save` writes, see
//! <https://docs.pytorch.org/docs/stable/notes/serialization.html>.

mod folder;
mod pickle;
mod safetensors;
mod torch;
mod zip;

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use memmap2::Mmap;

use crate::mapped;

/// The tensors of a checkpoint: of one file, or of a folder with one or several (shards).
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, CheckpointTensor>,
}

/// What a tensor is; [`Checkpoint::bytes`] and [`Checkpoint::floats`] read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointTensor {
    pub numbers: Numbers,
    /// Slowest dimension first: `[rows, columns]` for a matrix, nothing for a single number.
    pub shape: Vec<usize>,
    place: Place,
}

/// How a tensor's numbers are stored, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Numbers {
    /// Of one number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Numbers of this kind, little-endian, as floats; a bool is 0 or 1.
    #[must_use]
    pub fn floats(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => converted(bytes, |it| f64::from_le_bytes(it) as f32),
            Self::F32 => converted(bytes, f32::from_le_bytes),
            Self::F16 => converted(bytes, |it| f16::from_le_bytes(it).to_f32()),
            Self::BF16 => converted(bytes, |it| bf16::from_le_bytes(it).to_f32()),
            Self::I64 => converted(bytes, |it| i64::from_le_bytes(it) as f32),
            Self::I32 => converted(bytes, |it| i32::from_le_bytes(it) as f32),
            Self::I16 => converted(bytes, |it| i16::from_le_bytes(it).into()),
            Self::I8 => converted(bytes, |it| i8::from_le_bytes(it).into()),
            Self::U8 => converted(bytes, |it| u8::from_le_bytes(it).into()),
            Self::Bool => converted(bytes, |it: [u8; 1]| f32::from(u8::from(it != [0]))),
        }
    }
}

/// Where a tensor's numbers lie.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: usize,
    range: Range<usize>,
    /// In numbers, one for each dimension; none if the numbers follow one another, row by row.
    strides: Option<Vec<usize>>,
}

#[derive(Debug)]
struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{path}: no checkpoint in this folder; give one with *.safetensors or pytorch_model*.bin")]
    EmptyFolder { path: PathBuf },
    #[error("{path}: neither safetensors nor a PyTorch file: it begins with {found}")]
    UnknownFormat { path: PathBuf, found: String },
    #[error(
        "{path}: a PyTorch file of the kind before 1.6, without a zip; load it and save it again with torch >= 1.6"
    )]
    LegacyTorch { path: PathBuf },
    #[error("{path}: truncated: {what} needs {needed} bytes, {left} are left; fetch the file again")]
    Truncated {
        path: PathBuf,
        what: String,
        needed: u64,
        left: u64,
    },
    #[error("{path}: {problem}")]
    File { path: PathBuf, problem: String },
    #[error("{path}: data.pkl at byte {offset}: {problem}")]
    Pickle {
        path: PathBuf,
        offset: usize,
        problem: String,
    },
    #[error("{path}: shard {shard} is missing; fetch it into the same folder")]
    MissingShard { path: PathBuf, shard: String },
    #[error("{path}: tensor {tensor}: {problem}")]
    Tensor {
        path: PathBuf,
        tensor: String,
        problem: String,
    },
    #[error("{path}: tensor {tensor} is in {other}, too; leave one of them in the folder")]
    Twice {
        path: PathBuf,
        other: PathBuf,
        tensor: String,
    },
    #[error("{path}: tensor {tensor} is missing")]
    MissingTensor { path: PathBuf, tensor: String },
}

impl Checkpoint {
    /// Opens and checks a file, whose kind its first bytes tell, or a folder, where safetensors come before
    /// PyTorch files and an index of shards comes before single files. Tensors are not read yet.
    ///
    /// Tensors in nested dicts of a PyTorch file have the dicts' keys before their names, joined by dots.
    ///
    /// # Errors
    /// [`CheckpointError`] with the first thing that is wrong.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let mut checkpoint = Self {
            path: path.to_owned(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
        };
        if path.is_dir() {
            folder::open(path, &mut checkpoint)?;
        } else {
            checkpoint.add(path)?;
        }
        Ok(checkpoint)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, CheckpointTensor> {
        &self.tensors
    }

    /// One tensor's numbers, row-major and little-endian; copied only if they lie in another order.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, CheckpointError> {
        let (file, tensor) = self.find(name)?;
        let stored = file.map.get(tensor.place.range.clone());
        let bytes = match &tensor.place.strides {
            None => stored.map(Cow::Borrowed),
            Some(strides) => stored.and_then(|it| gather(it, tensor, strides)).map(Cow::Owned),
        };
        bytes.ok_or_else(|| tensor_error(&file.path, name, "it lies outside the file"))
    }

    /// One tensor's numbers of whatever kind as floats, row-major; a bool is 0 or 1.
    ///
    /// # Errors
    /// As [`Checkpoint::bytes`].
    pub fn floats(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let bytes = self.bytes(name)?;
        Ok(self.find(name)?.1.numbers.floats(&bytes))
    }

    /// Tells the system that a tensor's pages will hardly be read again, so that they do not count as this
    /// process's memory beside what was made of them.
    pub fn release(&self, name: &str) {
        if let Ok((file, tensor)) = self.find(name) {
            mapped::release(&file.map, tensor.place.range.clone());
        }
    }

    fn find(&self, name: &str) -> Result<(&MappedFile, &CheckpointTensor), CheckpointError> {
        let tensor = self.tensors.get(name);
        tensor
            .and_then(|tensor| Some((self.files.get(tensor.place.file)?, tensor)))
            .ok_or_else(|| CheckpointError::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
            })
    }

    /// Adds one file's tensors, none of which may be here already.
    fn add(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let file = MappedFile {
            path: path.to_owned(),
            map: map(path)?,
        };
        let (index, bytes) = (self.files.len(), &*file.map);
        let found = if bytes.get(8) == Some(&b'{') {
            safetensors::read(path, bytes, index)?
        } else if bytes.starts_with(b"PK") {
            torch::read(path, bytes, index)?
        } else if matches!(bytes, [0x80, 2..=5, ..]) {
            return Err(CheckpointError::LegacyTorch {
                path: path.to_owned(),
            });
        } else {
            return Err(unknown_format(path, bytes));
        };
        self.files.push(file);
        for (name, tensor) in found {
            match self.tensors.entry(name) {
                Entry::Vacant(place) => drop(place.insert(tensor)),
                Entry::Occupied(before) => {
                    let other = self.files.get(before.get().place.file);
                    return Err(CheckpointError::Twice {
                        path: path.to_owned(),
                        other: other.map(|it| it.path.clone()).unwrap_or_default(),
                        tensor: before.key().clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn map(path: &Path) -> Result<Mmap, CheckpointError> {
    let io = |error| CheckpointError::Io {
        path: path.to_owned(),
        error,
    };
    // To open a pipe would wait for its writer.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(file_error(path, "neither a file nor a folder"));
    }
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length < 9 {
        return Err(CheckpointError::Truncated {
            path: path.to_owned(),
            what: "the beginning".to_owned(),
            needed: 9,
            left: length,
        });
    }
    mapped::open(&file).map_err(io)
}

/// Copies numbers in row-major order, of a tensor whose shape and strides were checked.
fn gather(stored: &[u8], tensor: &CheckpointTensor, strides: &[usize]) -> Option<Vec<u8>> {
    let width = tensor.numbers.bytes();
    let elements: usize = tensor.shape.iter().product();
    let mut gathered = Vec::with_capacity(elements * width);
    let mut index = vec![0; tensor.shape.len()];
    let mut at = 0;
    for _ in 0..elements {
        gathered.extend_from_slice(stored.get(at * width..(at + 1) * width)?);
        for ((place, size), stride) in index.iter_mut().zip(&tensor.shape).zip(strides).rev() {
            *place += 1;
            at += stride;
            if *place < *size {
                break;
            }
            at -= stride * size;
            *place = 0;
        }
    }
    Some(gathered)
}

fn converted<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|it| convert(*it)).collect()
}

fn unknown_format(path: &Path, bytes: &[u8]) -> CheckpointError {
    if bytes.starts_with(b"version https://git-lfs") {
        return file_error(
            path,
            "a git lfs pointer, not the file itself; fetch it with git lfs pull",
        );
    }
    CheckpointError::UnknownFormat {
        path: path.to_owned(),
        found: bytes
            .iter()
            .take(9)
            .map(|it| format!("{it:02x} "))
            .collect::<String>()
            .trim_end()
            .to_owned(),
    }
}

fn file_error(path: &Path, problem: impl Into<String>) -> CheckpointError {
    CheckpointError::File {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

fn tensor_error(path: &Path, tensor: &str, problem: impl Into<String>) -> CheckpointError {
    CheckpointError::Tensor {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests;
