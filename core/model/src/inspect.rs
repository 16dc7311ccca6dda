//! What a model file is, without loading it.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use crate::{
    decoder::{DecoderError, Description, KvCache, KvPrecision, check_tensors},
    gguf::{GgufError, GgufFile},
    model::{ModelError, check_vocabulary, display_name},
    pull::{Progress, sha256},
    template::ChatTemplate,
    tokenizer::Tokenizer,
};

/// What `bedside model inspect` tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    pub name: String,
    pub architecture: String,
    pub parameters: u64,
    pub layers: usize,
    pub width: usize,
    pub feed_width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_width: usize,
    pub vocabulary: usize,
    /// Tokens that the model was trained for.
    pub context_length: usize,
    pub file_bytes: u64,
    /// Files that the model consists of.
    pub parts: usize,
    /// Tensors and their bytes in the file by the kind of their numbers.
    pub weights: BTreeMap<String, KindOfWeights>,
    /// For keys and values of this many tokens.
    pub memory_at: usize,
    /// Weights as in the file, and keys and values in each precision.
    pub memory_bytes: BTreeMap<&'static str, u64>,
    pub tokenizer: TokenizerFacts,
    /// The file's own; one is chosen by the tokens where there is none that can be used.
    pub chat_template: Option<String>,
    /// What is wrong with it, and what is used in its place.
    pub template_note: Option<String>,
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KindOfWeights {
    pub tensors: usize,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenizerFacts {
    /// `gpt2`, `llama` …
    pub model: String,
    /// How words are cut, where the file says so.
    pub pre: Option<String>,
    pub tokens: usize,
    /// What is unusual about it.
    pub notes: Vec<String>,
}

/// Reads a file's header and its checksum, and looks whether all tensors are there; `context` tokens instead of those that the model was trained for.
///
/// # Errors
/// [`ModelError`], if it is no model that can be run; it names the families that can.
pub fn inspect(
    path: &Path,
    context: Option<usize>,
    progress: &dyn Progress,
) -> Result<Inspection, ModelError> {
    let gguf = GgufFile::open(path)?;
    let description = Description::read(&gguf)?;
    check_tensors(&gguf, &description)?;
    let tokenizer = Tokenizer::from_gguf(&gguf)?;
    check_vocabulary(path, &tokenizer, &description)?;
    let mut weights: BTreeMap<String, KindOfWeights> = BTreeMap::new();
    for tensor in gguf.tensors().values() {
        let kind = weights.entry(format!("{:?}", tensor.dtype)).or_default();
        kind.tensors += 1;
        kind.bytes += tensor.bytes;
    }
    let memory_at = context.unwrap_or(description.context_length);
    if memory_at > description.context_length {
        return Err(DecoderError::ContextFull {
            tokens: memory_at,
            used: 0,
            context_length: description.context_length,
        }
        .into());
    }
    let kv = |precision| KvCache::bytes_of(&description, precision, memory_at);
    let memory_bytes = BTreeMap::from([
        ("weights", weights.values().map(|it| it.bytes).sum()),
        ("kv_f32", kv(KvPrecision::F32)),
        ("kv_f16", kv(KvPrecision::F16)),
        ("kv_q8", kv(KvPrecision::Q8)),
    ]);
    // Not an error: `model.prompt_format` may replace it.
    let template_note = match ChatTemplate::from_gguf(&gguf, &tokenizer, None) {
        Ok(template) => template.note().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    let text = |key| -> Result<Option<String>, GgufError> { Ok(gguf.optional_text(key)?.map(str::to_owned)) };
    Ok(Inspection {
        name: display_name(path),
        parameters: gguf.parameters(),
        layers: description.layers,
        width: description.width,
        feed_width: description.feed_width,
        heads: description.heads,
        kv_heads: description.kv_heads,
        head_width: description.head_width,
        vocabulary: description.vocabulary,
        context_length: description.context_length,
        file_bytes: gguf.length(),
        parts: gguf.parts(),
        weights,
        memory_at,
        memory_bytes,
        tokenizer: TokenizerFacts {
            model: text("tokenizer.ggml.model")?.unwrap_or_default(),
            pre: text("tokenizer.ggml.pre")?,
            tokens: tokenizer.size(),
            notes: tokenizer.notes().to_vec(),
        },
        chat_template: text("tokenizer.chat_template")?,
        template_note,
        sha256: sha256(path, progress)?,
        architecture: description.architecture,
    })
}

#[cfg(test)]
mod tests {
    use super::inspect;
    use crate::{
        pull::NoProgress,
        testing::{TinyModel, split},
    };

    #[test]
    fn a_model_tells_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.F32.gguf");
        TinyModel::default().write(&path);
        let found = inspect(&path, Some(100), &NoProgress).unwrap();
        assert_eq!(found.architecture, "llama");
        assert_eq!(
            (found.layers, found.width, found.heads, found.kv_heads),
            (2, 64, 4, 2)
        );
        assert_eq!(found.tokenizer.tokens, TinyModel::vocabulary().len());
        assert_eq!(found.tokenizer.pre.as_deref(), Some("smollm"));
        assert!(found.chat_template.is_some() && found.template_note.is_none());
        assert_eq!(found.weights["F32"].tensors, 1 + 2 * 9 + 1);
        // Seven blocks of 16 tokens: two layers of two heads, keys and values of 16 halves.
        assert_eq!(found.memory_bytes["kv_f16"], 7 * 16 * 2 * 2 * 2 * 16 * 2);
        assert_eq!(found.sha256.len(), 64);
        let error = inspect(&path, Some(100_000), &NoProgress).unwrap_err();
        assert!(error.to_string().contains("512"), "{error}");
    }

    #[test]
    fn a_template_that_cannot_be_used_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        let check = |template: Option<&'static str>, expect: &str| {
            TinyModel {
                chat_template: template,
                ..TinyModel::default()
            }
            .write(&path);
            let note = inspect(&path, None, &NoProgress).unwrap().template_note.unwrap();
            assert!(note.contains(expect), "{note}");
        };
        check(None, "`chatml` is used");
        check(Some("{{ if .System }}{{ .System }}{{ end }}"), "`chatml` is used");
        check(
            Some("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"),
            "steps",
        );
    }

    #[test]
    fn parts_are_told_with_all_that_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::default().write(&path);
        let parts = split(&path, 2);
        let (whole, joined) = (
            inspect(&path, None, &NoProgress).unwrap(),
            inspect(&parts[0], None, &NoProgress).unwrap(),
        );
        assert_eq!((whole.parts, joined.parts), (1, 2));
        assert_eq!(joined.weights, whole.weights);
        assert_eq!((joined.name, joined.parameters), (whole.name, whole.parameters));
        std::fs::remove_file(&parts[1]).unwrap();
        let error = inspect(&parts[0], None, &NoProgress).unwrap_err();
        assert!(error.to_string().contains("tiny-00002-of-00002.gguf"), "{error}");
    }

    #[test]
    fn a_family_that_is_not_supported_is_named_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.gguf");
        TinyModel {
            architecture: "mamba",
            ..TinyModel::default()
        }
        .write(&path);
        let error = inspect(&path, None, &NoProgress).unwrap_err().to_string();
        assert!(
            error.contains("mamba") && error.contains("qwen3") && error.contains("chatglm1"),
            "{error}"
        );
    }
}
