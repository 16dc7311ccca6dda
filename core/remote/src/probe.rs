//! Asks the server, in the background, what it serves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bedside_contract::{AnswerMode, Language, ModelInfo};
use reqwest::{RequestBuilder, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    config::RemoteConfig,
    failure::{Failure, is_refused_key, refused_key},
    generator::{Shared, Status},
    habits::Habits,
    parameters,
    server::Server,
};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// For each question, once the connection stands.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Where neither config nor server says it.
const DEFAULT_CONTEXT: usize = 4096;
/// Families that were trained on Chinese as well.
const CHINESE_FAMILIES: [&str; 7] = [
    "qwen", "glm", "deepseek", "yi-", "internlm", "baichuan", "minicpm",
];

/// What the server serves.
pub(crate) struct Served {
    /// The base model's name in requests.
    pub(crate) model: String,
    pub(crate) info: ModelInfo,
    pub(crate) adapters: Vec<String>,
    /// llama-server's numbers of the adapters; elsewhere an adapter is chosen by its name.
    pub(crate) loras: Option<BTreeMap<String, u32>>,
    pub(crate) habits: Habits,
}

#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("{0}")]
    Failure(#[from] Failure),
    #[error("the server names no model")]
    NoModel,
    #[error("the server knows no model {wanted:?}, it has {known}: check remote.model")]
    UnknownModel { wanted: String, known: String },
}

/// Asks until the server answers, and again whenever that is wished.
pub(crate) async fn probe(shared: Arc<Shared>) {
    loop {
        let mut wait = FIRST_WAIT;
        let mut said = String::new();
        let served = loop {
            match ask(&shared.config, &shared.server).await {
                Ok(served) => break served,
                Err(error) => {
                    let reason = match &error {
                        ProbeError::Failure(it) if is_refused_key(it) => {
                            refused_key(it, shared.config.key_of_the_api_key())
                        }
                        other => other.to_string(),
                    };
                    if reason != said {
                        tracing::warn!(
                            server = shared.server.address(),
                            reason,
                            "The model server is not ready."
                        );
                    }
                    shared.status.send_replace(Status::Failed(reason.clone()));
                    said = reason;
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        };
        tracing::info!(
            server = shared.server.address(),
            model = served.model,
            context_length = served.info.context_length,
            adapters = served.adapters.len(),
            "The model server is ready."
        );
        shared.status.send_replace(Status::Ready(Arc::new(served)));
        shared.ask_again.notified().await;
    }
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    /// vLLM: the model itself, or an adapter's file.
    root: Option<String>,
    /// vLLM: the model that an adapter belongs to.
    parent: Option<String>,
    max_model_len: Option<usize>,
    /// llama-server's.
    meta: Option<Meta>,
}

impl Entry {
    /// All that the model is called, in lower case.
    fn names(&self) -> String {
        format!("{} {}", self.id, self.root.as_deref().unwrap_or_default()).to_lowercase()
    }
}

#[derive(Deserialize)]
struct Meta {
    n_ctx_train: Option<usize>,
    n_params: Option<u64>,
}

#[derive(Deserialize)]
struct Properties {
    default_generation_settings: SlotSettings,
}

#[derive(Deserialize)]
struct SlotSettings {
    n_ctx: usize,
}

#[derive(Deserialize)]
struct LoraAdapter {
    id: u32,
    path: String,
}

async fn ask(config: &RemoteConfig, server: &Server) -> Result<Served, ProbeError> {
    let limit = config.connect_timeout() + ANSWER_WITHIN;
    let models: Models = get(server.models(), limit).await?;
    let entry = chosen(&models.data, config.model.as_deref())?;
    let mut context_length = entry.max_model_len;
    if context_length.is_none() {
        let trained = entry.meta.as_ref().and_then(|it| it.n_ctx_train);
        let properties: Option<Properties> = get_if_there(server.beside("props"), limit).await?;
        context_length = properties
            .map(|it| it.default_generation_settings.n_ctx)
            .or(trained);
    }
    let mut loras = None;
    if entry.max_model_len.is_none() && !config.adapters.is_empty() {
        let found: Option<Vec<LoraAdapter>> = get_if_there(server.beside("lora-adapters"), limit).await?;
        loras = found.map(|it| {
            it.iter()
                .map(|it| (stem(&it.path), it.id))
                .collect::<BTreeMap<_, _>>()
        });
    }
    let is_known = |name: &String| match &loras {
        Some(numbers) => numbers.contains_key(name),
        None => models.data.iter().any(|it| it.id == *name),
    };
    for name in config.adapters.iter().filter(|it| !is_known(it)) {
        tracing::warn!(
            adapter = name,
            "The model server does not name this adapter: check remote.adapters."
        );
    }
    // llama-server would answer without an unknown adapter, others refuse.
    let may_choose = |name: &&String| loras.is_none() || is_known(name);
    Ok(Served {
        model: entry.id.clone(),
        info: info(config, entry, context_length),
        adapters: config.adapters.iter().filter(may_choose).cloned().collect(),
        loras,
        habits: Habits::new(config, &entry.names()),
    })
}

fn chosen<'a>(entries: &'a [Entry], wanted: Option<&str>) -> Result<&'a Entry, ProbeError> {
    let Some(wanted) = wanted else {
        let is_base = |it: &&Entry| it.parent.is_none();
        return entries
            .iter()
            .find(is_base)
            .or(entries.first())
            .ok_or(ProbeError::NoModel);
    };
    entries.iter().find(|it| it.id == wanted).ok_or_else(|| {
        let known: Vec<_> = entries.iter().take(5).map(|it| format!("{:?}", it.id)).collect();
        ProbeError::UnknownModel {
            wanted: wanted.to_owned(),
            known: if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            },
        }
    })
}

fn info(config: &RemoteConfig, entry: &Entry, context_length: Option<usize>) -> ModelInfo {
    let told = context_length.filter(|it| *it > 0);
    let names = entry.names();
    let known_languages = || match CHINESE_FAMILIES.iter().any(|it| names.contains(it)) {
        true => vec![Language::En, Language::Zh],
        false => vec![Language::En],
    };
    ModelInfo {
        name: if entry.id.ends_with(".gguf") || entry.id.starts_with('/') {
            stem(&entry.id)
        } else {
            entry.id.clone()
        },
        architecture: "remote".to_owned(),
        parameters: config
            .configured_parameters()
            .or(entry.meta.as_ref().and_then(|it| it.n_params))
            .or_else(|| parameters::named_in(&names)),
        context_length: match (config.context_length, told) {
            (Some(wished), Some(told)) => wished.min(told),
            (wished, told) => wished.or(told).unwrap_or(DEFAULT_CONTEXT),
        },
        sha256: None,
        languages: config.languages.clone().unwrap_or_else(known_languages),
        answer_mode: config.answer_mode.unwrap_or(AnswerMode::Grounded),
    }
}

/// The file's name without folder and `.gguf`.
fn stem(path: &str) -> String {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".gguf").unwrap_or(file).to_owned()
}

async fn get<T: DeserializeOwned>(request: RequestBuilder, limit: Duration) -> Result<T, Failure> {
    let response = request.timeout(limit).send().await.map_err(Failure::of_request)?;
    if response.status() != StatusCode::OK {
        return Err(Failure::of_refusal(response).await);
    }
    let body = response.bytes().await.map_err(Failure::of_request)?;
    serde_json::from_slice(&body).map_err(|_| Failure::Unreadable("its list of models or settings"))
}

/// `None` where the server has no such thing; one that is still loading is an error.
async fn get_if_there<T: DeserializeOwned>(
    request: RequestBuilder,
    limit: Duration,
) -> Result<Option<T>, Failure> {
    match get(request, limit).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.may_pass() => Err(failure),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{AnswerMode, Language, ModelInfo};

    use super::{Models, chosen, info, stem};
    use crate::config::RemoteConfig;

    const VLLM: &str = r#"{"object":"list","data":[
        {"id":"ward","object":"model","root":"/adapters/ward","parent":"bedside","max_model_len":null},
        {"id":"bedside","object":"model","root":"Qwen/Qwen2.5-14B-Instruct","parent":null,"max_model_len":8192}]}"#;
    const LLAMA: &str = r#"{"models":[{"name":"x"}],"object":"list","data":[{"id":"/models/SmolLM2.Q4_1.gguf",
        "owned_by":"llamacpp","meta":{"vocab_type":2,"n_ctx_train":8192,"n_params":134515584}}]}"#;

    fn read(config: &RemoteConfig, models: &str, told: Option<usize>) -> Result<ModelInfo, String> {
        let models: Models = serde_json::from_str(models).unwrap();
        let entry = chosen(&models.data, config.model.as_deref()).map_err(|it| it.to_string())?;
        Ok(info(config, entry, entry.max_model_len.or(told)))
    }

    #[test]
    fn models_introduce_themselves() {
        let mut config = RemoteConfig::default();
        let vllm = read(&config, VLLM, None).unwrap();
        assert_eq!((vllm.name.as_str(), vllm.context_length), ("bedside", 8192));
        assert_eq!(vllm.languages, [Language::En, Language::Zh]);
        assert_eq!(vllm.answer_mode, AnswerMode::Grounded);
        let llama = read(&config, LLAMA, Some(2048)).unwrap();
        assert_eq!(
            (llama.name.as_str(), llama.context_length),
            ("SmolLM2.Q4_1", 2048)
        );
        assert_eq!(
            (llama.languages.as_slice(), llama.parameters),
            ([Language::En].as_slice(), Some(134_515_584))
        );
        assert_eq!(vllm.parameters, Some(14_000_000_000), "its root's name says so");
        assert_eq!(read(&config, LLAMA, None).unwrap().context_length, 4096);
        config.context_length = Some(10_000);
        config.answer_mode = Some(AnswerMode::Free);
        config.billion_parameters = Some(0.5);
        config.languages = Some(vec![Language::Zh]);
        let set = read(&config, VLLM, None).unwrap();
        assert_eq!(
            (set.context_length, set.answer_mode, set.languages),
            (8192, AnswerMode::Free, vec![Language::Zh])
        );
        assert_eq!(set.parameters, Some(500_000_000), "the configuration knows best");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let config = RemoteConfig {
            model: Some("bedsite".to_owned()),
            ..RemoteConfig::default()
        };
        let problem = read(&config, VLLM, None).unwrap_err();
        assert!(
            problem.contains("\"bedside\"") && problem.contains("remote.model"),
            "{problem}"
        );
        let none = read(&RemoteConfig::default(), r#"{"data":[]}"#, None).unwrap_err();
        assert_eq!(none, "the server names no model");
    }

    #[test]
    fn files_are_called_by_their_names() {
        assert_eq!(stem("/a/b/ward.gguf"), "ward");
        assert_eq!(stem("C:\\a\\ward.gguf"), "ward");
        assert_eq!(stem("ward"), "ward");
    }
}
