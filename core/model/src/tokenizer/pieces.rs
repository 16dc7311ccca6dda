//! The vocabulary lists of a GGUF file and the text tokenizers built from them.

use std::collections::{BTreeSet, HashMap};

use tokenizers::models::bpe::{BPE, Vocab};

use super::{
    TokenizerError,
    bytes::byte_piece,
    pretokenize::Rules,
    sentencepiece::{Algorithm, Normalizer, Piece, PieceKind, SPACE, SentencePiece},
    structure::{is_in_brackets, structures_chats},
    whitespace,
};
use crate::gguf::GgufFile;

/// Values of `tokenizer.ggml.token_type`, as llama.cpp counts them.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

/// Tokens that metadata name by their meaning.
const NAMED: [&str; 4] = [
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `gpt2`: merges over bytes written as printable characters.
    ByteLevel,
    /// `llama` (pairs) and `t5` (unigram): scores, `▁` for a space, `<0x41>` for a byte.
    SentencePiece(Algorithm),
}

pub(super) struct Pieces<'a> {
    pub(super) kind: Kind,
    pub(super) texts: &'a [String],
    types: Option<&'a [i64]>,
    merges: Vec<(String, String)>,
    scores: &'a [f32],
    /// Tokens that a text must never turn into.
    markers: BTreeSet<u32>,
    /// ChatGLM-6B: white space has tokens of its own.
    pub(super) written_whitespace: bool,
}

impl<'a> Pieces<'a> {
    pub(super) fn read(gguf: &'a GgufFile) -> Result<Self, TokenizerError> {
        let kind = match gguf.text("tokenizer.ggml.model")? {
            "gpt2" => Kind::ByteLevel,
            "llama" => Kind::SentencePiece(Algorithm::Bpe),
            "t5" => Kind::SentencePiece(Algorithm::Unigram),
            other => {
                let path = gguf.path().display().to_string();
                return Err(TokenizerError::Kind {
                    path,
                    kind: other.to_owned(),
                });
            }
        };
        let texts = gguf.texts("tokenizer.ggml.tokens")?;
        if texts.is_empty() {
            return Err(gguf
                .bad_value("tokenizer.ggml.tokens", "the list is empty")
                .into());
        }
        let same_length = |key: &str, length: usize| {
            let problem = || gguf.bad_value(key, format!("{length} entries for {} tokens", texts.len()));
            if length == texts.len() {
                Ok(())
            } else {
                Err(problem())
            }
        };
        let types = gguf.optional_integers("tokenizer.ggml.token_type")?;
        if let Some(types) = types {
            same_length("tokenizer.ggml.token_type", types.len())?;
        }
        let mut pieces = Self {
            kind,
            texts,
            types,
            merges: Vec::new(),
            scores: &[],
            markers: BTreeSet::new(),
            written_whitespace: gguf.optional_text("tokenizer.ggml.pre")? == Some(whitespace::PRE_TOKENIZER),
        };
        let template = gguf.optional_text("tokenizer.chat_template")?.unwrap_or_default();
        let mut named = Vec::new();
        for key in NAMED {
            let id = gguf.optional_unsigned(key)?;
            named.extend(id.and_then(|it| u32::try_from(it).ok()));
        }
        let markers: BTreeSet<u32> = (0_u32..)
            .zip(texts)
            .filter(|(id, text)| pieces.structures(*id, text, template, named.contains(id)))
            .map(|(id, _)| id)
            .collect();
        pieces.markers = markers;
        match kind {
            Kind::ByteLevel => {
                const KEY: &str = "tokenizer.ggml.merges";
                for (number, merge) in gguf.texts(KEY)?.iter().enumerate() {
                    let parts = merge
                        .split_once(' ')
                        .filter(|(left, right)| !left.is_empty() && !right.is_empty());
                    let (left, right) =
                        parts.ok_or_else(|| gguf.bad_value(KEY, format!("entry {number} is no pair")))?;
                    pieces.merges.push((left.to_owned(), right.to_owned()));
                }
            }
            Kind::SentencePiece(_) => {
                const KEY: &str = "tokenizer.ggml.scores";
                pieces.scores = gguf
                    .optional_floats(KEY)?
                    .ok_or_else(|| gguf.bad_value(KEY, "the list is missing"))?;
                same_length(KEY, pieces.scores.len())?;
            }
        }
        Ok(pieces)
    }

    pub(super) fn text(&self, id: u32) -> &str {
        self.texts.get(id as usize).map_or("", String::as_str)
    }

    /// Tokens that a text must never turn into.
    pub(super) fn markers(&self) -> impl Iterator<Item = u32> {
        self.markers.iter().copied()
    }

    pub(super) fn is_marker(&self, id: u32) -> bool {
        self.markers.contains(&id)
    }

    /// Tokens that users have added to those of the text, with their texts.
    pub(super) fn added(&self) -> impl Iterator<Item = (u32, &str)> {
        let texts = (0_u32..).zip(self.texts).map(|(id, text)| (id, text.as_str()));
        texts.filter(|(id, text)| self.is_added(*id) && !text.is_empty())
    }

    pub(super) fn is_added(&self, id: u32) -> bool {
        self.kind_of(id) == USER_DEFINED && !self.is_marker(id)
    }

    /// Markers with a meaning of their own; in the middle of an answer none has.
    pub(super) fn is_control(&self, id: u32) -> bool {
        self.kind_of(id) == CONTROL
    }

    pub(super) fn byte_level(&self, rules: Rules) -> Result<tokenizers::Tokenizer, String> {
        let vocabulary = self.vocabulary();
        // Merges of tokens that are markers here go with them.
        let merges = self
            .merges
            .iter()
            .filter(|(left, right)| {
                [left.clone(), right.clone(), format!("{left}{right}")]
                    .iter()
                    .all(|it| vocabulary.contains_key(it))
            })
            .cloned()
            .collect();
        let bpe = BPE::builder()
            .vocab_and_merges(vocabulary.into_iter().collect::<Vocab>(), merges)
            .ignore_merges(rules.whole_words_first)
            .build()
            .map_err(|error| error.to_string())?;
        let mut tokenizer = tokenizers::Tokenizer::new(bpe);
        tokenizer.with_pre_tokenizer(Some(rules.pre_tokenizer()?));
        Ok(tokenizer)
    }

    pub(super) fn sentence_piece(
        &self,
        algorithm: Algorithm,
        normalizer: Normalizer,
    ) -> Result<SentencePiece, String> {
        let mut pieces = Vec::new();
        for (id, text) in (0..).zip(self.texts) {
            let kind = match (byte_piece(text), self.kind_of(id)) {
                _ if text.is_empty() || self.is_marker(id) => continue,
                (Some(byte), _) => PieceKind::Byte(byte),
                (None, UNKNOWN) => continue,
                (None, USER_DEFINED) => PieceKind::UserDefined,
                _ if self.is_written_whitespace(text) => PieceKind::UserDefined,
                (None, UNUSED) => PieceKind::Unused,
                (None, _) => PieceKind::Normal,
            };
            let score = self.scores.get(id as usize).copied();
            let text = match kind {
                // Files of llama.cpp have the spaces themselves in these.
                PieceKind::UserDefined => text.replace(' ', SPACE),
                _ => text.clone(),
            };
            pieces.push(Piece {
                id,
                text,
                score: score.unwrap_or(f32::MIN),
                kind,
            });
        }
        let mut ids = (0..).zip(self.texts).map(|(id, _)| id);
        let unknown = ids.find(|id| self.kind_of(*id) == UNKNOWN);
        SentencePiece::new(algorithm, normalizer, pieces, unknown)
    }

    /// Ordinary tokens. Of several with one spelling the first counts.
    fn vocabulary(&self) -> HashMap<String, u32> {
        let mut vocabulary = HashMap::new();
        for (id, text) in (0..).zip(self.texts) {
            if !text.is_empty() && !self.is_marker(id) && self.kind_of(id) != UNUSED {
                vocabulary.entry(text.clone()).or_insert(id);
            }
        }
        vocabulary
    }

    /// Files mark some of their markers only as user-defined, among words and runs of white space. Whatever the kind of
    /// a token that the metadata `named` is, nobody writes one like `</s>` as a word.
    fn structures(&self, id: u32, text: &str, template: &str, named: bool) -> bool {
        if text.is_empty() || self.is_written_whitespace(text) || byte_piece(text).is_some() {
            return false;
        }
        match self.kind_of(id) {
            CONTROL => true,
            _ if named && is_in_brackets(text) => true,
            USER_DEFINED => structures_chats(text, template),
            _ => false,
        }
    }

    fn is_written_whitespace(&self, text: &str) -> bool {
        self.written_whitespace && whitespace::read(text).is_some()
    }

    fn kind_of(&self, id: u32) -> i64 {
        self.types
            .and_then(|types| types.get(id as usize))
            .copied()
            .unwrap_or(1)
    }
}
