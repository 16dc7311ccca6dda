//! Platforms that take one message for each of the patient's: what does not fit waits in the outbox.

use bedside_contract::{Language, PartKind};
use bedside_store::SqliteStore;

use crate::common::{self, Script, Stage};

const EN: &[Language] = &[Language::En];

fn stage(scripts: &[Script]) -> Stage {
    Stage::passive(SqliteStore::open_temporary().unwrap(), EN, scripts)
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_replies_are_typed() {
    let stage = stage(&[Script::Say("Rest and drink enough fluids.")]);
    let key = common::chat("a");
    stage.says(&key, "what helps against a cold?").await;
    let asked = stage.parts(1).await;
    assert!(asked[0].contains("1. ") && asked[0].contains("2. "), "{asked:?}");
    stage.says(&key, "1").await;
    let answered = stage.parts(2).await;
    assert!(answered[1].contains("drink enough fluids"), "{answered:?}");
    // The offer is gone: the same digit means nothing now.
    stage.says(&key, "1").await;
    let again = stage.parts(3).await;
    assert!(!again[2].contains("drink enough fluids"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_no_room_comes_with_the_next_message_in_order() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.says_at_once(&key, &["/help", "/privacy"]).await;
    stage.settled().await;
    let first = stage.parts(1).await;
    assert!(first[0].contains("/privacy"), "{first:?}");
    stage.says(&key, "continue").await;
    let both = stage.parts(2).await;
    assert!(both[1].contains("Your rights"), "{both:?}");
    stage.settled().await;
    assert_eq!(
        stage.texts().len(),
        2,
        "the nudge itself gets no answer: {:?}",
        stage.texts()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_question_is_answered_after_what_waited() {
    let stage = stage(&[Script::Say("Rest and drink enough fluids.")]);
    let key = stage.patient("a").await;
    stage.says_at_once(&key, &["/help", "/privacy"]).await;
    stage.settled().await;
    stage.parts(1).await;
    stage.says(&key, "what helps against a cold?").await;
    stage.parts(2).await;
    stage.settled().await;
    stage.says(&key, "OK").await;
    let all = stage.parts(3).await;
    for (text, words) in all.iter().zip(["/human", "Your rights", "drink enough fluids"]) {
        assert!(text.contains(words), "{all:?}");
    }
    stage.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_takes_the_message_before_what_waited() {
    let stage = stage(&[]);
    let key = stage.patient("a").await;
    stage.says_at_once(&key, &["/help", "/privacy"]).await;
    stage.settled().await;
    stage.parts(1).await;
    stage
        .says(&key, "I have crushing chest pain and cannot breathe")
        .await;
    let texts = stage.parts(2).await;
    assert_eq!(
        stage.platform.delivered.lock().unwrap()[1].part.kind,
        PartKind::Emergency,
        "{texts:?}"
    );
    stage.says(&key, "1").await;
    let all = stage.parts(3).await;
    assert!(all[2].contains("Your rights"), "{all:?}");
    stage.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_survives_a_restart() {
    let store = SqliteStore::open_temporary().unwrap();
    let before = Stage::passive(std::sync::Arc::clone(&store), EN, &[]);
    let key = before.patient("a").await;
    before.says_at_once(&key, &["/help", "/privacy"]).await;
    before.settled().await;
    before.parts(1).await;
    before.stop.cancel();
    before.running.await.unwrap();

    let after = Stage::passive(store, EN, &[]);
    // Ids go on where the other stage's ended, or they would be taken for repeats.
    after.says_as(&key, "?", "after-1").await;
    let waited = after.parts(1).await;
    assert!(waited[0].contains("Your rights"), "{waited:?}");
    after.settled().await;
}
