//! The model once it is there, and what the rest of the bot is told of it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use bedside_contract::{
    AdapterChangeError, AnswerMode, ChatMessage, ChatRole, GenerateError, GenerateRequest, Language,
    ModelInfo,
};
use bedside_model::{
    Adapter, GgufFile, KvCache, Model, ModelError, ModelSource, NoProgress, Progress, adapters,
    decoder::{BLOCK_TOKENS, Description},
    memory::{Free, Need, free},
    pull::pull_from,
};

use crate::{
    blocks::Audience,
    config::{EngineConfig, ModelConfig},
    job::Prepared,
    worker::serving,
};

/// Unless the config says otherwise; each token of it costs memory.
const DEFAULT_CONTEXT: usize = 4096;
/// More than almost any token stands for.
const BYTES_OF_A_TOKEN: usize = 16;
/// Families that were trained on Chinese as well.
const CHINESE_FAMILIES: [&str; 7] = [
    "qwen", "glm", "deepseek", "yi-", "internlm", "baichuan", "minicpm",
];

pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) info: ModelInfo,
    /// Blocks that the key-value cache gets, where that has been compared with the machine's memory.
    pub(crate) cache_blocks: Option<usize>,
    adapters: RwLock<Adapters>,
}

/// By name; their numbers count from 1, the base model is 0. A number is never given twice, since what was read with
/// an adapter is found again by it.
#[derive(Default)]
struct Adapters {
    by_name: BTreeMap<String, (u32, Arc<Adapter>)>,
    last: u32,
}

impl Loaded {
    /// Fetches the model if it is not on disk yet and loads it, if it fits into memory.
    pub(crate) fn load(
        config: &ModelConfig,
        engine: &EngineConfig,
        progress: &dyn Progress,
    ) -> Result<Self, String> {
        let source: ModelSource = config
            .source
            .parse()
            .map_err(|error| format!("model source: {error}"))?;
        let path = pull_from(&source, &config.models_dir, &config.endpoint, progress)
            .map_err(|it| it.to_string())?;
        let cache_blocks = blocks_that_fit(&path, config, engine, free())?;
        let format = config.prompt_format.as_deref();
        let model = Model::load_with_format(&path, format, progress).map_err(|error| match error {
            ModelError::Template(error) if format.is_some() => format!("model.prompt_format: {error}"),
            error => error.to_string(),
        })?;
        let loaded = Self {
            cache_blocks: Some(cache_blocks),
            ..Self::new(model, config)
        };
        for (name, path) in &config.adapters {
            match adapters::load(path, &loaded.model, &NoProgress) {
                Ok(adapter) => loaded.add_adapter(name, adapter),
                // The model and the other adapters answer all the same.
                Err(error) => {
                    tracing::error!(%error, "The adapter model.adapters.{name} is left out: mend its path or file.");
                }
            }
        }
        Ok(loaded)
    }

    pub(crate) fn add_adapter(&self, name: &str, adapter: Adapter) {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        adapters.last += 1;
        let numbered = (adapters.last, Arc::new(adapter));
        adapters.by_name.insert(name.to_owned(), numbered);
    }

    /// Reads and adds one; takes its time.
    pub(crate) fn load_adapter(&self, name: &str, path: &Path) -> Result<(), AdapterChangeError> {
        let problem = match name {
            "" | "default" => Some("it means the model itself"),
            _ if name == self.info.name => Some("it is the model's own"),
            _ if name.chars().count() > 64 => Some("it is longer than 64 characters"),
            _ if name.chars().any(char::is_control) => Some("it has control characters"),
            _ => None,
        };
        if let Some(problem) = problem {
            let name = name.to_owned();
            return Err(AdapterChangeError::Name { name, problem });
        }
        let adapter = adapters::load(path, &self.model, &NoProgress);
        let adapter = adapter.map_err(|error| AdapterChangeError::Refused {
            problem: error.to_string(),
        })?;
        self.add_adapter(name, adapter);
        tracing::info!(adapter = name, path = %path.display(), "An adapter was loaded.");
        Ok(())
    }

    pub(crate) fn unload_adapter(&self, name: &str) -> Result<(), AdapterChangeError> {
        let mut adapters = self.adapters.write().unwrap_or_else(PoisonError::into_inner);
        let removed = adapters.by_name.remove(name);
        removed.map(drop).ok_or_else(|| AdapterChangeError::Unknown {
            name: name.to_owned(),
        })
    }

    pub(crate) fn adapter_names(&self) -> Vec<String> {
        let adapters = self.adapters.read().unwrap_or_else(PoisonError::into_inner);
        adapters.by_name.keys().cloned().collect()
    }

    /// That of a name; none for the base model.
    fn adapter(&self, name: Option<&str>) -> Result<Option<(u32, Arc<Adapter>)>, GenerateError> {
        let Some(name) = name else { return Ok(None) };
        let adapters = self.adapters.read().unwrap_or_else(PoisonError::into_inner);
        let adapter = adapters.by_name.get(name).cloned();
        adapter.map(Some).ok_or_else(|| GenerateError::UnknownAdapter {
            name: name.to_owned(),
        })
    }

    pub(crate) fn new(model: Model, config: &ModelConfig) -> Self {
        let facts = &model.facts;
        // Whatever its size: only who runs the bot may trust a model with medicine of its own.
        let answer_mode = config.answer_mode.unwrap_or(AnswerMode::Grounded);
        if answer_mode == AnswerMode::Free {
            tracing::warn!(
                "model.answer_mode is \"free\": answers may say what no passage of the knowledge base does."
            );
        }
        let info = ModelInfo {
            name: facts.name.clone(),
            architecture: facts.architecture.clone(),
            parameters: Some(facts.parameters),
            context_length: context_length(config, facts.context_length),
            sha256: facts.sha256.clone(),
            languages: config
                .languages
                .clone()
                .unwrap_or_else(|| known_languages(&facts.name)),
            answer_mode,
        };
        Self {
            model,
            info,
            cache_blocks: None,
            adapters: RwLock::default(),
        }
    }

    /// Takes its time on long prompts; those that cannot fit are refused by their bytes.
    pub(crate) fn prepare(&self, request: &GenerateRequest) -> Result<Prepared, GenerateError> {
        let bytes = request.messages.iter().map(|it| it.content.len()).sum();
        let limit = self.info.context_length.saturating_mul(BYTES_OF_A_TOKEN);
        if bytes > limit {
            return Err(GenerateError::PromptTooLarge { bytes, limit });
        }
        let prompt = self.encode(&request.messages)?;
        Ok(Prepared {
            adapter: self.adapter(request.adapter.as_deref())?,
            common: match Audience::from(request.priority) {
                Audience::People => Some(self.common(&request.messages, &prompt)),
                Audience::Programs | Audience::Plugins => None,
            },
            prompt,
        })
    }

    /// How many of a prompt's tokens are the instruction's.
    fn common(&self, messages: &[ChatMessage], prompt: &[u32]) -> usize {
        let instruction = messages.first().filter(|it| it.role == ChatRole::System);
        let Some(instruction) = instruction.cloned() else {
            return 0;
        };
        let anything = ChatMessage {
            role: ChatRole::User,
            content: "\u{2026}".to_owned(),
        };
        let other = self.model.encode(&[instruction, anything]).unwrap_or_default();
        prompt.iter().zip(&other).take_while(|(a, b)| a == b).count()
    }

    /// The tokens of a chat.
    pub(crate) fn tokens(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, GenerateError> {
        self.model.encode(messages).map_err(|error| {
            let refusal = match &error {
                ModelError::Template(error) => error.refusal(),
                _ => None,
            };
            match refusal {
                Some(problem) => GenerateError::Refused { problem },
                None => GenerateError::Failed(error.to_string()),
            }
        })
    }

    /// The prompt's tokens, with room for at least one more.
    fn encode(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, GenerateError> {
        let tokens = self.tokens(messages)?;
        let limit = self.info.context_length - 1;
        if tokens.is_empty() {
            return Err(GenerateError::Failed("the prompt is empty".to_owned()));
        }
        if tokens.len() > limit {
            return Err(GenerateError::PromptTooLong {
                tokens: tokens.len(),
                limit,
            });
        }
        Ok(tokens)
    }
}

/// Tokens of a chat, of a model that was trained for so many.
fn context_length(config: &ModelConfig, trained: usize) -> usize {
    config
        .context_length
        .unwrap_or(DEFAULT_CONTEXT)
        .clamp(1, trained.max(1))
}

/// The memory that a model file takes once it is served as configured, told by its header alone.
///
/// # Errors
/// In words, if the file is none that can be served.
pub fn memory_need(path: &Path, config: &ModelConfig, engine: &EngineConfig) -> Result<Need, String> {
    let gguf = GgufFile::open(path).map_err(|error| error.to_string())?;
    let description = Description::read(&gguf).map_err(|error| error.to_string())?;
    let context_length = context_length(config, description.context_length);
    let block = KvCache::bytes_of(&description, engine.kv_precision, BLOCK_TOKENS);
    let serving = serving(engine, context_length, block);
    Ok(Need::of(&gguf, &description, &serving))
}

/// Looks at the file's header, before anything is allocated for it.
fn blocks_that_fit(
    path: &Path,
    config: &ModelConfig,
    engine: &EngineConfig,
    free: Option<Free>,
) -> Result<usize, String> {
    let need = memory_need(path, config, engine)?;
    let blocks = need
        .blocks_that_fit(free)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if blocks < need.blocks {
        tracing::warn!(
            wanted_mib = need.blocks.saturating_mul(need.block) >> 20,
            cache_mib = blocks.saturating_mul(need.block) >> 20,
            "Memory is short: fewer chats are kept at a time. engine.kv_cache_mib sets how much they take."
        );
    }
    usize::try_from(blocks).map_err(|error| error.to_string())
}

fn known_languages(name: &str) -> Vec<Language> {
    let name = name.to_lowercase();
    if CHINESE_FAMILIES.iter().any(|it| name.contains(it)) {
        vec![Language::En, Language::Zh]
    } else {
        vec![Language::En]
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::Language;
    use bedside_model::{
        memory::{Bound, Free},
        testing::TinyModel,
    };

    use super::{blocks_that_fit, known_languages};
    use crate::config::{EngineConfig, ModelConfig};

    /// Blocks, or why there are none, of a tiny model of 512 tokens with so much free.
    fn blocks(
        context_length: Option<usize>,
        kv_cache_mib: Option<usize>,
        free: u64,
    ) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::default().write(&path);
        let model = ModelConfig {
            context_length,
            ..ModelConfig::default()
        };
        let engine = EngineConfig {
            kv_cache_mib,
            ..EngineConfig::default()
        };
        let free = Free {
            bytes: free,
            bound: Bound::ControlGroup,
        };
        blocks_that_fit(&path, &model, &engine, Some(free))
    }

    #[test]
    fn memory_is_compared_before_anything_is_loaded() {
        let gibibyte = 1 << 30;
        // Four chats of 512 tokens and a block; of 256; two layers of two heads, keys and values of 16 halves.
        assert_eq!(blocks(None, None, gibibyte), Ok(4 * 33));
        assert_eq!(blocks(Some(256), None, gibibyte), Ok(4 * 17));
        let block = 16 * 2 * 2 * 2 * 16 * 2;
        assert_eq!(blocks(None, Some(8), gibibyte), Ok((8 << 20) / block));
        let refused = |context_length, kv_cache_mib, free, words: &[&str]| {
            let error = blocks(context_length, kv_cache_mib, free).unwrap_err();
            for word in words.iter().chain(&["tiny.gguf", "MiB are free under"]) {
                assert!(error.contains(word), "{word:?} is not in {error:?}");
            }
        };
        refused(None, None, 1 << 20, &["smaller model"]);
        refused(None, Some(4096), gibibyte, &["engine.kv_cache_mib to at most"]);
        refused(
            None,
            Some(usize::MAX),
            gibibyte,
            &["engine.kv_cache_mib to at most"],
        );
    }

    #[test]
    fn languages_are_known_by_name() {
        let check = |name: &str, expect: &[Language]| assert_eq!(known_languages(name), expect, "{name}");
        check("SmolLM2-135M-Instruct Q4_1", &[Language::En]);
        check("Qwen2.5-0.5B-Instruct Q4_K_M", &[Language::En, Language::Zh]);
        check("DeepSeek-R1-Distill", &[Language::En, Language::Zh]);
        check("something", &[Language::En]);
    }
}
