//! What plugins ask of the bot: the one place where permissions are checked.

mod embed;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bedside_contract::{
    AuditLog, ChatMessage, ChatRole, Clock, ConversationKey, Embedder, GenerateRequest, GenerationEvent,
    Generator, PluginStorage, Priority, Sampling,
};
use bedside_plugin_api::{
    abi::{Hook, Op, Permission, Status, permission_of},
    msg::{self, LogLevel},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::{host::PluginHostSetup, limiter::Budget, manifest::Permissions, problem::cut};

/// Longer keys are refused.
const MAX_KEY: usize = 512;
const MAX_NOTE: usize = 200;
const MAX_LOG: usize = 300;
const DEFAULT_TOKENS: usize = 256;
const GENERATE_DEADLINE: Duration = Duration::from_secs(120);

/// The bot as one plugin may use it.
pub(crate) struct Services {
    id: String,
    granted: Permissions,
    denied: BTreeSet<String>,
    settings: Value,
    backing: Backing,
    job: Option<JobLink>,
    budgets: Mutex<Budgets>,
}

/// What stands behind the calls of all plugins.
#[derive(Clone)]
pub(crate) struct Backing {
    storage: Arc<dyn PluginStorage>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    generator: Option<Arc<dyn Generator>>,
    embedder: Option<Arc<dyn Embedder>>,
    /// Held while vectors are computed for any plugin: one core at most, the others are the patients'.
    embedding: Arc<Semaphore>,
}

struct Budgets {
    logs: Budget,
    audits: Budget,
    tokens: Budget,
    texts: Budget,
}

/// The job that a session works on.
#[derive(Clone)]
pub(crate) struct JobLink {
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: Arc<watch::Sender<msg::JobProgress>>,
}

type Answer = Result<Value, (Status, String)>;

impl Backing {
    pub(crate) fn new(setup: &PluginHostSetup) -> Self {
        Self {
            storage: Arc::clone(&setup.storage),
            audit: Arc::clone(&setup.audit),
            clock: Arc::clone(&setup.clock),
            generator: setup.generator.clone(),
            embedder: setup.embedder.clone(),
            embedding: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Services {
    pub(crate) fn new(
        id: &str,
        granted: &Permissions,
        denied: &[String],
        settings: Value,
        backing: Backing,
    ) -> Self {
        let tokens = granted.generate.as_ref().map_or(0, |it| it.tokens_per_minute);
        let texts = granted.embed.as_ref().map_or(0, |it| it.texts_per_minute);
        let budgets = Budgets {
            logs: Budget::new(100, Duration::from_secs(5)),
            audits: Budget::new(60, Duration::from_secs(60)),
            tokens: Budget::new(tokens, Duration::from_secs(60)),
            texts: Budget::new(texts, Duration::from_secs(60)),
        };
        Self {
            id: id.to_owned(),
            granted: granted.clone(),
            denied: denied.iter().cloned().collect(),
            settings,
            backing,
            job: None,
            budgets: Mutex::new(budgets),
        }
    }

    /// The same plugin's services for a process that does a job.
    pub(crate) fn for_job(&self, job: JobLink) -> Self {
        let denied: Vec<String> = self.denied.iter().cloned().collect();
        let services = Self::new(
            &self.id,
            &self.granted,
            &denied,
            self.settings.clone(),
            self.backing.clone(),
        );
        Self {
            job: Some(job),
            ..services
        }
    }

    /// Carries out a call; `during` is the hook that the plugin is in, if any.
    pub(crate) async fn call(&self, op: u32, body: &[u8], during: Option<Hook>) -> (Status, Vec<u8>) {
        let answer = match Op::from_number(op) {
            None => Err((Status::UNKNOWN_OP, format!("op {op}: update the bot"))),
            Some(op) => match self.check(permission_of(op)) {
                Ok(()) => self.carry_out(op, body, during).await,
                Err(reason) => Err((Status::DENIED, reason)),
            },
        };
        match answer.map(|value| serde_json::to_vec(&value)) {
            Ok(Ok(body)) => (Status::OK, body),
            Ok(Err(error)) => (Status::FAILED, error.to_string().into_bytes()),
            Err((status, reason)) => (status, reason.into_bytes()),
        }
    }

    /// A plugin's line goes to the log target `plugin` at debug level whatever its own level is: nobody has
    /// checked that it holds no patient text, so an operator must ask for it.
    pub(crate) fn log(&self, level: u32, text: &[u8]) {
        if !self.budgets().logs.take(1) {
            return;
        }
        let level = LogLevel::from_number(level).name();
        let text = cut(&String::from_utf8_lossy(text), MAX_LOG);
        tracing::debug!(target: "plugin", plugin = self.id, level, "{text}");
    }

    fn check(&self, permission: Permission) -> Result<(), String> {
        let key = permission.key();
        if !self.granted.ask_for(permission) {
            return Err(format!("[permissions] of plugin.toml does not ask for {key:?}"));
        }
        if self.denied.contains(key) {
            return Err(format!("plugins.deny of the bot's config takes {key:?} away"));
        }
        Ok(())
    }

    async fn carry_out(&self, op: Op, body: &[u8], during: Option<Hook>) -> Answer {
        match op {
            Op::StorageGet => {
                let msg::StorageKey { key } = decode(body)?;
                let kept = self
                    .backing
                    .storage
                    .plugin_get(&self.id, checked(&key)?)
                    .await
                    .map_err(failed)?;
                kept.map_or(Ok(Value::Null), |it| serde_json::from_slice(&it).map_err(failed))
            }
            Op::StoragePut => {
                let msg::StorageEntry { key, value } = decode(body)?;
                let bytes = serde_json::to_vec(&value).map_err(failed)?;
                let quota = self.granted.storage.as_ref().map_or(0, |it| it.quota.0);
                self.backing
                    .storage
                    .plugin_put(&self.id, checked(&key)?, &bytes, quota)
                    .await
                    .map_err(failed)?;
                Ok(Value::Null)
            }
            Op::StorageDelete => {
                let msg::StorageKey { key } = decode(body)?;
                self.backing
                    .storage
                    .plugin_delete(&self.id, checked(&key)?)
                    .await
                    .map_err(failed)?;
                Ok(Value::Null)
            }
            Op::StorageList => {
                let msg::StorageKey { key } = decode(body)?;
                Ok(json!(
                    self.backing
                        .storage
                        .plugin_list(&self.id, checked(&key)?)
                        .await
                        .map_err(failed)?
                ))
            }
            Op::MessageSend => Err((
                Status::UNKNOWN_OP,
                "this bot sends only what hooks and commands answer".to_owned(),
            )),
            Op::Generate => self.generate(decode(body)?, during).await,
            Op::Embed => self.embed(decode(body)?).await,
            Op::JobProgress => self.job_progress(decode(body)?),
            Op::ConfigGet => {
                let name: String = decode(body)?;
                Ok(self.settings.get(name).cloned().unwrap_or_default())
            }
            Op::Clock => {
                let now = self.backing.clock.now_ms();
                Ok(json!(u64::try_from(now).unwrap_or_default()))
            }
            Op::AuditNote => {
                let note: msg::AuditNote = decode(body)?;
                if !self.budgets().audits.take(1) {
                    return Err((Status::FAILED, "at most 60 notes a minute are kept".to_owned()));
                }
                let actor = format!("plugin:{}", self.id);
                let [action, target, detail] =
                    [note.action, note.target, note.detail].map(|it| cut(&it, MAX_NOTE));
                self.backing
                    .audit
                    .audit(&actor, &action, &target, &detail)
                    .await
                    .map_err(failed)?;
                Ok(Value::Null)
            }
        }
    }

    async fn generate(&self, request: msg::GenerateRequest, during: Option<Hook>) -> Answer {
        if !matches!(during, Some(Hook::Command | Hook::RunJob)) {
            let reason =
                "only in command and run_job: in other hooks the model may be waiting for this plugin";
            return Err((Status::NOT_NOW, reason.to_owned()));
        }
        let generator = self
            .backing
            .generator
            .as_ref()
            .ok_or_else(|| failed("the bot has no language model"))?;
        let max_tokens = if request.max_tokens == 0 {
            DEFAULT_TOKENS
        } else {
            request.max_tokens
        };
        if !self.budgets().tokens.take(max_tokens as u64) {
            return Err(failed(
                "generate.tokens_per_minute of plugin.toml is used up; try again in a minute",
            ));
        }
        let messages = request
            .messages
            .into_iter()
            .map(chat_message)
            .collect::<Result<Vec<_>, _>>()?;
        let request = GenerateRequest {
            conversation: conversation_of(&self.id),
            messages,
            adapter: None,
            sampling: Sampling {
                temperature: request.temperature,
                ..Sampling::default()
            },
            max_tokens,
            priority: Priority::Background,
            deadline: GENERATE_DEADLINE,
        };
        let mut generation = generator.generate(request).await.map_err(failed)?;
        let mut text = String::new();
        while let Some(event) = generation.next().await {
            match event.map_err(failed)? {
                GenerationEvent::Queued { .. } | GenerationEvent::Started => {}
                GenerationEvent::Text(more) => text.push_str(&more),
                GenerationEvent::Finished {
                    reason,
                    generated_tokens,
                    ..
                } => {
                    self.budgets()
                        .tokens
                        .give_back(max_tokens.saturating_sub(generated_tokens) as u64);
                    return Ok(json!({ "text": text, "finish": reason }));
                }
            }
        }
        Err(failed("the generation ended early"))
    }

    fn job_progress(&self, progress: msg::JobProgress) -> Answer {
        let job = self
            .job
            .as_ref()
            .ok_or_else(|| failed("no job is running here"))?;
        let progress = msg::JobProgress {
            what: cut(&progress.what, MAX_NOTE),
            ..progress
        };
        job.progress.send_replace(progress);
        let cancelled = job.cancel.is_cancelled();
        Ok(json!(if cancelled {
            msg::JobControl::Cancel
        } else {
            msg::JobControl::Continue
        }))
    }

    fn budgets(&self) -> std::sync::MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under which name the model knows what a plugin asks it.
pub(crate) fn conversation_of(plugin: &str) -> ConversationKey {
    ConversationKey::new("plugin", plugin, "generate")
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, (Status, String)> {
    serde_json::from_slice(body).map_err(|error| (Status::BAD_INPUT, error.to_string()))
}

fn checked(key: &str) -> Result<&str, (Status, String)> {
    if key.len() <= MAX_KEY {
        Ok(key)
    } else {
        Err(failed(format!("keys have at most {MAX_KEY} bytes")))
    }
}

fn failed(problem: impl std::fmt::Display) -> (Status, String) {
    (Status::FAILED, problem.to_string())
}

fn chat_message(turn: msg::ChatTurn) -> Result<ChatMessage, (Status, String)> {
    let role = match turn.role.as_str() {
        "system" => ChatRole::System,
        "user" => ChatRole::User,
        "assistant" => ChatRole::Assistant,
        other => {
            return Err((
                Status::BAD_INPUT,
                format!("role {other:?}: system, user or assistant is possible"),
            ));
        }
    };
    Ok(ChatMessage {
        role,
        content: turn.content,
    })
}
