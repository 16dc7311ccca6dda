//! `tokenizer.json` of the library tokenizers: pairs of bytes (Llama 3, Qwen, GLM-4-0414), sentencepiece's pairs and
//! unigrams.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use bedside_tensors::gguf::Entry;
use serde_json::Value;

use super::{File, TokenType, Vocabulary, VocabularyError};
use crate::tokenizer::Tokenizer;

/// Words as Llama 3 cuts them, with digits in groups of three; Qwen's digits stand alone.
const WORDS: [(&str, &str); 2] = [
    (
        "three",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    (
        "one",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
];

/// Texts that must become the same tokens here as in the library, or the tokenizer is refused.
const PROBES: [&str; 6] = [
    "The patient has had a fever of 38.5 °C since yesterday, I've been told.",
    "孩子发烧39.5度，还咳嗽，需要去医院吗？",
    "  two  spaces\n\n\tand a tab\n",
    "2026-11-27 12345678 mg/dL (!!) name_of_it",
    "👩‍⚕️ naïve Ünïcödé ½ ①",
    "¿Dónde le duele? Où avez-vous mal? Где болит? 어디가 아프세요?",
];

pub(super) fn read(file: &File) -> Result<Vocabulary, VocabularyError> {
    let json: Value = serde_json::from_slice(&file.bytes).map_err(|error| {
        file.bad(format!(
            "line {}, column {}: {error}",
            error.line(),
            error.column()
        ))
    })?;
    let part = |key: &str| json.get(key).filter(|it| !it.is_null());
    let model = part("model").ok_or_else(|| file.bad("model is missing"))?;
    let normalizers = flat(part("normalizer"), "normalizers");
    let cutters = flat(part("pre_tokenizer"), "pretokenizers");
    let kind = model.get("type").and_then(Value::as_str);
    let mut vocabulary = match kind {
        Some("Unigram") => unigram(file, model, &normalizers, &cutters)?,
        Some("BPE") | None if model.get("merges").is_some() => {
            let byte_level = cutters.iter().any(|it| name(it) == "ByteLevel");
            if byte_level {
                let pre = pre_tokenizer(file, model, &normalizers, &cutters)?;
                byte_pairs(file, model, pre)?
            } else {
                pairs_with_scores(file, model, space_before(&normalizers, &cutters))?
            }
        }
        other => return Err(file.unsupported(format!("model.type is {}", other.unwrap_or("missing")))),
    };
    vocabulary.add_first = begins_with_special(part("post_processor"));
    Ok(vocabulary)
}

/// Holds a tokenizer against its `tokenizer.json`.
pub(super) fn compare(path: &Path, tokenizer: &Tokenizer) -> Result<(), VocabularyError> {
    let reference = tokenizers::Tokenizer::from_file(path).map_err(|error| VocabularyError::Format {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    for probe in PROBES {
        let wanted = reference.encode_fast(probe, false);
        let wanted = wanted.map(|it| it.get_ids().to_vec()).unwrap_or_default();
        if tokenizer.encode_text(probe).unwrap_or_default() != wanted {
            return Err(VocabularyError::Unsupported {
                path: path.to_owned(),
                problem: format!("`{}` is cut in another way", probe.trim()),
            });
        }
    }
    Ok(())
}

fn name(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// A part, or the parts of a sequence.
fn flat<'a>(part: Option<&'a Value>, key: &str) -> Vec<&'a Value> {
    match part {
        None => Vec::new(),
        Some(part) if name(part) == "Sequence" => {
            let parts = part.get(key).and_then(Value::as_array);
            parts.into_iter().flatten().collect()
        }
        Some(part) => vec![part],
    }
}

/// The name that GGUF files have for these rules.
fn pre_tokenizer(
    file: &File,
    model: &Value,
    normalizers: &[&Value],
    cutters: &[&Value],
) -> Result<&'static str, VocabularyError> {
    let is =
        |part: &Value, key: &str, without: bool| part.get(key).and_then(Value::as_bool).unwrap_or(without);
    let composes = match normalizers {
        [] => false,
        [one] if name(one) == "NFC" => true,
        [other, ..] => return Err(file.unsupported(format!("normalizer {}", name(other)))),
    };
    let whole_words = is(model, "ignore_merges", false);
    let rules = match cutters {
        [bytes] if is(bytes, "use_regex", true) => "gpt-2",
        [digits, bytes] if name(digits) == "Digits" && is(bytes, "use_regex", true) => "smollm",
        [split, bytes] if name(split) == "Split" && !is(bytes, "use_regex", true) => {
            let pattern = split.pointer("/pattern/Regex").and_then(Value::as_str);
            let words = WORDS.iter().find(|(_, it)| Some(*it) == pattern);
            match words.map(|(digits, _)| *digits) {
                Some("three") if whole_words => "llama-bpe",
                Some("three") => "chatglm-bpe",
                Some(_) if composes => "qwen2",
                Some(_) => "stablelm2",
                None => return Err(file.unsupported("words are cut by another pattern")),
            }
        }
        _ => {
            let names: Vec<&str> = cutters.iter().map(|it| name(it)).collect();
            return Err(file.unsupported(format!("pre_tokenizer {}", names.join(", "))));
        }
    };
    let fits = composes == (rules == "qwen2") && whole_words == (rules == "llama-bpe");
    let spaces = cutters.iter().any(|it| is(it, "add_prefix_space", false));
    if fits && !spaces {
        Ok(rules)
    } else {
        Err(file.unsupported(format!(
            "`{rules}` with another normalizer, ignore_merges or add_prefix_space"
        )))
    }
}

/// Tokens by their ids, without gaps.
fn listed(file: &File, model: &Value) -> Result<Vec<(String, TokenType)>, VocabularyError> {
    let vocab = model.get("vocab").and_then(Value::as_object);
    let vocab = vocab.ok_or_else(|| file.bad("model.vocab is no object"))?;
    let mut by_id = BTreeMap::new();
    for (text, id) in vocab {
        let id = id.as_u64().and_then(|it| usize::try_from(it).ok());
        let id = id.ok_or_else(|| file.bad(format!("model.vocab: `{text}` has no id")))?;
        if let Some(other) = by_id.insert(id, text) {
            return Err(file.bad(format!("model.vocab: `{text}` and `{other}` have one id, {id}")));
        }
    }
    // Tokens may be added within: their rows are named by what is added.
    let last = by_id.keys().next_back().copied().unwrap_or(0);
    if last > 2 * by_id.len() + 1024 {
        return Err(file.bad(format!("model.vocab: id {last} for {} tokens", by_id.len())));
    }
    let token = |id| match by_id.get(&id) {
        Some(text) => ((*text).clone(), TokenType::Normal),
        None => (format!("[PAD{id}]"), TokenType::Unused),
    };
    Ok((0..=last).map(token).collect())
}

/// Written `a b` or `["a", "b"]`.
fn merges(file: &File, model: &Value) -> Result<Vec<(String, String)>, VocabularyError> {
    let merges = model.get("merges").and_then(Value::as_array);
    let merges = merges.ok_or_else(|| file.bad("model.merges is no list"))?;
    let pair = |merge: &Value| match merge {
        Value::String(text) => text
            .split_once(' ')
            .map(|(left, right)| (left.to_owned(), right.to_owned())),
        Value::Array(pair) => match pair.as_slice() {
            [left, right] => Some((left.as_str()?.to_owned(), right.as_str()?.to_owned())),
            _ => None,
        },
        _ => None,
    };
    let numbered = merges.iter().enumerate();
    numbered
        .map(|(number, merge)| {
            pair(merge).ok_or_else(|| file.bad(format!("model.merges: entry {number} is no pair")))
        })
        .collect()
}

fn byte_pairs(file: &File, model: &Value, pre: &'static str) -> Result<Vocabulary, VocabularyError> {
    let merges = merges(file, model)?.into_iter();
    Ok(Vocabulary {
        merges: merges.map(|(left, right)| format!("{left} {right}")).collect(),
        ..Vocabulary::new("gpt2", pre, listed(file, model)?)
    })
}

/// Pairs of sentencepiece: the earlier a pair is joined, the better is the score of what it gives.
fn pairs_with_scores(file: &File, model: &Value, space_before: bool) -> Result<Vocabulary, VocabularyError> {
    let mut tokens = listed(file, model)?;
    let mut ranks: BTreeMap<String, usize> = BTreeMap::new();
    for (rank, (left, right)) in merges(file, model)?.into_iter().enumerate() {
        ranks.entry(left + &right).or_insert(rank);
    }
    let scores = tokens
        .iter()
        .map(|(text, _)| ranks.get(text).map_or(-1e9, |it| -(*it as f32)))
        .collect();
    let unknown = model.get("unk_token").and_then(Value::as_str);
    let unknown = unknown.and_then(|it| tokens.iter().position(|(text, _)| text == it));
    mark(&mut tokens, unknown);
    Ok(Vocabulary {
        scores,
        unknown: unknown.and_then(|it| u32::try_from(it).ok()),
        more: vec![("add_space_prefix", Entry::Bool(space_before))],
        ..Vocabulary::new("llama", "default", tokens)
    })
}

/// Whether a space is put before every text.
fn space_before(normalizers: &[&Value], cutters: &[&Value]) -> bool {
    let by_cutter = cutters.iter().any(|it| {
        let scheme = it.get("prepend_scheme").and_then(Value::as_str);
        let switched_off = it.get("add_prefix_space") == Some(&Value::Bool(false));
        name(it) == "Metaspace" && scheme != Some("never") && !switched_off
    });
    by_cutter || normalizers.iter().any(|it| name(it) == "Prepend")
}

fn unigram(
    file: &File,
    model: &Value,
    normalizers: &[&Value],
    cutters: &[&Value],
) -> Result<Vocabulary, VocabularyError> {
    let vocab = model.get("vocab").and_then(Value::as_array);
    let vocab = vocab.ok_or_else(|| file.bad("model.vocab is no list"))?;
    let mut tokens = Vec::new();
    let mut scores = Vec::new();
    for (number, entry) in vocab.iter().enumerate() {
        let text = entry.get(0).and_then(Value::as_str);
        let score = entry.get(1).and_then(Value::as_f64);
        let (text, score) = text
            .zip(score)
            .ok_or_else(|| file.bad(format!("model.vocab: entry {number} is no text with a score")))?;
        tokens.push((text.to_owned(), TokenType::Normal));
        scores.push(score as f32);
    }
    let unknown = model.get("unk_id").and_then(Value::as_u64);
    let unknown = unknown.and_then(|it| usize::try_from(it).ok());
    mark(&mut tokens, unknown);
    let map = normalizers.iter().find(|it| name(it) == "Precompiled");
    let map = map.and_then(|it| it.get("precompiled_charsmap")?.as_str());
    let map = map.map(|it| BASE64_STANDARD.decode(it)).transpose();
    let map = map.map_err(|error| file.bad(format!("normalizer.precompiled_charsmap: {error}")))?;
    let drops = normalizers
        .iter()
        .any(|it| name(it) == "Replace" || name(it) == "Strip");
    let mut more = vec![
        (
            "add_space_prefix",
            Entry::Bool(space_before(normalizers, cutters)),
        ),
        ("remove_extra_whitespaces", Entry::Bool(drops)),
    ];
    more.extend(map.map(|it| ("precompiled_charsmap", Entry::U8s(it))));
    Ok(Vocabulary {
        scores,
        unknown: unknown.and_then(|it| u32::try_from(it).ok()),
        more,
        ..Vocabulary::new("t5", "default", tokens)
    })
}

/// Bytes and the unknown token are no texts.
fn mark(tokens: &mut [(String, TokenType)], unknown: Option<usize>) {
    for (id, (text, kind)) in tokens.iter_mut().enumerate() {
        let hex = text.strip_prefix("<0x").and_then(|it| it.strip_suffix('>'));
        if hex.is_some_and(|it| it.len() == 2 && u8::from_str_radix(it, 16).is_ok()) {
            *kind = TokenType::Byte;
        }
        if Some(id) == unknown {
            *kind = TokenType::Unknown;
        }
    }
}

/// Whether the library puts a special token before every text.
fn begins_with_special(processor: Option<&Value>) -> bool {
    let parts = flat(processor, "processors");
    let template = parts.iter().find(|it| name(it) == "TemplateProcessing");
    template.is_some_and(|it| it.pointer("/single/0/SpecialToken").is_some())
}
