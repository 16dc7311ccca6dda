//! The inbox and the outbox against a model that keeps everything in plain lists.

use std::sync::Arc;

use bedside_contract::{
    ConversationKey, Conversations, FinishedTurn, Inbox, InboxSeq, Language, Outbox, Part, PartId,
    PlatformMessageId, SendOutcome, TurnState, Update, UpdateKind,
};
use proptest::prelude::*;

use super::SqliteStore;

const CHATS: usize = 2;

/// One step. Numbers pick one of what there is, so that most steps hit something.
#[derive(Debug, Clone)]
enum Step {
    Accept { chat: usize, external_id: u8 },
    LeaseNext { chat: usize },
    Lease { pick: usize },
    Release { pick: usize },
    Finish { pick: usize, parts: usize, urgent: bool },
    Claim { chat: usize },
    Settle { pick: usize, outcome: Outcome },
    Delete { chat: usize },
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Sent,
    RetryNow { may_have_arrived: bool },
    RetryMuchLater,
    AskedToWait,
    Dead,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let chat = 0..CHATS;
    let pick = 0..8_usize;
    let outcome = prop_oneof![
        4 => Just(Outcome::Sent),
        2 => any::<bool>().prop_map(|may_have_arrived| Outcome::RetryNow { may_have_arrived }),
        1 => Just(Outcome::RetryMuchLater),
        1 => Just(Outcome::AskedToWait),
        1 => Just(Outcome::Dead),
    ];
    let step = prop_oneof![
        6 => (chat.clone(), 0..24_u8).prop_map(|(chat, external_id)| Step::Accept { chat, external_id }),
        6 => chat.clone().prop_map(|chat| Step::LeaseNext { chat }),
        2 => pick.clone().prop_map(|pick| Step::Lease { pick }),
        1 => pick.clone().prop_map(|pick| Step::Release { pick }),
        6 => (pick.clone(), 0..4_usize, prop::bool::weighted(0.3))
            .prop_map(|(pick, parts, urgent)| Step::Finish { pick, parts, urgent }),
        8 => chat.clone().prop_map(|chat| Step::Claim { chat }),
        6 => (pick, outcome).prop_map(|(pick, outcome)| Step::Settle { pick, outcome }),
        1 => chat.prop_map(|chat| Step::Delete { chat }),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_as_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InboxState {
    New,
    Leased,
    Ended,
}

struct Message {
    seq: InboxSeq,
    chat: usize,
    external_id: u8,
    state: InboxState,
    attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutboxState {
    Waiting,
    NotDue,
    Sending,
    Ended,
}

struct Outgoing {
    chat: usize,
    seq: InboxSeq,
    text: String,
    urgent: bool,
    state: OutboxState,
    attempts: u32,
    id: Option<PartId>,
}

#[derive(Default)]
struct Model {
    messages: Vec<Message>,
    parts: Vec<Outgoing>,
    unknown_sends: u64,
}

impl Model {
    fn leased(&self, pick: usize) -> Option<usize> {
        let leased: Vec<_> = (0..self.messages.len())
            .filter(|it| self.messages[*it].state == InboxState::Leased)
            .collect();
        (!leased.is_empty()).then(|| leased[pick % leased.len()])
    }

    fn sending(&self, pick: usize) -> Option<usize> {
        let sending: Vec<_> = (0..self.parts.len())
            .filter(|it| self.parts[*it].state == OutboxState::Sending)
            .collect();
        (!sending.is_empty()).then(|| sending[pick % sending.len()])
    }

    fn next_message(&self, chat: usize) -> Option<usize> {
        let mine = |it: &&Message| it.chat == chat;
        if self
            .messages
            .iter()
            .filter(mine)
            .any(|it| it.state == InboxState::Leased)
        {
            return None;
        }
        self.messages
            .iter()
            .position(|it| it.chat == chat && it.state == InboxState::New)
    }

    fn next_part(&self, chat: usize) -> Option<usize> {
        let head = |urgent: bool| {
            self.parts
                .iter()
                .position(|it| it.chat == chat && it.urgent == urgent && it.state != OutboxState::Ended)
        };
        head(true)
            .or_else(|| head(false))
            .filter(|it| self.parts[*it].state == OutboxState::Waiting)
    }

    fn delete(&mut self, chat: usize) {
        let in_work = self
            .messages
            .iter()
            .rev()
            .find(|it| it.chat == chat && it.state == InboxState::Leased);
        let last = in_work.map_or(i64::MAX, |it| it.seq.0);
        self.parts.retain(|it| it.chat != chat || it.seq.0 > last);
        for message in self
            .messages
            .iter_mut()
            .filter(|it| it.chat == chat && it.seq.0 <= last)
        {
            if message.state == InboxState::New {
                message.state = InboxState::Ended;
            }
        }
    }

    fn reopen(&mut self) {
        for message in self
            .messages
            .iter_mut()
            .filter(|it| it.state == InboxState::Leased)
        {
            message.state = InboxState::New;
        }
        for part in self
            .parts
            .iter_mut()
            .filter(|it| it.state == OutboxState::Sending)
        {
            part.state = OutboxState::Waiting;
            self.unknown_sends += 1;
        }
    }
}

fn key(chat: usize) -> ConversationKey {
    ConversationKey::new("web", "main", &chat.to_string())
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bedside.sqlite3");
    let mut store = SqliteStore::open(&path).unwrap();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Reopen => {
                store.close().await;
                store = SqliteStore::open(&path).unwrap();
                model.reopen();
            }
            step => take(&store, &mut model, step).await,
        }
    }
    compare_rest(&store, &model).await;
}

async fn take(store: &Arc<SqliteStore>, model: &mut Model, step: Step) {
    match step {
        Step::Accept { chat, external_id } => {
            let update = Update {
                platform: "web".to_owned(),
                bot: "main".to_owned(),
                external_id: external_id.to_string(),
                conversation: key(chat),
                sender: "17".to_owned(),
                language_hint: None,
                answer_in: None,
                kind: UpdateKind::Text {
                    text: external_id.to_string(),
                },
            };
            let receipt = store.accept(vec![update], None).await.unwrap()[0];
            match model.messages.iter().find(|it| it.external_id == external_id) {
                Some(known) => assert_eq!((receipt.seq, receipt.duplicate), (known.seq, true)),
                None => {
                    assert!(!receipt.duplicate);
                    assert!(model.messages.last().is_none_or(|it| it.seq < receipt.seq));
                    let state = InboxState::New;
                    model.messages.push(Message {
                        seq: receipt.seq,
                        chat,
                        external_id,
                        state,
                        attempts: 0,
                    });
                }
            }
        }
        Step::LeaseNext { chat } => {
            let item = store.lease_next(&key(chat)).await.unwrap();
            let expect = model.next_message(chat);
            check_lease(model, expect, item.map(|it| (it.seq, it.attempts)));
        }
        Step::Lease { pick } => {
            if model.messages.is_empty() {
                return;
            }
            let index = pick % model.messages.len();
            let item = store.lease(model.messages[index].seq).await.unwrap();
            let expect = (model.messages[index].state == InboxState::New).then_some(index);
            check_lease(model, expect, item.map(|it| (it.seq, it.attempts)));
        }
        Step::Release { pick } => {
            let Some(index) = model.leased(pick) else { return };
            let message = &mut model.messages[index];
            store.release(message.seq).await.unwrap();
            message.state = InboxState::New;
            message.attempts -= 1;
        }
        Step::Finish { pick, parts, urgent } => finish(store, model, pick, parts, urgent).await,
        Step::Claim { chat } => {
            let item = store.claim_part(&key(chat)).await.unwrap();
            let expect = model.next_part(chat);
            assert_eq!(item.is_some(), expect.is_some());
            if let (Some(item), Some(index)) = (item, expect) {
                let part = &mut model.parts[index];
                part.attempts += 1;
                part.state = OutboxState::Sending;
                assert_eq!(
                    (item.seq, &item.part.text, item.attempts),
                    (part.seq, &part.text, part.attempts)
                );
                assert_eq!(*part.id.get_or_insert_with(|| item.id.clone()), item.id);
            }
        }
        Step::Settle { pick, outcome } => {
            let Some(index) = model.sending(pick) else { return };
            let part = &mut model.parts[index];
            let (state, outcome) = match outcome {
                Outcome::Sent => (
                    OutboxState::Ended,
                    SendOutcome::Sent {
                        message: PlatformMessageId("m".to_owned()),
                    },
                ),
                Outcome::RetryNow { may_have_arrived } => {
                    model.unknown_sends += u64::from(may_have_arrived);
                    (
                        OutboxState::Waiting,
                        SendOutcome::Retry {
                            after_ms: 0,
                            may_have_arrived,
                        },
                    )
                }
                Outcome::RetryMuchLater => (
                    OutboxState::NotDue,
                    SendOutcome::Retry {
                        after_ms: 3_600_000,
                        may_have_arrived: false,
                    },
                ),
                Outcome::AskedToWait => {
                    part.attempts -= 1;
                    (OutboxState::Waiting, SendOutcome::Later { after_ms: 0 })
                }
                Outcome::Dead => (
                    OutboxState::Ended,
                    SendOutcome::Dead {
                        reason: "blocked".to_owned(),
                    },
                ),
            };
            part.state = state;
            store
                .settle_part(part.id.as_ref().unwrap(), outcome)
                .await
                .unwrap();
        }
        Step::Delete { chat } => {
            store.delete_conversation(&key(chat), "on request").await.unwrap();
            model.delete(chat);
        }
        Step::Reopen => unreachable!("taken by the caller"),
    }
}

fn check_lease(model: &mut Model, expect: Option<usize>, found: Option<(InboxSeq, u32)>) {
    let expect = expect.map(|index| {
        let message = &mut model.messages[index];
        message.state = InboxState::Leased;
        message.attempts += 1;
        (message.seq, message.attempts)
    });
    assert_eq!(found, expect);
}

async fn finish(store: &SqliteStore, model: &mut Model, pick: usize, parts: usize, urgent: bool) {
    let index = model.leased(pick);
    // Without any lease: something that must be refused.
    let Some(message) = model.messages.get_mut(index.unwrap_or(0)) else {
        return;
    };
    let texts: Vec<_> = (0..parts).map(|it| format!("{}/{it}", message.seq)).collect();
    let finished = FinishedTurn {
        seq: message.seq,
        conversation: key(message.chat),
        state: TurnState::Done,
        turns: Vec::new(),
        parts: texts.iter().map(|it| Part::notice(Language::En, it)).collect(),
        urgent,
        settings: None,
        reset: false,
    };
    assert_eq!(store.finish(finished).await.unwrap(), index.is_some());
    if index.is_some() {
        message.state = InboxState::Ended;
        let (chat, seq) = (message.chat, message.seq);
        let state = OutboxState::Waiting;
        model.parts.extend(texts.into_iter().map(|text| Outgoing {
            chat,
            seq,
            text,
            urgent,
            state,
            attempts: 0,
            id: None,
        }));
    }
}

async fn compare_rest(store: &SqliteStore, model: &Model) {
    let counters = store.counters().await.unwrap();
    let unfinished = model.messages.iter().filter(|it| it.state != InboxState::Ended);
    let undelivered = model.parts.iter().filter(|it| it.state != OutboxState::Ended);
    assert_eq!(counters.inbox_depth, unfinished.clone().count() as u64);
    assert_eq!(counters.outbox_depth, undelivered.clone().count() as u64);
    assert_eq!(counters.unknown_sends, model.unknown_sends);
    let in_order = |chats: Vec<usize>| -> Vec<ConversationKey> {
        let mut keys: Vec<_> = chats.into_iter().map(key).collect();
        let mut seen = std::collections::HashSet::new();
        keys.retain(|it| seen.insert(it.clone()));
        keys
    };
    let conversations = store.unfinished_conversations().await.unwrap();
    assert_eq!(conversations, in_order(unfinished.map(|it| it.chat).collect()));
    let conversations = store.undelivered_conversations().await.unwrap();
    assert_eq!(conversations, in_order(undelivered.map(|it| it.chat).collect()));
}
