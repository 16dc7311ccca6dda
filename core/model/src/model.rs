//! A model, whole: tokenizer, chat template and decoder.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bedside_contract::ChatMessage;
use bedside_tensors::gguf::PartName;

use crate::{
    decoder::{Decoder, DecoderError, Description},
    gguf::{GgufError, GgufFile},
    pull::{Progress, PullError, known_sha256},
    response::ResponseRules,
    template::{ChatTemplate, TemplateError},
    threads::Threads,
    tokenizer::{Tokenizer, TokenizerError},
};

/// A loaded model; shared, never changed.
#[derive(Debug)]
pub struct Model {
    pub facts: ModelFacts,
    pub tokenizer: Tokenizer,
    pub template: ChatTemplate,
    pub decoder: Decoder,
}

/// What a file says of itself, and what loading it took.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// From the file's name, e.g. `SmolLM2-135M-Instruct Q4_1`.
    pub name: String,
    pub path: PathBuf,
    pub architecture: String,
    pub parameters: u64,
    /// Tokens that the model was trained for.
    pub context_length: usize,
    pub file_bytes: u64,
    pub weight_bytes: u64,
    /// Where the file has been checked before.
    pub sha256: Option<String>,
    pub load_time: Duration,
    /// What had to be guessed, for the log.
    pub notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    #[error(transparent)]
    Checksum(#[from] PullError),
    #[error("threads to load the model with cannot be started: {0}")]
    Threads(std::io::Error),
    #[error("{path}: the tokenizer knows {tokens} tokens, the weights only {rows}")]
    Vocabulary {
        path: PathBuf,
        tokens: usize,
        rows: usize,
    },
}

impl Model {
    /// Reads a GGUF file.
    ///
    /// # Errors
    /// [`ModelError`], which names the file and what in it is wrong.
    pub fn load(path: &Path, progress: &dyn Progress) -> Result<Self, ModelError> {
        Self::load_with_format(path, None, progress)
    }

    /// As [`Self::load`]; chats are written down in another format than the file's own: its name, or a file with a
    /// Jinja template. The file's template is not even read then.
    ///
    /// # Errors
    /// [`ModelError`], which names the file and what in it is wrong.
    pub fn load_with_format(
        path: &Path,
        prompt_format: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Self, ModelError> {
        let start = Instant::now();
        let gguf = GgufFile::open(path)?;
        progress.phase("loading");
        progress.total(gguf.length());
        let tokenizer = Tokenizer::from_gguf(&gguf)?;
        let template = ChatTemplate::from_gguf(&gguf, &tokenizer, prompt_format)?;
        let threads = Threads::new(crate::physical_cores()).map_err(ModelError::Threads)?;
        let decoder = Decoder::load(&gguf, &threads, &|bytes| progress.advance(bytes))?;
        let description = decoder.description();
        check_vocabulary(path, &tokenizer, description)?;
        let notes = tokenizer
            .notes()
            .iter()
            .cloned()
            .chain(template.note().map(str::to_owned))
            .collect();
        let facts = ModelFacts {
            name: display_name(path),
            path: path.to_owned(),
            architecture: description.architecture.clone(),
            parameters: gguf.parameters(),
            context_length: description.context_length,
            file_bytes: gguf.length(),
            weight_bytes: decoder.weight_bytes(),
            sha256: known_sha256(path),
            load_time: start.elapsed(),
            notes,
        };
        Ok(Self {
            facts,
            tokenizer,
            template,
            decoder,
        })
    }

    /// What is done to its answers.
    #[must_use]
    pub fn response_rules(&self) -> ResponseRules {
        let first = self.facts.architecture == "chatglm1";
        let chatglm = first || self.facts.architecture == "chatglm";
        ResponseRules {
            trim_start: chatglm || self.tokenizer.writes_space_first(),
            name_training_time: chatglm,
            widen_punctuation: first,
        }
    }

    /// The tokens of a chat, up to where the answer begins.
    ///
    /// # Errors
    /// If the chat template refuses the chat.
    pub fn encode(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, ModelError> {
        Ok(self.tokenizer.encode_chat(&self.template.render(messages)?)?)
    }
}

/// Every token needs a row of weights.
pub(crate) fn check_vocabulary(
    path: &Path,
    tokenizer: &Tokenizer,
    description: &Description,
) -> Result<(), ModelError> {
    if tokenizer.size() > description.vocabulary {
        return Err(ModelError::Vocabulary {
            path: path.to_owned(),
            tokens: tokenizer.size(),
            rows: description.vocabulary,
        });
    }
    Ok(())
}

/// `SmolLM2-135M-Instruct.Q4_1.gguf` → `SmolLM2-135M-Instruct Q4_1`.
pub(crate) fn display_name(path: &Path) -> String {
    let stem = match PartName::of(path) {
        Some(part) => part.stem.to_owned(),
        None => path
            .file_stem()
            .map(|it| it.to_string_lossy().into_owned())
            .unwrap_or_default(),
    };
    match stem.rsplit_once(['.', '-']) {
        Some((name, kind)) if is_quantization(kind) => format!("{name} {}", kind.to_uppercase()),
        _ => stem,
    }
}

/// `Q4_K_M`, `iq2_xs`, `f16`, `BF16` …
fn is_quantization(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let digits = text
        .strip_prefix("iq")
        .or(text.strip_prefix("bf"))
        .or(text.strip_prefix(['q', 'f']));
    digits.is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
