//! Servers: no patient data where others read along.

use bedside_contract::{Connector, DeliverError};
use serde_json::json;

use crate::world::{
    World, callback, conversation, fresh_id, message, notice, original, outbox_item, press, slash_in_a_server,
};

#[tokio::test]
async fn a_channel_is_told_to_write_in_private() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    for id in [1001, 1002] {
        let mut event = message(id, "<@666> my chest hurts");
        event["guild_id"] = json!("7");
        event["channel_id"] = json!("70");
        world.gateway.dispatch("MESSAGE_CREATE", event);
    }
    let mut unasked = message(1003, "hello all");
    unasked["guild_id"] = json!("7");
    unasked["channel_id"] = json!("71");
    world.gateway.dispatch("MESSAGE_CREATE", unasked);
    world
        .gateway
        .dispatch("MESSAGE_CREATE", message(1004, "in private"));
    intake.until_new(&["1004"]).await;
    world.rest.until_called("POST /channels/70/messages").await;
    assert_eq!(world.rest.whats(), ["POST /channels/70/messages"]);
    let sentence = world.rest.bodies("POST /channels/70/messages")[0].clone();
    assert!(sentence["content"].as_str().unwrap().contains("direct messages"));
    assert_eq!(
        (&sentence["nonce"], &sentence["enforce_nonce"]),
        (&json!("1001"), &json!(true))
    );
    running.stop().await;
}

#[tokio::test]
async fn a_command_in_a_server_belongs_to_the_private_chat() {
    let world = World::new().await;
    let (connector, intake, running) = world.started().await;
    let (first, second) = (fresh_id(), fresh_id());
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash_in_a_server(first, "why?"));
    world.rest.until_called(&callback(first)).await;
    let deferred = world.rest.bodies(&callback(first))[0].clone();
    assert_eq!(
        (&deferred["type"], &deferred["data"]["flags"]),
        (&json!(5), &json!(64))
    );
    assert_eq!(intake.committed()[1].updates[0].conversation, conversation());
    let sent = connector
        .deliver(&outbox_item(notice("Because."), None))
        .await
        .unwrap();
    assert_eq!(sent.0, "8000");
    assert_eq!(world.rest.bodies(&original()).len(), 1);

    let mut pressed = press(second, "consent:yes");
    for (key, value) in slash_in_a_server(second, "").as_object().unwrap() {
        if ["guild_id", "channel_id", "channel", "context", "member"].contains(&key.as_str()) {
            pressed[key] = value.clone();
        }
    }
    pressed.as_object_mut().unwrap().remove("user");
    world.gateway.dispatch("INTERACTION_CREATE", pressed);
    world.rest.until_called(&callback(second)).await;
    assert_eq!(
        world.rest.bodies(&callback(second))[0]["data"]["flags"],
        64,
        "seen by nobody else"
    );
    assert_eq!(
        world.rest.bodies("POST /users/@me/channels"),
        [json!({"recipient_id": "42"})],
        "asked once"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_user_without_a_private_chat_is_told_so() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    world.rest.refuse("POST /users/@me/channels", 403, 50_007);
    let id = fresh_id();
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash_in_a_server(id, "why?"));
    world.rest.until_called(&callback(id)).await;
    assert_eq!(world.rest.bodies(&callback(id))[0]["type"], 4);
    assert_eq!(intake.new_ids(), Vec::<String>::new());
    running.stop().await;
}

#[tokio::test]
async fn who_takes_no_private_messages_is_answered_in_the_server() {
    let world = World::new().await;
    let (connector, _intake, running) = world.started().await;
    let closed = "POST /channels/50/messages";
    world.rest.refuse(closed, 403, 50_007);
    let refused = connector.deliver(&outbox_item(notice("Because."), None)).await;
    assert!(matches!(refused, Err(DeliverError::Permanent(_))));

    let id = fresh_id();
    world
        .gateway
        .dispatch("INTERACTION_CREATE", slash_in_a_server(id, "why?"));
    world.rest.until_called(&callback(id)).await;
    connector
        .deliver(&outbox_item(notice("Part one."), None))
        .await
        .unwrap();
    world.rest.refuse(closed, 403, 50_007);
    connector
        .deliver(&outbox_item(notice("Part two."), None))
        .await
        .unwrap();
    let follow_up = world.rest.calls().last().unwrap().clone();
    assert!(
        follow_up.what.starts_with("POST /webhooks/666/"),
        "{}",
        follow_up.what
    );
    assert_eq!(
        (&follow_up.body["content"], &follow_up.body["flags"]),
        (&json!("Part two."), &json!(68))
    );
    running.stop().await;
}
