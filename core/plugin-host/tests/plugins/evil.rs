//! Whatever a plugin does, the bot answers.

use std::time::{Duration, Instant};

use bedside_contract::{MessageVerdict, PluginNote, Plugins};
use futures::future::join_all;

use crate::support::{
    EVIL, Running, Stage, assert_greets, eventually, facts, ready, reply, runners, say, status,
};

const FIRST: &str = "[hooks]\non_message = { priority = 1, deadline_ms = 3000 }";

/// One deed of a plugin in a child process, and the words that the operator gets.
async fn check(deed: &str, words: &str) {
    let host = Stage::new().with_evil(FIRST).start();
    ready(&host, EVIL).await;
    let (verdict, notes) = say(&host, &format!("evil: {deed}")).await;
    assert_eq!(verdict, MessageVerdict::Continue, "{deed}");
    assert_told(deed, &notes, words);
    assert_greets(&host).await;
    let status = eventually(&host, EVIL, |it| it.state == "ready" && it.restarts == 1).await;
    assert!(status.last_problem.unwrap().contains(words), "{deed}");
    assert_eq!(
        reply(&host, "evil: clock").await,
        "done",
        "{deed}: it works again"
    );
    host.shutdown().await;
}

fn assert_told(deed: &str, notes: &[PluginNote], words: &str) {
    let [note] = notes else {
        panic!("{deed}: {notes:?}")
    };
    assert_eq!(
        (note.plugin.as_str(), note.hook.as_str()),
        (EVIL, "on_message"),
        "{deed}"
    );
    assert!(note.problem.contains(words), "{deed}: {}", note.problem);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_end_one_child_only() {
    let deeds = [
        ("panic", "panicked at tests/plugins/evil/src/lib.rs:"),
        ("drop", "panicked at tests/plugins/evil/src/lib.rs:"),
        ("abort", "ended by SIGABRT"),
        ("exit", "exited with code 3"),
        ("null", "ended by SIG"),
        ("overflow", "ended by SIG"),
        ("allocate", "ended by SIGABRT"),
        ("loop", "no answer within 3s"),
    ];
    join_all(deeds.map(|(deed, words)| check(deed, words))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_refused() {
    let deeds = [
        ("large", "an answer longer than 8 MiB"),
        ("no json", "not what this hook answers"),
        ("no utf8", "not what this hook answers"),
        ("nothing", "not what this hook answers"),
        ("null answer", "not what this hook answers"),
        ("garbage", "spoke nonsense"),
    ];
    join_all(deeds.map(|(deed, words)| check(deed, words))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_and_threads_do_no_harm() {
    let host = Stage::new()
        .with_evil("[hooks]\non_message = { priority = 1, deadline_ms = 20000 }")
        .start();
    for deed in ["print", "thread", "log"] {
        let (verdict, notes) = say(&host, &format!("evil: {deed}")).await;
        assert_eq!((verdict, notes), (MessageVerdict::Continue, vec![]), "{deed}");
        assert_greets(&host).await;
    }
    let (_, notes) = say(&host, "evil: status").await;
    assert_told("status", &notes, "unknown status");
    assert_eq!(status(&host, EVIL).restarts, 0);
    host.shutdown().await;
    assert!(runners().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_failures_bring_quarantine() {
    let stage = Stage::new().with_evil(FIRST).config(|it| {
        it.settings
            .insert(EVIL.to_owned(), serde_json::json!({ "start": "fail" }));
    });
    let host = stage.start();
    assert_greets(&host).await;
    let status = eventually(&host, EVIL, |it| it.state == "quarantined").await;
    assert_eq!(status.restarts, 4);
    assert_eq!(status.last_problem.unwrap(), "could not start: asked to fail");
    let (_, notes) = say(&host, "evil: clock").await;
    assert_told("quarantine", &notes, "quarantined");
    assert_greets(&host).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_start_is_told_in_words() {
    let check = |settings: serde_json::Value, words: &'static str| async move {
        let stage = Stage::new().with_evil(&format!("{FIRST}\n[limits]\nstart_seconds = 1"));
        let host = stage
            .config(|it| drop(it.settings.insert(EVIL.to_owned(), settings)))
            .start();
        assert_greets(&host).await;
        let status = eventually(&host, EVIL, |it| it.last_problem.is_some()).await;
        assert!(
            status.last_problem.as_ref().unwrap().contains(words),
            "{status:?}"
        );
        host.shutdown().await;
    };
    tokio::join!(
        check(
            serde_json::json!({ "start": "panic" }),
            "panicked at tests/plugins/evil"
        ),
        check(serde_json::json!({ "start": "hang" }), "not ready within 1 s"),
        check(serde_json::json!({ "strat": "fail" }), "unknown field `strat`"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_safety_plugin_that_fails_stops_the_answer() {
    let hook = "[hooks]\non_message = { priority = 1, on_failure = \"refuse\" }";
    let host = Stage::new().with_evil(hook).start();
    ready(&host, EVIL).await;
    let refused = MessageVerdict::Refuse {
        plugin: EVIL.to_owned(),
    };
    assert_eq!(say(&host, "evil: abort").await.0, refused);
    assert_eq!(say(&host, "hello").await.0, refused, "while it is down");
    eventually(&host, EVIL, |it| it.state == "ready" && it.restarts == 1).await;
    assert_greets(&host).await;
    host.shutdown().await;

    let stage = Stage::new()
        .with_evil(FIRST)
        .config(|it| it.refuse_on_failure.push(EVIL.to_owned()));
    let host = stage.start();
    assert_eq!(say(&host, "evil: abort").await.0, refused, "the operator's word");
    host.shutdown().await;
}

async fn trusted() -> Running {
    let host = Stage::new()
        .with_evil(FIRST)
        .config(|it| it.trusted.push(EVIL.to_owned()))
        .start();
    let status = ready(&host, EVIL).await;
    assert_eq!(
        (status.place.as_str(), status.sandbox.as_str()),
        ("in-process (trusted)", "none")
    );
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_plugin_may_panic() {
    let host = trusted().await;
    for deed in ["panic", "drop"] {
        let restarts = status(&host, EVIL).restarts;
        let (_, notes) = say(&host, &format!("evil: {deed}")).await;
        assert_told(deed, &notes, "panicked at");
        assert_greets(&host).await;
        eventually(&host, EVIL, |it| {
            it.state == "ready" && it.restarts == restarts + 1
        })
        .await;
    }
    assert_eq!(reply(&host, "evil: clock").await, "done");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_plugin_that_hangs_is_not_called_again() {
    let host = trusted().await;
    let (_, notes) = say(&host, "evil: loop").await;
    assert_told("loop", &notes, "no answer within");
    let status = eventually(&host, EVIL, |it| it.state == "failed").await;
    assert_eq!(status.restarts, 0);
    let start = Instant::now();
    let (_, notes) = say(&host, "evil: clock").await;
    assert_told("after", &notes, "hung");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_greets(&host).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_host_leaves_no_process() {
    let stage = Stage::new().with_evil(FIRST);
    let host = stage.start();
    ready(&host, EVIL).await;
    assert_greets(&host).await;
    assert_eq!(runners().len(), 2);
    let looping = tokio::spawn({
        let host = host.host.clone();
        async move { host.on_message(&facts("evil: loop")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    looping.abort();
    let _ = looping.await;
    drop(host);
    let start = Instant::now();
    while !runners().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", runners());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
