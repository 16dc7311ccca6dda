//! More questions than can be answered at once, and what was in work when the process ended.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bedside_contract::{ConversationKey, Inbox, Language};
use bedside_runtime::RuntimeConfig;
use bedside_store::SqliteStore;

use crate::common::{Recorder, Script, ScriptedPlugins, Stage, chat, update};

const EN: &[Language] = &[Language::En];
const QUESTION: &str = "what helps against a cold?";

fn stage(store: Arc<SqliteStore>, answers_at_once: usize, scripts: &[Script]) -> Stage {
    let config = RuntimeConfig {
        answers_at_once,
        ..RuntimeConfig::default()
    };
    Stage::configured(
        config,
        Recorder::default(),
        store,
        EN,
        scripts,
        ScriptedPlugins::default(),
    )
}

/// As after consent, before the bot runs.
async fn consented(store: &Arc<SqliteStore>, names: &[&str]) -> Vec<ConversationKey> {
    let stage = stage(Arc::clone(store), 32, &[]);
    let mut keys = Vec::new();
    for name in names {
        keys.push(stage.patient(name).await);
    }
    stage.settled().await;
    stage.stop.cancel();
    stage.running.await.unwrap();
    keys
}

async fn requests(stage: &Stage, count: usize) {
    for _ in 0..1000 {
        if stage.model.requests.lock().unwrap().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the model was not asked {count} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_find_no_place_wait_are_told_so_and_are_answered() {
    let hang = Script::SayAndHang("Rest and drink ");
    let say = Script::Say("Rest and drink enough fluids.");
    let stage = stage(
        SqliteStore::open_temporary().unwrap(),
        2,
        &[hang.clone(), hang, say.clone(), say],
    );
    let mut keys = Vec::new();
    for name in ["a", "b", "c", "d"] {
        keys.push(stage.patient(name).await);
    }
    for key in &keys {
        stage.says(key, QUESTION).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    requests(&stage, 2).await;
    let told = |position: &str| {
        stage
            .platform
            .previews
            .lock()
            .unwrap()
            .iter()
            .any(|it| it.contains(position))
    };
    for _ in 0..1000 {
        if told("one question is before yours") && told("2 questions are before yours") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        told("one question is") && told("2 questions are"),
        "{:?}",
        stage.platform.previews
    );
    assert_eq!(
        stage.model.requests.lock().unwrap().len(),
        2,
        "no more than there are places"
    );
    // Whoever waits can still be reached by commands, and by an emergency notice.
    stage
        .says(&keys[3], "crushing chest pain and I cannot breathe")
        .await;
    stage
        .wait(|it| {
            it.iter()
                .any(|it| it.conversation == chat("d") && it.part.text.contains("120"))
        })
        .await;
    stage.says(&keys[0], "/stop").await;
    stage.says(&keys[1], "/stop").await;
    stage
        .wait(|it| {
            it.iter()
                .any(|it| it.conversation == chat("c") && it.part.text.contains("enough fluids"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_the_answers_that_each_would_get_alone() {
    const CROWD: usize = 60;
    let scripts = vec![Script::Say("Rest and drink enough fluids."); CROWD];
    let stage = stage(SqliteStore::open_temporary().unwrap(), 4, &scripts);
    let mut keys = Vec::new();
    for number in 0..CROWD {
        keys.push(stage.patient(&format!("p{number}")).await);
    }
    for key in &keys {
        stage.says(key, QUESTION).await;
    }
    stage.settled().await;
    let texts = stage.texts();
    assert_eq!(texts.len(), CROWD, "{texts:?}");
    assert!(texts.iter().all(|it| it.contains("enough fluids")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_full_for_a_moment_is_asked_again() {
    let scripts = [
        Script::Busy,
        Script::Busy,
        Script::Say("Rest and drink enough fluids."),
    ];
    let stage = stage(SqliteStore::open_temporary().unwrap(), 32, &scripts);
    let key = stage.patient("a").await;
    stage.says(&key, QUESTION).await;
    let texts = stage.parts(1).await;
    assert!(texts[0].contains("enough fluids"), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_work_when_the_process_ended_runs_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bedside.sqlite");
    let store = SqliteStore::open(&path).unwrap();
    let keys = consented(&store, &["a", "b", "c"]).await;
    let next = AtomicU64::new(1000);
    for key in &keys {
        let id = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_string();
        store
            .accept(vec![update(key, QUESTION, &id)], None)
            .await
            .unwrap();
    }
    // The first two were in work; the third waited for its place.
    store.lease_next(&keys[0]).await.unwrap().unwrap();
    store.lease_next(&keys[1]).await.unwrap().unwrap();
    let waits = store.lease_next(&keys[2]).await.unwrap().unwrap();
    store.uncount_attempt(waits.seq).await.unwrap();
    drop(store);

    let hang = Script::SayAndHang("Rest and drink ");
    let stage = stage(
        SqliteStore::open(&path).unwrap(),
        32,
        &[hang.clone(), hang.clone(), hang],
    );
    for count in 1..=3 {
        requests(&stage, count).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let running = {
            let asked = stage.model.requests.lock().unwrap();
            assert_eq!(asked.len(), count, "a suspect runs alone");
            asked[count - 1].conversation.clone()
        };
        stage.says_as(&running, "/stop", &format!("stop-{count}")).await;
    }
}
