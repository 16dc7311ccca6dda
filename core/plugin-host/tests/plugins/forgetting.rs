//! A deleted conversation: what the host deletes itself, and what plugins are told until they have acknowledged it.

use std::{fs, path::PathBuf, time::Duration};

use bedside_contract::{ConversationKey, MessageFacts, MessageVerdict, Plugins};
use bedside_plugin_host::PluginHost;

use crate::support::{EVIL, Stage, facts, ready, say};

const NOTES: &str = "[hooks]\non_message = { priority = 1, deadline_ms = 3000 }\nforget = {}\n\
                     [permissions]\nstorage = { quota = \"4 KiB\" }";
const WITHOUT_THE_HOOK: &str = "[hooks]\non_message = { priority = 1, deadline_ms = 3000 }\n\
                                [permissions]\nstorage = { quota = \"4 KiB\" }";

fn conversation(name: &str) -> ConversationKey {
    ConversationKey::new("web", "page", name)
}

/// Has the evil plugin keep something of a conversation, and tells by which id it knows it.
async fn note(host: &PluginHost, name: &str) -> String {
    let mut told = String::new();
    for text in ["evil: note canary", "evil: conversation"] {
        let facts = MessageFacts {
            conversation: conversation(name),
            ..facts(text)
        };
        let (MessageVerdict::Reply { text, .. }, _) = host.on_message(&facts).await else {
            panic!("no reply to {text}")
        };
        told = text;
    }
    told
}

/// All that is kept under a name that holds `part`.
fn kept(stage: &Stage, part: &str) -> Vec<(String, String)> {
    let kept = stage.store.kept.lock().unwrap();
    kept.keys().filter(|it| it.1.contains(part)).cloned().collect()
}

/// What the host still has to tell the evil plugin of a conversation.
fn noted(id: &str) -> Vec<(String, String)> {
    vec![("_host".to_owned(), format!("forget/{EVIL}/{id}"))]
}

fn file(stage: &Stage, name: &str) -> PathBuf {
    stage.dir.path().join("data").join(EVIL).join(name)
}

async fn until_forgotten(stage: &Stage, id: &str) {
    for _ in 0..600 {
        if !file(stage, id).exists() && kept(stage, id).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never forgotten: {:?}", kept(stage, id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_goes_everywhere_and_no_other() {
    for trusted in [vec![], vec![EVIL.to_owned()]] {
        let stage = Stage::new()
            .with_evil(NOTES)
            .config(|it| it.trusted = trusted.clone())
            .generator("echo: ");
        let host = stage.start();
        let (one, two) = (note(&host, "1").await, note(&host, "2").await);
        assert_eq!((kept(&stage, &one).len(), kept(&stage, &two).len()), (2, 2));
        assert_eq!(host.forget(&conversation("1")).await.unwrap(), [""; 0]);
        assert_eq!((kept(&stage, &one), kept(&stage, &two).len()), (vec![], 2));
        assert!(!file(&stage, &one).exists() && file(&stage, &two).exists());
        let asked = ConversationKey::new("plugin", EVIL, "generate");
        assert!(
            stage.forgotten.lock().unwrap().contains(&asked),
            "what it asked the model is forgotten"
        );
        host.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_does_not_acknowledge_is_told_again_after_the_next_start() {
    for obstacle in ["refuse", "crash"] {
        let stage = Stage::new().with_evil(NOTES);
        let host = stage.start();
        let id = note(&host, "1").await;
        fs::write(file(&stage, obstacle), "").unwrap();
        assert_eq!(
            host.forget(&conversation("1")).await.unwrap(),
            [EVIL],
            "{obstacle}"
        );
        assert_eq!(kept(&stage, &id), noted(&id), "{obstacle}: its entries are gone");
        assert!(file(&stage, &id).exists(), "{obstacle}");
        host.shutdown().await;
        fs::remove_file(file(&stage, obstacle)).unwrap();
        let host = stage.start();
        until_forgotten(&stage, &id).await;
        host.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_down_is_told_when_it_is_back() {
    let stage = Stage::new().with_evil(NOTES);
    let host = stage.start();
    let id = note(&host, "1").await;
    say(&host, "evil: abort").await;
    assert_eq!(host.forget(&conversation("1")).await.unwrap(), [EVIL]);
    until_forgotten(&stage, &id).await;
    ready(&host, EVIL).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_switched_off_is_told_when_it_is_switched_on() {
    let stage = Stage::new().with_evil(NOTES);
    let host = stage.start();
    let id = note(&host, "1").await;
    host.shutdown().await;
    let stage = stage.config(|it| it.disabled.push(EVIL.to_owned()));
    let host = stage.start();
    assert_eq!(host.forget(&conversation("1")).await.unwrap(), [EVIL]);
    assert_eq!(kept(&stage, &id), noted(&id));
    host.shutdown().await;
    let stage = stage.config(|it| it.disabled.clear());
    let host = stage.start();
    until_forgotten(&stage, &id).await;
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_without_the_hook_loses_its_entries_all_the_same() {
    let stage = Stage::new().with_evil(WITHOUT_THE_HOOK);
    let host = stage.start();
    let id = note(&host, "1").await;
    assert_eq!(host.forget(&conversation("1")).await.unwrap(), [""; 0]);
    assert_eq!(kept(&stage, &id), vec![]);
    host.shutdown().await;

    // Not even plugins that are switched off altogether keep any.
    let host = stage.start();
    let id = note(&host, "1").await;
    host.shutdown().await;
    let stage = stage.config(|it| it.enabled = false);
    let host = stage.start();
    assert_eq!(host.forget(&conversation("1")).await.unwrap(), [""; 0]);
    assert_eq!(
        kept(&stage, &id),
        noted(&id),
        "should it have the hook when it comes back"
    );
}
