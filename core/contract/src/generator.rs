//! The seam behind which a language model answers.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::{ConversationKey, Language};

/// Turns chat messages into text. Implemented by `core/engine` and, over HTTP, by remote servers.
#[async_trait]
pub trait Generator: Send + Sync {
    /// What is served; `None` while it is still loading or after it failed to load.
    fn model(&self) -> Option<ModelInfo>;

    /// Names of the adapters that [`GenerateRequest::adapter`] may choose now.
    fn adapters(&self) -> Vec<String> {
        Vec::new()
    }

    /// Loads an adapter under a name while answers run; requests from now on find it there. What ran with another of
    /// the same name goes on with that one.
    ///
    /// # Errors
    /// [`AdapterChangeError`].
    async fn load_adapter(&self, name: &str, path: &str) -> Result<(), AdapterChangeError> {
        let _ = (name, path);
        Err(AdapterChangeError::Unsupported)
    }

    /// Takes an adapter away from later requests; those that were accepted go on with it.
    ///
    /// # Errors
    /// [`AdapterChangeError`].
    async fn unload_adapter(&self, name: &str) -> Result<(), AdapterChangeError> {
        let _ = name;
        Err(AdapterChangeError::Unsupported)
    }

    /// How many tokens these messages take with the model's own chat template, generation prompt included.
    ///
    /// Takes its time on long texts: not to be called on an async thread.
    ///
    /// # Errors
    /// [`GenerateError::NotReady`] while the model is being loaded, [`GenerateError::Unavailable`] where it could not
    /// be.
    fn count_tokens(&self, messages: &[ChatMessage]) -> Result<usize, GenerateError>;

    /// Queues a request. The answer comes from [`Generation::next`]; dropping the generation cancels it
    /// within one token.
    ///
    /// # Errors
    /// [`GenerateError::Busy`] at once when the queue is full, rather than after a long wait.
    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError>;

    /// Forgets what earlier prompts and answers of this conversation left in memory.
    fn forget(&self, conversation: &ConversationKey) {
        let _ = conversation;
    }
}

/// One running or queued generation. Dropping it cancels it.
#[async_trait]
pub trait Generation: Send {
    /// The next event; `None` after [`GenerationEvent::Finished`]. Cancel-safe.
    async fn next(&mut self) -> Option<Result<GenerationEvent, GenerateError>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationEvent {
    /// Others are before this one; sent again whenever the position changes. 1 is next.
    Queued { position: usize },
    /// The prompt is being read.
    Started,
    /// More text, always whole characters, never a stop string or a special token.
    Text(String),
    /// The last event.
    Finished {
        reason: FinishReason,
        prompt_tokens: usize,
        /// Of these, known from earlier prompts and not computed again.
        reused_tokens: usize,
        generated_tokens: usize,
        prompt_time: Duration,
        generate_time: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The model ended its answer or a stop string came.
    Stop,
    /// `max_tokens` or the context's end.
    Length,
    /// The deadline passed.
    Deadline,
}

#[derive(Debug, Clone)]
pub struct GenerateRequest {
    pub conversation: ConversationKey,
    pub messages: Vec<ChatMessage>,
    /// One of [`Generator::adapters`]; none is the base model.
    pub adapter: Option<String>,
    pub sampling: Sampling,
    pub max_tokens: usize,
    pub priority: Priority,
    /// Counted from admission; the generation ends with [`FinishReason::Deadline`].
    pub deadline: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Plugins and jobs.
    Background,
    /// Other programs, which ask over the API.
    Program,
    #[default]
    Patient,
    Staff,
}

impl Priority {
    /// Whether it makes room for people.
    #[must_use]
    pub fn gives_way(self) -> bool {
        self < Self::Patient
    }
}

/// One message of a chat template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    pub role: ChatRole,
    pub content: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    System,
    User,
    Assistant,
}

/// How the next token is drawn; the order of the steps is transformers': logit bias, penalties,
/// temperature, top-k, top-p, min-p.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// 0 takes the most likely token always.
    pub temperature: f32,
    /// 0 switches it off.
    pub top_k: usize,
    /// 1 switches it off.
    pub top_p: f32,
    /// 0 switches it off.
    pub min_p: f32,
    /// 1 switches it off; over prompt and answer, as in transformers.
    pub repetition_penalty: f32,
    /// Taken from the logit of a token for each time that the answer holds it; 0 switches it off.
    pub frequency_penalty: f32,
    /// Taken from the logit of a token that the answer holds; 0 switches it off.
    pub presence_penalty: f32,
    /// Added to the logits of single tokens; a request's own, never from a config file.
    #[serde(skip)]
    pub logit_bias: BTreeMap<u32, f32>,
    /// The same seed, prompt and model give the same answer; none draws a fresh one.
    pub seed: Option<u64>,
    /// Generation ends before any of these.
    pub stop: Vec<String>,
}

/// The same question gets the same answer, and nothing keeps a model from repeating its passages' words.
impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 40,
            top_p: 0.9,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            seed: None,
            stop: Vec::new(),
        }
    }
}

/// What is known of the model that answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// e.g. `SmolLM2-135M-Instruct Q4_1`.
    pub name: String,
    /// GGUF's `general.architecture`.
    pub architecture: String,
    /// How many the model has; `None` where a server does not say.
    pub parameters: Option<u64>,
    /// Tokens of prompt and answer together.
    pub context_length: usize,
    /// Hex sha256 of the file, where known.
    pub sha256: Option<String>,
    /// The languages it may be asked in, from the config.
    pub languages: Vec<Language>,
    pub answer_mode: AnswerMode,
}

/// How far a model is trusted with medicine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerMode {
    /// Only what the passages say: reworded by the model, or the passages themselves.
    Grounded,
    /// The model may speak from its own knowledge too.
    Free,
}

/// Why an adapter was not loaded or unloaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterChangeError {
    #[error("the adapters of this model cannot be changed while it runs")]
    Unsupported,
    #[error("the model is not loaded yet")]
    NotReady,
    #[error("the name {name:?} cannot be given to an adapter: {problem}")]
    Name { name: String, problem: &'static str },
    #[error("{path}: {problem}")]
    Place { path: String, problem: String },
    /// It cannot be read, or does not fit the model.
    #[error("{problem}")]
    Refused { problem: String },
    #[error("there is no adapter {name:?}")]
    Unknown { name: String },
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum GenerateError {
    #[error("the model is not loaded yet")]
    NotReady,
    #[error("the model could not be loaded: {reason}")]
    Unavailable { reason: String },
    #[error("{queued} requests are waiting already")]
    Busy { queued: usize },
    #[error("the prompt takes {tokens} tokens, the model reads {limit}")]
    PromptTooLong { tokens: usize, limit: usize },
    /// So long that its tokens were not even counted.
    #[error("the prompt has {bytes} bytes, the model reads at most {limit}")]
    PromptTooLarge { bytes: usize, limit: usize },
    #[error("there is no adapter {name:?}")]
    UnknownAdapter { name: String },
    /// The model takes no chat with these roles in this order; without a word of the messages.
    #[error("the model's prompt format does not take these messages: {problem}")]
    Refused { problem: String },
    /// The hospital lets no model speak now: emergency notices only.
    #[error("answers are switched off for now")]
    SwitchedOff,
    #[error("generation failed: {0}")]
    Failed(String),
}
