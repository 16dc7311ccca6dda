//! Reads the part of a GGUF file before the tensor data. Nothing is allocated on the file's word alone:
//! every length is held against what is left of the file and against a limit first.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    ops::Range,
    path::Path,
};

use candle_core::quantized::GgmlDType;

use super::{GgufError, TensorInfo, Value};

const MAX_ENTRIES: u64 = 1 << 16;
const MAX_TEXT_BYTES: u64 = 16 << 20;
const MAX_ARRAY_LENGTH: u64 = 1 << 22;
const MAX_ARRAY_DEPTH: usize = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    /// Where their types and values lie, in bytes from the file's beginning.
    pub(super) places: BTreeMap<String, Range<u64>>,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

pub(super) fn read(path: &Path, file: &File, length: u64) -> Result<Header, GgufError> {
    let mut cursor = Cursor {
        path,
        reader: BufReader::new(file),
        offset: 0,
        length,
    };
    let magic: [u8; 4] = cursor.array("the magic number")?;
    if &magic != b"GGUF" {
        let found = magic
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect::<Vec<_>>()
            .join(" ");
        return Err(GgufError::NotGguf {
            path: path.to_owned(),
            found,
        });
    }
    let version = cursor.u32("the version")?;
    if !(2..=3).contains(&version) {
        return Err(GgufError::Version {
            path: path.to_owned(),
            version,
        });
    }
    let tensor_count = cursor.count("the number of tensors", 24)?;
    let metadata_count = cursor.count("the number of metadata entries", 13)?;

    let mut metadata = BTreeMap::new();
    let mut places = BTreeMap::new();
    for _ in 0..metadata_count {
        let at = cursor.offset;
        let key = cursor.text("a metadata key")?;
        let start = cursor.offset;
        let kind = cursor.u32(&key)?;
        let value = cursor.value(&key, kind, 0)?;
        places.insert(key.clone(), start..cursor.offset);
        if metadata.insert(key.clone(), value).is_some() {
            return Err(cursor.metadata_error(&key, at, "it is there twice"));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(Value::Unsigned(it)) if it.is_power_of_two() && (8..=1 << 16).contains(it) => *it,
        Some(_) => {
            return Err(cursor.metadata_error("general.alignment", 0, "it must be a power of two from 8"));
        }
    };

    let mut tensors = BTreeMap::new();
    for _ in 0..tensor_count {
        let at = cursor.offset;
        let name = cursor.text("a tensor's name")?;
        let info = cursor.tensor_info(&name)?;
        if tensors.insert(name.clone(), info).is_some() {
            return Err(cursor.tensor_error(&name, at, "it is there twice"));
        }
    }
    let data_start = cursor.offset.next_multiple_of(alignment);
    place(&cursor, &mut tensors, data_start, alignment)?;
    Ok(Header {
        metadata,
        places,
        tensors,
    })
}

/// Turns offsets into file offsets and checks that every tensor lies in the file, on its own.
fn place(
    cursor: &Cursor<'_>,
    tensors: &mut BTreeMap<String, TensorInfo>,
    data_start: u64,
    alignment: u64,
) -> Result<(), GgufError> {
    for (name, info) in tensors.iter_mut() {
        if info.offset % alignment != 0 {
            return Err(cursor.tensor_error(
                name,
                info.offset,
                &format!("its offset is no multiple of {alignment}"),
            ));
        }
        let start = data_start.checked_add(info.offset);
        let Some(start) =
            start.filter(|it| it.checked_add(info.bytes).is_some_and(|end| end <= cursor.length))
        else {
            let problem = format!(
                "its {} bytes end beyond the file of {} bytes; fetch the file again",
                info.bytes, cursor.length
            );
            return Err(cursor.tensor_error(name, start.unwrap_or(u64::MAX), &problem));
        };
        info.offset = start;
    }
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, info)| info.offset);
    for pair in order.windows(2) {
        if let [(first, before), (name, info)] = pair
            && before.offset + before.bytes > info.offset
        {
            return Err(cursor.tensor_error(name, info.offset, &format!("it overlaps {first}")));
        }
    }
    Ok(())
}

struct Cursor<'a> {
    path: &'a Path,
    reader: BufReader<&'a File>,
    offset: u64,
    length: u64,
}

impl Cursor<'_> {
    fn need(&self, bytes: u64, what: &str) -> Result<(), GgufError> {
        let left = self.length - self.offset;
        if bytes <= left {
            return Ok(());
        }
        Err(GgufError::Truncated {
            path: self.path.to_owned(),
            what: what.to_owned(),
            offset: self.offset,
            needed: bytes,
            left,
        })
    }

    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<(), GgufError> {
        self.need(buffer.len() as u64, what)?;
        self.reader.read_exact(buffer).map_err(|error| GgufError::Io {
            path: self.path.to_owned(),
            error,
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut buffer = [0; N];
        self.fill(&mut buffer, what)?;
        Ok(buffer)
    }

    fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number of entries that take at least `least` bytes each.
    fn count(&mut self, what: &str, least: u64) -> Result<u64, GgufError> {
        let at = self.offset;
        let count = self.u64(what)?;
        if count > MAX_ENTRIES {
            return Err(self.header_error(at, &format!("{what} is {count}, more than {MAX_ENTRIES}")));
        }
        self.need(count * least, what)?;
        Ok(count)
    }

    fn text(&mut self, what: &str) -> Result<String, GgufError> {
        let at = self.offset;
        let bytes = self.u64(what)?;
        if bytes > MAX_TEXT_BYTES {
            return Err(self.header_error(
                at,
                &format!("{what} claims {bytes} bytes, more than {MAX_TEXT_BYTES}"),
            ));
        }
        self.need(bytes, what)?;
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.fill(&mut buffer, what)?;
        Ok(String::from_utf8(buffer)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn value(&mut self, key: &str, kind: u32, depth: usize) -> Result<Value, GgufError> {
        let at = self.offset;
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>(key)?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array(key)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array(key)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array(key)?).into()),
            4 => Value::Unsigned(self.u32(key)?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array(key)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array(key)?).into()),
            7 => match self.array::<1>(key)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return Err(self.metadata_error(key, at, &format!("a bool is {other}"))),
            },
            8 => Value::Text(self.text(key)?),
            9 => self.array_value(key, depth + 1)?,
            10 => Value::Unsigned(self.u64(key)?),
            11 => Value::Signed(i64::from_le_bytes(self.array(key)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            other => return Err(self.metadata_error(key, at, &format!("value type {other} is unknown"))),
        })
    }

    fn array_value(&mut self, key: &str, depth: usize) -> Result<Value, GgufError> {
        let at = self.offset;
        if depth > MAX_ARRAY_DEPTH {
            return Err(self.metadata_error(key, at, "arrays are nested too deeply"));
        }
        let kind = self.u32(key)?;
        let length = self.u64(key)?;
        if length > MAX_ARRAY_LENGTH {
            let problem = format!("an array claims {length} elements, more than {MAX_ARRAY_LENGTH}");
            return Err(self.metadata_error(key, at, &problem));
        }
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            9 => 12,
            _ => 8,
        };
        self.need(length * least, key)?;
        if kind <= 1 {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            self.fill(&mut bytes, key)?;
            return Ok(Value::Bytes(bytes));
        }
        let (mut texts, mut integers, mut floats) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..length {
            match self.value(key, kind, depth)? {
                Value::Text(it) => texts.push(it),
                Value::Unsigned(it) => integers.push(i64::try_from(it).unwrap_or(i64::MAX)),
                Value::Signed(it) => integers.push(it),
                Value::Float(it) => floats.push(it as f32),
                _ => {}
            }
        }
        Ok(match kind {
            8 => Value::Texts(texts),
            6 | 12 => Value::Floats(floats),
            7 | 9 => Value::Other,
            _ => Value::Integers(integers),
        })
    }

    /// The offset is still relative to the tensor data.
    fn tensor_info(&mut self, name: &str) -> Result<TensorInfo, GgufError> {
        let at = self.offset;
        let dimensions = self.u32(name)?;
        if !(1..=4).contains(&dimensions) {
            return Err(self.tensor_error(name, at, &format!("it has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64(name)?;
            let size = u32::try_from(size).ok().filter(|it| *it > 0);
            shape.push(
                size.ok_or_else(|| self.tensor_error(name, at, "a dimension is 0 or absurdly large"))?
                    as usize,
            );
        }
        let dtype = self.u32(name)?;
        let dtype = ggml_type(dtype).map_err(|problem| self.tensor_error(name, at, &problem))?;
        let columns = shape.first().copied().unwrap_or(0);
        if columns % dtype.block_size() != 0 {
            let problem = format!(
                "rows of {columns} cannot be {dtype:?}, blocks of {}",
                dtype.block_size()
            );
            return Err(self.tensor_error(name, at, &problem));
        }
        let elements = shape
            .iter()
            .try_fold(1_u64, |product, it| product.checked_mul(*it as u64));
        let bytes =
            elements.and_then(|it| (it / dtype.block_size() as u64).checked_mul(dtype.type_size() as u64));
        let bytes =
            bytes.ok_or_else(|| self.tensor_error(name, at, &format!("its shape {shape:?} is absurd")))?;
        let offset = self.u64(name)?;
        shape.reverse();
        Ok(TensorInfo {
            dtype,
            shape,
            part: 0,
            offset,
            bytes,
        })
    }

    fn header_error(&self, offset: u64, problem: &str) -> GgufError {
        GgufError::Header {
            path: self.path.to_owned(),
            offset,
            problem: problem.to_owned(),
        }
    }

    fn metadata_error(&self, key: &str, offset: u64, problem: &str) -> GgufError {
        GgufError::Metadata {
            path: self.path.to_owned(),
            key: key.to_owned(),
            offset,
            problem: problem.to_owned(),
        }
    }

    fn tensor_error(&self, tensor: &str, offset: u64, problem: &str) -> GgufError {
        let (path, tensor, problem) = (self.path.to_owned(), tensor.to_owned(), problem.to_owned());
        GgufError::Tensor {
            path,
            tensor,
            offset,
            problem,
        }
    }
}

fn ggml_type(number: u32) -> Result<GgmlDType, String> {
    Ok(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        9 => GgmlDType::Q8_1,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        15 => GgmlDType::Q8K,
        30 => GgmlDType::BF16,
        other => {
            return Err(format!(
                "weight type {other} is not supported; use a file in F16, BF16, Q8_0, Q4_0 to Q5_1 or Q2_K to Q6_K"
            ));
        }
    })
}
