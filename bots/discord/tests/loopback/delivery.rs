//! Parts on their way out: never twice, and every failure says whether to try again.

use std::time::Duration;

use bedside_contract::{Connector, DeliverError, InboxSeq, Initiative, LengthUnit, QuickReply};
use serde_json::{Value, json};

use crate::{
    rest_fake::{Scripted, closed_port},
    world::{TOKEN, World, conversation, notice, outbox_item},
};

const SEND: &str = "POST /channels/50/messages";

#[tokio::test]
async fn a_part_is_sent_with_buttons() {
    let world = World::new().await;
    let mut part = notice("**Rest** and *drink*");
    part.quick_replies = vec![QuickReply {
        label: "Yes".to_owned(),
        data: "consent:yes".to_owned(),
    }];
    assert_eq!(world.deliver(part, None).await.unwrap().0, "9000");
    let call = world.rest.calls()[0].clone();
    assert_eq!(
        (call.what.as_str(), call.authorization),
        (SEND, Some(format!("Bot {TOKEN}")))
    );
    assert_eq!(call.body["content"], "**Rest** and \\*drink\\*");
    assert_eq!(
        call.body["components"][0]["components"][0]["custom_id"],
        "consent:yes"
    );
}

#[tokio::test]
async fn a_part_whose_confirmation_was_lost_is_not_doubled() {
    let world = World::new().await;
    world.rest.script(SEND, Scripted::CutAfter);
    let lost = world.deliver(notice("once"), None).await;
    assert!(matches!(lost, Err(DeliverError::Unknown(_))), "{lost:?}");
    assert_eq!(world.deliver(notice("once"), None).await.unwrap().0, "9000");
    let bodies = world.rest.bodies(SEND);
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0]["nonce"], bodies[1]["nonce"]);
    assert!(bodies[0]["nonce"].as_str().unwrap().len() <= 25 && bodies[0]["enforce_nonce"] == true);
    assert_eq!(world.rest.messages(), 1, "the patient reads one");
}

#[tokio::test]
async fn a_first_preview_whose_confirmation_was_lost_is_not_doubled() {
    let world = World::new().await;
    let connector = world.connector();
    world.rest.script(SEND, Scripted::CutAfter);
    let lost = connector.preview(&conversation(), InboxSeq(5), None, "Be").await;
    assert!(matches!(lost, Err(DeliverError::Unknown(_))), "{lost:?}");
    let shown = connector
        .preview(&conversation(), InboxSeq(5), None, "Because")
        .await
        .unwrap();
    assert_eq!((shown.0.as_str(), world.rest.messages()), ("9000", 1));
    connector
        .preview(&conversation(), InboxSeq(6), None, "Another")
        .await
        .unwrap();
    assert_eq!(world.rest.messages(), 2);
}

#[tokio::test]
async fn previews_send_once_and_then_edit() {
    let world = World::new().await;
    let connector = world.connector();
    let shown = connector
        .preview(&conversation(), InboxSeq(1), None, "**Re")
        .await
        .unwrap();
    let long = "好".repeat(5000);
    let again = connector
        .preview(&conversation(), InboxSeq(1), Some(&shown), &long)
        .await
        .unwrap();
    assert_eq!(shown, again);
    assert_eq!(world.rest.whats(), [SEND, "PATCH /channels/50/messages/9000"]);
    let bodies: Vec<Value> = world.rest.calls().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies[0]["content"], "\\*\\*Re");
    assert_eq!(bodies[1]["content"].as_str().unwrap().chars().count(), 2000);
}

#[tokio::test]
async fn the_preview_becomes_the_answer() {
    let world = World::new().await;
    assert_eq!(world.deliver(notice("done"), Some("77")).await.unwrap().0, "77");
    assert_eq!(world.rest.whats(), ["PATCH /channels/50/messages/77"]);
    world.rest.refuse("PATCH /channels/50/messages/77", 404, 10_008);
    assert_eq!(
        world.deliver(notice("done"), Some("77")).await.unwrap().0,
        "9000",
        "it was deleted"
    );
}

#[tokio::test]
async fn failures_say_whether_to_try_again() {
    let world = World::new().await;
    let check = async |scripted: Scripted, expect: &str| {
        // A connector of its own each time: one that was told to wait does not ask again.
        world.rest.script(SEND, scripted);
        let failure = world.deliver(notice("x"), None).await.unwrap_err();
        let name = match &failure {
            DeliverError::RetryAfter(_) => "retry-after",
            DeliverError::NotSent(_) => "not-sent",
            DeliverError::Unknown(_) => "unknown",
            DeliverError::PatientFirst(_) => "patient-first",
            DeliverError::Permanent(_) => "permanent",
        };
        assert_eq!(name, expect, "{failure}");
    };
    let discord = |code: u32| json!({"message": "No", "code": code});
    check(Scripted::Answer(429, json!({"retry_after": 0.5})), "retry-after").await;
    check(Scripted::CutBefore, "unknown").await;
    check(Scripted::Answer(503, Value::Null), "unknown").await;
    check(Scripted::Answer(200, json!("no message")), "unknown").await;
    check(Scripted::Answer(401, discord(0)), "not-sent").await;
    check(Scripted::Answer(403, discord(50_007)), "permanent").await;
    check(Scripted::Answer(404, discord(10_003)), "permanent").await;
    check(Scripted::Answer(400, discord(50_035)), "permanent").await;

    let mut config = world.config();
    config.api_url = format!("http://{}/api/v10", closed_port().await);
    let nobody = world
        .connector_with(config)
        .deliver(&outbox_item(notice("x"), None))
        .await;
    assert!(matches!(nobody, Err(DeliverError::NotSent(_))), "{nobody:?}");
    let empty = world.deliver(notice(" "), None).await;
    assert!(matches!(empty, Err(DeliverError::Permanent(_))), "{empty:?}");
}

#[tokio::test]
async fn a_named_wait_is_kept_without_asking_again() {
    let world = World::new().await;
    let connector = world.connector();
    let limited = |global: bool| Scripted::Answer(429, json!({"retry_after": 0.4, "global": global}));
    world.rest.script(SEND, limited(false));
    let item = outbox_item(notice("x"), None);
    let Err(DeliverError::RetryAfter(wait)) = connector.deliver(&item).await else {
        panic!("discord asked to wait");
    };
    assert_eq!(wait, Duration::from_millis(410));
    let Err(DeliverError::RetryAfter(left)) = connector.deliver(&item).await else {
        panic!("the wait is not over");
    };
    assert!(left <= wait);
    assert_eq!(world.rest.bodies(SEND).len(), 1, "the second one was not sent");
    connector.typing(&conversation()).await;
    assert_eq!(world.rest.whats().len(), 2, "another limit counts for typing");
    tokio::time::sleep(left).await;
    connector.deliver(&item).await.unwrap();

    world.rest.script(SEND, limited(true));
    assert!(connector.deliver(&item).await.is_err());
    connector.typing(&conversation()).await;
    assert_eq!(
        world.rest.bodies("POST /channels/50/typing").len(),
        1,
        "a global limit is for everything"
    );
}

#[tokio::test]
async fn the_connector_says_what_discord_can_do() {
    let world = World::new().await;
    let can = world.connector().capabilities();
    assert_eq!((can.max_length, can.length_unit), (2000, LengthUnit::Chars));
    assert_eq!(
        (can.deadline, can.initiative),
        (Some(Duration::from_secs(3)), Initiative::Bot)
    );
    assert!(can.edits && can.buttons && !can.rich_parts && can.outside_operator);
}
