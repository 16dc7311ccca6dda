//! What a deletion leaves for a while, what proves it, and files of earlier versions.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use bedside_contract::{
    Clock, ConversationKey, Conversations, FinishedTurn, Inbox, InboxSeq, Language, Outbox, Part, PartKind,
    PlatformMessageId, SendOutcome, Transcripts, TurnState,
};

use super::{Folder, SqliteStore, ask, chat, update};
use crate::conformance::Place;

const HOUR_MS: i64 = 3_600_000;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn holds(folder: &Folder, canary: &str) -> bool {
    folder
        .bytes()
        .windows(canary.len())
        .any(|it| it == canary.as_bytes())
}

/// Leases a message, deletes its conversation and answers it.
async fn delete(store: &SqliteStore, external_id: &str, kind: PartKind) -> InboxSeq {
    let accepted = store
        .accept(vec![update(external_id, "/delete")], None)
        .await
        .unwrap();
    let seq = accepted[0].seq;
    store.lease(seq).await.unwrap().unwrap();
    store.delete_conversation(&chat(), "on request").await.unwrap();
    let finished = FinishedTurn {
        seq,
        conversation: chat(),
        state: TurnState::Done,
        turns: Vec::new(),
        parts: vec![Part {
            kind,
            ..Part::notice(Language::En, "deleted")
        }],
        urgent: kind == PartKind::Emergency,
        settings: Some(bedside_contract::ConversationSettings {
            last_language: Some(Language::En),
            ..bedside_contract::ConversationSettings::default()
        }),
        reset: false,
    };
    assert!(store.finish(finished).await.unwrap());
    seq
}

async fn settle(store: &SqliteStore, outcome: SendOutcome) {
    let item = store.claim_part(&chat()).await.unwrap().unwrap();
    store.settle_part(&item.id, outcome).await.unwrap();
}

fn sent() -> SendOutcome {
    SendOutcome::Sent {
        message: PlatformMessageId("m".to_owned()),
    }
}

async fn said(store: &SqliteStore) -> usize {
    store.transcript(&chat(), 0, usize::MAX).await.unwrap().len()
}

/// Nobody's message, which only lets time pass.
async fn somebody_else_writes(store: &SqliteStore, external_id: &str) {
    let other = bedside_contract::Update {
        conversation: ConversationKey::new("web", "main", "other"),
        ..update(external_id, "words")
    };
    store.accept(vec![other], None).await.unwrap();
}

#[tokio::test]
async fn the_answer_to_a_deletion_goes_an_hour_after_it_has_arrived() {
    let folder = Folder::new();
    let clock = Arc::new(SetClock(AtomicI64::new(1_700_000_000_000)));
    let store = SqliteStore::open_by_clock(&folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    ask(&store, "1", "words").await;
    delete(&store, "2", PartKind::Notice).await;
    clock.0.fetch_add(2 * HOUR_MS, Ordering::SeqCst);
    somebody_else_writes(&store, "a").await;
    assert_eq!(said(&store).await, 1, "it has not arrived");
    settle(&store, sent()).await;
    assert!(holds(&folder, chat().as_str()));
    somebody_else_writes(&store, "b").await;
    assert_eq!(said(&store).await, 0);
    store.close().await;
    assert!(
        !holds(&folder, chat().as_str()),
        "nothing names the conversation any more"
    );

    // At a start as well.
    let store = SqliteStore::open_by_clock(&folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    delete(&store, "3", PartKind::Notice).await;
    settle(&store, sent()).await;
    store.close().await;
    for (later, expect) in [(HOUR_MS / 2, 1), (HOUR_MS, 0)] {
        clock.0.fetch_add(later, Ordering::SeqCst);
        let store = SqliteStore::open_by_clock(&folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        assert_eq!(said(&store).await, expect);
        store.close().await;
    }
}

#[tokio::test]
async fn who_writes_again_keeps_what_they_chose_since() {
    let folder = Folder::new();
    let clock = Arc::new(SetClock(AtomicI64::new(1_700_000_000_000)));
    let store = SqliteStore::open_by_clock(&folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    delete(&store, "1", PartKind::Notice).await;
    settle(&store, sent()).await;
    ask(&store, "2", "again").await;
    clock.0.fetch_add(2 * HOUR_MS, Ordering::SeqCst);
    somebody_else_writes(&store, "a").await;
    assert_eq!(said(&store).await, 2, "the question and its answer");
    let state = store.conversation(&chat(), 9).await.unwrap();
    assert_eq!(state.turns.len(), 1);
    assert_eq!(state.settings.last_language, Some(Language::En));
}

/// An emergency notice that staff have not heard of is not tidied away.
#[tokio::test]
async fn a_lost_emergency_notice_stays_until_it_is_escalated() {
    let folder = Folder::new();
    let clock = Arc::new(SetClock(AtomicI64::new(1_700_000_000_000)));
    let store = SqliteStore::open_by_clock(&folder.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    delete(&store, "1", PartKind::Emergency).await;
    let item = store.claim_part(&chat()).await.unwrap().unwrap();
    let dead = SendOutcome::Dead {
        reason: "blocked".to_owned(),
    };
    store.settle_part(&item.id, dead).await.unwrap();
    clock.0.fetch_add(2 * HOUR_MS, Ordering::SeqCst);
    somebody_else_writes(&store, "a").await;
    assert_eq!(said(&store).await, 1);
    bedside_contract::UndeliveredNotices::notice_escalated(&*store, &item.id)
        .await
        .unwrap();
    somebody_else_writes(&store, "b").await;
    assert_eq!(said(&store).await, 0);
}

#[tokio::test]
async fn a_deletion_can_be_proved_and_names_nobody() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "words").await;
    store.delete_conversation(&chat(), "on request").await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap(), 1);
    store.close().await;
    let sqlite = folder.sqlite();
    let read = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    };
    let (action, target, detail) = sqlite
        .query_row("SELECT action, target, detail FROM audit", [], read)
        .unwrap();
    let expect = super::super::pseudonyms::Pseudonyms::of(&sqlite)
        .unwrap()
        .conversation(&chat());
    assert_eq!(
        (action.as_str(), target, detail.as_str()),
        ("delete", format!("conversation {expect}"), "on request")
    );

    let other = Folder::new();
    drop(other.store());
    let elsewhere = super::super::pseudonyms::Pseudonyms::of(&other.sqlite())
        .unwrap()
        .conversation(&chat());
    assert_ne!(expect, elsewhere, "each installation has its own key");
}

#[tokio::test]
async fn ids_that_an_earlier_version_left_are_hidden_at_the_start() {
    let folder = Folder::new();
    drop(folder.store());
    let rows = "INSERT INTO inbox (platform, bot_id, ext_id, chat_key, recv_ms, state) VALUES
        ('web', 'main', 'openid-1', '', 1, 'done'), ('web', 'main', 'openid-2', 'web:main:b', 1, 'done')";
    folder.sqlite().execute_batch(rows).unwrap();
    let store = folder.store();
    for external_id in ["openid-1", "openid-2"] {
        let receipts = store.accept(vec![update(external_id, "x")], None).await.unwrap();
        assert!(receipts[0].duplicate, "{external_id}");
    }
    store.close().await;
    assert!(!holds(&folder, "openid-1") && holds(&folder, "openid-2"));
}

/// A store that never has a quiet second empties its log all the same.
#[tokio::test]
async fn a_busy_store_does_not_keep_deleted_words_in_its_log() {
    const SECRET: &str = "canary-busy-1288";
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", SECRET).await;
    store.delete_conversation(&chat(), "on request").await.unwrap();
    for number in 0..200 {
        if !holds(&folder, SECRET) {
            return;
        }
        somebody_else_writes(&store, &number.to_string()).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the words are still in a file");
}
