//! Durable accepts per second, alone and from many callers at once.
//!
//! `cargo run --release -p bedside-store --example store_bench [directory]`: the directory decides the disk.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_contract::{ConversationKey, Inbox, StoreError, Update, UpdateKind};
use bedside_store::SqliteStore;

const MESSAGES: usize = 8_192;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    println!("callers  accepts/s   p50 ms   p99 ms   max ms");
    for callers in [1, 8, 64, 256] {
        let dir = tempfile::tempdir_in(&parent)?;
        let store = SqliteStore::open(&dir.path().join("bedside.sqlite3"))?;
        let started = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| tokio::spawn(accept_many(Arc::clone(&store), caller, MESSAGES / callers)))
            .collect();
        let mut times = Vec::with_capacity(MESSAGES);
        for task in tasks {
            times.extend(task.await??);
        }
        let rate = MESSAGES as f64 / started.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{callers:7} {rate:10.0} {:8.2} {:8.2} {:8.2}",
            at(0.5),
            at(0.99),
            at(1.0)
        );
        store.close().await;
    }
    Ok(())
}

async fn accept_many(
    store: Arc<SqliteStore>,
    caller: usize,
    count: usize,
) -> Result<Vec<Duration>, StoreError> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let update = Update {
            platform: "web".to_owned(),
            bot: "main".to_owned(),
            external_id: format!("{caller}/{number}"),
            conversation: ConversationKey::new("web", "main", &caller.to_string()),
            sender: "17".to_owned(),
            language_hint: None,
            answer_in: None,
            kind: UpdateKind::Text {
                text: "x".repeat(600),
            },
        };
        let started = Instant::now();
        store.accept(vec![update], None).await?;
        times.push(started.elapsed());
    }
    Ok(times)
}
