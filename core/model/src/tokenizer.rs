//! Text to tokens and back, from what the GGUF file says of its vocabulary.
//!
//! The tokens that structure a chat (`<|im_start|>` …) are kept out of the text tokenizer altogether, so
//! that no text, whoever wrote it, can turn into one. Only the chat template's own markers can. Tokens that somebody
//! has added for words (`[主诉]`, a disease's name) are text like any other and found in it.

mod byte_level;
mod bytes;
mod pieces;
mod pretokenize;
mod sentencepiece;
mod stream;
mod structure;
mod unigram;
mod whitespace;

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::gguf::{GgufError, GgufFile};

pub(crate) use bytes::character_of;
pub(crate) use sentencepiece::{Algorithm, CharacterMap};
pub use stream::TextStream;
pub use unigram::Unigram;
pub(crate) use whitespace::{PRE_TOKENIZER as CHATGLM1, blanks};

/// The vocabulary of one model.
pub struct Tokenizer {
    text: TextTokenizer,
    markers: Markers,
    spellings: bytes::Spellings,
    bos: Option<u32>,
    add_bos: bool,
    end: HashSet<u32>,
    /// Between these two a model talks to itself.
    thinking: Option<(u32, u32)>,
    size: usize,
    notes: Vec<String>,
}

/// Knows ordinary tokens only.
enum TextTokenizer {
    ByteLevel(byte_level::ByteLevel),
    SentencePiece {
        pieces: sentencepiece::SentencePiece,
        written_whitespace: bool,
    },
}

/// A stretch of a rendered chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stretch {
    /// The markers in it become special tokens: what the template writes, and words of a message that hold none.
    Template(String),
    /// Written by a person, a plugin or the model: text and nothing else.
    Content(String),
}

#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(
        "{path}: tokenizer kind `{kind}` is not supported, only `gpt2` (byte-level BPE), `llama` and `t5` (sentencepiece)"
    )]
    Kind { path: String, kind: String },
    #[error(
        "{path}: words are cut by the pre-tokenizer `{name}`, which is not known here: the model would read other tokens \
         than it was trained on; take a file with one of {}",
        pretokenize::known_names()
    )]
    PreTokenizer { path: String, name: String },
    #[error("{path}: the tokenizer cannot be built: {problem}")]
    Build { path: String, problem: String },
    #[error("a text of {characters} characters cannot be tokenized: {problem}")]
    Encode { characters: usize, problem: String },
}

/// The special tokens and where they occur in a text.
struct Markers {
    finder: AhoCorasick,
    ids: Vec<u32>,
    set: HashSet<u32>,
}

impl Tokenizer {
    /// Builds the tokenizer that a file describes.
    ///
    /// # Errors
    /// If its kind is not supported or the lists contradict each other.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self, TokenizerError> {
        let pieces = pieces::Pieces::read(gguf)?;
        let path = || gguf.path().display().to_string();
        let build = |problem: String| TokenizerError::Build {
            path: path(),
            problem,
        };
        let mut notes = Vec::new();
        let mut begins = pieces.kind == pieces::Kind::SentencePiece(Algorithm::Bpe);
        let text = match pieces.kind {
            pieces::Kind::ByteLevel => {
                const UNSAID: &str = "default";
                let name = gguf.optional_text("tokenizer.ggml.pre")?.unwrap_or(UNSAID);
                let rules = pretokenize::rules(name).ok_or_else(|| TokenizerError::PreTokenizer {
                    path: path(),
                    name: name.to_owned(),
                })?;
                if name == UNSAID {
                    let note = "the file does not say how words are cut (tokenizer.ggml.pre), GPT-2's way is used: \
                                answers may be worse; take a newer file of the model";
                    notes.push(note.to_owned());
                }
                begins = rules.begins;
                TextTokenizer::ByteLevel(byte_level::ByteLevel::new(&pieces, rules).map_err(build)?)
            }
            pieces::Kind::SentencePiece(algorithm) => {
                const MAP: &str = "tokenizer.ggml.precompiled_charsmap";
                let flag = |key: &str| gguf.optional_bool(&format!("tokenizer.ggml.{key}"));
                let map = gguf.optional_bytes(MAP)?.map(|it| CharacterMap::read(&it));
                let normalizer = sentencepiece::Normalizer {
                    map: map.transpose().map_err(|problem| gguf.bad_value(MAP, problem))?,
                    space_before: flag("add_space_prefix")?.unwrap_or(true),
                    drop_extra_spaces: flag("remove_extra_whitespaces")?.unwrap_or(false),
                };
                TextTokenizer::SentencePiece {
                    pieces: pieces.sentence_piece(algorithm, normalizer).map_err(build)?,
                    written_whitespace: pieces.written_whitespace,
                }
            }
        };
        let id = |key: &str| -> Result<Option<u32>, GgufError> {
            let id = gguf.optional_unsigned(key)?;
            match id {
                Some(id) if id >= pieces.texts.len() => {
                    Err(gguf.bad_value(key, format!("there is no token {id}")))
                }
                id => Ok(id.and_then(|it| u32::try_from(it).ok())),
            }
        };
        let bos = id("tokenizer.ggml.bos_token_id")?;
        let mut end = HashSet::new();
        for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
            end.extend(id(&format!("tokenizer.ggml.{key}"))?);
        }
        let markers = Markers::new(&pieces).map_err(build)?;
        end.extend(
            markers
                .ids
                .iter()
                .filter(|id| pieces.is_control(**id) || structure::END_NAMES.contains(&pieces.text(**id))),
        );
        let marker = |text: &str| markers.ids.iter().copied().find(|id| pieces.text(*id) == text);
        let thinking = marker("<think>").zip(marker("</think>"));
        Ok(Self {
            add_bos: gguf
                .optional_bool("tokenizer.ggml.add_bos_token")?
                .unwrap_or(begins),
            spellings: bytes::Spellings::new(&pieces),
            size: pieces.texts.len(),
            text,
            markers,
            bos,
            end,
            thinking,
            notes,
        })
    }

    /// The tokens of a rendered chat, with the model's first token before them if it wants one.
    ///
    /// # Errors
    /// If the tokenizer itself fails.
    pub fn encode_chat(&self, stretches: &[Stretch]) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::new();
        let mut run = String::new();
        for stretch in stretches {
            match stretch {
                // Joined with the template's own plain text, so that words are cut as if it were one text.
                Stretch::Content(text) => run.push_str(text),
                Stretch::Template(text) => {
                    let mut done = 0;
                    for found in self.markers.finder.find_iter(text) {
                        run.push_str(text.get(done..found.start()).unwrap_or_default());
                        self.encode_run(&mut run, &mut tokens)?;
                        tokens.extend(self.markers.ids.get(found.pattern().as_usize()));
                        done = found.end();
                    }
                    run.push_str(text.get(done..).unwrap_or_default());
                }
            }
        }
        self.encode_run(&mut run, &mut tokens)?;
        if let Some(bos) = self.first_token().filter(|bos| tokens.first() != Some(bos)) {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    /// The tokens of a plain text: never a special one.
    ///
    /// # Errors
    /// If the tokenizer itself fails.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::new();
        self.encode_run(&mut text.to_owned(), &mut tokens)?;
        Ok(tokens)
    }

    /// Turns the tokens of an answer to this prompt into text as they come.
    #[must_use]
    pub fn stream(&self, prompt: &[u32]) -> TextStream<'_> {
        TextStream::new(self, prompt)
    }

    /// Whether an answer ends at this token: its proper end, or a marker of the chat's structure, which has
    /// no meaning inside an answer.
    #[must_use]
    pub fn is_end(&self, token: u32) -> bool {
        self.end.contains(&token)
    }

    #[must_use]
    pub fn is_special(&self, token: u32) -> bool {
        self.markers.set.contains(&token)
    }

    /// How a token is written, special ones included.
    #[must_use]
    pub fn spelling(&self, token: u32) -> String {
        String::from_utf8_lossy(self.spellings.get(token)).into_owned()
    }

    /// The spellings of all special tokens.
    pub(crate) fn markers(&self) -> impl Iterator<Item = String> {
        self.markers.ids.iter().map(|id| self.spelling(*id))
    }

    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// What every text begins with, if anything.
    #[must_use]
    pub fn first_token(&self) -> Option<u32> {
        self.bos.filter(|_| self.add_bos)
    }

    /// Tokens in the vocabulary.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether a text's first word is written with a space before it.
    #[must_use]
    pub fn writes_space_first(&self) -> bool {
        matches!(&self.text, TextTokenizer::SentencePiece { pieces, .. } if pieces.writes_space_first())
    }

    /// What had to be guessed, for the log.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn encode_run(&self, run: &mut String, tokens: &mut Vec<u32>) -> Result<(), TokenizerError> {
        if run.is_empty() {
            return Ok(());
        }
        match &self.text {
            TextTokenizer::ByteLevel(text) => {
                text.encode(run, tokens)
                    .map_err(|problem| TokenizerError::Encode {
                        characters: run.chars().count(),
                        problem,
                    })?;
            }
            TextTokenizer::SentencePiece {
                pieces,
                written_whitespace: true,
            } => tokens.extend(pieces.encode(&whitespace::write(run))),
            TextTokenizer::SentencePiece { pieces, .. } => tokens.extend(pieces.encode(run)),
        }
        run.clear();
        Ok(())
    }
}

impl Markers {
    fn new(pieces: &pieces::Pieces<'_>) -> Result<Self, String> {
        let ids: Vec<u32> = pieces.markers().collect();
        let spellings = ids.iter().map(|id| pieces.text(*id));
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(spellings)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            finder,
            set: ids.iter().copied().collect(),
            ids,
        })
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("size", &self.size)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
