//! Sentencepiece's `.model` files (`sentencepiece_model.proto`): llama, Mistral, Gemma, ChatGLM 1 to 3.

use bedside_tensors::gguf::Entry;
use prost::Message;

use super::{File, TokenType, Vocabulary, VocabularyError};
use crate::tokenizer::{CHATGLM1, CharacterMap, blanks};

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

#[derive(Clone, PartialEq, Message)]
struct PieceProto {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerProto {
    #[prost(int32, optional, tag = "3")]
    algorithm: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    space_behind: Option<bool>,
    #[prost(int32, optional, tag = "40")]
    unknown: Option<i32>,
    #[prost(int32, optional, tag = "41")]
    first: Option<i32>,
    #[prost(int32, optional, tag = "42")]
    end: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerProto {
    #[prost(bytes = "vec", optional, tag = "2")]
    map: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    space_before: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    drop_extra_spaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    write_spaces: Option<bool>,
}

/// ChatGLM-6B's old vocabulary begins with tokens for pictures, which no text has.
const IMAGE_TOKENS: usize = 20_000;

/// What ChatGLM-6B's code adds behind the pieces of the old file; the new file holds it.
const FIRST_SPECIAL: [&str; 8] = [
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<unused_0>",
    "<sop>",
    "<eop>",
    "<ENC>",
    "<dBLOCK>",
];

/// How many of the following stand for roles.
const ROLES: usize = 4;

/// What the code of ChatGLM2 and ChatGLM3 adds; ChatGLM2 knows no roles, its rows for them are unused.
const LATER_SPECIAL: [&str; 9] = [
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
];

pub(super) fn read(file: &File, architecture: &str, rows: usize) -> Result<Vocabulary, VocabularyError> {
    let model = ModelProto::decode(file.bytes.as_slice())
        .map_err(|error| file.bad(format!("it is no model of sentencepiece: {error}")))?;
    if model.pieces.is_empty() {
        return Err(file.bad("it is no model of sentencepiece: it has no pieces"));
    }
    let trainer = model.trainer.unwrap_or_default();
    let normalizer = model.normalizer.unwrap_or_default();
    let kind = match trainer.algorithm.unwrap_or(1) {
        1 => "t5",
        2 => "llama",
        3 => return Err(file.unsupported("its model_type is WORD")),
        _ => return Err(file.unsupported("its model_type is CHAR")),
    };
    if trainer.space_behind == Some(true) {
        return Err(file.unsupported("treat_whitespace_as_suffix is set"));
    }
    if normalizer.write_spaces == Some(false) {
        return Err(file.unsupported("escape_whitespaces is not set"));
    }
    let map = normalizer.map.unwrap_or_default();
    if !map.is_empty() {
        CharacterMap::read(&map).map_err(|problem| file.bad(problem))?;
    }
    let id = |id: Option<i32>, without: u32| match id {
        None => Some(without),
        Some(id) => u32::try_from(id).ok(),
    };
    let mut vocabulary = Vocabulary {
        first: id(trainer.first, 1),
        end: id(trainer.end, 2),
        unknown: id(trainer.unknown, 0),
        add_first: true,
        ..Vocabulary::new(kind, "default", Vec::new())
    };
    for piece in model.pieces {
        let kind = match piece.kind.unwrap_or(1) {
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            5 => TokenType::Unused,
            6 => TokenType::Byte,
            _ => TokenType::Normal,
        };
        vocabulary.put(piece.piece.unwrap_or_default(), kind, piece.score.unwrap_or(0.0));
    }
    match architecture {
        "chatglm1" => vocabulary.become_chatglm1(rows),
        "chatglm" => {
            let fit = rows >= vocabulary.tokens.len() + LATER_SPECIAL.len();
            let count = LATER_SPECIAL.len() - if fit { 0 } else { ROLES };
            let special = LATER_SPECIAL.iter().take(count);
            special.for_each(|it| vocabulary.put_special(it));
            (vocabulary.first, vocabulary.add_first) = (None, false);
            if !fit {
                let note = "the rows end before the tokens of roles, which are left out";
                vocabulary.notes.push(note.to_owned());
            }
        }
        _ => {}
    }
    let flag = |it: Option<bool>| Entry::Bool(it.unwrap_or(true));
    vocabulary
        .more
        .push(("add_space_prefix", flag(normalizer.space_before)));
    vocabulary
        .more
        .push(("remove_extra_whitespaces", flag(normalizer.drop_extra_spaces)));
    if !map.is_empty() {
        vocabulary.more.push(("precompiled_charsmap", Entry::U8s(map)));
    }
    Ok(vocabulary)
}

impl Vocabulary {
    fn put(&mut self, text: String, kind: TokenType, score: f32) {
        self.tokens.push((text, kind));
        self.scores.push(score);
    }

    fn put_special(&mut self, text: &str) {
        self.put(text.to_owned(), TokenType::Control, 0.0);
    }

    /// ChatGLM-6B in both of its vocabularies.
    fn become_chatglm1(&mut self, rows: usize) {
        self.pre = CHATGLM1;
        self.add_first = false;
        if !self.tokens.iter().any(|(text, _)| text == "[gMASK]") {
            FIRST_SPECIAL.iter().for_each(|it| self.put_special(it));
            blanks().for_each(|it| self.put(it, TokenType::UserDefined, 0.0));
            (0..=255).for_each(|byte| self.put(format!("<0x{byte:02X}>"), TokenType::Byte, 0.0));
        }
        for (text, kind) in &mut self.tokens {
            if FIRST_SPECIAL.contains(&text.as_str()) {
                *kind = TokenType::Control;
            }
        }
        if rows >= self.tokens.len() + IMAGE_TOKENS {
            let images = (0..IMAGE_TOKENS).map(|it| (format!("<image_{it}>"), TokenType::Unused));
            self.tokens.splice(0..0, images);
            self.scores.splice(0..0, std::iter::repeat_n(0.0, IMAGE_TOKENS));
            self.unknown = self.unknown.map(|it| it + IMAGE_TOKENS as u32);
        }
        let id = |text: &str| {
            let place = self.tokens.iter().position(|(it, _)| it == text);
            place.and_then(|it| u32::try_from(it).ok())
        };
        (self.first, self.end) = (id("<sop>"), id("<eop>"));
    }
}
