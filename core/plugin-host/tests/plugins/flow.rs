//! Hooks in order, commands, jobs, and what the operator sees.

use std::{
    fs,
    time::{Duration, Instant},
};

use bedside_contract::{AnswerVerdict, ConversationKey, Language, MessageVerdict, Plugins, Prompt};
use bedside_plugin_api::msg::Job;

use crate::support::{EVIL, Stage, assert_greets, eventually, facts, head, ready, reply, say, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_greets_in_both_places() {
    for trusted in [vec![], vec!["bedside.hello".to_owned()]] {
        let host = Stage::new().config(|it| it.trusted = trusted.clone()).start();
        assert_greets(&host).await;
        assert_eq!(reply(&host, "你好").await, "你好！有什么可以帮您？");
        assert_eq!(
            say(&host, "my head hurts").await,
            (MessageVerdict::Continue, vec![])
        );
        host.shutdown().await;
        let (verdict, notes) = say(&host, "hello").await;
        assert_eq!(verdict, MessageVerdict::Continue);
        assert!(notes[0].problem.contains("stopped"), "{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hook_takes_its_way() {
    let hooks = "[hooks]\non_message = {}\naugment_prompt = {}\nchoose_adapter = {}\non_answer = { may_withhold = true }";
    let host = Stage::new().with_evil(hooks).start();
    let facts = facts("evil words");
    let (augmented, notes) = host.augment_prompt(&facts, &Prompt::default()).await;
    assert_eq!(notes, []);
    assert_eq!(
        (
            augmented.instructions[0].from.as_str(),
            augmented.instructions[0].text.as_str()
        ),
        (EVIL, "Be evil.")
    );
    let passage = &augmented.passages[0];
    assert_eq!(
        (passage.language, passage.score, passage.disposition),
        (Language::En, 1.0, None),
        "made harmless"
    );
    assert_eq!(
        host.choose_adapter(&facts).await,
        (Some("evil".to_owned()), vec![])
    );

    assert!(host.may_withhold());
    let words = "evil words".to_owned();
    let plugin = EVIL.to_owned();
    for (answer, expect) in [
        ("fine", AnswerVerdict::Pass),
        (
            "append",
            AnswerVerdict::Append {
                texts: vec![words.clone()],
            },
        ),
        (
            "replace",
            AnswerVerdict::Replace {
                text: words.clone(),
                plugin: plugin.clone(),
            },
        ),
        (
            "withhold",
            AnswerVerdict::Withhold {
                reason: words,
                plugin,
            },
        ),
    ] {
        assert_eq!(
            host.on_answer(&facts, answer, &[]).await,
            (expect, vec![]),
            "{answer}"
        );
    }
    let (verdict, notes) = host.on_answer(&facts, "error", &[]).await;
    assert_eq!(verdict, AnswerVerdict::Pass);
    assert_eq!(
        notes[0].problem, "on_answer: failed",
        "a plugin's words may be the patient's"
    );
    assert_eq!(status(&host, EVIL).last_problem.unwrap(), "on_answer: failed");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withholding_is_the_manifests_word() {
    let host = Stage::new().with_evil("[hooks]\non_answer = {}").start();
    assert!(!host.may_withhold());
    let (verdict, notes) = host.on_answer(&facts("x"), "replace", &[]).await;
    assert_eq!(verdict, AnswerVerdict::Pass);
    assert!(notes[0].problem.contains("may_withhold"), "{notes:?}");
    let (verdict, _) = host.on_answer(&facts("x"), "withhold", &[]).await;
    assert!(
        matches!(verdict, AnswerVerdict::Withhold { .. }),
        "silence is heeded all the same"
    );
    host.shutdown().await;

    let host = Stage::new()
        .with_evil("[hooks]\non_answer = { on_failure = \"refuse\" }")
        .start();
    assert!(host.may_withhold(), "its failure withholds");
    let (verdict, _) = host.on_answer(&facts("x"), "error", &[]).await;
    assert!(matches!(verdict, AnswerVerdict::Withhold { .. }));
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_hooks_are_called() {
    let host = Stage::new().with_evil("[hooks]\non_answer = {}").start();
    ready(&host, EVIL).await;
    assert_eq!(
        say(&host, "evil: panic").await,
        (MessageVerdict::Continue, vec![])
    );
    assert_eq!(host.choose_adapter(&facts("x")).await, (None, vec![]));
    assert_eq!(status(&host, EVIL).restarts, 0);
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_the_library_lacks_is_told_once() {
    let library = "libbedside_plugin_hello.so";
    let manifest = format!("{}[hooks]\nchoose_adapter = {{}}", head("test.mute", library));
    let host = Stage::new().put("test.mute", library, &manifest).start();
    let (adapter, notes) = host.choose_adapter(&facts("x")).await;
    assert_eq!(adapter, None);
    assert!(
        notes[0].problem.contains("the library does not have it"),
        "{notes:?}"
    );
    assert_eq!(host.choose_adapter(&facts("x")).await, (None, vec![]));
    assert_eq!(status(&host, "test.mute").state, "ready");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_are_opaque_and_stable() {
    let stage = Stage::new().with_evil("[hooks]\non_message = { priority = 1 }");
    let host = stage.start();
    let id = reply(&host, "evil: conversation").await;
    assert_eq!(id.len(), 32);
    assert_eq!(reply(&host, "evil: conversation").await, id);
    let mut other = facts("evil: conversation");
    other.conversation = ConversationKey::new("web", "page", "2");
    let (MessageVerdict::Reply { text, .. }, _) = host.on_message(&other).await else {
        panic!("no reply")
    };
    assert_ne!(text, id);
    host.shutdown().await;
    let host = stage.start();
    assert_eq!(reply(&host, "evil: conversation").await, id, "after a restart");
    host.shutdown().await;
}

const COMMANDS: &str = r#"
[permissions]
generate = { tokens_per_minute = 60 }
[[commands]]
name = "say"
help = { en = "Says it", zh = "说" }
[[commands]]
name = "fail"
help = { en = "Fails", zh = "失败" }
staff_only = true
[[commands]]
name = "generate"
help = { en = "Asks the model", zh = "问模型" }
[[commands]]
name = "contacts"
help = { en = "Tells the hospital's numbers", zh = "医院的电话" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_from_chat_and_shell() {
    let host = Stage::new().with_evil(COMMANDS).generator("echo: ").start();
    let offered: Vec<_> = host
        .commands()
        .into_iter()
        .map(|it| (it.name, it.help_zh, it.staff_only))
        .collect();
    assert!(offered.contains(&("fail".to_owned(), "失败".to_owned(), true)));
    let facts = facts("/say");
    assert_eq!(host.command("say", "hi", &facts).await, Ok("say hi".to_owned()));
    assert_eq!(
        host.command("contacts", "", &facts).await,
        Ok("999 2389 2222".to_owned())
    );
    assert_eq!(
        host.command("fail", "", &facts).await,
        Err("as you wished".to_owned())
    );
    assert_eq!(
        host.command("nothing", "", &facts).await,
        Err("There is no command /nothing.".to_owned())
    );
    assert_eq!(
        host.run_command(EVIL, "say", "hi", true).await.unwrap().text,
        "say hi"
    );
    assert!(
        host.run_command(EVIL, "sayy", "", true)
            .await
            .unwrap_err()
            .contains("did you mean say?")
    );
    assert!(
        host.run_command("test.evl", "say", "", true)
            .await
            .unwrap_err()
            .contains("did you mean test.evil?")
    );

    // 60 tokens a minute: 40 are asked for and 10 used, so two fit, and then too few are left.
    for _ in 0..3 {
        assert_eq!(
            host.command("generate", "hi", &facts).await,
            Ok("echo: hi".to_owned())
        );
    }
    assert!(
        host.command("generate", "hi", &facts)
            .await
            .unwrap_err()
            .contains("did not work")
    );
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_beside_the_hooks() {
    let rights =
        "[hooks]\non_message = { priority = 1 }\n[permissions]\njobs = true\nstorage = { quota = \"1 KiB\" }";
    let stage = Stage::new().with_evil(rights);
    let host = stage.start();
    let job = |name: &str| Job {
        id: "7".to_owned(),
        name: name.to_owned(),
        ..Job::default()
    };
    let ten = host.run_job(EVIL, job("ten steps")).unwrap();
    assert_eq!(ten.result().await.unwrap().summary, "done");

    let endless = host.run_job(EVIL, job("endless")).unwrap();
    let start = Instant::now();
    while endless.progress().done < 0.2 {
        assert!(start.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(reply(&host, "evil: clock").await, "done", "while the job runs");
    endless.cancel();
    assert_eq!(endless.result().await.unwrap().summary, "cancelled");

    let crash = host
        .run_job(EVIL, job("crash"))
        .unwrap()
        .result()
        .await
        .unwrap_err();
    assert!(crash.contains("SIGABRT"), "{crash}");
    let cancelled = stage
        .store
        .kept
        .lock()
        .unwrap()
        .get(&(EVIL.to_owned(), "cancelled".to_owned()))
        .cloned();
    assert_eq!(cancelled.unwrap(), b"\"7\"", "the plugin was told to clean up");
    assert_eq!(status(&host, EVIL).restarts, 0);
    assert!(
        host.run_job("bedside.hello", job("x"))
            .err()
            .unwrap()
            .contains("jobs = true")
    );
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_is_told_and_the_rest_runs() {
    let library = "libbedside_plugin_hello.so";
    let stage = Stage::new()
        .put("test.manifest", library, "[plugin]\nidd = 1")
        .put(
            "test.missing",
            library,
            &format!(
                "{}[hooks]\non_message = {{}}",
                head("test.missing", "libmissing.so")
            ),
        )
        .put(
            "test.text",
            library,
            &format!("{}[hooks]\non_message = {{}}", head("test.text", "text.so")),
        )
        .put("test.off", library, &head("test.off", library))
        .config(|it| it.disabled.push("test.off".to_owned()));
    fs::write(stage.folder("test.text").join("text.so"), "no library").unwrap();
    let host = stage.start();
    assert_greets(&host).await;
    for (id, words) in [
        ("test.manifest", "idd"),
        ("test.missing", "libmissing.so: No such file"),
        ("test.text", "no shared library"),
    ] {
        let status = eventually(&host, id, |it| it.last_problem.is_some()).await;
        assert!(
            status.last_problem.unwrap().contains(words),
            "{id}: {:?}",
            host.list()
        );
    }
    assert_eq!(status(&host, "test.off").state, "disabled");
    let ids: Vec<_> = host.status().into_iter().map(|it| it.id).collect();
    assert_eq!(
        ids,
        [
            "bedside.hello",
            "test.manifest",
            "test.missing",
            "test.off",
            "test.text"
        ]
    );

    let inspection = host.inspect("bedside.hello").unwrap();
    assert_eq!(inspection.library.as_ref().unwrap().abi, "0.1");
    assert!(serde_json::to_string(&inspection).unwrap().contains("问候"));
    assert!(host.inspect("test.off").unwrap_err().contains("disabled"));
    host.shutdown().await;

    let none = Stage::new().config(|it| it.enabled = false).start();
    assert_eq!(say(&none, "hello").await, (MessageVerdict::Continue, vec![]));
    assert_eq!(none.list(), []);
}

/// Figures for the design's table; the bounds only catch what is broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_stay_small() {
    for (place, trusted) in [
        ("child", vec![]),
        ("in-process", vec!["bedside.hello".to_owned()]),
    ] {
        let start = Instant::now();
        let host = Stage::new().config(|it| it.trusted = trusted).start();
        say(&host, "warm up").await;
        let started = start.elapsed();
        let mut times = Vec::new();
        for _ in 0..2000 {
            let start = Instant::now();
            say(
                &host,
                "my head has been hurting for three days, what should I do?",
            )
            .await;
            times.push(start.elapsed());
        }
        times.sort();
        let (median, late) = (times[1000], times[1980]);
        println!("{place}: start to first answer {started:?}, hook call p50 {median:?}, p99 {late:?}");
        assert!(median < Duration::from_millis(20), "{median:?}");
        host.shutdown().await;
    }
}
