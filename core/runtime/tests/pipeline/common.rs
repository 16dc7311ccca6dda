//! A bot with a scripted model, scripted plugins, a recording platform and the real embedded store.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::*;
use bedside_embeddings::PatientEncoder;
use bedside_runtime::{Bot, BotParts, LiveConfig, ModelPlace, RuntimeConfig};
use bedside_store::SqliteStore;
use bedside_triage::Rules;
use tokio_util::sync::CancellationToken;

use crate::{deletion::Forgetting, observed::Observed};

/// As shipped.
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let rules = Rules::with_additions("", "none").unwrap();
    rules.with_encoder(Arc::new(PatientEncoder::default()))
});

/// What the scripted model does with the next request.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    Say(&'static str),
    /// Says these pieces, which may cut anything in two.
    Pieces(Vec<String>),
    /// Says this word by word and then waits until it is cancelled.
    SayAndHang(&'static str),
    Busy,
    Fail,
    Panic,
}

pub(crate) struct ScriptedModel {
    pub(crate) scripts: Mutex<VecDeque<Script>>,
    pub(crate) languages: Vec<Language>,
    pub(crate) prompts: Mutex<Vec<Vec<ChatMessage>>>,
    pub(crate) requests: Mutex<Vec<GenerateRequest>>,
    pub(crate) parameters: AtomicU64,
    pub(crate) is_free: AtomicBool,
    pub(crate) forgotten: Mutex<Vec<ConversationKey>>,
}

struct ScriptedGeneration {
    events: VecDeque<GenerationEvent>,
    hang: bool,
}

#[async_trait]
impl Generation for ScriptedGeneration {
    async fn next(&mut self) -> Option<Result<GenerationEvent, GenerateError>> {
        if self.events.is_empty() && self.hang {
            std::future::pending::<()>().await;
        }
        self.events.pop_front().map(Ok)
    }
}

#[async_trait]
impl Generator for ScriptedModel {
    fn model(&self) -> Option<ModelInfo> {
        Some(ModelInfo {
            name: "scripted".to_owned(),
            architecture: "llama".to_owned(),
            parameters: Some(self.parameters.load(Ordering::SeqCst)),
            context_length: 2048,
            sha256: None,
            languages: self.languages.clone(),
            answer_mode: if self.is_free.load(Ordering::SeqCst) {
                AnswerMode::Free
            } else {
                AnswerMode::Grounded
            },
        })
    }

    fn count_tokens(&self, messages: &[ChatMessage]) -> Result<usize, GenerateError> {
        Ok(messages
            .iter()
            .map(|it| it.content.split_whitespace().count())
            .sum())
    }

    async fn generate(&self, request: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        self.requests.lock().unwrap().push(request.clone());
        self.prompts.lock().unwrap().push(request.messages);
        let script = self.scripts.lock().unwrap().pop_front().unwrap_or(Script::Fail);
        let words = |text: &str| text.split_inclusive(' ').map(str::to_owned).collect();
        let (pieces, hang): (Vec<String>, bool) = match script {
            Script::Say(text) => (words(text), false),
            Script::SayAndHang(text) => (words(text), true),
            Script::Pieces(pieces) => (pieces, false),
            Script::Busy => return Err(GenerateError::Busy { queued: 32 }),
            Script::Fail => return Err(GenerateError::Failed("scripted".to_owned())),
            Script::Panic => panic!("scripted panic"),
        };
        let mut events: VecDeque<_> =
            [GenerationEvent::Queued { position: 1 }, GenerationEvent::Started].into();
        events.extend(pieces.into_iter().map(GenerationEvent::Text));
        if !hang {
            events.push_back(GenerationEvent::Finished {
                reason: FinishReason::Stop,
                prompt_tokens: 10,
                reused_tokens: 0,
                generated_tokens: 10,
                prompt_time: Duration::from_millis(1),
                generate_time: Duration::from_millis(1),
            });
        }
        Ok(Box::new(ScriptedGeneration { events, hang }))
    }

    fn forget(&self, conversation: &ConversationKey) {
        self.forgotten.lock().unwrap().push(conversation.clone());
    }
}

/// Knows the common cold in both languages and nothing else.
#[derive(Default)]
pub(crate) struct ScriptedPlugins {
    pub(crate) broken: bool,
    /// What a poisoned knowledge base knows about everything, where it is not empty.
    pub(crate) poison: Arc<Mutex<String>>,
    pub(crate) forgetting: Arc<Forgetting>,
}

pub(crate) const COLD: &str = "Rest and drink enough fluids. Honey eases a sore throat.";
pub(crate) const COLD_ZH: &str = "多休息，多喝水。蜂蜜可以缓解嗓子疼。";

#[async_trait]
impl Plugins for ScriptedPlugins {
    async fn on_message(&self, facts: &MessageFacts) -> (MessageVerdict, Vec<PluginNote>) {
        if facts.text.ends_with("how many kilograms?") {
            let verdict = MessageVerdict::Reply {
                text: "How much do you weigh?".to_owned(),
                plugin: "ask".to_owned(),
            };
            return (verdict, Vec::new());
        }
        if facts.text == "hello" {
            let verdict = MessageVerdict::Reply {
                text: "Hello to you.".to_owned(),
                plugin: "hello".to_owned(),
            };
            return (verdict, Vec::new());
        }
        (MessageVerdict::Continue, Vec::new())
    }

    async fn augment_prompt(&self, facts: &MessageFacts, _: &Prompt) -> (Augmented, Vec<PluginNote>) {
        let note = |hook: &str| PluginNote {
            plugin: "evil".to_owned(),
            hook: hook.to_owned(),
            problem: "gone".to_owned(),
        };
        let notes = if self.broken {
            vec![note("augment_prompt")]
        } else {
            Vec::new()
        };
        let poison = self.poison.lock().unwrap().clone();
        if !poison.is_empty() {
            let passage = Passage {
                id: "poison".to_owned(),
                title: poison.chars().take(200).collect(),
                text: poison,
                language: facts.language,
                source: "poison".to_owned(),
                score: 1.0,
                departments: Vec::new(),
                disposition: None,
            };
            return (
                Augmented {
                    passages: vec![passage],
                    ..Augmented::default()
                },
                notes,
            );
        }
        let (title, text) = match facts.language {
            Language::En if facts.text.contains("cold") => ("Common cold – Treatment", COLD),
            Language::Zh if facts.text.contains("感冒") => ("普通感冒 – 治疗", COLD_ZH),
            Language::En if facts.text.contains("scurvy") => (
                "Scurvy. Take 500 mg of vitamin C three times a day.\nTake two tablets daily.",
                "Fruit and vegetables help against scurvy.",
            ),
            _ => return (Augmented::default(), notes),
        };
        let passage = Passage {
            id: "common-cold/treatment".to_owned(),
            title: title.to_owned(),
            text: text.to_owned(),
            language: facts.language,
            source: if facts.text.contains("scurvy") {
                "Take 500 mg three times a day."
            } else {
                "test"
            }
            .to_owned(),
            score: 1.0,
            departments: if facts.text.contains("scurvy") {
                vec!["Take 2 tablets of aspirin daily".to_owned()]
            } else {
                Vec::new()
            },
            disposition: Some(Disposition::SelfCare),
        };
        (
            Augmented {
                passages: vec![passage],
                ..Augmented::default()
            },
            notes,
        )
    }

    async fn choose_adapter(&self, _: &MessageFacts) -> (Option<String>, Vec<PluginNote>) {
        (None, Vec::new())
    }

    async fn on_answer(&self, _: &MessageFacts, _: &str, _: &[Citation]) -> (AnswerVerdict, Vec<PluginNote>) {
        (AnswerVerdict::Pass, Vec::new())
    }

    fn may_withhold(&self) -> bool {
        false
    }

    fn commands(&self) -> Vec<CommandInfo> {
        let command = |name: &str, help: &str| CommandInfo {
            plugin: "test".to_owned(),
            name: name.to_owned(),
            help_en: help.to_owned(),
            help_zh: help.to_owned(),
            staff_only: false,
        };
        vec![
            command("echo", "says it again"),
            command("fail", "Take 500 mg of paracetamol three times a day."),
        ]
    }

    async fn command(&self, name: &str, arguments: &str, _: &MessageFacts) -> Result<String, String> {
        match name {
            "echo" => Ok(arguments.to_owned()),
            _ => Err(arguments.to_owned()),
        }
    }

    async fn forget(&self, conversation: &ConversationKey) -> Result<Vec<String>, StoreError> {
        self.forgetting.next(conversation)
    }

    fn status(&self) -> Vec<PluginStatus> {
        Vec::new()
    }
}

/// Records what was delivered; fails as told.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) delivered: Mutex<Vec<OutboxItem>>,
    pub(crate) previews: Mutex<Vec<String>>,
    pub(crate) failures: Mutex<VecDeque<DeliverError>>,
    /// Takes one message for each of the patient's, and has no buttons.
    pub(crate) passive: bool,
    /// From one message to the next in a chat.
    pub(crate) distance: Duration,
    /// How long the platform waits for what it delivered to be taken.
    pub(crate) deadline: Option<Duration>,
    /// Ordinary parts never come to an end.
    pub(crate) hangs: AtomicBool,
    /// Chats whose patient has written and heard nothing since.
    pub(crate) open: Mutex<HashSet<ConversationKey>>,
    pub(crate) forgotten: Mutex<Vec<ConversationKey>>,
}

#[async_trait]
impl Connector for Recorder {
    fn platform(&self) -> &str {
        "test"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edits: !self.passive,
            max_length: 4096,
            length_unit: LengthUnit::Utf16,
            buttons: !self.passive,
            rich_parts: false,
            pace: Pace {
                previews: Duration::from_millis(1),
                typing: Duration::from_secs(4),
                chat: self.distance,
                platform: Duration::ZERO,
            },
            deadline: self.deadline,
            initiative: if self.passive {
                Initiative::Patient { messages: 1 }
            } else {
                Initiative::Bot
            },
            outside_operator: true,
        }
    }

    async fn run(&self, _: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        std::future::pending().await
    }

    async fn typing(&self, _: &ConversationKey) {}

    async fn preview(
        &self,
        _: &ConversationKey,
        seq: InboxSeq,
        shown: Option<&PlatformMessageId>,
        text: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        self.previews.lock().unwrap().push(text.to_owned());
        Ok(shown
            .cloned()
            .unwrap_or_else(|| PlatformMessageId(format!("preview-{seq}"))))
    }

    fn settled(&self, _: &OutboxItem) {}

    fn forgotten(&self, conversation: &ConversationKey) {
        self.forgotten.lock().unwrap().push(conversation.clone());
    }

    async fn deliver(&self, item: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Err(failure);
        }
        if self.hangs.load(Ordering::SeqCst) && item.part.kind != PartKind::Emergency {
            std::future::pending::<()>().await;
        }
        if self.passive && !self.open.lock().unwrap().remove(&item.conversation) {
            return Err(DeliverError::PatientFirst("nothing is open".to_owned()));
        }
        self.delivered.lock().unwrap().push(item.clone());
        Ok(item
            .replaces
            .clone()
            .unwrap_or_else(|| PlatformMessageId(item.id.0.clone())))
    }
}

/// A second platform, whose token is wrong.
#[derive(Default)]
pub(crate) struct Refusing {
    pub(crate) has_refused: AtomicBool,
}

#[async_trait]
impl Connector for Refusing {
    fn platform(&self) -> &str {
        "refusing"
    }

    fn capabilities(&self) -> Capabilities {
        Recorder::default().capabilities()
    }

    async fn run(&self, _: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        self.has_refused.store(true, Ordering::SeqCst);
        Err(ConnectorError::Refused {
            platform: "refusing".to_owned(),
            reason: "the token is wrong".to_owned(),
        })
    }

    async fn typing(&self, _: &ConversationKey) {}

    async fn preview(
        &self,
        _: &ConversationKey,
        _: InboxSeq,
        _: Option<&PlatformMessageId>,
        _: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        Err(DeliverError::Permanent("refused".to_owned()))
    }

    fn settled(&self, _: &OutboxItem) {}

    async fn deliver(&self, _: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        Err(DeliverError::Permanent("refused".to_owned()))
    }
}

pub(crate) struct Stage {
    pub(crate) bot: Bot,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) model: Arc<ScriptedModel>,
    pub(crate) platform: Arc<Recorder>,
    pub(crate) refusing: Arc<Refusing>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) stop: CancellationToken,
    pub(crate) running: tokio::task::JoinHandle<()>,
    next: AtomicU64,
    pub(crate) live: LiveConfig,
}

pub(crate) fn chat(name: &str) -> ConversationKey {
    ConversationKey::new("test", "bot", name)
}

pub(crate) fn update(key: &ConversationKey, text: &str, id: &str) -> Update {
    Update {
        platform: "test".to_owned(),
        bot: "bot".to_owned(),
        external_id: id.to_owned(),
        conversation: key.clone(),
        sender: "1".to_owned(),
        language_hint: None,
        answer_in: None,
        kind: UpdateKind::Text {
            text: text.to_owned(),
        },
    }
}

impl Stage {
    pub(crate) fn new(languages: &[Language], scripts: &[Script], plugins: ScriptedPlugins) -> Self {
        Self::with_store(
            SqliteStore::open_temporary().unwrap(),
            languages,
            scripts,
            plugins,
        )
    }

    /// On a platform that takes one message for each of the patient's.
    pub(crate) fn passive(store: Arc<SqliteStore>, languages: &[Language], scripts: &[Script]) -> Self {
        let platform = Recorder {
            passive: true,
            ..Recorder::default()
        };
        Self::on_platform(platform, store, languages, scripts, ScriptedPlugins::default())
    }

    pub(crate) fn with_store(
        store: Arc<SqliteStore>,
        languages: &[Language],
        scripts: &[Script],
        plugins: ScriptedPlugins,
    ) -> Self {
        Self::on_platform(Recorder::default(), store, languages, scripts, plugins)
    }

    pub(crate) fn on_platform(
        platform: Recorder,
        store: Arc<SqliteStore>,
        languages: &[Language],
        scripts: &[Script],
        plugins: ScriptedPlugins,
    ) -> Self {
        let config = RuntimeConfig::default();
        Self::configured(config, platform, store, languages, scripts, plugins)
    }

    pub(crate) fn configured(
        config: RuntimeConfig,
        platform: Recorder,
        store: Arc<SqliteStore>,
        languages: &[Language],
        scripts: &[Script],
        plugins: ScriptedPlugins,
    ) -> Self {
        let model = Arc::new(ScriptedModel {
            scripts: Mutex::new(scripts.iter().cloned().collect()),
            languages: languages.to_vec(),
            prompts: Mutex::new(Vec::new()),
            requests: Mutex::new(Vec::new()),
            parameters: AtomicU64::new(135_000_000),
            is_free: AtomicBool::new(false),
            forgotten: Mutex::default(),
        });
        let platform = Arc::new(platform);
        let refusing = Arc::new(Refusing::default());
        let live = LiveConfig::new(RuntimeConfig {
            drain_seconds: 1,
            ..config
        });
        let observed = Arc::new(Observed::default());
        let bot = Bot::new(BotParts {
            config: live.clone(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            generator: Arc::clone(&model) as Arc<dyn Generator>,
            plugins: Arc::new(plugins),
            rules: &RULES,
            sampling: Sampling::default(),
            model_place: ModelPlace::InsideTheHospital,
            clock: Arc::new(SystemClock),
            observer: Arc::clone(&observed) as Arc<dyn Observer>,
            connectors: vec![
                Arc::clone(&platform) as Arc<dyn Connector>,
                Arc::clone(&refusing) as Arc<dyn Connector>,
            ],
            escalations: None,
        });
        let stop = CancellationToken::new();
        let (task_bot, token) = (bot.clone(), stop.clone());
        let running = tokio::spawn(async move { task_bot.run(token).await.unwrap() });
        Self {
            bot,
            store,
            model,
            platform,
            refusing,
            observed,
            stop,
            running,
            next: AtomicU64::new(1),
            live,
        }
    }

    /// One who has consented already.
    pub(crate) async fn patient(&self, name: &str) -> ConversationKey {
        let key = chat(name);
        self.says(&key, "consent:yes").await;
        self.wait(|delivered| delivered.iter().any(|it| it.conversation == chat(name)))
            .await;
        self.platform
            .delivered
            .lock()
            .unwrap()
            .retain(|it| it.conversation != chat(name));
        key
    }

    pub(crate) async fn says(&self, key: &ConversationKey, text: &str) -> Receipt {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        self.says_as(key, text, &id.to_string()).await
    }

    pub(crate) async fn says_as(&self, key: &ConversationKey, text: &str, id: &str) -> Receipt {
        self.platform.open.lock().unwrap().insert(key.clone());
        self.bot
            .accept(vec![update(key, text, id)], None)
            .await
            .unwrap()
            .remove(0)
    }

    /// Several messages that arrive together.
    pub(crate) async fn says_at_once(&self, key: &ConversationKey, texts: &[&str]) {
        self.platform.open.lock().unwrap().insert(key.clone());
        let updates = texts
            .iter()
            .map(|text| update(key, text, &self.next.fetch_add(1, Ordering::SeqCst).to_string()))
            .collect();
        self.bot.accept(updates, None).await.unwrap();
    }

    /// Waits until `done` holds of what was delivered, ten seconds at most.
    pub(crate) async fn wait(&self, done: impl Fn(&[OutboxItem]) -> bool) {
        for _ in 0..1000 {
            if done(&self.platform.delivered.lock().unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never delivered; there is: {:?}", self.texts());
    }

    /// Waits for `count` parts and gives their texts.
    pub(crate) async fn parts(&self, count: usize) -> Vec<String> {
        self.wait(|delivered| delivered.len() >= count).await;
        self.texts()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.platform
            .delivered
            .lock()
            .unwrap()
            .iter()
            .map(|it| it.part.plain_text())
            .collect()
    }

    /// Everything that was accepted is answered and delivered or parked, and nothing more comes.
    pub(crate) async fn settled(&self) {
        for _ in 0..1000 {
            // In this order: the end of a turn is when its parts appear.
            let unfinished = self.store.unfinished_conversations().await.unwrap();
            let undelivered = self.store.undelivered_conversations().await.unwrap();
            if undelivered.is_empty() && unfinished.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("something never ended");
    }
}
