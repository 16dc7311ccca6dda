//! kill -9 at random moments: nothing that was acknowledged may be lost, doubled or put out of order.
//!
//! The child works on a store and notes each acknowledgement in a file; the parent kills it, opens the store
//! and compares. The negative control is the same child on a store that acknowledges before the commit.

mod checker;

use std::{
    fs::{File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_contract::{
    ConversationKey, FinishedTurn, InboxSeq, Language, Part, PlatformMessageId, Provenance, SendOutcome,
    Store, SystemClock, Turn, TurnState, Update, UpdateKind,
};

use super::{SqliteStore, writer::Sabotage};
use checker::Checker;

const KILLS: usize = 40;
const CHATS: usize = 3;
const CHILD: &str = "BEDSIDE_STORE_CRASH_CHILD";
const UNSAFE: &str = "BEDSIDE_STORE_CRASH_UNSAFE";

#[test]
fn nothing_acknowledged_is_lost() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return work_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut checker = Checker::default();
    for kill in 0..KILLS {
        run_and_kill(dir.path(), kill, "nothing_acknowledged_is_lost", false);
        // Opening is the recovery; the checker then reads what it left.
        close(SqliteStore::open(&store_path(dir.path())).unwrap());
        checker.note(&log_path(dir.path(), kill));
        let violations = checker.violations(&store_path(dir.path()));
        assert_eq!(violations, [""; 0], "after kill {kill}");
    }
    assert!(
        checker.acknowledged() > KILLS * 10,
        "only {} acknowledged: no load",
        checker.acknowledged()
    );

    drain(dir.path(), KILLS);
    checker.note(&log_path(dir.path(), KILLS));
    assert_eq!(checker.violations(&store_path(dir.path())), [""; 0]);
    assert_eq!(checker.unended(&store_path(dir.path())), [""; 0]);
}

#[test]
fn a_store_that_acknowledges_too_early_is_caught() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return work_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut checker = Checker::default();
    let caught = (0..KILLS).any(|kill| {
        run_and_kill(
            dir.path(),
            kill,
            "a_store_that_acknowledges_too_early_is_caught",
            true,
        );
        close(SqliteStore::open(&store_path(dir.path())).unwrap());
        checker.note(&log_path(dir.path(), kill));
        checker
            .violations(&store_path(dir.path()))
            .iter()
            .any(|it| it.contains("lost"))
    });
    assert!(caught, "{KILLS} kills and the checker saw no loss");
}

fn store_path(dir: &Path) -> PathBuf {
    dir.join("bedside.sqlite3")
}

fn log_path(dir: &Path, round: usize) -> PathBuf {
    dir.join(format!("acknowledged-{round}"))
}

fn close(store: Arc<SqliteStore>) {
    runtime().block_on(store.close());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn run_and_kill(dir: &Path, round: usize, test: &str, is_unsafe: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            &format!("sqlite::crash_test::{test}"),
            "--test-threads=1",
        ])
        .env(CHILD, dir)
        .env("BEDSIDE_STORE_CRASH_ROUND", round.to_string())
        .stdout(Stdio::null());
    if is_unsafe {
        command.env(UNSAFE, "1");
    }
    let mut child = command.spawn().unwrap();
    let log = log_path(dir, round);
    let started = Instant::now();
    while std::fs::metadata(&log).map_or(0, |it| it.len()) == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the child acknowledged nothing"
        );
        assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_micros(
        RandomState::new().hash_one(round) % 100_000,
    ));
    assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn work_until_killed(dir: &Path) {
    let round: usize = std::env::var("BEDSIDE_STORE_CRASH_ROUND")
        .unwrap()
        .parse()
        .unwrap();
    let sabotage = Sabotage {
        acknowledge_before_commit: std::env::var_os(UNSAFE).is_some(),
        ..Sabotage::default()
    };
    let store = SqliteStore::open_with(&store_path(dir), Arc::new(SystemClock), sabotage).unwrap();
    let log = Log::create(&log_path(dir, round));
    runtime().block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..CHATS {
            let (accepting, answering, sending) =
                (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
            let logs = (Arc::clone(&log), Arc::clone(&log), Arc::clone(&log));
            tasks.spawn(async move { accept_forever(&*accepting, &logs.0, number, round).await });
            tasks.spawn(async move {
                while answer_one(&*answering, &logs.1, number).await.is_some() || idle().await {}
            });
            tasks.spawn(async move {
                while send_one(&*sending, &logs.2, number).await.is_some() || idle().await {}
            });
        }
        // A task ends only by a failed assertion.
        tasks.join_next().await.unwrap().unwrap();
    });
}

/// Works off all that is left, without a kill.
fn drain(dir: &Path, round: usize) {
    let store = SqliteStore::open(&store_path(dir)).unwrap();
    let log = Log::create(&log_path(dir, round));
    runtime().block_on(async {
        for number in 0..CHATS {
            while answer_one(&*store, &log, number).await.is_some() {}
            while send_one(&*store, &log, number).await.is_some() {}
        }
        store.close().await;
    });
}

async fn idle() -> bool {
    tokio::time::sleep(Duration::from_micros(300)).await;
    true
}

/// One line for each acknowledgement, in one write each: what a killed process wrote stays in the file.
struct Log(File);

impl Log {
    fn create(path: &Path) -> Arc<Self> {
        Arc::new(Self(
            OpenOptions::new().create(true).append(true).open(path).unwrap(),
        ))
    }

    fn note(&self, line: String) {
        (&self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

fn chat(number: usize) -> ConversationKey {
    ConversationKey::new("web", "main", &number.to_string())
}

fn parts_of(seq: InboxSeq) -> i64 {
    seq.0 % 3 + 1
}

async fn accept_forever(store: &dyn Store, log: &Log, number: usize, round: usize) {
    for count in 0.. {
        let external_id = format!("{number}-{round}-{count}");
        let update = Update {
            platform: "web".to_owned(),
            bot: "main".to_owned(),
            external_id: external_id.clone(),
            conversation: chat(number),
            sender: "17".to_owned(),
            language_hint: None,
            answer_in: None,
            kind: UpdateKind::Text {
                text: external_id.clone(),
            },
        };
        for delivery in 0..=count % 2 {
            let receipt = store.accept(vec![update.clone()], None).await.unwrap()[0];
            assert_eq!(receipt.duplicate, delivery == 1);
            log.note(format!("accepted {external_id} {}", receipt.seq));
        }
        // About as fast as they are answered, so that all queues are in use.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn answer_one(store: &dyn Store, log: &Log, number: usize) -> Option<()> {
    let item = store.lease_next(&chat(number)).await.unwrap()?;
    let seq = item.seq;
    log.note(format!("leased {seq} {}", item.attempts));
    let finished = FinishedTurn {
        seq,
        conversation: chat(number),
        state: TurnState::Done,
        turns: vec![
            Turn::patient(format!("turn of {seq}")),
            Turn::bot(format!("turn of {seq}"), Provenance::default()),
        ],
        parts: (0..parts_of(seq))
            .map(|it| Part::notice(Language::En, format!("{seq}/{it}")))
            .collect(),
        urgent: false,
        settings: None,
        reset: false,
    };
    assert!(store.finish(finished).await.unwrap());
    log.note(format!("finished {seq}"));
    Some(())
}

async fn send_one(store: &dyn Store, log: &Log, number: usize) -> Option<()> {
    let item = store.claim_part(&chat(number)).await.unwrap()?;
    log.note(format!("claimed {} {}", item.id.0, item.attempts));
    // The platform has it from here on, whether we live to hear of it or not.
    log.note(format!("delivered {} {} {}", item.id.0, number, item.part.text));
    let message = PlatformMessageId(format!("m-{}", item.id.0));
    store
        .settle_part(&item.id, SendOutcome::Sent { message })
        .await
        .unwrap();
    log.note(format!("sent {}", item.id.0));
    Some(())
}
