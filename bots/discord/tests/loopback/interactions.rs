//! Slash commands and buttons: stored, then acknowledged at once.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bedside_contract::{Connector, Inbox, InboxSeq, Language, PlatformMessageId, StoreError, UpdateKind};
use serde_json::json;

use crate::{
    rest_fake::Scripted,
    world::{
        INTERACTION_TOKEN, World, aged_id, callback, conversation, fresh_id, message, notice, original,
        outbox_item, press, run, slash,
    },
};

#[tokio::test]
async fn a_command_is_stored_and_then_deferred() {
    let world = World::new().await;
    let (connector, intake) = (world.connector(), world.gated(1));
    let running = run(&connector, &intake);
    let id = fresh_id();
    intake
        .until("READY is stored", |it| it.committed().len() == 1)
        .await;
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash(id, "为什么头疼"));
    intake
        .until("a commit waits", |it| it.asked.load(Ordering::SeqCst) == 2)
        .await;
    assert_eq!(world.rest.bodies(&callback(id)), Vec::<serde_json::Value>::new());
    intake.gate.add_permits(1);
    world.rest.until_called(&callback(id)).await;
    assert_eq!(world.rest.bodies(&callback(id))[0]["type"], 5);
    let update = intake.committed()[1].updates[0].clone();
    assert_eq!(
        update.kind,
        UpdateKind::Text {
            text: "为什么头疼".to_owned()
        }
    );
    assert_eq!(update.external_id, id.to_string());
    assert_eq!(update.conversation, conversation());
    assert_eq!(
        (update.sender.as_str(), update.language_hint),
        ("42", Some(Language::Zh))
    );
    running.stop().await;
}

/// Where the answer belongs, as it is stored with the question: after a crash it still leads there.
async fn noted_response(world: &World) -> PlatformMessageId {
    let item = world.store.lease_next(&conversation()).await.unwrap().unwrap();
    item.update.answer_in.unwrap()
}

#[tokio::test]
async fn the_answer_takes_the_place_of_thinking() {
    let world = World::new().await;
    let (connector, _intake, running) = world.started().await;
    let id = fresh_id();
    world.gateway.dispatch("INTERACTION_CREATE", slash(id, "why?"));
    world.rest.until_called(&callback(id)).await;
    let noted = noted_response(&world).await;
    assert_eq!(noted.0, format!("interaction:666:{INTERACTION_TOKEN}:{id}"));

    let shown = connector
        .preview(&conversation(), InboxSeq(1), None, "Because")
        .await
        .unwrap();
    assert_eq!(shown, noted);
    let again = connector
        .preview(&conversation(), InboxSeq(1), Some(&shown), "Because of")
        .await
        .unwrap();
    assert_eq!(again, noted);
    let first = connector
        .deliver(&outbox_item(notice("Because of it."), Some(&noted.0)))
        .await
        .unwrap();
    assert_eq!(first.0, "8000");
    let second = connector
        .deliver(&outbox_item(notice("More."), None))
        .await
        .unwrap();
    assert_eq!(second.0, "9000");
    let contents: Vec<_> = world
        .rest
        .bodies(&original())
        .iter()
        .map(|it| it["content"].clone())
        .collect();
    assert_eq!(contents, ["Because", "Because of", "Because of it."]);
    assert_eq!(world.rest.bodies("POST /channels/50/messages").len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn the_response_outlives_a_restart() {
    let world = World::new().await;
    let (_connector, _intake, running) = world.started().await;
    let id = fresh_id();
    world.gateway.dispatch("INTERACTION_CREATE", slash(id, "why?"));
    world.rest.until_called(&callback(id)).await;
    running.stop().await;
    let noted = format!("interaction:666:{INTERACTION_TOKEN}:{id}");
    assert_eq!(
        world.deliver(notice("Because."), Some(&noted)).await.unwrap().0,
        "8000"
    );
    assert_eq!(world.rest.bodies(&original()).len(), 1);
}

#[tokio::test]
async fn an_answer_before_the_commit_is_known_finds_the_response() {
    let world = World::new().await;
    let (connector, intake) = (world.connector(), world.gated(1));
    let running = run(&connector, &intake);
    intake
        .until("READY is stored", |it| it.committed().len() == 1)
        .await;
    let id = fresh_id();
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash(id, "my chest hurts"));
    intake
        .until("a commit waits", |it| it.asked.load(Ordering::SeqCst) == 2)
        .await;
    let urgent = Arc::clone(&connector);
    let delivering =
        tokio::spawn(async move { urgent.deliver(&outbox_item(notice("Call 120"), None)).await });
    tokio::task::yield_now().await;
    intake.gate.add_permits(1);
    assert_eq!(delivering.await.unwrap().unwrap().0, "8000");
    assert_eq!(
        world.rest.whats(),
        [callback(id), original()],
        "acknowledged, then answered"
    );
    running.stop().await;
}

#[tokio::test]
async fn thinking_comes_to_an_end() {
    let world = World::new().await;
    let (connector, _intake, running) = world.started().await;
    let id = fresh_id();
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash(id, "为什么头疼"));
    world.rest.until_called(&callback(id)).await;
    noted_response(&world).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(14 * 60 + 15)).await;
    tokio::time::resume();
    world.rest.until_called(&original()).await;
    assert!(
        world.rest.bodies(&original())[0]["content"]
            .as_str()
            .unwrap()
            .contains("私信")
    );
    // The answer does not write over it.
    let sent = connector
        .deliver(&outbox_item(notice("Because."), None))
        .await
        .unwrap();
    assert_eq!(sent.0, "9000");
    running.stop().await;
}

#[tokio::test]
async fn a_dead_token_is_answered_by_a_message() {
    for (status, code) in [(404, 10_015), (401, 50_027), (404, 10_008)] {
        let world = World::new().await;
        let (connector, _intake, running) = world.started().await;
        let id = fresh_id();
        world.gateway.dispatch("INTERACTION_CREATE", slash(id, "why?"));
        world.rest.until_called(&callback(id)).await;
        world.rest.refuse(&original(), status, code);
        let sent = connector
            .deliver(&outbox_item(notice("Because."), None))
            .await
            .unwrap();
        assert_eq!(sent.0, "9000", "{code}");
        running.stop().await;
    }
}

#[tokio::test]
async fn an_old_token_is_not_even_tried() {
    let world = World::new().await;
    let old = aged_id(Duration::from_secs(15 * 60));
    let noted = format!("interaction:666:{INTERACTION_TOKEN}:{old}");
    assert_eq!(
        world.deliver(notice("Because."), Some(&noted)).await.unwrap().0,
        "9000"
    );
    assert_eq!(world.rest.whats(), ["POST /channels/50/messages"]);
}

#[tokio::test]
async fn a_command_that_was_noticed_too_late_is_answered_by_a_message() {
    let world = World::new().await;
    let (connector, intake, running) = world.started().await;
    let id = fresh_id();
    world.rest.refuse(&callback(id), 404, 10_062);
    world.gateway.dispatch("INTERACTION_CREATE", slash(id, "why?"));
    intake.until_new(&[&id.to_string()]).await;
    let sent = connector
        .deliver(&outbox_item(notice("Because."), None))
        .await
        .unwrap();
    assert_eq!(sent.0, "9000");
    assert_eq!(
        world.rest.whats(),
        [callback(id), "POST /channels/50/messages".to_owned()]
    );
    running.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_whose_answer_is_lost_counts() {
    let world = World::new().await;
    let (connector, _intake, running) = world.started().await;
    let id = fresh_id();
    world
        .rest
        .script(&callback(id), Scripted::Answer(502, json!(null)));
    world.rest.script(
        &callback(id),
        Scripted::Answer(400, json!({"message": "No", "code": 40_060})),
    );
    world.gateway.dispatch("INTERACTION_CREATE", slash(id, "why?"));
    world
        .rest
        .until("two tries", |it| it.bodies(&callback(id)).len() == 2)
        .await;
    world.rest.refuse(&original(), 500, 0);
    let failed = connector.deliver(&outbox_item(notice("Because."), None)).await;
    assert!(failed.is_err(), "the response is where the answer belongs");
    assert_eq!(world.rest.bodies(&original()).len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_asked_for_again_and_not_taken_later() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    intake.fail_next(StoreError::Failed("busy".to_owned()));
    let id = fresh_id();
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash(id, "为什么头疼"));
    world.rest.until_called(&callback(id)).await;
    let answer = world.rest.bodies(&callback(id))[0].clone();
    assert_eq!(
        (&answer["type"], &answer["data"]["flags"]),
        (&json!(4), &json!(64))
    );
    assert!(answer["data"]["content"].as_str().unwrap().contains("请再发一次"));
    // Discord brings it again, and what came after it.
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    assert_eq!(world.gateway.greeting_ops(), [2, 6]);
    running.stop().await;
}

#[tokio::test]
async fn a_command_delivered_five_times_is_taken_once() {
    let world = World::new().await;
    let (connector, intake, running) = world.started().await;
    let id = fresh_id();
    for _ in 0..5 {
        world.gateway.dispatch("INTERACTION_CREATE", slash(id, "why?"));
    }
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&[&id.to_string(), "1001"]).await;
    let sent = connector
        .deliver(&outbox_item(notice("Because."), None))
        .await
        .unwrap();
    assert_eq!(sent.0, "8000");
    assert_eq!(world.rest.bodies(&callback(id)).len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_pressed_button_is_a_choice_and_goes_away() {
    let world = World::new().await;
    let (connector, intake, running) = world.started().await;
    let (first, second) = (fresh_id(), fresh_id());
    world
        .gateway
        .dispatch("INTERACTION_CREATE", press(first, "consent:yes"));
    world
        .gateway
        .dispatch("INTERACTION_CREATE", press(second, "consent:no"));
    world.rest.until_called(&callback(first)).await;
    world.rest.until_called(&callback(second)).await;
    intake.until_new(&[&first.to_string()]).await;
    let choice = intake.committed()[1].updates[0].kind.clone();
    assert_eq!(
        choice,
        UpdateKind::Choice {
            data: "consent:yes".to_owned()
        }
    );
    let shown = world.rest.bodies(&callback(first))[0].clone();
    assert_eq!(shown["type"], 7);
    let buttons = shown["data"]["components"][0]["components"].as_array().unwrap();
    assert_eq!(buttons.len(), 1);
    assert_eq!(
        (&buttons[0]["label"], &buttons[0]["disabled"]),
        (&json!("Yes"), &json!(true))
    );
    assert_eq!(
        world.rest.bodies(&callback(second))[0]["type"],
        6,
        "the first press counts"
    );
    // Its answer is a message of its own, not an edit of the question.
    assert_eq!(
        connector
            .deliver(&outbox_item(notice("Thanks."), None))
            .await
            .unwrap()
            .0,
        "9000"
    );
    running.stop().await;
}
