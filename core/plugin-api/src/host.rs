use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error,
    abi::Op,
    msg::{
        AuditNote, Contacts, EmbedRequest, Embedded, GenerateRequest, Generated, JobControl, JobProgress,
        LogLevel, Setup, StorageEntry, StorageKey,
    },
};

/// The bot, as a plugin sees it. Cheap to clone, may be used from any thread.
///
/// Every function but [`Host::log`], [`Host::clock`] and [`Host::config_get`] needs its permission in the
/// manifest, and answers [`Error::Denied`] without it.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    id: String,
    package_dir: PathBuf,
    data_dir: Option<PathBuf>,
    contacts: Contacts,
    backend: Arc<dyn Backend>,
}

/// Carries calls to the host: over the C ABI, or to a fake in tests.
pub(crate) trait Backend: Send + Sync + 'static {
    fn call(&self, op: Op, body: &[u8]) -> Result<Vec<u8>, Error>;
    fn log(&self, level: LogLevel, text: &str);
}

impl Host {
    pub(crate) fn new(setup: &Setup, backend: Arc<dyn Backend>) -> Self {
        let data_dir = setup.data_dir.as_ref().map(PathBuf::from);
        let package_dir = PathBuf::from(&setup.package_dir);
        Self {
            shared: Arc::new(Shared {
                id: setup.id.clone(),
                package_dir,
                data_dir,
                contacts: setup.contacts.clone(),
                backend,
            }),
        }
    }

    /// The plugin's id, as in the manifest.
    #[must_use]
    pub fn plugin_id(&self) -> &str {
        &self.shared.id
    }

    /// The folder with `plugin.toml` and the plugin's own files; only to read.
    #[must_use]
    pub fn package_dir(&self) -> &Path {
        &self.shared.package_dir
    }

    /// A folder that the plugin may write to and that outlives restarts and upgrades; `None` if the bot has
    /// no place for it.
    #[must_use]
    pub fn data_dir(&self) -> Option<&Path> {
        self.shared.data_dir.as_deref()
    }

    /// The emergency number and the crisis line that patients are told. Name these in texts, never numbers
    /// of your own: another hospital has others.
    #[must_use]
    pub fn contacts(&self) -> &Contacts {
        &self.shared.contacts
    }

    /// Writes a line for the developer. Lines are cut at 300 characters, dropped when there are too many, and
    /// appear only where the operator asked for the log target `plugin`. No patient text.
    pub fn log(&self, level: LogLevel, text: &str) {
        self.shared.backend.log(level, text);
    }

    /// Reads what [`Host::storage_put`] kept under `key`.
    ///
    /// # Errors
    /// [`Error::Denied`], or the kept value is not a `T`.
    pub fn storage_get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.call(Op::StorageGet, &StorageKey { key: key.to_owned() })
    }

    /// Keeps a value, durably and for this plugin alone. For what concerns one patient, take
    /// [`Message::conversation`](crate::msg::Message::conversation) as part of the key.
    ///
    /// # Errors
    /// [`Error::Denied`], or the manifest's quota is used up.
    pub fn storage_put<T: Serialize>(&self, key: &str, value: &T) -> Result<(), Error> {
        let value = serde_json::to_value(value)?;
        self.call(
            Op::StoragePut,
            &StorageEntry {
                key: key.to_owned(),
                value,
            },
        )
    }

    /// Forgets a value; no error if there is none.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn storage_delete(&self, key: &str) -> Result<(), Error> {
        self.call(Op::StorageDelete, &StorageKey { key: key.to_owned() })
    }

    /// All keys that start with `prefix`, in order.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn storage_list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.call(
            Op::StorageList,
            &StorageKey {
                key: prefix.to_owned(),
            },
        )
    }

    /// One of the plugin's own settings by name.
    ///
    /// # Errors
    /// The value is not a `T`.
    pub fn config_get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.call(Op::ConfigGet, &name)
    }

    /// The bot's time; tests may set it.
    ///
    /// # Errors
    /// The host did not answer.
    pub fn clock(&self) -> Result<SystemTime, Error> {
        let milliseconds: u64 = self.call(Op::Clock, &())?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    }

    /// Adds a line to the audit log: what was done to what. No patient text.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn audit_note(&self, action: &str, target: &str, detail: &str) -> Result<(), Error> {
        let [action, target, detail] = [action, target, detail].map(str::to_owned);
        self.call(
            Op::AuditNote,
            &AuditNote {
                action,
                target,
                detail,
            },
        )
    }

    /// Sends a message to the chat whose message is in hand.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::UnknownFunction`] from bots that cannot do this yet.
    pub fn message_send(&self, text: &str) -> Result<(), Error> {
        self.call(Op::MessageSend, &text)
    }

    /// Asks the language model, after all patients. Not from `augment_prompt`, `choose_adapter` or
    /// `on_answer`, during which the model may be waiting for this plugin.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::NotNow`], or the model is busy or the token budget used up.
    pub fn generate(&self, request: &GenerateRequest) -> Result<Generated, Error> {
        self.call(Op::Generate, request)
    }

    /// The vectors of at most 16 texts of at most 4,000 characters each, about 30 ms a message. `purpose` is `query`
    /// for what is asked or said, `passage` for what is searched through.
    ///
    /// # Errors
    /// [`Error::Denied`], too much at once or in a minute, or the bot has no embedding model;
    /// [`Error::UnknownFunction`] from bots that cannot do this yet.
    pub fn embed(&self, texts: &[&str], purpose: &str) -> Result<Embedded, Error> {
        let request = EmbedRequest {
            texts: texts.iter().map(|it| (*it).to_owned()).collect(),
            purpose: purpose.to_owned(),
        };
        self.call(Op::Embed, &request)
    }

    /// Tells how far a job is (`done` from 0 to 1) and learns whether it shall go on.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn job_progress(&self, id: &str, done: f32, what: &str) -> Result<JobControl, Error> {
        self.call(
            Op::JobProgress,
            &JobProgress {
                id: id.to_owned(),
                done,
                what: what.to_owned(),
            },
        )
    }

    fn call<T: DeserializeOwned>(&self, op: Op, body: &impl Serialize) -> Result<T, Error> {
        let answer = self.shared.backend.call(op, &serde_json::to_vec(body)?)?;
        serde_json::from_slice(&answer)
            .map_err(|error| Error::new(format!("{}: unexpected answer: {error}", op.name())))
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({})", self.shared.id)
    }
}
