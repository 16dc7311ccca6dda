//! What stands around the connector in the bot: an intake with the real store behind it, and delivery.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    BotHealth, Connector, ConnectorError, ConversationKey, Cursor, DeliverError, Inbox, InboxSeq, Intake,
    Language, OutboxItem, Part, PartId, PartKind, PlatformMessageId, Receipt, StoreError, TranscriptEntry,
    Update,
};
use bedside_store::SqliteStore;
use bedside_wechat::{Mode, Replies, Timing, WechatConfig, WechatConnector, WechatContext};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::servers::{AES_KEY, APPID, OLD_AES_KEY, SECRET, TOKEN};

/// WeChat's 5 seconds, shortened.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2_000);

pub(crate) fn timing() -> Timing {
    Timing {
        answer_by: Duration::from_millis(1_300),
        hold: Duration::from_secs(6),
        grace: Duration::from_millis(100),
        next_try: Duration::from_secs(4),
    }
}

/// Commits to the store, when the test lets it.
pub(crate) struct StoreIntake {
    store: Arc<SqliteStore>,
    pub(crate) gate: Semaphore,
    pub(crate) failures: Mutex<VecDeque<StoreError>>,
    accepted: Mutex<Vec<(InboxSeq, Update)>>,
    /// What the connector asked to be sent again.
    pub(crate) again: Mutex<Vec<(ConversationKey, InboxSeq)>>,
    grew: watch::Sender<usize>,
}

impl StoreIntake {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            store: SqliteStore::open_temporary().unwrap(),
            gate: Semaphore::new(permits),
            failures: Mutex::default(),
            accepted: Mutex::default(),
            again: Mutex::default(),
            grew: watch::Sender::new(0),
        })
    }

    /// New updates, oldest first.
    pub(crate) fn accepted(&self) -> Vec<(InboxSeq, Update)> {
        self.accepted.lock().unwrap().clone()
    }

    /// The place in the inbox of the `count`th new update.
    pub(crate) async fn seq_of(&self, count: usize) -> InboxSeq {
        let mut grew = self.grew.subscribe();
        let reached = grew.wait_for(|it| *it >= count);
        tokio::time::timeout(Duration::from_secs(20), reached)
            .await
            .expect("the message should have come")
            .unwrap();
        self.accepted()[count - 1].0
    }
}

#[async_trait]
impl Intake for StoreIntake {
    async fn accept(&self, updates: Vec<Update>, cursor: Option<Cursor>) -> Result<Vec<Receipt>, StoreError> {
        self.gate.acquire().await.unwrap().forget();
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Err(failure);
        }
        let receipts = self.store.accept(updates.clone(), cursor).await?;
        for (receipt, update) in receipts.iter().zip(updates) {
            if !receipt.duplicate {
                self.accepted.lock().unwrap().push((receipt.seq, update));
            }
        }
        let count = self.accepted.lock().unwrap().len();
        self.grew.send_replace(count);
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

    fn emergency_notice(&self, _: &str, _: Option<Language>) -> Option<Part> {
        None
    }

    fn greeting(&self, _: &bedside_contract::ConversationKey, language: Option<Language>) -> Part {
        Part::notice(language.unwrap_or_default(), "welcome")
    }

    fn emergency_number(&self) -> String {
        "120".to_owned()
    }

    async fn answer_again(&self, conversation: &ConversationKey, seq: InboxSeq) -> Result<(), StoreError> {
        self.again.lock().unwrap().push((conversation.clone(), seq));
        Ok(())
    }
}

/// A running connector and its intake.
pub(crate) struct Around {
    pub(crate) connector: Arc<WechatConnector>,
    pub(crate) intake: Arc<StoreIntake>,
    pub(crate) running: JoinHandle<Result<(), ConnectorError>>,
}

impl Drop for Around {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub(crate) fn config() -> WechatConfig {
    WechatConfig {
        enabled: true,
        appid: APPID.to_owned(),
        token: Some(TOKEN.to_owned().into()),
        encoding_aes_key: Some(AES_KEY.to_owned().into()),
        previous_encoding_aes_key: Some(OLD_AES_KEY.to_owned().into()),
        secret: Some(SECRET.to_owned().into()),
        mode: Mode::Safe,
        listen: "127.0.0.1:0".to_owned(),
        ..WechatConfig::default()
    }
}

pub(crate) fn with_api(api: SocketAddr) -> WechatConfig {
    WechatConfig {
        replies: Replies::CustomerService,
        api_url: format!("http://{api}"),
        ..config()
    }
}

impl Around {
    pub(crate) fn start(config: WechatConfig) -> Self {
        Self::with_permits(config, Semaphore::MAX_PERMITS)
    }

    /// Nothing is committed until the test adds permits.
    pub(crate) fn gated() -> Self {
        Self::with_permits(config(), 0)
    }

    fn with_permits(config: WechatConfig, permits: usize) -> Self {
        Self::with_intake(config, StoreIntake::new(permits))
    }

    /// A new process on the same store.
    pub(crate) fn restarted(self) -> Self {
        Self::with_intake(config(), Arc::clone(&self.intake))
    }

    fn with_intake(config: WechatConfig, intake: Arc<StoreIntake>) -> Self {
        let connector = Arc::new(config.build(WechatContext { timing: timing() }).unwrap());
        let running = {
            let (connector, intake) = (Arc::clone(&connector), Arc::clone(&intake) as Arc<dyn Intake>);
            tokio::spawn(async move { connector.run(intake).await })
        };
        Self {
            connector,
            intake,
            running,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.connector.local_address()
    }

    /// Delivers in the background, as the outbox does.
    pub(crate) fn deliver(
        &self,
        patient: &str,
        seq: InboxSeq,
        part: Part,
    ) -> JoinHandle<Result<PlatformMessageId, DeliverError>> {
        let connector = Arc::clone(&self.connector);
        let item = item(patient, seq, part);
        tokio::spawn(async move { connector.deliver(&item).await })
    }
}

pub(crate) fn item(patient: &str, seq: InboxSeq, part: Part) -> OutboxItem {
    OutboxItem {
        id: PartId("part-1".to_owned()),
        conversation: ConversationKey::new("wechat", APPID, patient),
        seq,
        part,
        replaces: None,
        attempts: 1,
        waiting: std::time::Duration::ZERO,
    }
}

pub(crate) fn notice(text: &str) -> Part {
    Part::notice(Language::Zh, text)
}

pub(crate) fn emergency(text: &str) -> Part {
    Part {
        kind: PartKind::Emergency,
        ..notice(text)
    }
}
