use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    Capabilities, Connector, ConnectorError, ConversationKey, DeliverError, InboxSeq, Initiative, Intake,
    Language, LengthUnit, OutboxItem, Pace, Part, PartId, PartKind, PlatformMessageId,
};
use tokio::time::Instant;

use super::Paced;

/// Notes when it is called, and may ask to wait.
#[derive(Default)]
struct Clocked {
    calls: Mutex<Vec<(&'static str, Instant)>>,
    next: Mutex<Option<DeliverError>>,
}

impl Clocked {
    fn called(&self, kind: &'static str) -> Result<PlatformMessageId, DeliverError> {
        self.calls.lock().unwrap().push((kind, Instant::now()));
        match self.next.lock().unwrap().take() {
            Some(error) => Err(error),
            None => Ok(PlatformMessageId("1".to_owned())),
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|it| it.0 == kind)
            .count()
    }
}

#[async_trait]
impl Connector for Clocked {
    fn platform(&self) -> &str {
        "test"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            edits: true,
            max_length: 100,
            length_unit: LengthUnit::Chars,
            buttons: true,
            rich_parts: false,
            pace: Pace {
                previews: Duration::from_millis(1200),
                typing: Duration::from_secs(4),
                chat: Duration::from_secs(1),
                platform: Duration::from_millis(100),
            },
            deadline: None,
            initiative: Initiative::Bot,
            outside_operator: true,
        }
    }

    async fn run(&self, _: Arc<dyn Intake>) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn typing(&self, _: &ConversationKey) {
        self.called("typing").unwrap();
    }

    async fn preview(
        &self,
        _: &ConversationKey,
        _: InboxSeq,
        _: Option<&PlatformMessageId>,
        _: &str,
    ) -> Result<PlatformMessageId, DeliverError> {
        self.called("preview")
    }

    fn settled(&self, _: &OutboxItem) {}

    async fn deliver(&self, _: &OutboxItem) -> Result<PlatformMessageId, DeliverError> {
        self.called("deliver")
    }
}

fn chat(name: &str) -> ConversationKey {
    ConversationKey::new("test", "bot", name)
}

fn item(conversation: &ConversationKey, kind: PartKind) -> OutboxItem {
    OutboxItem {
        id: PartId("x".to_owned()),
        conversation: conversation.clone(),
        seq: InboxSeq(1),
        part: Part {
            kind,
            ..Part::notice(Language::En, "words")
        },
        replaces: None,
        attempts: 1,
        waiting: std::time::Duration::ZERO,
    }
}

fn waits(result: Result<PlatformMessageId, DeliverError>) -> Option<Duration> {
    match result {
        Ok(_) => None,
        Err(DeliverError::RetryAfter(wait)) => Some(wait),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_chat_and_of_the_platform_keep_their_distance() {
    let inner = Arc::new(Clocked::default());
    let paced = Paced::new(inner.clone());
    let (a, b) = (chat("a"), chat("b"));
    assert_eq!(waits(paced.deliver(&item(&a, PartKind::Answer)).await), None);
    assert_eq!(
        waits(paced.deliver(&item(&a, PartKind::Answer)).await),
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        waits(paced.deliver(&item(&b, PartKind::Answer)).await),
        Some(Duration::from_millis(100)),
        "other chats wait for the platform only"
    );
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(waits(paced.deliver(&item(&b, PartKind::Answer)).await), None);
    assert_eq!(paced.pause(&a), Duration::from_millis(900));
    tokio::time::advance(Duration::from_millis(900)).await;
    assert_eq!(waits(paced.deliver(&item(&a, PartKind::Answer)).await), None);
    assert_eq!(inner.count("deliver"), 3);
}

#[tokio::test(start_paused = true)]
async fn an_emergency_does_not_wait_for_the_pace() {
    let inner = Arc::new(Clocked::default());
    let paced = Paced::new(inner.clone());
    let a = chat("a");
    assert_eq!(waits(paced.deliver(&item(&a, PartKind::Answer)).await), None);
    assert_eq!(waits(paced.deliver(&item(&a, PartKind::Emergency)).await), None);
    assert_eq!(inner.count("deliver"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_to_wait_holds_for_its_chat_only() {
    let inner = Arc::new(Clocked::default());
    let paced = Paced::new(inner.clone());
    let (a, b) = (chat("a"), chat("b"));
    *inner.next.lock().unwrap() = Some(DeliverError::RetryAfter(Duration::from_secs(7)));
    assert_eq!(
        waits(paced.deliver(&item(&a, PartKind::Answer)).await),
        Some(Duration::from_secs(7))
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(paced.pause(&a), Duration::from_secs(5));
    assert_eq!(paced.pause(&b), Duration::ZERO);
    paced.typing(&a).await;
    assert_eq!(inner.count("typing"), 0, "no typing while asked to wait");
    assert!(paced.preview(&a, InboxSeq(1), None, "so far").await.is_err());
    assert_eq!(inner.count("preview"), 0);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(waits(paced.deliver(&item(&a, PartKind::Answer)).await), None);
}

#[tokio::test(start_paused = true)]
async fn previews_and_typing_are_thinned_out() {
    let inner = Arc::new(Clocked::default());
    let paced = Paced::new(inner.clone());
    let a = chat("a");
    for _ in 0..100 {
        paced.typing(&a).await;
        let _too_early = paced.preview(&a, InboxSeq(1), None, "so far").await;
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(inner.count("typing"), 3, "every 4 s of 10");
    assert_eq!(inner.count("preview"), 9, "every 1.2 s of 10");
}

#[tokio::test(start_paused = true)]
async fn chats_that_wait_for_nothing_are_forgotten() {
    let inner = Arc::new(Clocked::default());
    let paced = Paced::new(inner.clone());
    for number in 0..3000 {
        assert_eq!(
            waits(
                paced
                    .deliver(&item(&chat(&number.to_string()), PartKind::Answer))
                    .await
            ),
            None
        );
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(paced.lock().chats.len() <= 1100, "{}", paced.lock().chats.len());
}
