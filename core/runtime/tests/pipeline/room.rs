//! A disk that is nearly full.

use bedside_contract::{Language, PartKind, Room, StoreHealth};
use bedside_store::{SqliteStore, StoreConfig};

use crate::common::{Recorder, Script, ScriptedPlugins, Stage, chat};

const TURNED_AWAY: &str = "cannot begin new conversations";

fn said_to(stage: &Stage, name: &str) -> Vec<(PartKind, String)> {
    let delivered = stage.platform.delivered.lock().unwrap();
    let theirs = delivered.iter().filter(|it| it.conversation == chat(name));
    theirs.map(|it| (it.part.kind, it.part.text.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_conversation_begins_those_that_run_go_on_and_emergencies_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("bedside.sqlite3")).unwrap();
    let stage = Stage::on_platform(
        Recorder::default(),
        store,
        &[Language::En],
        &[Script::Say("Rest and drink enough fluids.")],
        ScriptedPlugins::default(),
    );
    let known = stage.patient("known").await;
    let wanted = StoreConfig {
        min_free_mib: u64::MAX,
    };
    stage.store.watch_space(&wanted).unwrap();
    assert_eq!(stage.store.room(), Room::Low);

    let newcomer = chat("newcomer");
    for (number, text) in ["what helps against a cold?", "consent:yes", "yes", "/start"]
        .into_iter()
        .enumerate()
    {
        stage.says(&newcomer, text).await;
        stage.settled().await;
        let said = said_to(&stage, "newcomer");
        assert_eq!(said.len(), number + 1, "{text}: {said:?}");
        assert!(said[number].1.contains(TURNED_AWAY), "{text}: {said:?}");
    }
    stage
        .says(&newcomer, "I have crushing chest pain and cannot breathe")
        .await;
    stage.settled().await;
    let last = said_to(&stage, "newcomer").pop().unwrap();
    assert_eq!(last.0, PartKind::Emergency, "{last:?}");

    stage.says(&known, "what helps against a cold?").await;
    stage.settled().await;
    let said = said_to(&stage, "known");
    assert!(
        !said.is_empty() && said.iter().all(|it| !it.1.contains(TURNED_AWAY)),
        "{said:?}"
    );
}
