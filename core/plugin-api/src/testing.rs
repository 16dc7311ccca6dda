//! A host without a bot, so that a plugin's own tests are plain Rust.
//!
//! ```
//! use bedside_plugin_api::{Error, Host, Plugin, msg::{Message, Verdict}, testing::FakeHost};
//!
//! struct Counter {
//!     host: Host,
//! }
//!
//! impl Plugin for Counter {
//!     type Config = serde_json::Value;
//!
//!     fn new(host: Host, _config: Self::Config) -> Result<Self, Error> {
//!         Ok(Self { host })
//!     }
//!
//!     fn on_message(&mut self, message: &Message) -> Result<Verdict, Error> {
//!         let count: u32 = self.host.storage_get(&message.conversation)?.unwrap_or(0);
//!         self.host.storage_put(&message.conversation, &(count + 1))?;
//!         Ok(Verdict::Continue)
//!     }
//! }
//!
//! let fake = FakeHost::default();
//! let mut counter: Counter = fake.start(serde_json::json!({})).unwrap();
//! counter.on_message(&Message { conversation: "c1".into(), ..Message::default() }).unwrap();
//! assert_eq!(fake.stored("c1"), Some(serde_json::json!(1)));
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    Error, Host, Plugin,
    abi::{Op, Permission, permission_of},
    host::Backend,
    msg::{
        AuditNote, Contacts, EmbedRequest, Embedded, GenerateRequest, Generated, JobControl, LogLevel, Setup,
        StorageEntry, StorageKey,
    },
};

/// A host that keeps all in memory and allows all, unless told otherwise. Clones share their memory.
#[derive(Clone, Default)]
pub struct FakeHost {
    setup: Setup,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    config: Value,
    storage: BTreeMap<String, Value>,
    denied: BTreeSet<Permission>,
    now_ms: u64,
    generated: Option<String>,
    vector_of: Option<fn(&str) -> Vec<f32>>,
    cancel: bool,
    sent: Vec<String>,
    logged: Vec<(LogLevel, String)>,
    audited: Vec<AuditNote>,
}

impl FakeHost {
    /// Where the plugin finds its own files; `env!("CARGO_MANIFEST_DIR")` while it is being tested.
    #[must_use]
    pub fn package_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.setup.package_dir = path.into().to_string_lossy().into_owned();
        self
    }

    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.setup.data_dir = Some(path.into().to_string_lossy().into_owned());
        self
    }

    /// The numbers that [`Host::contacts`] tells; none unless set.
    #[must_use]
    pub fn contacts(mut self, emergency_number: &str, crisis_line: &str) -> Self {
        self.setup.contacts = Contacts {
            emergency_number: emergency_number.to_owned(),
            crisis_line: crisis_line.to_owned(),
        };
        self
    }

    /// Answers calls that need `permission` with [`Error::Denied`].
    #[must_use]
    pub fn deny(self, permission: Permission) -> Self {
        self.state().denied.insert(permission);
        self
    }

    /// Milliseconds since 1970 that [`Host::clock`] tells; 0 unless set.
    #[must_use]
    pub fn now_ms(self, now_ms: u64) -> Self {
        self.state().now_ms = now_ms;
        self
    }

    /// What [`Host::generate`] answers; without it the model is busy.
    #[must_use]
    pub fn generates(self, text: &str) -> Self {
        self.state().generated = Some(text.to_owned());
        self
    }

    /// How [`Host::embed`] makes a text's vector; without it the bot has no embedding model.
    #[must_use]
    pub fn embeds(self, vector_of: fn(&str) -> Vec<f32>) -> Self {
        self.state().vector_of = Some(vector_of);
        self
    }

    /// Asks the running job to stop at its next [`Host::job_progress`].
    pub fn cancel_jobs(&self) {
        self.state().cancel = true;
    }

    /// Makes a plugin with these settings, as the bot would.
    ///
    /// # Errors
    /// The settings do not fit [`Plugin::Config`], or [`Plugin::new`] failed.
    pub fn start<P: Plugin>(&self, config: Value) -> Result<P, Error> {
        self.state().config = config.clone();
        let config =
            serde_json::from_value(config).map_err(|error| Error::new(format!("settings: {error}")))?;
        P::new(self.host(), config)
    }

    /// The host as the plugin gets it.
    #[must_use]
    pub fn host(&self) -> Host {
        let mut setup = self.setup.clone();
        if setup.id.is_empty() {
            setup.id = "test.plugin".to_owned();
        }
        Host::new(&setup, Arc::new(self.clone()))
    }

    /// What the plugin keeps under `key`.
    #[must_use]
    pub fn stored(&self, key: &str) -> Option<Value> {
        self.state().storage.get(key).cloned()
    }

    /// What the plugin sent with [`Host::message_send`].
    #[must_use]
    pub fn sent(&self) -> Vec<String> {
        self.state().sent.clone()
    }

    #[must_use]
    pub fn logged(&self) -> Vec<(LogLevel, String)> {
        self.state().logged.clone()
    }

    #[must_use]
    pub fn audited(&self) -> Vec<AuditNote> {
        self.state().audited.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for FakeHost {
    fn call(&self, op: Op, body: &[u8]) -> Result<Vec<u8>, Error> {
        let mut state = self.state();
        let permission = permission_of(op);
        if state.denied.contains(&permission) {
            let reason = format!("[permissions] of plugin.toml has no {}", permission.key());
            return Err(Error::Denied {
                function: op.name(),
                reason,
            });
        }
        let answer = match op {
            Op::StorageGet => {
                let StorageKey { key } = serde_json::from_slice(body)?;
                state.storage.get(&key).cloned().unwrap_or_default()
            }
            Op::StoragePut => {
                let StorageEntry { key, value } = serde_json::from_slice(body)?;
                state.storage.insert(key, value);
                Value::Null
            }
            Op::StorageDelete => {
                let StorageKey { key } = serde_json::from_slice(body)?;
                state.storage.remove(&key);
                Value::Null
            }
            Op::StorageList => {
                let StorageKey { key } = serde_json::from_slice(body)?;
                state
                    .storage
                    .keys()
                    .filter(|it| it.starts_with(&key))
                    .cloned()
                    .collect()
            }
            Op::MessageSend => {
                state.sent.push(serde_json::from_slice(body)?);
                Value::Null
            }
            Op::Generate => {
                let _: GenerateRequest = serde_json::from_slice(body)?;
                let text = state
                    .generated
                    .clone()
                    .ok_or("generate failed: the model is busy")?;
                serde_json::to_value(Generated {
                    text,
                    finish: "stop".to_owned(),
                })?
            }
            Op::Embed => {
                let EmbedRequest { texts, .. } = serde_json::from_slice(body)?;
                let vector_of = state
                    .vector_of
                    .ok_or("embed failed: there is no embedding model")?;
                serde_json::to_value(Embedded {
                    model: "test".to_owned(),
                    vectors: texts.iter().map(|it| vector_of(it)).collect(),
                })?
            }
            Op::JobProgress => json!(if state.cancel {
                JobControl::Cancel
            } else {
                JobControl::Continue
            }),
            Op::ConfigGet => {
                let name: String = serde_json::from_slice(body)?;
                state.config.get(name).cloned().unwrap_or_default()
            }
            Op::Clock => json!(state.now_ms),
            Op::AuditNote => {
                state.audited.push(serde_json::from_slice(body)?);
                Value::Null
            }
        };
        Ok(serde_json::to_vec(&answer)?)
    }

    fn log(&self, level: LogLevel, text: &str) {
        self.state().logged.push((level, text.to_owned()));
    }
}
