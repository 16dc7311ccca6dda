//! Builds and stages the plugins, and stands in for the bot around the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bedside_contract::{
    AuditLog, ChatMessage, ConversationKey, EmbedError, Embedder, EmbeddingModel, EmbeddingPurpose,
    FinishReason, GenerateError, GenerateRequest, Generation, GenerationEvent, Generator, Language,
    MessageFacts, MessageVerdict, ModelInfo, PluginNote, PluginStatus, PluginStorage, Plugins, StoreError,
    SystemClock,
};
use bedside_plugin_host::{Contacts, PluginHost, PluginHostSetup, PluginsConfig};
use tempfile::TempDir;

const HELLO: &str = "bedside.hello";
pub(crate) const EVIL: &str = "test.evil";

/// The folder with the built artefacts, which are built first if they are missing or old.
fn artefacts() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let folder = own.ancestors().nth(2).unwrap().to_owned();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let sources = [
            "core/plugin-api/src",
            "core/plugin-runner/src",
            "plugins/hello/src",
            "tests/plugins/evil/src",
        ];
        let newest = sources.iter().map(|it| newest_in(&root.join(it))).max().unwrap();
        let files = [
            "libbedside_plugin_hello.so",
            "libbedside_plugin_evil.so",
            "bedside-plugin-runner",
        ];
        let built = |it: &str| {
            fs::metadata(folder.join(it))
                .and_then(|it| it.modified())
                .is_ok_and(|it| it > newest)
        };
        if !files.iter().all(|it| built(it)) {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(root).arg("build");
            if folder.ends_with("release") {
                cargo.arg("--release");
            }
            for package in [
                "bedside-plugin-hello",
                "bedside-plugin-evil",
                "bedside-plugin-runner",
            ] {
                cargo.args(["-p", package]);
            }
            assert!(
                cargo.status().unwrap().success(),
                "the plugins could not be built"
            );
        }
        folder
    })
}

fn newest_in(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let time = |it: PathBuf| {
        if it.is_dir() {
            newest_in(&it)
        } else {
            fs::metadata(&it).unwrap().modified().unwrap()
        }
    };
    entries.map(time).max().unwrap()
}

/// A folder of plugins, and what a host needs beside it.
pub(crate) struct Stage {
    pub(crate) dir: Arc<TempDir>,
    pub(crate) config: PluginsConfig,
    pub(crate) store: Arc<MemoryStore>,
    /// What the model was to forget.
    pub(crate) forgotten: Arc<Mutex<Vec<ConversationKey>>>,
    generator: Option<Arc<dyn Generator>>,
    embedder: Option<Arc<dyn Embedder>>,
}

impl Stage {
    /// With `hello` on it, behind all others.
    pub(crate) fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let config = PluginsConfig {
            dir: Some(dir.path().join("plugins")),
            ..PluginsConfig::default()
        };
        let stage = Self {
            dir,
            config,
            store: Arc::default(),
            forgotten: Arc::default(),
            generator: None,
            embedder: None,
        };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/hello/plugin.toml");
        stage.put(
            HELLO,
            "libbedside_plugin_hello.so",
            &fs::read_to_string(manifest).unwrap(),
        )
    }

    /// Adds the evil plugin with these further lines in its manifest.
    pub(crate) fn with_evil(self, lines: &str) -> Self {
        let manifest = format!("{}\n{lines}", head(EVIL, "libbedside_plugin_evil.so"));
        self.put(EVIL, "libbedside_plugin_evil.so", &manifest)
    }

    /// Adds a plugin by its file and manifest.
    pub(crate) fn put(self, id: &str, library: &str, manifest: &str) -> Self {
        let folder = self.folder(id);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(artefacts().join(library), folder.join(library)).unwrap();
        fs::write(folder.join("plugin.toml"), manifest).unwrap();
        self
    }

    pub(crate) fn folder(&self, id: &str) -> PathBuf {
        self.dir.path().join("plugins").join(id).join("0.1.0")
    }

    pub(crate) fn config(mut self, change: impl FnOnce(&mut PluginsConfig)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn generator(mut self, text: &'static str) -> Self {
        self.generator = Some(Arc::new(Echo(text, self.forgotten.clone())));
        self
    }

    /// Vectors of two numbers: the text's characters, and 1 for a passage.
    pub(crate) fn embedder(mut self) -> Self {
        self.embedder = Some(Arc::new(Lengths));
        self
    }

    pub(crate) fn start(&self) -> Running {
        let host = PluginHost::start(PluginHostSetup {
            config: self.config.clone(),
            search_dirs: Vec::new(),
            runner: artefacts().join("bedside-plugin-runner"),
            data_dir: Some(self.dir.path().join("data")),
            contacts: Contacts {
                emergency_number: "999".to_owned(),
                crisis_line: "2389 2222".to_owned(),
            },
            storage: self.store.clone(),
            audit: self.store.clone(),
            clock: Arc::new(SystemClock),
            generator: self.generator.clone(),
            embedder: self.embedder.clone(),
        });
        Running {
            host,
            _dir: self.dir.clone(),
        }
    }
}

/// A host, and the folder that its plugins are started from.
pub(crate) struct Running {
    pub(crate) host: Arc<PluginHost>,
    _dir: Arc<TempDir>,
}

impl Deref for Running {
    type Target = PluginHost;

    fn deref(&self) -> &PluginHost {
        &self.host
    }
}

/// The first part of a manifest.
pub(crate) fn head(id: &str, library: &str) -> String {
    format!(
        "[plugin]\nid = \"{id}\"\nversion = \"0.1.0\"\nname = {{ en = \"Evil\", zh = \"恶\" }}\n\
         kind = \"native\"\nabi = \"0.1\"\nlibrary = \"{library}\"\nbot = \"*\"\n"
    )
}

pub(crate) fn facts(text: &str) -> MessageFacts {
    MessageFacts {
        conversation: ConversationKey::new("web", "page", "1"),
        platform: "web".to_owned(),
        text: text.to_owned(),
        language: Language::En,
        disposition: None,
        findings: Vec::new(),
        departments: Vec::new(),
        missing: Vec::new(),
        department: None,
    }
}

pub(crate) async fn say(host: &PluginHost, text: &str) -> (MessageVerdict, Vec<PluginNote>) {
    host.on_message(&facts(text)).await
}

/// What a plugin replied to a message, with the notes of those that failed before it.
pub(crate) async fn reply(host: &PluginHost, text: &str) -> String {
    match say(host, text).await {
        (MessageVerdict::Reply { text, .. }, _) => text,
        other => panic!("{text}: no reply but {other:?}"),
    }
}

pub(crate) async fn assert_greets(host: &PluginHost) {
    assert_eq!(reply(host, "hello").await, "Hello! What can I do for you?");
}

pub(crate) fn status(host: &PluginHost, id: &str) -> PluginStatus {
    host.list().into_iter().find(|it| it.id == id).unwrap()
}

/// Waits until the plugin's status is as wanted.
pub(crate) async fn eventually(
    host: &PluginHost,
    id: &str,
    wanted: impl Fn(&PluginStatus) -> bool,
) -> PluginStatus {
    let start = Instant::now();
    loop {
        let status = status(host, id);
        if wanted(&status) {
            return status;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "never as wanted: {status:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn ready(host: &PluginHost, id: &str) -> PluginStatus {
    eventually(host, id, |it| it.state == "ready").await
}

/// Process ids of this test's runners.
pub(crate) fn runners() -> Vec<u32> {
    let own = std::process::id().to_string();
    let pids = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|it| it.file_name().to_str()?.parse().ok());
    let mine = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let alive = fields.next().is_some_and(|it| it != "Z");
        stat.contains("(bedside-plugin") && alive && fields.next() == Some(own.as_str())
    };
    pids.filter(mine).collect()
}

/// Says this before what it is asked, and notes what it is to forget.
struct Echo(&'static str, Arc<Mutex<Vec<ConversationKey>>>);

#[async_trait]
impl Generator for Echo {
    fn model(&self) -> Option<ModelInfo> {
        None
    }

    fn forget(&self, conversation: &ConversationKey) {
        self.1.lock().unwrap().push(conversation.clone());
    }

    fn count_tokens(&self, _messages: &[ChatMessage]) -> Result<usize, GenerateError> {
        Err(GenerateError::NotReady)
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        let text = format!("{}{}", self.0, request.messages[0].content);
        let finished = GenerationEvent::Finished {
            reason: FinishReason::Stop,
            prompt_tokens: 1,
            reused_tokens: 0,
            generated_tokens: 10,
            prompt_time: Duration::ZERO,
            generate_time: Duration::ZERO,
        };
        Ok(Box::new(Events(vec![
            finished,
            GenerationEvent::Text(text),
            GenerationEvent::Started,
        ])))
    }
}

struct Lengths;

impl Embedder for Lengths {
    fn model(&self) -> Option<EmbeddingModel> {
        Some(EmbeddingModel {
            id: "lengths-1".to_owned(),
            dimensions: 2,
        })
    }

    fn embed(&self, texts: &[&str], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let side = f32::from(u8::from(purpose == EmbeddingPurpose::Passage));
        Ok(texts
            .iter()
            .map(|it| vec![it.chars().count() as f32, side])
            .collect())
    }
}

struct Events(Vec<GenerationEvent>);

#[async_trait]
impl Generation for Events {
    async fn next(&mut self) -> Option<Result<GenerationEvent, GenerateError>> {
        self.0.pop().map(Ok)
    }
}

/// Keeps what plugins keep; has nothing else.
#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) kept: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    pub(crate) audited: Mutex<Vec<[String; 4]>>,
}

#[async_trait]
impl PluginStorage for MemoryStore {
    async fn plugin_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .kept
            .lock()
            .unwrap()
            .get(&(plugin.to_owned(), key.to_owned()))
            .cloned())
    }

    async fn plugin_put(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().unwrap();
        let of = |it: &(&(String, String), &Vec<u8>)| it.0.0 == plugin && it.0.1 != key;
        let others: usize = kept.iter().filter(of).map(|it| it.0.1.len() + it.1.len()).sum();
        let wanted = (others + key.len() + value.len()) as u64;
        if wanted > quota {
            return Err(StoreError::QuotaExceeded {
                plugin: plugin.to_owned(),
                quota,
                wanted,
            });
        }
        kept.insert((plugin.to_owned(), key.to_owned()), value.to_vec());
        Ok(())
    }

    async fn plugin_delete(&self, plugin: &str, key: &str) -> Result<(), StoreError> {
        self.kept
            .lock()
            .unwrap()
            .remove(&(plugin.to_owned(), key.to_owned()));
        Ok(())
    }

    async fn plugin_list(&self, plugin: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let kept = self.kept.lock().unwrap();
        let keys = kept
            .keys()
            .filter(|it| it.0 == plugin && it.1.starts_with(prefix));
        Ok(keys.map(|it| it.1.clone()).collect())
    }

    async fn plugin_forget(&self, plugin: &str, part: &str) -> Result<usize, StoreError> {
        let mut kept = self.kept.lock().unwrap();
        let before = kept.len();
        kept.retain(|it, _| it.0 != plugin || !it.1.contains(part));
        Ok(before - kept.len())
    }

    async fn plugins_with_data(&self) -> Result<Vec<String>, StoreError> {
        let kept = self.kept.lock().unwrap();
        let plugins: BTreeSet<_> = kept.keys().map(|it| it.0.clone()).collect();
        Ok(plugins.into_iter().collect())
    }
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn audit(&self, actor: &str, action: &str, target: &str, detail: &str) -> Result<(), StoreError> {
        self.audited
            .lock()
            .unwrap()
            .push([actor, action, target, detail].map(str::to_owned));
        Ok(())
    }
}
