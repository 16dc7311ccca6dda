//! Tokens beside the tokenizer's own: `tokenizer_config.json`, `added_tokens.json`, `config.json`,
//! `generation_config.json`.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use super::{TokenType, Vocabulary, VocabularyError, optional_json, tiktoken};

/// What the files around a tokenizer say of it.
#[derive(Debug, Default)]
pub(super) struct SpecialTokens {
    tokenizer: Value,
    end_ids: Vec<u32>,
    /// By id; whether it is special.
    added: BTreeMap<usize, (String, bool)>,
}

impl SpecialTokens {
    pub(super) fn read(folder: &Path) -> Result<Self, VocabularyError> {
        let json = |name: &str| -> Result<Value, VocabularyError> {
            Ok(optional_json(&folder.join(name))?.unwrap_or_default())
        };
        let tokenizer = json("tokenizer_config.json")?;
        let mut added = BTreeMap::new();
        if let Value::Object(tokens) = json("added_tokens.json")? {
            for (text, id) in tokens {
                let id = id.as_u64().and_then(|it| usize::try_from(it).ok());
                added.extend(id.map(|id| (id, (text, false))));
            }
        }
        let lists = json("tokenizer.json")?;
        let listed = lists.get("added_tokens").and_then(Value::as_array);
        for token in listed.into_iter().flatten() {
            let id = token.get("id").and_then(Value::as_u64);
            put(&mut added, id, token);
        }
        let decoder = tokenizer.get("added_tokens_decoder").and_then(Value::as_object);
        for (id, token) in decoder.into_iter().flatten() {
            put(&mut added, id.parse().ok(), token);
        }
        let mut end_ids = Vec::new();
        for file in ["generation_config.json", "config.json"] {
            let ids = json(file)?.get("eos_token_id").cloned().unwrap_or_default();
            let ids = match ids {
                Value::Array(ids) => ids,
                one => vec![one],
            };
            let ids = ids.iter().filter_map(Value::as_u64);
            end_ids.extend(ids.filter_map(|it| u32::try_from(it).ok()));
        }
        Ok(Self {
            tokenizer,
            end_ids,
            added,
        })
    }

    /// Names and kinds of the added tokens, over those of the vocabulary. What lies behind the weights' rows can
    /// neither be read nor said: Gemma 3 without pictures has such a token for them.
    pub(super) fn overlay(&self, vocabulary: &mut Vocabulary) {
        for (id, (text, special)) in &self.added {
            let kind = if *special {
                TokenType::Control
            } else {
                TokenType::UserDefined
            };
            match vocabulary.tokens.get_mut(*id) {
                Some((own, own_kind)) if own == text && *own_kind != TokenType::Normal => {}
                Some(own) => *own = (text.clone(), kind),
                None => {
                    let note = format!("the added token `{text}` ({id}) has no row and is left out");
                    vocabulary.notes.push(note);
                }
            }
        }
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.named("bos_token")
    }

    pub(super) fn end(&self) -> Option<&str> {
        self.named("eos_token")
    }

    pub(super) fn end_ids(&self) -> impl Iterator<Item = u32> {
        self.end_ids.iter().copied()
    }

    pub(super) fn adds_first(&self) -> Option<bool> {
        self.tokenizer.get("add_bos_token")?.as_bool()
    }

    /// Of several the one named `default`.
    pub(super) fn chat_template(&self) -> Option<String> {
        match self.tokenizer.get("chat_template")? {
            Value::String(text) => Some(text.clone()),
            Value::Array(templates) => {
                let default = templates
                    .iter()
                    .find(|it| it.get("name").and_then(Value::as_str) == Some("default"));
                Some(default?.get("template")?.as_str()?.to_owned())
            }
            _ => None,
        }
    }

    /// GLM-4-9B, unlike its forerunners.
    pub(super) fn is_tiktoken(&self, folder: &Path) -> bool {
        fs::read(folder.join("tokenizer.model")).is_ok_and(|it| tiktoken::is_ranks(&it))
    }

    fn named(&self, key: &str) -> Option<&str> {
        let token = self.tokenizer.get(key)?;
        token
            .as_str()
            .or_else(|| token.get("content").and_then(Value::as_str))
    }
}

fn put(added: &mut BTreeMap<usize, (String, bool)>, id: Option<u64>, token: &Value) {
    let id = id.and_then(|it| usize::try_from(it).ok());
    let text = token.get("content").and_then(Value::as_str);
    let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
    added.extend(id.zip(text).map(|(id, text)| (id, (text.to_owned(), special))));
}
