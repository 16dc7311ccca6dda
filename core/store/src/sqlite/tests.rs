//! What is SQLite's own: the file, its rights, faults of the disk, the audit chain.

mod faults;
mod forgetting;
mod waiting;

use std::{os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_contract::{
    AuditLog, ConversationKey, Conversations, FinishedTurn, Inbox, Language, Outbox, Part, PlatformMessageId,
    SendOutcome, Store, StoreError, StoreHealth, Transcripts, Turn, TurnState, Update, UpdateKind,
};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{AuditError, SqliteStore, StoreCounters};
use crate::conformance::Place;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("bedside.sqlite3")
    }

    fn store(&self) -> Arc<SqliteStore> {
        SqliteStore::open(&self.path()).unwrap()
    }

    fn sqlite(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

#[async_trait]
impl Place for Folder {
    async fn open(&self) -> Arc<dyn Store> {
        self.store()
    }

    fn bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.0.path()).unwrap();
        files
            // The log may go in between.
            .flat_map(|it| std::fs::read(it.unwrap().path()).unwrap_or_default())
            .collect()
    }
}

mod conformance {
    use super::Folder;

    crate::store_conformance!(Folder::new());
}

fn chat() -> ConversationKey {
    ConversationKey::new("web", "main", "a")
}

fn update(external_id: &str, words: &str) -> Update {
    Update {
        platform: "web".to_owned(),
        bot: "main".to_owned(),
        external_id: external_id.to_owned(),
        conversation: chat(),
        sender: "17".to_owned(),
        language_hint: None,
        answer_in: None,
        kind: UpdateKind::Text {
            text: words.to_owned(),
        },
    }
}

/// Accepts, leases and finishes one message.
async fn ask(store: &SqliteStore, external_id: &str, words: &str) {
    let seq = store
        .accept(vec![update(external_id, words)], None)
        .await
        .unwrap()[0]
        .seq;
    store.lease(seq).await.unwrap().unwrap();
    let finished = FinishedTurn {
        seq,
        conversation: chat(),
        state: TurnState::Done,
        turns: vec![Turn::patient(words)],
        parts: vec![Part::notice(Language::En, words)],
        urgent: false,
        settings: None,
        reset: false,
    };
    assert!(store.finish(finished).await.unwrap());
}

#[tokio::test]
async fn only_the_owner_may_read() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data").join("bedside.sqlite3");
    let store = SqliteStore::open(&path).unwrap();
    ask(&store, "1", "words").await;
    let mode = |suffix: &str| {
        let name = format!("{}{suffix}", path.display());
        std::fs::metadata(&name)
            .unwrap_or_else(|_| panic!("{name}"))
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!([mode(""), mode("-wal"), mode("-shm")], [0o600; 3]);
    assert_eq!(
        std::fs::metadata(path.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );

    store.close().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    SqliteStore::open(&path).unwrap();
    assert_eq!(mode(""), 0o600, "rights that were widened are narrowed again");
}

#[test]
fn foreign_and_newer_files_are_left_alone() {
    let check = |prepare: &dyn Fn(&Folder), expect: &str| {
        let folder = Folder::new();
        prepare(&folder);
        let before = std::fs::read(folder.path()).unwrap();
        let error = SqliteStore::open(&folder.path()).err().unwrap().to_string();
        assert!(error.contains(expect), "{error}");
        assert!(error.contains("bedside.sqlite3"), "{error}");
        assert_eq!(std::fs::read(folder.path()).unwrap(), before);
    };
    check(
        &|it| it.sqlite().execute_batch("CREATE TABLE theirs (x)").unwrap(),
        "another program's",
    );
    check(
        &|it| it.sqlite().pragma_update(None, "application_id", 7).unwrap(),
        "another program's",
    );
    check(
        &|it| std::fs::write(it.path(), "not a database at all, by far").unwrap(),
        "not a database",
    );

    let folder = Folder::new();
    drop(folder.store());
    folder.sqlite().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&folder.path()).err().unwrap();
    assert!(
        matches!(
            error,
            StoreError::TooNew {
                found: 99,
                known: 4,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_is_looked_at_while_it_is_in_use_and_when_it_is_not() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "words").await;
    store.accept(vec![update("2", "more")], None).await.unwrap();
    let check = || {
        let found = SqliteStore::inspect(&folder.path()).unwrap();
        assert_eq!((found.version, found.known_version), (4, 4));
        assert_eq!(found.damage, None);
        let content = found.content.unwrap();
        let counters = &content.counters;
        assert_eq!((counters.inbox_depth, counters.outbox_depth), (1, 1));
        assert_eq!(content.parked_parts, 0);
        assert!(content.oldest_part_ms.is_some() && content.newest_message_ms.is_some());
    };
    check();
    store.close().await;
    drop(store);
    check();

    folder.sqlite().pragma_update(None, "user_version", 99).unwrap();
    let found = SqliteStore::inspect(&folder.path()).unwrap();
    assert_eq!((found.version, found.content), (99, None));
    let missing = folder.path().with_file_name("missing.sqlite");
    let error = SqliteStore::inspect(&missing).unwrap_err().to_string();
    assert!(error.contains("missing.sqlite") && !missing.exists(), "{error}");
}

#[tokio::test]
async fn a_temporary_store_leaves_nothing() {
    let store = SqliteStore::open_temporary().unwrap();
    let dir = store.path().parent().unwrap().to_owned();
    ask(&store, "1", "words").await;
    assert_eq!(store.transcript(&chat(), 0, usize::MAX).await.unwrap().len(), 2);
    assert!(!dir.exists(), "nothing is left even if the process is killed now");
    // Readers find what was written since, and the log is written back, without any name.
    for number in 2..200 {
        ask(&store, &number.to_string(), "words").await;
    }
    store.delete_conversation(&chat(), "on request").await.unwrap();
    ask(&store, "again", "words").await;
    assert_eq!(store.transcript(&chat(), 0, usize::MAX).await.unwrap().len(), 2);
    store.close().await;
    assert!(!dir.exists());
}

#[tokio::test]
async fn closing_empties_the_log_and_ends_writing() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "words").await;
    store.close().await;
    let log = folder.path().with_extension("sqlite3-wal");
    assert!(std::fs::metadata(log).map_or(0, |it| it.len()) == 0);
    assert!(!store.is_healthy());
    let error = store.accept(vec![update("2", "x")], None).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Broken(reason) if reason == "it is closed"),
        "{error}"
    );
    store.close().await;
    assert_eq!(
        folder
            .store()
            .transcript(&chat(), 0, usize::MAX)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn an_idle_store_empties_its_log() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "words").await;
    let log = folder.path().with_extension("sqlite3-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    for _ in 0..100 {
        if std::fs::metadata(&log).unwrap().len() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the log was not emptied in 10 s");
}

#[tokio::test]
async fn deleted_words_are_in_no_file() {
    const SECRET: &str = "渗出性胸膜炎 canary-7391";
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", SECRET).await;
    store.accept(vec![update("2", SECRET)], None).await.unwrap();
    let holds_secret = || {
        std::fs::read_dir(folder.0.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(SECRET.len()).any(|it| it == SECRET.as_bytes())
        })
    };
    assert!(holds_secret());
    store.delete_conversation(&chat(), "on request").await.unwrap();
    store.close().await;
    assert!(!holds_secret());
}

#[tokio::test]
async fn counters_count() {
    let folder = Folder::new();
    let store = folder.store();
    assert_eq!(store.counters().await.unwrap(), StoreCounters::default());
    ask(&store, "1", "one").await;
    ask(&store, "2", "two").await;
    ask(&store, "3", "three").await;
    store
        .accept(
            vec![update("1", "one"), update("4", "four"), update("4", "four")],
            None,
        )
        .await
        .unwrap();
    let outcomes = [
        SendOutcome::Dead {
            reason: "blocked".to_owned(),
        },
        SendOutcome::Retry {
            after_ms: 0,
            may_have_arrived: true,
        },
        SendOutcome::Sent {
            message: PlatformMessageId("m".to_owned()),
        },
    ];
    for outcome in outcomes {
        let item = store.claim_part(&chat()).await.unwrap().unwrap();
        store.settle_part(&item.id, outcome).await.unwrap();
    }
    let found = store.counters().await.unwrap();
    assert!(found.inbox_oldest_ms.is_some_and(|it| it > 1_600_000_000_000));
    let expect = StoreCounters {
        inbox_depth: 1,
        inbox_oldest_ms: found.inbox_oldest_ms,
        outbox_depth: 1,
        outbox_pending: 1,
        outbox_oldest_ms: found.outbox_oldest_ms,
        unknown_sends: 1,
        dead_messages: 0,
        dead_parts: 1,
        duplicates_refused: 2,
        ..StoreCounters::default()
    };
    assert_eq!(found, expect);
    assert!(found.outbox_oldest_ms.is_some_and(|it| it > 1_600_000_000_000));

    store.claim_part(&chat()).await.unwrap().unwrap();
    let unknown = folder.store().counters().await.unwrap().unknown_sends;
    assert_eq!(unknown, 2, "an interrupted send counts too");
}

#[tokio::test]
async fn an_unreadable_message_holds_up_nobody() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "0", "sent").await;
    ask(&store, "1", "also sent").await;
    store
        .accept(vec![update("2", "two"), update("3", "three")], None)
        .await
        .unwrap();
    store.close().await;
    let sqlite = folder.sqlite();
    sqlite
        .execute(
            "UPDATE inbox SET body = '{\"platform\": 1}' WHERE ext_id = '2'",
            [],
        )
        .unwrap();
    sqlite
        .execute("UPDATE outbox SET body = 'nothing' WHERE inbox_seq = 1", [])
        .unwrap();
    drop(sqlite);

    let store = folder.store();
    assert_eq!(
        store.lease_next(&chat()).await.unwrap().unwrap().update.text(),
        Some("three")
    );
    assert_eq!(
        store.claim_part(&chat()).await.unwrap().unwrap().part.text,
        "also sent"
    );
    let counters = store.counters().await.unwrap();
    assert_eq!((counters.dead_messages, counters.dead_parts), (1, 1));
}

#[tokio::test]
async fn the_audit_log_is_a_chain() {
    let folder = Folder::new();
    let store = folder.store();
    assert_eq!(store.verify_audit().await.unwrap(), 0);
    assert_eq!(store.audit_head().await.unwrap().seq, 0);
    for number in 0..50 {
        store
            .audit("admin", "plugin enable", "triage", &number.to_string())
            .await
            .unwrap();
    }
    assert_eq!(store.verify_audit().await.unwrap(), 50);
    let head = store.audit_head().await.unwrap();
    store.close().await;

    let sqlite = folder.sqlite();
    for sql in [
        "UPDATE audit SET detail = '' WHERE seq = 7",
        "DELETE FROM audit WHERE seq = 7",
    ] {
        let error = sqlite.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    sqlite
        .execute_batch("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_shortened")
        .unwrap();
    drop(sqlite);
    let store = folder.store();
    assert_eq!(store.audit_head().await.unwrap(), head);
    store.close().await;

    let pristine = std::fs::read(folder.path()).unwrap();
    let check = async |sql: &str, expect: &str| {
        std::fs::write(folder.path(), &pristine).unwrap();
        folder.sqlite().execute_batch(sql).unwrap();
        let store = folder.store();
        let error: AuditError = store.verify_audit().await.unwrap_err();
        assert!(error.to_string().starts_with(expect), "{sql}: {error}");
        store.close().await;
    };
    check(
        "UPDATE audit SET detail = '8' WHERE seq = 7",
        "audit record 7 was changed",
    )
    .await;
    check(
        "UPDATE audit SET ts = ts + 1 WHERE seq = 50",
        "audit record 50 was changed",
    )
    .await;
    check(
        "UPDATE audit SET actor = 'admi', action = 'nplugin enable' WHERE seq = 3",
        "audit record 3 was",
    )
    .await;
    check(
        "UPDATE audit SET prev_hash = x'00' WHERE seq = 9",
        "audit record 9 was changed",
    )
    .await;
    check("DELETE FROM audit WHERE seq = 1", "audit record 1 is missing").await;
    check("DELETE FROM audit WHERE seq = 20", "audit record 20 is missing").await;
    check("DELETE FROM audit WHERE seq > 40", "audit record 41 is missing").await;
    check("DELETE FROM audit", "audit record 1 is missing").await;
}
