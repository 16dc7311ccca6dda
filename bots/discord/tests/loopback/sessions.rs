//! Events: stored in order, counted only when stored, replayed or read from the history when missed.

use std::sync::atomic::Ordering;

use bedside_contract::{Connector, ConnectorError, StoreError};
use serde_json::{Value, json};

use crate::{
    gateway_fake::Ended,
    rest_fake::Scripted,
    world::{World, conversation, message, run},
};

#[tokio::test]
async fn an_event_counts_only_after_it_is_stored() {
    let world = World::new().await;
    world.gateway.beat_every(60);
    let intake = world.gated(1);
    let connector = world.connector();
    let running = run(&connector, &intake);
    intake
        .until("READY is stored", |it| it.committed().len() == 1)
        .await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    world.gateway.dispatch("MESSAGE_CREATE", message(1002, "b"));
    intake
        .until("a commit waits", |it| it.asked.load(Ordering::SeqCst) == 2)
        .await;
    // Heartbeats go on while the store takes its time, and say that nothing more is done.
    let so_far = world.gateway.heartbeats().len();
    world
        .gateway
        .until("more heartbeats", |it| it.heartbeats().len() > so_far + 3)
        .await;
    assert_eq!(world.gateway.heartbeats().last(), Some(&json!(1)));
    assert_eq!(world.stored_place().await["seq"], 1);
    intake.gate.add_permits(10);
    intake.until_new(&["1001", "1002"]).await;
    world
        .gateway
        .until("it is told", |it| it.heartbeats().last() == Some(&json!(3)))
        .await;
    let place = world.stored_place().await;
    assert_eq!(
        (&place["seq"], &place["channels"]),
        (&json!(3), &json!({"50": "1002"}))
    );
    running.stop().await;
}

#[tokio::test]
async fn a_restart_resumes_where_it_stopped() {
    let world = World::new().await;
    let intake = world.gated(2);
    let connector = world.connector();
    let running = run(&connector, &intake);
    intake
        .until("READY is stored", |it| it.committed().len() == 1)
        .await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    world
        .gateway
        .dispatch("MESSAGE_CREATE", message(1002, "comes, but is not stored"));
    intake
        .until("a commit waits", |it| it.asked.load(Ordering::SeqCst) == 3)
        .await;
    running.stop().await;
    world
        .gateway
        .until("the connection has ended", |it| !it.ended().is_empty())
        .await;
    assert_eq!(
        world.gateway.ended(),
        [Ended::WithoutClose],
        "a close frame would end the session"
    );
    world
        .gateway
        .dispatch("MESSAGE_CREATE", message(1003, "while it was away"));

    let (connector, intake) = (world.connector(), world.intake());
    let running = run(&connector, &intake);
    intake.until_new(&["1002", "1003"]).await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1004, "live"));
    intake.until_new(&["1002", "1003", "1004"]).await;
    assert_eq!(world.gateway.greeting_ops(), [2, 6]);
    let resume = world.gateway.greetings()[1].clone();
    assert_eq!(resume.path, "/resume?v=10&encoding=json");
    assert_eq!(
        (&resume.payload["d"]["session_id"], &resume.payload["d"]["seq"]),
        (&json!("session-1"), &json!(2))
    );
    running.stop().await;
}

#[tokio::test]
async fn what_is_replayed_is_not_taken_twice() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    for (id, text) in [(1001, "a"), (1002, "b")] {
        world.gateway.dispatch("MESSAGE_CREATE", message(id, text));
    }
    intake.until_new(&["1001", "1002"]).await;
    running.stop().await;
    world.gateway.replay_all();
    world.gateway.dispatch("MESSAGE_CREATE", message(1003, "c"));
    let (connector, intake) = (world.connector(), world.intake());
    let running = run(&connector, &intake);
    intake.until_new(&["1003"]).await;
    let taken: usize = intake.committed().iter().map(|it| it.updates.len()).sum();
    assert_eq!(taken, 3, "all were brought again");
    running.stop().await;
}

#[tokio::test]
async fn a_lost_session_is_made_up_from_the_history() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    running.stop().await;
    world.gateway.forget_session();
    let missed: Vec<u64> = (1002..1232).collect();
    for id in &missed {
        world.rest.remember(message(*id, "missed"));
    }
    let mut own = message(1300, "what the bot said");
    own["author"] = json!({"id": "666", "bot": true});
    world.rest.remember(own);
    // The first page comes at the second try.
    world
        .rest
        .script("GET /channels/50/messages", Scripted::Answer(500, Value::Null));

    let (connector, intake) = (world.connector(), world.gated(0));
    let running = run(&connector, &intake);
    intake
        .until("the history is read", |it| it.asked.load(Ordering::SeqCst) == 1)
        .await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1400, "live"));
    assert_eq!(
        world.stored_place().await["session_id"],
        "session-1",
        "a crash now would begin anew"
    );
    intake.gate.add_permits(100);
    let mut expect: Vec<String> = missed.iter().map(ToString::to_string).collect();
    expect.push("1400".to_owned());
    intake
        .until("all is stored", |it| it.new_ids().len() == expect.len())
        .await;
    assert_eq!(intake.new_ids(), expect, "the history first, oldest first");
    assert_eq!(world.gateway.greeting_ops(), [2, 6, 2]);
    let place = world.stored_place().await;
    assert_eq!(
        (&place["session_id"], &place["seq"]),
        (&json!("session-2"), &json!(2))
    );
    running.stop().await;
}

#[tokio::test]
async fn a_failing_store_does_not_lose_the_history() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    running.stop().await;
    world.gateway.forget_session();
    world.rest.remember(message(1002, "missed"));
    let (connector, intake) = (world.connector(), world.intake());
    intake.fail_next(StoreError::Failed("busy".to_owned()));
    let running = run(&connector, &intake);
    intake.until_new(&["1002"]).await;
    running.stop().await;
}

#[tokio::test]
async fn interrupted_connections_are_resumed() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    let mut stored = Vec::new();
    for (id, op) in [
        (1001_u64, "reconnect"),
        (1002, "invalid session"),
        (1003, "drop"),
        (1004, "close"),
    ] {
        let greeted = world.gateway.greetings().len();
        match op {
            "reconnect" => world.gateway.say(json!({"op": 7, "d": null})),
            "invalid session" => world.gateway.say(json!({"op": 9, "d": true})),
            "drop" => world.gateway.drop_connections(),
            _ => world.gateway.close_with(4000),
        }
        world.gateway.dispatch("MESSAGE_CREATE", message(id, op));
        stored.push(id.to_string());
        intake.until(op, |it| it.new_ids() == stored).await;
        world.gateway.until(op, |it| it.greetings().len() > greeted).await;
    }
    assert_eq!(world.gateway.greeting_ops(), [2, 6, 6, 6, 6]);
    running.stop().await;
}

#[tokio::test]
async fn a_connection_without_answers_is_left() {
    let world = World::new().await;
    world.gateway.beat_every(60);
    world.gateway.be_mute(true);
    let (_connector, _intake, running) = world.started().await;
    world
        .gateway
        .until("it connects again", |it| it.greetings().len() > 1)
        .await;
    assert_eq!(world.gateway.greeting_ops()[..2], [2, 6]);
    running.stop().await;
}

#[tokio::test]
async fn a_session_that_timed_out_begins_anew() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    world.gateway.close_with(4009);
    intake
        .until("a second session", |it| it.committed().len() > 1)
        .await;
    assert_eq!(world.gateway.greeting_ops(), [2, 2]);
    assert_eq!(world.stored_place().await["session_id"], "session-2");
    running.stop().await;
}

#[tokio::test]
async fn what_only_the_operator_can_mend_ends_the_run() {
    for (code, expect) in [
        (4004, "discord.token"),
        (4014, "developer portal"),
        (4013, "developer portal"),
    ] {
        let world = World::new().await;
        let (_connector, _intake, running) = world.started().await;
        world.gateway.close_with(code);
        let problem = running.problem().await;
        assert!(matches!(problem, ConnectorError::Refused { .. }), "{problem}");
        assert!(problem.to_string().contains(expect), "{problem}");
    }
    let world = World::new().await;
    world.rest.refuse("GET /users/@me", 401, 0);
    let problem = run(&world.connector(), &world.intake()).problem().await;
    assert!(problem.to_string().contains("discord.token"), "{problem}");
}

#[tokio::test]
async fn trouble_at_the_start_is_waited_out() {
    let world = World::new().await;
    world.rest.script(
        "GET /users/@me",
        Scripted::Answer(
            429,
            json!({"message": "slow", "retry_after": 0.05, "global": false}),
        ),
    );
    world.rest.script("GET /users/@me", Scripted::CutBefore);
    world
        .rest
        .script("GET /gateway/bot", Scripted::Answer(502, Value::Null));
    let (_connector, _intake, running) = world.started().await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_not_stored_is_replayed() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    intake.fail_next(StoreError::Failed("busy".to_owned()));
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1002, "b"));
    intake.until_new(&["1001", "1002"]).await;
    assert_eq!(world.gateway.greeting_ops(), [2, 6]);
    running.stop().await;
}

#[tokio::test]
async fn a_broken_store_stops_the_connector() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    intake.fail_next(StoreError::Broken("disk full".to_owned()));
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    let problem = running.problem().await;
    assert!(
        matches!(problem, ConnectorError::Store(StoreError::Broken(_))),
        "{problem}"
    );
    assert_eq!(world.stored_place().await["seq"], 1);
}

#[tokio::test]
async fn events_without_a_meaning_do_not_wear_out_the_store() {
    let world = World::new().await;
    let (_connector, intake, running) = world.started().await;
    for it in 0..50 {
        world.gateway.dispatch("TYPING_START", json!({"user_id": "42"}));
        world.gateway.dispatch(&format!("HOLOGRAM_{it}"), json!(null));
    }
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    let places: Vec<Value> = intake
        .committed()
        .iter()
        .map(|it| it.place["seq"].clone())
        .collect();
    assert_eq!(places, [json!(1), json!(102)]);
    running.stop().await;
}

#[tokio::test]
async fn a_gateway_of_the_operators_choice_carries_resumes_too() {
    let world = World::new().await;
    let mut config = world.config();
    config.gateway_url = Some(format!("{}/relay", world.gateway.url()));
    config.register_commands = false;
    let (connector, intake) = (world.connector_with(config), world.intake());
    let running = run(&connector, &intake);
    intake
        .until("READY is stored", |it| !it.committed().is_empty())
        .await;
    world.gateway.drop_connections();
    world
        .gateway
        .until("it resumes", |it| it.greetings().len() > 1)
        .await;
    let paths: Vec<String> = world.gateway.greetings().into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["/relay?v=10&encoding=json"; 2]);
    let asked: Vec<String> = world.rest.all_calls().into_iter().map(|it| it.what).collect();
    assert_eq!(asked, ["GET /users/@me", "GET /applications/@me"]);
    running.stop().await;
}

#[tokio::test]
async fn the_greeting_asks_for_no_privileged_intent() {
    let world = World::new().await;
    let (_connector, _intake, running) = world.started().await;
    let intents = world.gateway.greetings()[0].payload["d"]["intents"]
        .as_u64()
        .unwrap();
    assert_eq!(intents, 1 << 9 | 1 << 12);
    world.rest.until_called("PUT /applications/666/commands").await;
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_conversation_leaves_the_stored_place_until_somebody_writes_there_again() {
    let world = World::new().await;
    let (connector, intake, running) = world.started().await;
    world.gateway.dispatch("MESSAGE_CREATE", message(1001, "a"));
    intake.until_new(&["1001"]).await;
    let channels = async || world.stored_place().await["channels"].clone();
    assert_eq!(channels().await, json!({"50": "1001"}));

    let so_far = intake.committed().len();
    connector.forgotten(&conversation());
    intake
        .until("the place is stored", |it| it.committed().len() > so_far)
        .await;
    assert_eq!(channels().await, json!({}));

    world.gateway.dispatch("MESSAGE_CREATE", message(1002, "b"));
    intake.until_new(&["1001", "1002"]).await;
    assert_eq!(channels().await, json!({"50": "1002"}));
    running.stop().await;

    // Deleted while Discord was out of reach: gone with the next connection.
    connector.forgotten(&conversation());
    let again = run(&connector, &intake);
    let so_far = intake.committed().len();
    intake
        .until("the place is stored", |it| it.committed().len() > so_far)
        .await;
    assert_eq!(channels().await, json!({}));
    again.stop().await;
}
