//! Writes a GGUF file in one stream: the table of tensors first, then their data one after the other, so that no
//! more than one of them has to be in memory.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use candle_core::quantized::GgmlDType;

const ALIGNMENT: u64 = 32;

/// A GGUF file (version 3) that is being written, under its name with `.part` behind it until it is whole.
#[derive(Debug)]
pub struct GgufWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    tensors: Vec<PlannedTensor>,
    /// How many of them are written.
    written: usize,
    /// Bytes of the next one that are.
    begun: u64,
}

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTensor {
    pub name: String,
    pub dtype: GgmlDType,
    /// Slowest dimension first; rows are whole blocks of `dtype`.
    pub shape: Vec<usize>,
}

/// A metadata value to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    U8s(Vec<u8>),
    /// As it lies in another file: [`GgufFile::entry`](super::GgufFile::entry).
    Raw(Vec<u8>),
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path}: tensor {tensor}: {given} bytes are given, it has {wanted}")]
    Length {
        path: PathBuf,
        tensor: String,
        given: u64,
        wanted: u64,
    },
    #[error("{path}: {written} of {planned} tensors are written")]
    Missing {
        path: PathBuf,
        written: usize,
        planned: usize,
    },
}

impl PlannedTensor {
    /// In the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let numbers: u64 = self.shape.iter().map(|it| *it as u64).product();
        numbers / self.dtype.block_size() as u64 * self.dtype.type_size() as u64
    }
}

impl GgufWriter {
    /// Writes everything before the tensors' data.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create(
        path: &Path,
        metadata: &[(String, Entry)],
        tensors: Vec<PlannedTensor>,
    ) -> Result<Self, WriteError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = File::create(&part).map_err(|error| WriteError::Io {
            path: part.clone(),
            error,
        })?;
        let mut writer = Self {
            path: path.to_owned(),
            part,
            file: BufWriter::with_capacity(1 << 20, file),
            tensors,
            written: 0,
            begun: 0,
        };
        let header = header(metadata, &writer.tensors);
        writer.put(&header)?;
        writer.pad(header.len() as u64)?;
        Ok(writer)
    }

    /// Writes the data of the next tensor in the order of the table, or some more of it.
    ///
    /// # Errors
    /// If it is longer than the table says, or the file cannot be written.
    pub fn write(&mut self, data: &[u8]) -> Result<(), WriteError> {
        let planned = self.tensors.get(self.written);
        let wanted = planned.map_or(0, PlannedTensor::bytes);
        let given = self.begun + data.len() as u64;
        if given > wanted {
            return Err(WriteError::Length {
                path: self.path.clone(),
                tensor: planned.map(|it| it.name.clone()).unwrap_or_default(),
                given,
                wanted,
            });
        }
        self.put(data)?;
        self.begun = given;
        if given == wanted {
            self.pad(wanted)?;
            (self.written, self.begun) = (self.written + 1, 0);
        }
        Ok(())
    }

    /// Gives the file its name once it is safe on disk; a file of that name is replaced.
    ///
    /// # Errors
    /// If tensors are missing or the file cannot be written.
    pub fn finish(mut self) -> Result<(), WriteError> {
        if self.written != self.tensors.len() {
            return Err(WriteError::Missing {
                path: self.path.clone(),
                written: self.written,
                planned: self.tensors.len(),
            });
        }
        let done = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.part, &self.path));
        done.map_err(|error| self.io(error))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = self.file.write_all(bytes);
        written.map_err(|error| self.io(error))
    }

    fn pad(&mut self, length: u64) -> Result<(), WriteError> {
        let gap = length.next_multiple_of(ALIGNMENT) - length;
        self.put([0; ALIGNMENT as usize].get(..gap as usize).unwrap_or_default())
    }

    fn io(&self, error: io::Error) -> WriteError {
        WriteError::Io {
            path: self.part.clone(),
            error,
        }
    }
}

impl Drop for GgufWriter {
    fn drop(&mut self) {
        // What was given up; a finished file has another name by now.
        let _gone = fs::remove_file(&self.part);
    }
}

fn header(metadata: &[(String, Entry)], tensors: &[PlannedTensor]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, entry) in metadata {
        put_text(&mut bytes, key);
        entry.put(&mut bytes);
    }
    let mut offset = 0_u64;
    for tensor in tensors {
        put_text(&mut bytes, &tensor.name);
        bytes.extend((tensor.shape.len() as u32).to_le_bytes());
        for size in tensor.shape.iter().rev() {
            bytes.extend((*size as u64).to_le_bytes());
        }
        bytes.extend(ggml_number(tensor.dtype).to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    bytes
}

impl Entry {
    /// Type and value.
    fn put(&self, bytes: &mut Vec<u8>) {
        let mut list = |kind: u32, length: usize| {
            bytes.extend(9_u32.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend((length as u64).to_le_bytes());
        };
        match self {
            Self::U32(it) => {
                bytes.extend(4_u32.to_le_bytes());
                bytes.extend(it.to_le_bytes());
            }
            Self::F32(it) => {
                bytes.extend(6_u32.to_le_bytes());
                bytes.extend(it.to_le_bytes());
            }
            Self::Bool(it) => {
                bytes.extend(7_u32.to_le_bytes());
                bytes.push(u8::from(*it));
            }
            Self::Text(it) => {
                bytes.extend(8_u32.to_le_bytes());
                put_text(bytes, it);
            }
            Self::Texts(them) => {
                list(8, them.len());
                them.iter().for_each(|it| put_text(bytes, it));
            }
            Self::I32s(them) => {
                list(5, them.len());
                bytes.extend(them.iter().flat_map(|it| it.to_le_bytes()));
            }
            Self::F32s(them) => {
                list(6, them.len());
                bytes.extend(them.iter().flat_map(|it| it.to_le_bytes()));
            }
            Self::U8s(them) => {
                list(0, them.len());
                bytes.extend(them);
            }
            Self::Raw(raw) => bytes.extend(raw),
        }
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.bytes());
}

/// As ggml.h numbers its types.
fn ggml_number(dtype: GgmlDType) -> u32 {
    match dtype {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q8_1 => 9,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::Q8K => 15,
        GgmlDType::BF16 => 30,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use candle_core::{Device, quantized::GgmlDType, quantized::gguf_file};

    use super::{Entry, GgufWriter, PlannedTensor};
    use crate::gguf::{GgufFile, Value};

    fn planned(name: &str, dtype: GgmlDType, shape: &[usize]) -> PlannedTensor {
        PlannedTensor {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
        }
    }

    #[test]
    fn candle_and_we_read_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.gguf"), folder.path().join("b.gguf"));
        let metadata = [
            ("general.architecture", Entry::Text("llama".into())),
            ("a.number", Entry::U32(7)),
            ("a.float", Entry::F32(0.5)),
            ("a.bool", Entry::Bool(true)),
            ("a.texts", Entry::Texts(vec!["头".into(), String::new()])),
            ("a.integers", Entry::I32s(vec![-1, 2])),
            ("a.floats", Entry::F32s(vec![1.5])),
            ("a.bytes", Entry::U8s(vec![0, 255])),
        ];
        let metadata = metadata.map(|(key, entry)| (key.to_owned(), entry));
        let tensors = vec![
            planned("odd", GgmlDType::F32, &[3]),
            planned("matrix", GgmlDType::F16, &[2, 4]),
        ];
        let odd: Vec<u8> = [1.0_f32, 2.0, 3.0]
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        let matrix = [0x3c00_u16; 8].map(u16::to_le_bytes).concat();
        let mut writer = GgufWriter::create(&first, &metadata, tensors.clone()).unwrap();
        writer.write(&odd[..5]).unwrap();
        writer.write(&odd[5..]).unwrap();
        assert!(!first.exists());
        writer.write(&matrix).unwrap();
        writer.finish().unwrap();

        let gguf = GgufFile::open(&first).unwrap();
        assert_eq!(gguf.value("a.integers"), Some(&Value::Integers(vec![-1, 2])));
        assert_eq!(gguf.value("a.bytes"), Some(&Value::Bytes(vec![0, 255])));
        assert_eq!(
            gguf.optional_bytes("a.bytes").unwrap().as_deref(),
            Some(&[0, 255][..])
        );
        assert_eq!(
            gguf.optional_bytes("a.integers").unwrap().as_deref(),
            Some(&[255, 2][..])
        );
        assert!(gguf.optional_bytes("a.texts").is_err() && gguf.optional_integers("a.bytes").is_err());
        assert_eq!(gguf.texts("a.texts").unwrap(), ["头", ""]);
        assert_eq!(gguf.floats("odd", 3).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(gguf.matrix("matrix", 2, 4).unwrap(), [1.0; 8]);
        let mut file = fs::File::open(&first).unwrap();
        let content = gguf_file::Content::read(&mut file).unwrap();
        assert_eq!(content.metadata["a.float"].to_f32().unwrap(), 0.5);
        let tensor = content.tensor(&mut file, "matrix", &Device::Cpu).unwrap();
        assert_eq!(tensor.shape().dims(), [2, 4]);

        let copied: Vec<_> = gguf
            .keys()
            .map(|key| (key.to_owned(), Entry::Raw(gguf.entry(key).unwrap().to_vec())))
            .collect();
        let mut writer = GgufWriter::create(&second, &copied, tensors).unwrap();
        writer.write(&odd).unwrap();
        writer.write(&matrix).unwrap();
        writer.finish().unwrap();
        let copy = GgufFile::open(&second).unwrap();
        assert!(gguf.keys().all(|key| gguf.value(key) == copy.value(key)));
        assert_eq!(gguf.keys().count(), copy.keys().count());
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let tensors = vec![planned("a", GgmlDType::F32, &[2])];
        let mut writer = GgufWriter::create(&path, &[], tensors).unwrap();
        let error = writer.write(&[0; 9]).unwrap_err().to_string();
        assert!(error.contains("tensor a: 9 bytes are given, it has 8"), "{error}");
        writer.write(&[0; 7]).unwrap();
        let error = writer.finish().unwrap_err().to_string();
        assert!(error.contains("0 of 1 tensors"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
