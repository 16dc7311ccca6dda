//! What a pickle's values are, and what the few calls that are known would give.

use super::ValueId;
use crate::checkpoint::Numbers;

/// More than any model's; a shape is copied, so it must be short.
const MAX_DIMENSIONS: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) enum Value<'a> {
    /// Whatever is of no use here: read over.
    Opaque,
    Integer(i64),
    Text(&'a str),
    /// Module and name; a word, nothing is imported.
    Global(&'a str, &'a str),
    List(Vec<ValueId>),
    Tuple(Vec<ValueId>),
    Dict(Vec<(ValueId, ValueId)>),
    Storage(Box<Storage<'a>>),
    Tensor(Box<Tensor<'a>>),
    /// A tensor or storage that cannot be read, and why: an error where a tensor of this name is met.
    Unreadable(String),
}

/// An entry beside the pickle with the numbers of one or several tensors.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Storage<'a> {
    pub(in crate::checkpoint) numbers: Numbers,
    pub(in crate::checkpoint) key: &'a str,
    pub(in crate::checkpoint) elements: u64,
}

/// What a tensor claims, not yet held against its storage.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Tensor<'a> {
    pub(in crate::checkpoint) storage: Storage<'a>,
    /// Offset and strides are in numbers, not in bytes.
    pub(in crate::checkpoint) offset: u64,
    pub(in crate::checkpoint) shape: Vec<u64>,
    pub(in crate::checkpoint) strides: Vec<u64>,
}

/// What a call gives.
pub(super) enum Called<'a> {
    New(Value<'a>),
    /// One of its arguments.
    Known(ValueId),
}

/// What the tuple `("storage", class, key, device, elements)` stands for.
pub(super) fn storage<'a>(values: &[Value<'a>], id: ValueId) -> Result<Value<'a>, String> {
    let Value::Tuple(items) = get(values, id) else {
        return Err("a storage's id is no tuple".to_owned());
    };
    let items: Vec<_> = items.iter().take(5).map(|it| get(values, *it)).collect();
    let &[
        Value::Text("storage"),
        &Value::Global(module, class),
        &Value::Text(key),
        _,
        &Value::Integer(elements),
    ] = items.as_slice()
    else {
        return Err("a storage's id is not (\"storage\", class, key, device, elements)".to_owned());
    };
    let Ok(elements) = u64::try_from(elements) else {
        return Err(format!("a storage has {elements} elements"));
    };
    Ok(match numbers(module, class) {
        None => Value::Unreadable(format!(
            "its storage {}.{} is not supported",
            short(module),
            short(class)
        )),
        Some(numbers) => Value::Storage(Box::new(Storage {
            numbers,
            key,
            elements,
        })),
    })
}

pub(super) fn call<'a>(values: &[Value<'a>], callee: ValueId, arguments: ValueId) -> Called<'a> {
    let (&Value::Global(module, name), Value::Tuple(arguments)) =
        (get(values, callee), get(values, arguments))
    else {
        return Called::New(Value::Opaque);
    };
    known_call(values, module, name, arguments)
}

fn known_call<'a>(values: &[Value<'a>], module: &str, name: &str, arguments: &[ValueId]) -> Called<'a> {
    let value = match (module, name) {
        ("collections", "OrderedDict" | "defaultdict") => Value::Dict(Vec::new()),
        ("torch", "Size") | ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            return match arguments {
                [first, ..] => Called::Known(*first),
                [] => Called::New(Value::Unreadable(format!(
                    "{module}.{name} is called with nothing"
                ))),
            };
        }
        ("torch._tensor", "_rebuild_from_type_v2") => return rebuild_from_type(values, arguments),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => rebuild_tensor(values, arguments),
        ("torch._utils" | "torch._tensor" | "torch.nn.parameter", other) if other.contains("ebuild") => {
            Value::Unreadable(format!(
                "it is made by {module}.{}, which is not supported",
                short(other)
            ))
        }
        _ => Value::Opaque,
    };
    Called::New(value)
}

/// A tensor with attributes: `(function, class, arguments, attributes)`.
fn rebuild_from_type<'a>(values: &[Value<'a>], arguments: &[ValueId]) -> Called<'a> {
    if let [function, _, arguments, ..] = arguments
        && let &Value::Global("torch._utils", name @ ("_rebuild_tensor" | "_rebuild_tensor_v2")) =
            get(values, *function)
        && let Value::Tuple(arguments) = get(values, *arguments)
    {
        return known_call(values, "torch._utils", name, arguments);
    }
    Called::New(Value::Unreadable(
        "it is of a class of its own, which is not supported".to_owned(),
    ))
}

/// `(storage, offset, shape, strides, …)`.
fn rebuild_tensor<'a>(values: &[Value<'a>], arguments: &[ValueId]) -> Value<'a> {
    let [storage, offset, shape, strides, ..] = arguments else {
        return Value::Unreadable(format!("a tensor is made of {} things", arguments.len()));
    };
    let storage = match get(values, *storage) {
        Value::Storage(storage) => Storage::clone(storage),
        Value::Unreadable(problem) => return Value::Unreadable(problem.clone()),
        _ => return Value::Unreadable("it has no storage".to_owned()),
    };
    let offset = size(values, *offset);
    match (offset, sizes(values, *shape), sizes(values, *strides)) {
        (Some(offset), Some(shape), Some(strides)) if shape.len() == strides.len() => {
            Value::Tensor(Box::new(Tensor {
                storage,
                offset,
                shape,
                strides,
            }))
        }
        _ => Value::Unreadable("its offset, shape or strides make no sense".to_owned()),
    }
}

/// For a message, of whatever length the file's word is.
fn short(word: &str) -> String {
    word.chars().take(80).collect()
}

fn sizes(values: &[Value<'_>], id: ValueId) -> Option<Vec<u64>> {
    match get(values, id) {
        Value::Tuple(items) | Value::List(items) if items.len() <= MAX_DIMENSIONS => {
            items.iter().map(|it| size(values, *it)).collect()
        }
        _ => None,
    }
}

fn size(values: &[Value<'_>], id: ValueId) -> Option<u64> {
    match get(values, id) {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn get<'v, 'a>(values: &'v [Value<'a>], id: ValueId) -> &'v Value<'a> {
    values.get(id.0).unwrap_or(&Value::Opaque)
}

fn numbers(module: &str, class: &str) -> Option<Numbers> {
    if !matches!(module, "torch" | "torch.cuda") {
        return None;
    }
    Some(match class {
        "DoubleStorage" => Numbers::F64,
        "FloatStorage" => Numbers::F32,
        "HalfStorage" => Numbers::F16,
        "BFloat16Storage" => Numbers::BF16,
        "LongStorage" => Numbers::I64,
        "IntStorage" => Numbers::I32,
        "ShortStorage" => Numbers::I16,
        "CharStorage" => Numbers::I8,
        "ByteStorage" => Numbers::U8,
        "BoolStorage" => Numbers::Bool,
        _ => return None,
    })
}
