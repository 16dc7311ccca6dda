//! Reads a PyTorch file: a zip with a pickle and, beside it, the numbers of each storage.
//!
//! Format: <https://docs.pytorch.org/docs/stable/notes/serialization.html>.

use std::{borrow::Cow, collections::BTreeMap, path::Path};

use super::{
    CheckpointError, CheckpointTensor, Place, file_error,
    pickle::{self, Pickle, Tensor, Value, ValueId},
    tensor_error,
    zip::{self, Entries},
};

const MAX_PICKLE_BYTES: usize = 64 << 20;
const MAX_DEPTH: usize = 32;
/// Of dicts' entries: a few nested dicts that share their parts may stand for any number of them.
const MAX_VISITS: usize = 1 << 20;
const MAX_TENSORS: usize = 1 << 16;
const MAX_NAME_BYTES: usize = 4096;

/// The tensors of a file of which `bytes` are the whole; `file` is its place in the checkpoint.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    file: usize,
) -> Result<BTreeMap<String, CheckpointTensor>, CheckpointError> {
    let entries = zip::entries(bytes).map_err(|problem| file_error(path, problem))?;
    let prefix = prefix(&entries).map_err(|problem| file_error(path, problem))?;
    let entry = |name: &str| {
        let range = entries.get(format!("{prefix}{name}").as_str());
        range.map(|range| range.clone().and_then(|it| bytes.get(it)))
    };
    if entry("constants.pkl").is_some() {
        return Err(file_error(
            path,
            "a TorchScript program, no checkpoint; save its state_dict()",
        ));
    }
    if let Some(order) = entry("byteorder")
        && order.is_some_and(|it| it.trim_ascii() != b"little")
    {
        return Err(file_error(
            path,
            "its numbers are not little-endian; save it on another machine",
        ));
    }
    let Some(pickle) = entry("data.pkl").flatten() else {
        return Err(file_error(
            path,
            "data.pkl is compressed; write the file with torch.save",
        ));
    };
    if pickle.len() > MAX_PICKLE_BYTES {
        let problem = format!(
            "data.pkl has {} bytes, more than {MAX_PICKLE_BYTES}",
            pickle.len()
        );
        return Err(file_error(path, problem));
    }
    let pickle = pickle::read(pickle).map_err(|error| CheckpointError::Pickle {
        path: path.to_owned(),
        offset: error.offset,
        problem: error.problem,
    })?;
    let mut search = Search {
        path,
        entries: &entries,
        prefix,
        pickle: &pickle,
        file,
        visits: 0,
        keys: Vec::new(),
        tensors: BTreeMap::new(),
    };
    search.visit(pickle.root)?;
    if search.tensors.is_empty() {
        let problem = "no tensors in it; if it is a whole model, save its state_dict()";
        return Err(file_error(path, problem));
    }
    Ok(search.tensors)
}

/// All names in the zip begin with the name of the file that was written first.
fn prefix<'a>(entries: &Entries<'a>) -> Result<&'a str, String> {
    let is_pickle = |it: &&&str| **it == "data.pkl" || it.ends_with("/data.pkl");
    let mut pickles = entries.keys().filter(is_pickle);
    match (pickles.next(), pickles.next()) {
        (Some(name), None) => Ok(name.strip_suffix("data.pkl").unwrap_or_default()),
        (None, _) => Err("a zip without data.pkl is no PyTorch file".to_owned()),
        (Some(_), Some(_)) => Err("a zip with several data.pkl is no PyTorch file".to_owned()),
    }
}

struct Search<'a> {
    path: &'a Path,
    entries: &'a Entries<'a>,
    prefix: &'a str,
    pickle: &'a Pickle<'a>,
    file: usize,
    visits: usize,
    /// On the way to where the search is.
    keys: Vec<Cow<'a, str>>,
    tensors: BTreeMap<String, CheckpointTensor>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, id: ValueId) -> Result<(), CheckpointError> {
        match self.pickle.value(id) {
            Value::Dict(entries) => {
                for (key, value) in entries {
                    let key = match self.pickle.value(*key) {
                        Value::Text(text) => Cow::Borrowed(*text),
                        Value::Integer(number) => Cow::Owned(number.to_string()),
                        _ => continue,
                    };
                    self.enter(key, *value)?;
                }
            }
            Value::List(items) | Value::Tuple(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.enter(Cow::Owned(index.to_string()), *item)?;
                }
            }
            Value::Tensor(tensor) => {
                let name = self.name()?;
                let tensor = self
                    .place(tensor)
                    .map_err(|problem| tensor_error(self.path, &name, problem))?;
                if self.tensors.len() >= MAX_TENSORS {
                    return Err(file_error(self.path, format!("more than {MAX_TENSORS} tensors")));
                }
                if self.tensors.contains_key(&name) {
                    return Err(tensor_error(self.path, &name, "it is there twice"));
                }
                self.tensors.insert(name, tensor);
            }
            Value::Unreadable(problem) => {
                return Err(tensor_error(self.path, &self.name()?, problem));
            }
            Value::Opaque | Value::Integer(_) | Value::Text(_) | Value::Global(..) | Value::Storage(_) => {}
        }
        Ok(())
    }

    fn enter(&mut self, key: Cow<'a, str>, value: ValueId) -> Result<(), CheckpointError> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(file_error(
                self.path,
                format!("its dicts have more than {MAX_VISITS} entries"),
            ));
        }
        if self.keys.len() >= MAX_DEPTH {
            return Err(file_error(
                self.path,
                format!("its dicts are nested deeper than {MAX_DEPTH}"),
            ));
        }
        self.keys.push(key);
        self.visit(value)?;
        self.keys.pop();
        Ok(())
    }

    /// Made only where a tensor is, since keys of other things may be long.
    fn name(&self) -> Result<String, CheckpointError> {
        let length: usize = self.keys.iter().map(|it| it.len() + 1).sum();
        if length > MAX_NAME_BYTES {
            return Err(file_error(
                self.path,
                format!("a tensor's name has {length} bytes"),
            ));
        }
        Ok(self.keys.join("."))
    }

    /// Holds what a tensor claims against its storage, and that against the file.
    fn place(&self, tensor: &Tensor<'_>) -> Result<CheckpointTensor, String> {
        let storage = &tensor.storage;
        let entry = format!("{}data/{}", self.prefix, storage.key);
        let range = match self.entries.get(entry.as_str()) {
            Some(Some(range)) => range,
            Some(None) => return Err(format!("{entry} is compressed; write the file with torch.save")),
            None => return Err(format!("{entry} is missing; fetch the file again")),
        };
        let width = storage.numbers.bytes();
        let claimed = storage.elements.checked_mul(width as u64);
        if claimed.is_none_or(|it| it > range.len() as u64) {
            let (elements, found) = (storage.elements, range.len());
            return Err(format!(
                "{entry} should hold {elements} numbers of {width} bytes, it has {found} bytes"
            ));
        }
        let (first, last) = extent(tensor).ok_or_else(|| {
            let Tensor {
                offset,
                shape,
                strides,
                ..
            } = tensor;
            let elements = storage.elements;
            format!("shape {shape:?}, strides {strides:?}, offset {offset} do not fit {elements} numbers")
        })?;
        // All of it fits into the entry, which is in memory.
        let usize_of = |it: &u64| *it as usize;
        let contiguous = is_contiguous(tensor);
        Ok(CheckpointTensor {
            numbers: storage.numbers,
            shape: tensor.shape.iter().map(usize_of).collect(),
            place: Place {
                file: self.file,
                range: range.start + usize_of(&first) * width..range.start + usize_of(&last) * width,
                strides: (!contiguous).then(|| strides_of(tensor)),
            },
        })
    }
}

/// From the first number to behind the last, if all lie in the storage and are no more than it has: what was
/// stretched by strides of 0 may claim any size.
fn extent(tensor: &Tensor<'_>) -> Option<(u64, u64)> {
    let elements = tensor
        .shape
        .iter()
        .try_fold(1_u64, |product, it| product.checked_mul((*it).max(1)))?;
    let (first, limit) = (tensor.offset, tensor.storage.elements);
    if tensor.shape.contains(&0) {
        let sensible = first <= limit && usize::try_from(elements).is_ok();
        return sensible.then_some((first, first));
    }
    let mut last = first;
    for (size, stride) in tensor.shape.iter().zip(&tensor.strides) {
        last = last.checked_add((size - 1).checked_mul(*stride)?)?;
    }
    (elements <= limit && last < limit).then_some((first, last + 1))
}

/// The stride of a dimension of 1 means nothing and may be any number.
fn strides_of(tensor: &Tensor<'_>) -> Vec<usize> {
    let strides = tensor.shape.iter().zip(&tensor.strides);
    strides
        .map(|(size, stride)| if *size == 1 { 0 } else { *stride as usize })
        .collect()
}

fn is_contiguous(tensor: &Tensor<'_>) -> bool {
    if tensor.shape.contains(&0) {
        return true;
    }
    let mut expected = 1;
    for (size, stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
        if *size != 1 && *stride != expected {
            return false;
        }
        expected *= size;
    }
    true
}
