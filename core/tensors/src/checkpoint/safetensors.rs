//! Reads the header of a safetensors file.
//!
//! Format: <https://github.com/huggingface/safetensors#format>.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::{CheckpointError, CheckpointTensor, Numbers, Place, file_error, tensor_error};

/// As in the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const MAX_DIMENSIONS: usize = 16;

/// The tensors of a file of which `bytes` are the whole; `file` is its place in the checkpoint.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    file: usize,
) -> Result<BTreeMap<String, CheckpointTensor>, CheckpointError> {
    let truncated = |needed: u64, left: usize| CheckpointError::Truncated {
        path: path.to_owned(),
        what: "the header".to_owned(),
        needed,
        left: left as u64,
    };
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(truncated(8, bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(file_error(
            path,
            format!("its header claims {length} bytes, more than {MAX_HEADER_BYTES}"),
        ));
    }
    let split = usize::try_from(length)
        .ok()
        .and_then(|it| rest.split_at_checked(it));
    let Some((header, data)) = split else {
        return Err(truncated(length, rest.len()));
    };
    let header: Header =
        serde_json::from_slice(header).map_err(|error| file_error(path, format!("its header: {error}")))?;
    let data_start = bytes.len() - data.len();
    let tensors = header.0.into_iter().map(|(name, entry)| {
        let tensor = entry
            .place(data_start, data.len(), file)
            .map_err(|problem| tensor_error(path, &name, problem))?;
        Ok((name, tensor))
    });
    let tensors = tensors.collect::<Result<BTreeMap<_, _>, _>>()?;
    refuse_overlaps(path, &tensors)?;
    Ok(tensors)
}

fn refuse_overlaps(path: &Path, tensors: &BTreeMap<String, CheckpointTensor>) -> Result<(), CheckpointError> {
    let mut order: Vec<_> = tensors.iter().map(|(name, it)| (&it.place.range, name)).collect();
    order.sort_by_key(|(range, _)| (range.start, range.end));
    for pair in order.windows(2) {
        if let [(before, first), (range, name)] = pair
            && before.end > range.start
        {
            return Err(tensor_error(path, name, format!("it overlaps {first}")));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct HeaderEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl HeaderEntry {
    fn place(self, data_start: usize, data_length: usize, file: usize) -> Result<CheckpointTensor, String> {
        let numbers = numbers(&self.dtype)?;
        let (start, end) = self.data_offsets;
        if self.shape.len() > MAX_DIMENSIONS {
            return Err(format!("it has {} dimensions", self.shape.len()));
        }
        if start > end {
            return Err(format!("it ends at byte {end}, before it begins at {start}"));
        }
        if end > data_length as u64 {
            return Err(format!(
                "it ends at byte {end} of {data_length}, beyond the file; fetch the file again"
            ));
        }
        let absurd = || format!("its shape {:?} is absurd", self.shape);
        let bytes = self
            .shape
            .iter()
            .try_fold(numbers.bytes() as u64, |product, it| {
                product.checked_mul((*it).max(1))
            })
            .ok_or_else(absurd)?;
        let bytes = if self.shape.contains(&0) { 0 } else { bytes };
        if bytes != end - start {
            return Err(format!(
                "its shape {:?} in {} takes {bytes} bytes, it has {}",
                self.shape,
                self.dtype,
                end - start
            ));
        }
        // Both lie within the file, which is in memory.
        let range = data_start + start as usize..data_start + end as usize;
        let shape = self.shape.iter().map(|it| usize::try_from(*it).ok());
        Ok(CheckpointTensor {
            numbers,
            shape: shape.collect::<Option<_>>().ok_or_else(absurd)?,
            place: Place {
                file,
                range,
                strides: None,
            },
        })
    }
}

fn numbers(dtype: &str) -> Result<Numbers, String> {
    Ok(match dtype {
        "F64" => Numbers::F64,
        "F32" => Numbers::F32,
        "F16" => Numbers::F16,
        "BF16" => Numbers::BF16,
        "I64" => Numbers::I64,
        "I32" => Numbers::I32,
        "I16" => Numbers::I16,
        "I8" => Numbers::I8,
        "U8" => Numbers::U8,
        "BOOL" => Numbers::Bool,
        other => {
            return Err(format!(
                "numbers of kind {other} are not supported; use a checkpoint in BF16, F16 or F32"
            ));
        }
    })
}

/// A map would take the last of two tensors with one name and say nothing.
struct Header(BTreeMap<String, HeaderEntry>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let entry = map
                .next_value::<HeaderEntry>()
                .map_err(|error| A::Error::custom(format!("tensor {name}: {error}")))?;
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("tensor {name} is there twice")));
            }
            entries.insert(name, entry);
        }
        Ok(Header(entries))
    }
}
