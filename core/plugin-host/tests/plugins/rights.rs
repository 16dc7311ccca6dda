//! What plugins may not do: the host's permissions and the kernel's walls.

use std::{fs, net::TcpListener};

use bedside_plugin_host::SandboxPolicy;

use crate::support::{EVIL, Stage, assert_greets, eventually, ready, reply, say, status};

const HOOK: &str = "[hooks]\non_message = { priority = 1, deadline_ms = 3000 }\n";
const ALL: &str = "[permissions]\nstorage = { quota = \"20 B\" }\naudit = true\nmessage = true\njobs = true\n\
                   generate = { tokens_per_minute = 100 }\nembed = { texts_per_minute = 20 }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_granted_that_was_not_asked_for() {
    let needs = [
        "put x",
        "get",
        "list",
        "audit x",
        "send",
        "generate",
        "embed 1 query x",
        "progress",
    ];
    for trusted in [vec![], vec![EVIL.to_owned()]] {
        let host = Stage::new()
            .with_evil(HOOK)
            .config(|it| it.trusted = trusted.clone())
            .start();
        for deed in needs {
            let told = reply(&host, &format!("evil: {deed}")).await;
            assert!(
                told.contains("is not permitted") || told.contains("Denied"),
                "{deed}: {told}"
            );
            assert!(told.contains("plugin.toml does not ask for"), "{deed}: {told}");
        }
        assert_eq!(reply(&host, "evil: clock").await, "done");
        host.shutdown().await;
    }
    let all = ["storage", "message", "generate", "embed", "jobs", "audit"]
        .map(str::to_owned)
        .to_vec();
    let stage = Stage::new()
        .with_evil(&format!("{HOOK}{ALL}"))
        .config(|it| drop(it.deny.insert(EVIL.to_owned(), all)));
    let host = stage.start();
    for deed in needs {
        let told = reply(&host, &format!("evil: {deed}")).await;
        assert!(told.contains("plugins.deny"), "{deed}: {told}");
    }
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typo_in_deny_grants_nothing() {
    let denied = vec!["storge".to_owned()];
    let stage = Stage::new().with_evil(&format!("{HOOK}{ALL}"));
    let host = stage
        .config(|it| drop(it.deny.insert(EVIL.to_owned(), denied)))
        .start();
    let status = status(&host, EVIL);
    assert_eq!(status.state, "failed");
    assert!(
        status
            .last_problem
            .unwrap()
            .contains("\"storge\"; did you mean storage?")
    );
    assert_greets(&host).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_granted_works_within_its_limits() {
    let stage = Stage::new().with_evil(&format!("{HOOK}{ALL}")).embedder();
    let host = stage.start();
    let check = async |deed: &str, expect: &str| {
        let told = reply(&host, &format!("evil: {deed}")).await;
        assert!(told.contains(expect), "{deed}: {told}");
    };
    check("get", "Ok(None)").await;
    check("put 一二三", "done").await;
    check("get", "Ok(Some(\"一二三\"))").await;
    check("list", "Ok([\"key\"])").await;
    check("put 一二三四五六", "may keep 20 bytes").await;
    check("audit rebuilt", "done").await;
    check("send", "this bot does not have message.send").await;
    check("generate", "not possible now").await;
    check("progress", "no job is running").await;
    // The plugin adds up the first numbers of all vectors, then the second ones.
    check(
        "embed 2 passage 头疼三天",
        "lengths-1 gave 2 vectors; their sums are 8 and 2.",
    )
    .await;
    check(
        "embed 1 query ab",
        "lengths-1 gave 1 vectors; their sums are 2 and 0.",
    )
    .await;
    check("embed 0 query x", "lengths-1 gave 0 vectors").await;
    check("embed 1 both x", "purpose").await;
    check("embed 17 query x", "at most 16 texts").await;
    check(
        &format!("embed 1 query {}", "长".repeat(4001)),
        "at most 16 texts of at most 4000",
    )
    .await;
    check(
        &format!("embed 16 query {}", "长".repeat(4000)),
        "16 vectors; their sums are 64000 and 0.",
    )
    .await;
    // 20 texts a minute: 19 have been used.
    check("embed 2 query x", "texts_per_minute").await;
    let audited = stage.store.audited.lock().unwrap().clone();
    assert_eq!(
        audited,
        [["plugin:test.evil", "action", "target", "rebuilt"].map(str::to_owned)]
    );
    host.shutdown().await;
    let host = Stage::new().with_evil(&format!("{HOOK}{ALL}")).start();
    let told = reply(&host, "evil: embed 1 query x").await;
    assert!(told.contains("no embedding model"), "{told}");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_holds() {
    let stage = Stage::new().with_evil(HOOK);
    let host = stage.start();
    let status = ready(&host, EVIL).await;
    let check = async |deed: &str, expect: &str| {
        let told = reply(&host, &format!("evil: {deed}")).await;
        assert!(told.starts_with(expect), "{deed}: {told}");
    };
    check("environment", "0").await;
    check("own-read", "done").await;
    check("own-write", "done").await;
    check("thread-works", "done").await;
    if status.sandbox != "full" {
        let missing = host.inspect(EVIL).unwrap().sandbox_missing;
        println!(
            "not tested further, this kernel's sandbox is {}: {missing:?}",
            status.sandbox
        );
        return host.shutdown().await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let outside = stage.dir.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    let other = stage.folder("bedside.hello").join("plugin.toml");

    check("read /etc/shadow", "refused").await;
    check("read /etc/passwd", "refused").await;
    check("read /proc/1/environ", "refused").await;
    check(&format!("read {}", outside.display()), "refused").await;
    check(&format!("read {}", other.display()), "refused").await;
    check(&format!("write {}", outside.display()), "refused").await;
    check(
        &format!("write {}", stage.dir.path().join("new").display()),
        "refused",
    )
    .await;
    check("own-package", "refused").await;
    check(&format!("connect {address}"), "refused").await;
    check("listen", "refused").await;
    check("exec", "refused").await;
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert!(!stage.dir.path().join("new").exists());
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_required_sandbox_is_full_or_the_plugin_does_not_run() {
    let host = Stage::new()
        .with_evil(HOOK)
        .config(|it| it.sandbox = SandboxPolicy::Required)
        .start();
    let status = eventually(&host, EVIL, |it| it.state == "ready" || it.last_problem.is_some()).await;
    if status.sandbox == "full" {
        assert_greets(&host).await;
    } else {
        assert!(status.last_problem.unwrap().contains("sandbox = \"required\""));
        let (_, notes) = say(&host, "hello").await;
        assert!(!notes.is_empty());
    }
    host.shutdown().await;
}
