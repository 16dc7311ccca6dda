//! Reads the pickle in a PyTorch file, without running anything: a global is two words, and what a call would
//! give is known for tensors and dicts only; everything else is a value that is read over.
//!
//! Opcodes: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>, protocols 2 to 5. What calls
//! mean: <https://github.com/pytorch/pytorch/blob/main/torch/_utils.py>.

mod values;

use std::collections::HashMap;

pub(super) use values::{Tensor, Value};

/// A tensor takes some 40 opcodes.
const MAX_OPCODES: usize = 1 << 21;

/// Where a value is among the pickle's values, since one may be part of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueId(usize);

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    pub(super) root: ValueId,
}

impl<'a> Pickle<'a> {
    pub(super) fn value(&self, id: ValueId) -> &Value<'a> {
        self.values.get(id.0).unwrap_or(&Value::Opaque)
    }
}

#[derive(Debug)]
pub(super) struct PickleError {
    pub(super) offset: usize,
    pub(super) problem: String,
}

/// # Errors
/// With the offset of the first opcode that is wrong or not supported.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle<'_>, PickleError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    for _ in 0..MAX_OPCODES {
        let offset = machine.at;
        let stepped = machine.step();
        let root = stepped.map_err(|problem| PickleError { offset, problem })?;
        if let Some(root) = root {
            let values = machine.values;
            return Ok(Pickle { values, root });
        }
    }
    Err(PickleError {
        offset: machine.at,
        problem: format!("it has more than {MAX_OPCODES} opcodes"),
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Every opcode adds one at most, so their number is bounded.
    values: Vec<Value<'a>>,
    stack: Vec<ValueId>,
    marks: Vec<usize>,
    memo: HashMap<u32, ValueId>,
}

impl<'a> Machine<'a> {
    /// Runs one opcode; the pickle's value at its end.
    fn step(&mut self) -> Result<Option<ValueId>, String> {
        let [opcode] = self.array()?;
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => {
                let [protocol] = self.array()?;
                if !(2..=5).contains(&protocol) {
                    return Err(format!(
                        "pickle protocol {protocol} is not supported, only 2 to 5"
                    ));
                }
            }
            0x95 => drop(self.array::<8>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.discard()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'q' | b'r' | 0x94 => self.memoize(opcode)?,
            b'h' | b'j' => {
                let index = if opcode == b'h' {
                    self.u8()?.into()
                } else {
                    self.u32()?
                };
                let id = *self
                    .memo
                    .get(&index)
                    .ok_or_else(|| format!("there is no memo {index}"))?;
                self.stack.push(id);
            }
            b'}' | b']' | b')' | 0x8f | b't' | 0x85..=0x87 | 0x91 => self.collection(opcode)?,
            b's' | b'u' | b'a' | b'e' | 0x90 => self.fill(opcode)?,
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'Q' => self.object(opcode)?,
            _ => {
                let value = self.constant(opcode)?;
                self.push(value);
            }
        }
        Ok(None)
    }

    fn constant(&mut self, opcode: u8) -> Result<Value<'a>, String> {
        Ok(match opcode {
            b'N' => Value::Opaque,
            0x88 => Value::Integer(1),
            0x89 => Value::Integer(0),
            b'J' => Value::Integer(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Integer(self.u8()?.into()),
            b'M' => Value::Integer(u16::from_le_bytes(self.array()?).into()),
            0x8a => {
                let length = self.u8()?;
                long(self.take(length.into())?)
            }
            0x8b => {
                let length = self.u32()?;
                long(self.take(length.into())?)
            }
            b'G' => {
                self.array::<8>()?;
                Value::Opaque
            }
            0x8c | b'X' | 0x8d | b'U' | b'T' => {
                let text = self.counted(opcode)?;
                str::from_utf8(text).map_or(Value::Opaque, Value::Text)
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                self.counted(opcode)?;
                Value::Opaque
            }
            other => return Err(format!("opcode 0x{other:02x} is not supported")),
        })
    }

    /// Texts and bytes, after their length.
    fn counted(&mut self, opcode: u8) -> Result<&'a [u8], String> {
        let length = match opcode {
            0x8c | b'U' | b'C' => self.u8()?.into(),
            b'X' | b'T' | b'B' => self.u32()?.into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        self.take(length)
    }

    fn memoize(&mut self, opcode: u8) -> Result<(), String> {
        let index = match opcode {
            b'q' => self.u8()?.into(),
            b'r' => self.u32()?,
            _ => u32::try_from(self.memo.len()).map_err(|_| "there are too many memos")?,
        };
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn collection(&mut self, opcode: u8) -> Result<(), String> {
        let value = match opcode {
            b'}' => Value::Dict(Vec::new()),
            b']' => Value::List(Vec::new()),
            b')' => Value::Tuple(Vec::new()),
            0x8f => Value::Opaque,
            b't' => Value::Tuple(self.pop_to_mark()?),
            0x91 => {
                self.pop_to_mark()?;
                Value::Opaque
            }
            _ => {
                let mut items = Vec::new();
                for _ in 0x85..=opcode {
                    items.push(self.pop()?);
                }
                items.reverse();
                Value::Tuple(items)
            }
        };
        self.push(value);
        Ok(())
    }

    /// Puts items into a dict or list; those of anything else, a set for one, are read over.
    fn fill(&mut self, opcode: u8) -> Result<(), String> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let top = self.top()?;
        let value = self.values.get_mut(top.0).ok_or("a value is missing")?;
        match (value, opcode) {
            (Value::Dict(entries), b's' | b'u') => {
                let (pairs, rest) = items.as_chunks();
                if !rest.is_empty() {
                    return Err("a dict's last key has no value".to_owned());
                }
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            (Value::List(list), b'a' | b'e') => list.extend(items),
            _ => {}
        }
        Ok(())
    }

    /// Globals, calls and what `torch.save` stores beside the pickle.
    fn object(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let value = match (self.get(module), self.get(name)) {
                    (Value::Text(module), Value::Text(name)) => Value::Global(module, name),
                    _ => return Err("a global's name is no text".to_owned()),
                };
                self.push(value);
            }
            b'b' => {
                // What an object's attributes are does not matter, those of a state dict are its versions.
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = values::storage(&self.values, id)?;
                self.push(storage);
            }
            _ => {
                if opcode == 0x92 {
                    self.pop()?;
                }
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let result = values::call(&self.values, callee, arguments);
                match result {
                    values::Called::New(value) => self.push(value),
                    values::Called::Known(id) => self.stack.push(id),
                }
            }
        }
        Ok(())
    }

    fn get(&self, id: ValueId) -> &Value<'a> {
        self.values.get(id.0).unwrap_or(&Value::Opaque)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(ValueId(self.values.len()));
        self.values.push(value);
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<ValueId, String> {
        let top = self.stack.last().filter(|_| self.stack.len() > self.floor());
        top.copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop(&mut self) -> Result<ValueId, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn discard(&mut self) -> Result<(), String> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<ValueId>, String> {
        let mark = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(length).ok().and_then(|it| rest.get(..it));
        let taken = taken.ok_or_else(|| {
            format!(
                "truncated: {length} bytes are needed, {} are left; fetch the file again",
                rest.len()
            )
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N as u64)?;
        taken.first_chunk().copied().ok_or_else(|| "truncated".to_owned())
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|it| *it == b'\n')
            .ok_or("truncated: a line has no end")?;
        let line = self.take(length as u64)?;
        self.at += 1;
        str::from_utf8(line).map_err(|_| "a global's name is no UTF-8".to_owned())
    }
}

/// A number of any length; what does not fit into 64 bits is no size and no offset.
fn long(bytes: &[u8]) -> Value<'static> {
    let negative = bytes.last().is_some_and(|it| *it >= 0x80);
    let mut number = if negative { [0xff; 8] } else { [0; 8] };
    match number.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Integer(i64::from_le_bytes(number))
        }
        None => Value::Opaque,
    }
}
