//! What an operator may set. The comments are the manual.

use std::{collections::BTreeMap, path::PathBuf};

use bedside_contract::{AnswerMode, Language, Sampling};
use bedside_model::{ChatTemplate, KvPrecision, adapters::formats::SavedAdapter};
use serde::{Deserialize, Serialize};

/// `[engine]`: how requests wait and how the machine is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// How many requests may wait. One more is told at once that the bot is busy. Programs and plugins that wait take
    /// no place from patients.
    pub queue: usize,
    /// Threads that compute. Default: one per physical core. More than that makes it slower.
    pub threads: Option<usize>,
    /// Requests that are answered at the same time; the others wait.
    pub sequences: usize,
    /// How many of these may be other programs' and plugins'. Patients come before them: while a patient's question
    /// is read they pause, and where memory is short they make room. Default: a quarter of `sequences`, at least one.
    pub programs: Option<usize>,
    /// Prompt tokens that are read between two tokens of running answers; four times as many when no answer
    /// runs. Larger pieces are read faster, smaller ones let answers run more smoothly.
    pub prompt_chunk: usize,
    /// Memory for what the model remembers of running and earlier chats, in MiB; it is taken as it is needed.
    /// Default: enough for four chats of full length, shorter ones in proportion; less where memory is short, but
    /// always enough for one. What is set here and does not fit beside the model is refused at the start.
    pub kv_cache_mib: Option<usize>,
    /// `f16`; `q8`: half the memory for chats, slightly less exact; `f32`: twice the memory, exact.
    pub kv_precision: KvPrecision,
    /// Keep what was read, so that a common prefix (the instructions, a chat's own history) is computed
    /// only once; the least recently used goes first.
    pub prefix_cache: bool,
    /// Guess that an answer goes on as its passages do, and check several words at once. Changes the time
    /// that an answer takes, never its words.
    pub speculation: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            queue: 32,
            threads: None,
            sequences: 16,
            programs: None,
            prompt_chunk: 64,
            kv_cache_mib: None,
            kv_precision: KvPrecision::F16,
            prefix_cache: true,
            speculation: true,
        }
    }
}

/// `[model]`: which model answers, and how far it is trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `default` (SmolLM2-135M-Instruct, English only), a path to a GGUF file, `hf:OWNER/REPO/FILE.gguf`,
    /// `hf:OWNER/REPO@REVISION/FILE.gguf` or a URL. `#sha256=HEX` behind it has the file checked; plain http needs it.
    /// Of a model in parts it is the first, which brings the others; the checksum is that of all parts one after the
    /// other. Architectures: llama, qwen2, qwen3, gemma3, chatglm, glm4, and chatglm1, which `bedside model convert`
    /// writes.
    pub source: String,
    /// Where `hf:` files are fetched from; set it to a mirror inside the hospital if there is one. From one that speaks
    /// plain http only files with `#sha256=HEX` are taken.
    pub endpoint: String,
    /// Languages that the model may be asked in, `en` or `zh`; in others patients get the passages of the
    /// knowledge base themselves. Default: what is known of the model by its name, else English.
    pub languages: Option<Vec<Language>>,
    /// `grounded`: answers only reword what the knowledge base says. `free`: the model may use what it
    /// learned. Default: grounded at every model size, because models invent medicine.
    pub answer_mode: Option<AnswerMode>,
    /// How a chat is written down for the model: `chatml`, `llama3`, `gemma`, `chatglm`, `chatglm2`, `chatglm3`, `glm4`,
    /// `bianque`, or a Jinja template in a file that ends in `.jinja`. Default: the model file's own; where that cannot
    /// be used, the format that its tokens fit, which the log tells.
    pub prompt_format: Option<String>,
    /// Adapters by the names that requests choose them by: folders of PEFT (LoRA, prefix tuning), DoctorGLM's
    /// MergedLinear or ChatGLM's P-tuning v2, or GGUF files. One that cannot be read is logged and left out.
    pub adapters: BTreeMap<String, PathBuf>,
    /// The only folder that adapters can be loaded from while the bot runs, over the admin listener, `[admin]`. Default:
    /// none can be.
    pub adapters_dir: Option<PathBuf>,
    /// Tokens of prompt and answer together. Default: what the model was trained for, at most 4096. Memory
    /// for each running chat grows with it; if one chat does not fit, the model is refused at the start.
    pub context_length: Option<usize>,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// The folder that models are fetched into. Set by the program from its data directory.
    #[serde(skip)]
    pub models_dir: PathBuf,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            source: "default".to_owned(),
            endpoint: bedside_model::pull::DEFAULT_ENDPOINT.to_owned(),
            languages: None,
            answer_mode: None,
            prompt_format: None,
            adapters: BTreeMap::new(),
            adapters_dir: None,
            context_length: None,
            sampling: Sampling::default(),
            models_dir: PathBuf::new(),
        }
    }
}

impl ModelConfig {
    /// Whether the prompt format is known or its file a template.
    ///
    /// # Errors
    /// The key, and what is wrong.
    pub fn check_prompt_format(&self) -> Result<(), String> {
        match &self.prompt_format {
            Some(format) => {
                ChatTemplate::check(format).map_err(|error| format!("model.prompt_format: {error}"))
            }
            None => Ok(()),
        }
    }

    /// Whether the adapters' files can be read, without the model.
    ///
    /// # Errors
    /// The key of the first that cannot, and why.
    pub fn check_adapters(&self) -> Result<(), String> {
        for (name, path) in &self.adapters {
            SavedAdapter::open(path).map_err(|error| format!("model.adapters.{name}: {error}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{AnswerMode, Language};

    use super::{EngineConfig, ModelConfig};

    #[test]
    fn keys_are_read_and_wrong_ones_refused() {
        let model: ModelConfig = serde_json::from_str(
            r#"{"source":"a.gguf","languages":["zh"],"answer_mode":"free","sampling":{"top_k":1}}"#,
        )
        .unwrap();
        assert_eq!(model.languages, Some(vec![Language::Zh]));
        assert_eq!(
            (model.answer_mode, model.sampling.top_k),
            (Some(AnswerMode::Free), 1)
        );
        assert!(serde_json::from_str::<ModelConfig>(r#"{"models_dir":"/x"}"#).is_err());
        let engine: EngineConfig = serde_json::from_str(r#"{"queue":2}"#).unwrap();
        assert_eq!(
            engine,
            EngineConfig {
                queue: 2,
                ..EngineConfig::default()
            }
        );
        assert!(
            serde_json::from_str::<EngineConfig>(r#"{"que":2}"#)
                .unwrap_err()
                .to_string()
                .contains("que")
        );
    }
}
