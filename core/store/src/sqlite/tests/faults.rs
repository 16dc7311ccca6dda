//! What the writer does when the disk, an operation or another program fails it.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc, time::Duration};

use bedside_contract::{AuditLog, Inbox, Room, StoreError, StoreHealth, SystemClock, Transcripts};

use super::{Folder, ask, chat, update};
use crate::{
    space::StoreConfig,
    sqlite::{SqliteStore, error::OperationError, writer::Sabotage},
};

#[tokio::test]
async fn a_full_disk_ends_writing_but_not_reading() {
    let folder = Folder::new();
    let full = Sabotage {
        max_pages: Some(60),
        ..Sabotage::default()
    };
    let store = SqliteStore::open_with(&folder.path(), Arc::new(SystemClock), full).unwrap();
    let mut accepted = 0;
    let error = loop {
        match store
            .accept(vec![update(&format!("{accepted}"), &"x".repeat(3000))], None)
            .await
        {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, StoreError::Broken(reason) if reason.contains("full")),
        "{error}"
    );
    assert!(accepted > 5, "{accepted}");
    assert!(!store.is_healthy());
    let error = store.audit("a", "b", "c", "d").await.unwrap_err();
    assert!(
        matches!(error, StoreError::Broken(_)),
        "even what would fit: {error}"
    );
    assert_eq!(
        store.transcript(&chat(), 0, usize::MAX).await.unwrap().len(),
        accepted
    );
    drop(store);

    let store = folder.store();
    assert_eq!(
        store.transcript(&chat(), 0, usize::MAX).await.unwrap().len(),
        accepted,
        "with room all is as acknowledged"
    );
    store.accept(vec![update("later", "x")], None).await.unwrap();
}

/// Accepts long messages until one is refused: how many were taken, and why no more.
async fn fill(store: &SqliteStore, prefix: &str) -> (usize, StoreError) {
    let mut accepted = 0;
    loop {
        let long = update(&format!("{prefix}{accepted}"), &"x".repeat(3000));
        match store.accept(vec![long], None).await {
            Ok(_) => accepted += 1,
            Err(error) => return (accepted, error),
        }
    }
}

#[tokio::test]
async fn a_full_disk_with_a_reserve_undoes_what_does_not_fit_and_goes_on() {
    let folder = Folder::new();
    let full = Sabotage {
        max_pages: Some(60),
        ..Sabotage::default()
    };
    let store = SqliteStore::open_with(&folder.path(), Arc::new(SystemClock), full).unwrap();
    store.watch_space(&StoreConfig { min_free_mib: 0 }).unwrap();
    let reserve = folder.path().with_file_name("reserve");
    assert!(reserve.exists() && store.room() == Room::Enough);

    let (accepted, error) = fill(&store, "a").await;
    assert!(
        matches!(&error, StoreError::Failed(reason) if reason.contains("full")),
        "{error}"
    );
    assert!(store.is_healthy() && !reserve.exists());
    assert_eq!(store.room(), Room::Reserve);

    // What the reserve gave back.
    let more = store.writer.run(|connection| {
        connection.pragma_update_and_check(None, "max_page_count", 90, |_| Ok(()))?;
        Ok::<_, OperationError>(())
    });
    more.await.unwrap();
    ask(&store, "open", "words").await;
    let (later, error) = fill(&store, "b").await;
    assert!(
        matches!(&error, StoreError::Broken(_)),
        "there is no second reserve: {error}"
    );
    assert!(!store.is_healthy());
    assert_eq!(
        store.transcript(&chat(), 0, usize::MAX).await.unwrap().len(),
        accepted + 2 + later,
        "all that was acknowledged, and nothing else"
    );
}

/// Fills the beginning of a table's or index's first page with rubbish, as a failing disk might.
fn spoil(folder: &Folder, name: &str) {
    let page: u64 = folder
        .sqlite()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?1",
            [name],
            |row| row.get::<_, i64>(0),
        )
        .unwrap()
        .try_into()
        .unwrap();
    let file = File::options().write(true).open(folder.path()).unwrap();
    file.write_all_at(&[0xa5; 100], (page - 1) * 4096).unwrap();
}

#[tokio::test]
async fn a_damaged_page_that_a_reader_meets_ends_writing_and_the_next_start_names_it() {
    for name in ["said", "said_by_chat", "inbox"] {
        let folder = Folder::new();
        let store = folder.store();
        ask(&store, "1", "a secret word").await;
        store.close().await;
        drop(store);
        let store = folder.store();
        spoil(&folder, name);
        assert!(store.is_healthy(), "nobody has read it yet");
        let error = store.transcript(&chat(), 0, 10).await.unwrap_err();
        assert!(!store.is_healthy(), "{name}: {error}");
        let error = store.accept(vec![update("2", "x")], None).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Broken(reason) if reason.starts_with("read: ")),
            "{name}: {error}"
        );
        drop(store);

        let error = SqliteStore::open(&folder.path()).err().unwrap();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{name}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        let found = SqliteStore::inspect(&folder.path()).unwrap();
        assert!(found.damage.is_some() && found.content.is_none(), "{found:?}");
    }
}

#[tokio::test]
async fn a_failed_operation_fails_alone() {
    let folder = Folder::new();
    let store = folder.store();
    let insert = |name: &str, fails: bool| {
        let name = name.to_owned();
        store.writer.run(move |connection| {
            // Long enough for the others to wait, so that they become one group.
            std::thread::sleep(Duration::from_micros(200));
            connection.execute("INSERT INTO meta VALUES (?1, 1)", [&name])?;
            if fails {
                connection.execute("INSERT INTO meta VALUES ('epoch', 1)", [])?;
            }
            Ok::<_, OperationError>(())
        })
    };
    let (one, two, three, four) = tokio::join!(
        insert("1", false),
        insert("2", true),
        insert("3", false),
        insert("4", true)
    );
    assert!(one.is_ok() && three.is_ok());
    for failed in [two, four] {
        let error = failed.unwrap_err();
        assert!(
            matches!(&error, StoreError::Failed(reason) if reason.contains("UNIQUE constraint")),
            "{error}"
        );
    }
    assert!(store.is_healthy());
    let names: String = folder
        .sqlite()
        .query_row(
            "SELECT GROUP_CONCAT(name) FROM meta WHERE name BETWEEN '1' AND '9'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(names, "1,3");
}

#[tokio::test]
async fn a_failed_commit_acknowledges_nothing() {
    let folder = Folder::new();
    let store = folder.store();
    let good = store.writer.run(|connection| {
        connection.execute("INSERT INTO meta VALUES ('good', 1)", [])?;
        Ok::<_, OperationError>(())
    });
    // Breaks a foreign key that is checked at the commit only.
    let bad = store.writer.run(|connection| {
        connection.execute_batch(
            "PRAGMA defer_foreign_keys = ON; INSERT INTO said (chat_key, inbox_seq) VALUES ('a', 99)",
        )?;
        Ok::<_, OperationError>(())
    });
    let (good, bad) = tokio::join!(good, bad);
    let error = bad.unwrap_err();
    assert!(
        matches!(&error, StoreError::Broken(reason) if reason.starts_with("commit: ")),
        "{error}"
    );
    assert!(!store.is_healthy());
    let good_is_there: bool = folder
        .sqlite()
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'good')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(good.is_ok(), good_is_there, "the whole group shares its commit");
}

#[tokio::test]
async fn a_panic_ends_writing() {
    let folder = Folder::new();
    let store = folder.store();
    ask(&store, "1", "words").await;
    let error = store
        .writer
        .run::<()>(|_| panic!("a test's panic"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)), "{error}");
    let error = store.accept(vec![update("2", "x")], None).await.unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)), "{error}");
    assert!(!store.is_healthy());
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
async fn another_programs_write_is_waited_for() {
    let folder = Folder::new();
    let store = folder.store();
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut accept = store.accept(vec![update("1", "x")], None);
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut accept)
        .await
        .is_err();
    assert!(waits, "nothing is acknowledged meanwhile");
    other.execute_batch("COMMIT").unwrap();
    assert!(!accept.await.unwrap()[0].duplicate);
    assert!(store.is_healthy());
}

#[tokio::test]
async fn work_whose_caller_went_away_is_left_out() {
    let folder = Folder::new();
    let store = folder.store();
    let other = folder.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut first = store.accept(vec![update("1", "x")], None);
    let mut second = store.accept(vec![update("2", "x")], None);
    for accept in [&mut first, &mut second] {
        assert!(
            tokio::time::timeout(Duration::from_millis(50), accept)
                .await
                .is_err()
        );
    }
    drop(second);
    other.execute_batch("COMMIT").unwrap();
    first.await.unwrap();
    assert_eq!(store.transcript(&chat(), 0, usize::MAX).await.unwrap().len(), 1);
}
