//! The model once it is there, and what the rest of the bot is told of it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use bedside_contract::{
    AdapterChangeError, AnswerMode, ChatMessage, GenerateError, GenerateRequest, Language, ModelInfo,
};
use bedside_model::{Adapter, Model, ModelSource, NoProgress, Progress, adapters, pull::pull_from};

use crate::{config::ModelConfig, job::Prepared};

/// Unless the config says otherwise; each token of it costs memory.
const DEFAULT_CONTEXT: usize = 4096;
/// Families that were trained on Chinese as well.
const CHINESE_FAMILIES: [&str; 7] = [
    "qwen", "glm", "deepseek", "yi-", "internlm", "baichuan", "minicpm",
];

pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) info: ModelInfo,
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
    /// Fetches the model if it is not on disk yet and loads it.
    pub(crate) fn load(config: &ModelConfig, progress: &dyn Progress) -> Result<Self, String> {
        let source: ModelSource = config
            .source
            .parse()
            .map_err(|error| format!("model source: {error}"))?;
        let path = pull_from(&source, &config.models_dir, &config.endpoint, progress)
            .map_err(|it| it.to_string())?;
        let mut model = Model::load(&path, progress).map_err(|error| error.to_string())?;
        if let Some(format) = &config.prompt_format {
            model
                .use_prompt_format(format)
                .map_err(|error| format!("model.prompt_format: {error}"))?;
        }
        let loaded = Self::new(model, config);
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
            context_length: config
                .context_length
                .unwrap_or(DEFAULT_CONTEXT)
                .clamp(1, facts.context_length.max(1)),
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
            adapters: RwLock::default(),
        }
    }

    pub(crate) fn prepare(&self, request: &GenerateRequest) -> Result<Prepared, GenerateError> {
        Ok(Prepared {
            adapter: self.adapter(request.adapter.as_deref())?,
            prompt: self.encode(&request.messages)?,
        })
    }

    /// The prompt's tokens, with room for at least one more.
    fn encode(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, GenerateError> {
        let tokens = self
            .model
            .encode(messages)
            .map_err(|error| GenerateError::Failed(error.to_string()))?;
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

    use super::known_languages;

    #[test]
    fn languages_are_known_by_name() {
        let check = |name: &str, expect: &[Language]| assert_eq!(known_languages(name), expect, "{name}");
        check("SmolLM2-135M-Instruct Q4_1", &[Language::En]);
        check("Qwen2.5-0.5B-Instruct Q4_K_M", &[Language::En, Language::Zh]);
        check("DeepSeek-R1-Distill", &[Language::En, Language::Zh]);
        check("something", &[Language::En]);
    }
}
