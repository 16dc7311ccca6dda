//! A folder's tokenizer and chat template as the metadata of a GGUF file.

mod sentencepiece;
mod special;
mod tiktoken;
mod tokenizer_json;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bedside_tensors::gguf::{Entry, GgufFile, GgufWriter};
use serde_json::Value;

use super::ConvertError;
use crate::{
    template::{ChatTemplate, prompt_format},
    tokenizer::Tokenizer,
};
use special::SpecialTokens;

#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    #[error(
        "{folder}: there is no tokenizer in it: tokenizer.json, tokenizer.model or ice_text.model; \
         name a GGUF file of the same base with --tokenizer-from"
    )]
    Missing { folder: PathBuf },
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path}: {problem}")]
    Format { path: PathBuf, problem: String },
    #[error(
        "{path}: this tokenizer cannot be written so that texts become the same tokens ({problem}); \
         name a GGUF file of the same base with --tokenizer-from"
    )]
    Unsupported { path: PathBuf, problem: String },
}

/// How a token is used; the numbers are llama.cpp's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum TokenType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// A vocabulary as GGUF files have it.
#[derive(Debug)]
struct Vocabulary {
    /// `tokenizer.ggml.model`: `gpt2`, `llama` or `t5`.
    model: &'static str,
    /// `tokenizer.ggml.pre`: how words are cut.
    pre: &'static str,
    tokens: Vec<(String, TokenType)>,
    /// Of sentencepiece.
    scores: Vec<f32>,
    /// Of byte-level pairs.
    merges: Vec<String>,
    first: Option<u32>,
    end: Option<u32>,
    unknown: Option<u32>,
    /// Whether every text begins with the first token.
    add_first: bool,
    /// Further keys of `tokenizer.ggml.`.
    more: Vec<(&'static str, Entry)>,
    notes: Vec<String>,
}

/// What a folder's tokenizer becomes.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) metadata: Vec<(String, Entry)>,
    pub(super) notes: Vec<String>,
}

/// Reads the tokenizer beside a checkpoint whose embedding has so many rows.
///
/// # Errors
/// [`VocabularyError`], and [`ConvertError::Vocabulary`] if there are more tokens than rows.
pub(super) fn of_folder(folder: &Path, architecture: &str, rows: usize) -> Result<Read, ConvertError> {
    let special = SpecialTokens::read(folder)?;
    let (path, mut vocabulary) = read(folder, architecture, rows)?;
    if vocabulary.tokens.len() > rows {
        return Err(ConvertError::Vocabulary {
            path,
            tokens: vocabulary.tokens.len(),
            rows,
        });
    }
    // Rows that no token uses have names, too: llama.cpp wants as many tokens as rows.
    for id in vocabulary.tokens.len()..rows {
        vocabulary.tokens.push((format!("[PAD{id}]"), TokenType::Unused));
    }
    special.overlay(&mut vocabulary);
    let (template, note) = chat_template(folder, architecture, &special)?;
    vocabulary.notes.extend(note);
    let mut notes = std::mem::take(&mut vocabulary.notes);
    let mut metadata = vocabulary.entries(&special);
    metadata.extend(template.map(|it| ("tokenizer.chat_template".to_owned(), Entry::Text(it))));
    notes.extend(check(folder, &metadata)?);
    Ok(Read { metadata, notes })
}

fn read(folder: &Path, architecture: &str, rows: usize) -> Result<(PathBuf, Vocabulary), ConvertError> {
    let has = |name: &str| Some(folder.join(name)).filter(|it| it.is_file());
    let names = ["ice_text.model", "tokenizer.model", "tokenizer.json"];
    let mut files = names.into_iter().filter_map(has);
    let missing = || VocabularyError::Missing {
        folder: folder.to_owned(),
    };
    let mut file = File::read(files.next().ok_or_else(missing)?)?;
    // Ranks are those of GLM-4-9B; others are read from the file beside them.
    if tiktoken::is_ranks(&file.bytes) && architecture != "chatglm" {
        file = File::read(files.next().ok_or_else(missing)?)?;
    }
    let vocabulary = if file.path.extension().is_some_and(|it| it == "json") {
        tokenizer_json::read(&file)?
    } else if tiktoken::is_ranks(&file.bytes) {
        tiktoken::read(&file)?
    } else {
        sentencepiece::read(&file, architecture, rows)?
    };
    Ok((file.path, vocabulary))
}

/// A tokenizer's file in memory.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn read(path: PathBuf) -> Result<Self, VocabularyError> {
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(error) => Err(VocabularyError::Io { path, error }),
        }
    }

    fn bad(&self, problem: impl Into<String>) -> VocabularyError {
        VocabularyError::Format {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    fn unsupported(&self, problem: impl Into<String>) -> VocabularyError {
        VocabularyError::Unsupported {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }
}

impl Vocabulary {
    fn new(model: &'static str, pre: &'static str, tokens: Vec<(String, TokenType)>) -> Self {
        Self {
            model,
            pre,
            tokens,
            scores: Vec::new(),
            merges: Vec::new(),
            first: None,
            end: None,
            unknown: None,
            add_first: false,
            more: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn entries(self, special: &SpecialTokens) -> Vec<(String, Entry)> {
        let id = |text: &str| {
            let found = self.tokens.iter().position(|(it, _)| it == text);
            found.and_then(|it| u32::try_from(it).ok())
        };
        let ends: Vec<u32> = special
            .end()
            .and_then(id)
            .into_iter()
            .chain(special.end_ids().filter(|it| (*it as usize) < self.tokens.len()))
            .collect();
        let end = ends.first().copied().or(self.end);
        let turn_end = ends.iter().copied().find(|it| Some(*it) != end);
        let number = |key: &'static str, it: Option<u32>| it.map(|it| (key, Entry::U32(it)));
        let (texts, types): (Vec<String>, Vec<i32>) = self
            .tokens
            .iter()
            .map(|(text, kind)| match kind {
                // As llama.cpp finds them in a text.
                TokenType::UserDefined => (text.replace('▁', " "), *kind as i32),
                _ => (text.clone(), *kind as i32),
            })
            .unzip();
        let first = special.first().and_then(id).or(self.first);
        let mut scores = self.scores;
        if !scores.is_empty() {
            scores.resize(texts.len(), -1000.0);
        }
        let mut entries = vec![
            ("model", Entry::Text(self.model.to_owned())),
            ("pre", Entry::Text(self.pre.to_owned())),
            ("tokens", Entry::Texts(texts)),
            ("token_type", Entry::I32s(types)),
        ];
        if scores.is_empty() {
            entries.push(("merges", Entry::Texts(self.merges)));
        } else {
            entries.push(("scores", Entry::F32s(scores)));
        }
        entries.extend(number("bos_token_id", first));
        entries.extend(number("eos_token_id", end));
        entries.extend(number("eot_token_id", turn_end));
        entries.extend(number("unknown_token_id", self.unknown));
        let add_first = special.adds_first().unwrap_or(self.add_first);
        entries.push(("add_bos_token", Entry::Bool(add_first && first.is_some())));
        entries.extend(self.more);
        entries
            .into_iter()
            .map(|(key, entry)| (format!("tokenizer.ggml.{key}"), entry))
            .collect()
    }
}

/// The folder's own template, or the format that its model's own code writes.
fn chat_template(
    folder: &Path,
    architecture: &str,
    special: &SpecialTokens,
) -> Result<(Option<String>, Option<String>), VocabularyError> {
    let path = folder.join("chat_template.jinja");
    match fs::read_to_string(&path) {
        Ok(text) => return Ok((Some(text), None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(VocabularyError::Io { path, error }),
    }
    if let Some(template) = special.chat_template() {
        return Ok((Some(template), None));
    }
    let code = fs::read_to_string(folder.join("tokenization_chatglm.py")).unwrap_or_default();
    let format = match architecture {
        "chatglm1" => "chatglm",
        "chatglm" if special.is_tiktoken(folder) => "glm4",
        "chatglm" if code.contains("<|user|>") => "chatglm3",
        "chatglm" => "chatglm2",
        "glm4" => "glm4",
        _ => return Ok((None, None)),
    };
    let note = format!("the folder has no chat template; the prompt format `{format}` is written");
    Ok((prompt_format(format).map(str::to_owned), Some(note)))
}

/// Reads what will be written as the bot will, and holds it against the reference where there is one. Tells what the bot
/// will make of a chat template that it cannot use.
fn check(folder: &Path, entries: &[(String, Entry)]) -> Result<Option<String>, ConvertError> {
    let io = |error| VocabularyError::Io {
        path: folder.to_owned(),
        error,
    };
    let room = tempfile::tempdir().map_err(io)?;
    let path = room.path().join("vocabulary.gguf");
    GgufWriter::create(&path, entries, Vec::new())?.finish()?;
    let gguf = GgufFile::open(&path)?;
    let tokenizer = Tokenizer::from_gguf(&gguf)?;
    let has_template = gguf.optional_text("tokenizer.chat_template")?.is_some();
    let note = match ChatTemplate::from_gguf(&gguf, &tokenizer, None) {
        Ok(template) => template.note().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    let reference = folder.join("tokenizer.json");
    if reference.is_file() {
        tokenizer_json::compare(&reference, &tokenizer)?;
    }
    Ok(note.filter(|_| has_template))
}

/// A JSON file of the folder, if it is there.
fn optional_json(path: &Path) -> Result<Option<Value>, VocabularyError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(VocabularyError::Io {
                path: path.to_owned(),
                error,
            });
        }
    };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| VocabularyError::Format {
        path: path.to_owned(),
        problem: format!("line {}, column {}: {error}", error.line(), error.column()),
    })
}

#[cfg(test)]
mod tests;
