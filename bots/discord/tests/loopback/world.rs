//! What stands around the connector: Discord, the store, an intake that waits when a test says so.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bedside_contract::{
    BotHealth, Connector, ConnectorError, ConversationKey, Cursor, DeliverError, Inbox, InboxSeq, Intake,
    Language, OutboxItem, Part, PartId, PlatformMessageId, Receipt, StoreError, TranscriptEntry, Update,
};
use bedside_discord::{DiscordConfig, DiscordConnector};
use bedside_store::SqliteStore;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};

use crate::{gateway_fake::GatewayFake, rest_fake::RestFake};

pub(crate) const TOKEN: &str = "MTk4.Cl2FMQ.secret-part_of_the_token";
pub(crate) const INTERACTION_TOKEN: &str = "aW50ZXJhY3Rpb24-secret_interaction";

pub(crate) struct World {
    pub(crate) gateway: GatewayFake,
    pub(crate) rest: RestFake,
    pub(crate) store: Arc<SqliteStore>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let gateway = GatewayFake::start().await;
        let rest = RestFake::start(gateway.url()).await;
        let store = SqliteStore::open_temporary().unwrap();
        Self { gateway, rest, store }
    }

    pub(crate) fn config(&self) -> DiscordConfig {
        DiscordConfig {
            enabled: true,
            token: Some(TOKEN.to_owned().into()),
            api_url: format!("http://{}/api/v10", self.rest.address),
            ..DiscordConfig::default()
        }
    }

    pub(crate) fn connector(&self) -> Arc<DiscordConnector> {
        self.connector_with(self.config())
    }

    pub(crate) fn connector_with(&self, config: DiscordConfig) -> Arc<DiscordConnector> {
        Arc::new(config.build().unwrap())
    }

    pub(crate) fn intake(&self) -> Arc<GatedIntake> {
        GatedIntake::new(Arc::clone(&self.store), Semaphore::MAX_PERMITS)
    }

    /// Lets so many commits through, then waits.
    pub(crate) fn gated(&self, permits: usize) -> Arc<GatedIntake> {
        GatedIntake::new(Arc::clone(&self.store), permits)
    }

    /// A running connector that has said hello.
    pub(crate) async fn started(&self) -> (Arc<DiscordConnector>, Arc<GatedIntake>, Running) {
        let (connector, intake) = (self.connector(), self.intake());
        let running = run(&connector, &intake);
        intake
            .until("READY is stored", |it| !it.committed().is_empty())
            .await;
        (connector, intake, running)
    }

    pub(crate) async fn stored_place(&self) -> Value {
        let cursor = self.store.cursor("discord", "666").await.unwrap();
        cursor.map_or(Value::Null, |it| serde_json::from_str(&it).unwrap())
    }

    pub(crate) async fn deliver(
        &self,
        part: Part,
        replaces: Option<&str>,
    ) -> Result<PlatformMessageId, DeliverError> {
        self.connector().deliver(&outbox_item(part, replaces)).await
    }
}

pub(crate) struct Running(pub(crate) JoinHandle<Result<(), ConnectorError>>);

impl Running {
    /// As at a shutdown: the future is dropped.
    pub(crate) async fn stop(self) {
        self.0.abort();
        let _cancelled = self.0.await;
    }

    pub(crate) async fn problem(self) -> ConnectorError {
        tokio::time::timeout(Duration::from_secs(30), self.0)
            .await
            .expect("the connector should have given up")
            .unwrap()
            .unwrap_err()
    }
}

pub(crate) fn run(connector: &Arc<DiscordConnector>, intake: &Arc<GatedIntake>) -> Running {
    let (connector, intake) = (Arc::clone(connector), Arc::clone(intake) as Arc<dyn Intake>);
    Running(tokio::spawn(async move { connector.run(intake).await }))
}

/// Commits into the real store, when the test lets it.
pub(crate) struct GatedIntake {
    store: Arc<SqliteStore>,
    pub(crate) gate: Semaphore,
    pub(crate) failures: Mutex<VecDeque<StoreError>>,
    pub(crate) asked: AtomicUsize,
    commits: Mutex<Vec<Commit>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) updates: Vec<Update>,
    pub(crate) receipts: Vec<Receipt>,
    /// The cursor, read.
    pub(crate) place: Value,
}

impl GatedIntake {
    fn new(store: Arc<SqliteStore>, permits: usize) -> Arc<Self> {
        Arc::new(Self {
            store,
            gate: Semaphore::new(permits),
            failures: Mutex::default(),
            asked: AtomicUsize::new(0),
            commits: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(crate) fn committed(&self) -> Vec<Commit> {
        self.commits.lock().unwrap().clone()
    }

    /// The external ids of all that was new, in order.
    pub(crate) fn new_ids(&self) -> Vec<String> {
        let commits = self.committed();
        let each = commits.iter().flat_map(|it| it.updates.iter().zip(&it.receipts));
        each.filter(|(_, receipt)| !receipt.duplicate)
            .map(|(update, _)| update.external_id.clone())
            .collect()
    }

    pub(crate) fn fail_next(&self, error: StoreError) {
        self.failures.lock().unwrap().push_back(error);
    }

    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let reached = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
            .await
            .unwrap_or_else(|_| panic!("it should have come to this: {what}; new: {:?}", self.new_ids()));
    }

    pub(crate) async fn until_new(&self, ids: &[&str]) {
        self.until(&format!("{ids:?} stored"), |it| it.new_ids().len() >= ids.len())
            .await;
        assert_eq!(self.new_ids(), ids);
    }
}

#[async_trait]
impl Intake for GatedIntake {
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
        self.gate.acquire().await.unwrap().forget();
        let failure = self.failures.lock().unwrap().pop_front();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let place = cursor.as_ref().map(|it| serde_json::from_str(&it.value).unwrap());
        let receipts = self.store.accept(updates.clone(), cursor).await?;
        self.commits.lock().unwrap().push(Commit {
            updates,
            receipts: receipts.clone(),
            place: place.unwrap_or_default(),
        });
        self.changed.notify_waiters();
        Ok(receipts)
    }

    async fn cursor(&self, platform: &str, bot: &str) -> Result<Option<String>, StoreError> {
        self.store.cursor(platform, bot).await
    }

    async fn transcript(
        &self,
        _: &ConversationKey,
        _: i64,
        _: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        Ok(Vec::new())
    }

    fn health(&self) -> BotHealth {
        BotHealth::default()
    }

    /// The rules are tested where they are; here one phrase stands for all red flags.
    fn emergency_notice(&self, words: &str, language: Option<Language>) -> Option<Part> {
        words
            .contains("I can't breathe")
            .then(|| Part::notice(language.unwrap_or_default(), "Call 120 now."))
    }

    fn greeting(&self, _: &bedside_contract::ConversationKey, language: Option<Language>) -> Part {
        Part::notice(language.unwrap_or_default(), "welcome")
    }

    fn emergency_number(&self) -> String {
        "120".to_owned()
    }

    async fn answer_again(
        &self,
        _: &bedside_contract::ConversationKey,
        _: InboxSeq,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

pub(crate) fn conversation() -> ConversationKey {
    ConversationKey::new("discord", "666", "50")
}

pub(crate) fn notice(text: &str) -> Part {
    Part::notice(Language::En, text)
}

/// A part on its way to chat 50, as the answer to the first update in the store.
pub(crate) fn outbox_item(part: Part, replaces: Option<&str>) -> OutboxItem {
    OutboxItem {
        id: PartId("0199e3a1-7c2b-7d3e-8f4a-5b6c7d8e9f01".to_owned()),
        conversation: conversation(),
        seq: InboxSeq(1),
        part,
        replaces: replaces.map(|it| PlatformMessageId(it.to_owned())),
        attempts: 1,
        waiting: std::time::Duration::ZERO,
    }
}

/// A private message to the bot.
pub(crate) fn message(id: u64, text: &str) -> Value {
    json!({
        "id": id.to_string(), "channel_id": "50", "channel_type": 1, "content": text, "type": 0,
        "author": {"id": "42", "username": "p", "discriminator": "0"}, "mentions": [], "attachments": [],
    })
}

/// An id as young as Discord would give now.
pub(crate) fn fresh_id() -> u64 {
    aged_id(Duration::ZERO)
}

pub(crate) fn aged_id(age: Duration) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - age;
    let since_discord = u64::try_from(now.as_millis()).unwrap() - 1_420_070_400_000;
    (since_discord << 22) + NEXT.fetch_add(1, Ordering::SeqCst)
}

/// `/ask` in the private chat.
pub(crate) fn slash(id: u64, question: &str) -> Value {
    json!({
        "id": id.to_string(), "application_id": "666", "token": INTERACTION_TOKEN, "type": 2, "version": 1,
        "channel_id": "50", "channel": {"id": "50", "type": 1}, "context": 1, "locale": "zh-CN",
        "user": {"id": "42"},
        "data": {"id": "1", "name": "ask", "type": 1,
            "options": [{"name": "question", "type": 3, "value": question}]},
    })
}

/// The same in a server.
pub(crate) fn slash_in_a_server(id: u64, question: &str) -> Value {
    let mut event = slash(id, question);
    event["guild_id"] = json!("7");
    event["channel_id"] = json!("70");
    event["channel"] = json!({"id": "70", "type": 0});
    event["context"] = json!(0);
    event["member"] = json!({"user": {"id": "42"}});
    event.as_object_mut().unwrap().remove("user");
    event
}

/// A button under message 9000 is pressed.
pub(crate) fn press(id: u64, data: &str) -> Value {
    let mut event = slash(id, "");
    event["type"] = json!(3);
    event["data"] = json!({"custom_id": data, "component_type": 2});
    event["message"] = json!({"id": "9000", "content": "Do you agree?", "components": [{"type": 1, "components": [
        {"type": 2, "style": 2, "custom_id": "consent:yes", "label": "Yes"},
        {"type": 2, "style": 2, "custom_id": "consent:no", "label": "No"}]}]});
    event
}

pub(crate) fn callback(id: u64) -> String {
    format!("POST /interactions/{id}/{INTERACTION_TOKEN}/callback")
}

pub(crate) fn original() -> String {
    format!("PATCH /webhooks/666/{INTERACTION_TOKEN}/messages/@original")
}
