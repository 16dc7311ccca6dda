//! The vocabulary lists of a GGUF file and the text tokenizers built from them.

use std::collections::HashMap;

use tokenizers::{
    NormalizerWrapper, PreTokenizerWrapper,
    models::bpe::{BPE, Vocab},
    normalizers::{Prepend, Replace, Sequence as NormalizerSequence, unicode::NFC},
};

use super::{TokenizerError, pretokenize::Rules};
use crate::gguf::GgufFile;

/// Values of `tokenizer.ggml.token_type`, as llama.cpp counts them.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `gpt2`: merges over bytes written as printable characters.
    ByteLevel,
    /// `llama`: scores, `▁` for a space, `<0x41>` for a byte.
    SentencePiece,
}

pub(super) struct Pieces<'a> {
    pub(super) kind: Kind,
    pub(super) texts: &'a [String],
    types: Option<&'a [i64]>,
    merges: Vec<(String, String)>,
    scores: &'a [f32],
}

impl<'a> Pieces<'a> {
    pub(super) fn read(gguf: &'a GgufFile) -> Result<Self, TokenizerError> {
        let kind = match gguf.text("tokenizer.ggml.model")? {
            "gpt2" => Kind::ByteLevel,
            "llama" => Kind::SentencePiece,
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
        };
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
            Kind::SentencePiece => {
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
        (0..)
            .zip(self.texts)
            .filter(|(id, text)| self.is_marker(*id, text))
            .map(|(id, _)| id)
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
        let normalizer = rules.compose.then(|| NormalizerWrapper::from(NFC));
        assemble(bpe, normalizer, Some(rules.pre_tokenizer()?))
    }

    pub(super) fn sentence_piece(&self, space_prefix: bool) -> Result<tokenizers::Tokenizer, String> {
        let vocabulary = self.vocabulary();
        let merges = self.merges_by_score(&vocabulary);
        let unknown = (0..)
            .zip(self.texts)
            .find(|(id, _)| self.kind_of(*id) == UNKNOWN)
            .map(|(_, text)| text.clone());
        let mut builder = BPE::builder()
            .vocab_and_merges(vocabulary.into_iter().collect::<Vocab>(), merges)
            .byte_fallback(true)
            .fuse_unk(true)
            // Without words to cut at, the cache would keep whole messages.
            .cache_capacity(0);
        if let Some(unknown) = unknown {
            builder = builder.unk_token(unknown);
        }
        let bpe = builder.build().map_err(|error| error.to_string())?;
        let spaces = NormalizerWrapper::from(Replace::new(" ", "▁").map_err(|error| error.to_string())?);
        let normalizer = if space_prefix {
            NormalizerSequence::new(vec![Prepend::new("▁".to_owned()).into(), spaces]).into()
        } else {
            spaces
        };
        assemble(bpe, Some(normalizer), None)
    }

    /// Sentencepiece joins the pair that gives the piece with the best score first; as merges, best first,
    /// that is the same.
    fn merges_by_score(&self, vocabulary: &HashMap<String, u32>) -> Vec<(String, String)> {
        let mut merges = Vec::new();
        for (id, text) in (0..).zip(self.texts) {
            if !vocabulary.contains_key(text) || self.kind_of(id) == UNKNOWN {
                continue;
            }
            let score = self.scores.get(id as usize).copied().unwrap_or(f32::MIN);
            for (cut, _) in text.char_indices().skip(1) {
                if let Some((left, right)) = text.split_at_checked(cut)
                    && let (Some(left_id), Some(right_id)) = (vocabulary.get(left), vocabulary.get(right))
                {
                    merges.push((score, *left_id, *right_id, left.to_owned(), right.to_owned()));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        merges
            .into_iter()
            .map(|(_, _, _, left, right)| (left, right))
            .collect()
    }

    /// Ordinary tokens. Of several with one spelling the first counts.
    fn vocabulary(&self) -> HashMap<String, u32> {
        let mut vocabulary = HashMap::new();
        for (id, text) in (0..).zip(self.texts) {
            if !text.is_empty() && !self.is_marker(id, text) && self.kind_of(id) != UNUSED {
                vocabulary.entry(text.clone()).or_insert(id);
            }
        }
        vocabulary
    }

    /// Files mark some of their markers only as user-defined; runs of white space are the honest ones there.
    fn is_marker(&self, id: u32, text: &str) -> bool {
        match self.kind_of(id) {
            CONTROL => !text.is_empty(),
            USER_DEFINED => text
                .chars()
                .any(|it| !it.is_whitespace() && !matches!(it, '▁' | 'Ġ' | 'Ċ' | 'ĉ')),
            _ => false,
        }
    }

    fn kind_of(&self, id: u32) -> i64 {
        self.types
            .and_then(|types| types.get(id as usize))
            .copied()
            .unwrap_or(1)
    }
}

fn assemble(
    bpe: BPE,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
) -> Result<tokenizers::Tokenizer, String> {
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    tokenizer
        .with_normalizer(normalizer)
        .map_err(|error| error.to_string())?;
    tokenizer.with_pre_tokenizer(pre_tokenizer);
    Ok(tokenizer)
}
