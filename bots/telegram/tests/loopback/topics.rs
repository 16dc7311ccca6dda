//! Chats with topics: an answer goes to the topic in which the patient wrote, since that is where they look.

use bedside_contract::{Connector, ConversationKey, InboxSeq, OutboxItem, PartKind, QuickReply};
use serde_json::{Value, json};

use crate::{
    bot_api::{BotApi, Call, text_update},
    connector_at, methods, notice,
    parts_around::{GatedIntake, outbox_item},
    run,
};

fn in_topic(mut update: Value) -> Value {
    update["message"]["message_thread_id"] = json!(7);
    update["message"]["is_topic_message"] = json!(true);
    update
}

fn topic() -> ConversationKey {
    ConversationKey::new("telegram", "666", "42:7")
}

fn item(replaces: Option<&str>) -> OutboxItem {
    let mut part = notice("**Call 120** now");
    part.kind = PartKind::Emergency;
    part.quick_replies = vec![QuickReply {
        label: "Yes".to_owned(),
        data: "consent:yes".to_owned(),
    }];
    OutboxItem {
        conversation: topic(),
        ..outbox_item(part, replaces)
    }
}

/// `method topic` of each call, and all of them went to chat 42.
fn addresses(api: &BotApi) -> Vec<String> {
    let address = |it: &Call| {
        assert_eq!(it.body["chat_id"], 42, "{}", it.method);
        format!("{} {}", it.method, it.body["message_thread_id"])
    };
    api.calls().iter().map(address).collect()
}

#[tokio::test]
async fn the_topic_is_kept_in_the_conversation() {
    let api = BotApi::start().await;
    let intake = GatedIntake::open();
    api.deliver(in_topic(text_update(7, "a")));
    api.deliver(text_update(8, "b"));
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| it.offsets().last() == Some(&Some(9))).await;
    running.abort();
    let keys = intake.conversations.lock().unwrap().clone();
    assert_eq!(keys, [topic(), ConversationKey::new("telegram", "666", "42")]);
}

/// A connector that has seen no message, as after a restart.
#[tokio::test]
async fn all_that_is_sent_goes_to_the_topic() {
    let api = BotApi::start().await;
    let connector = connector_at(api.address);
    connector.typing(&topic()).await;
    let shown = connector
        .preview(&topic(), InboxSeq(1), None, "so far")
        .await
        .unwrap();
    connector.deliver(&item(Some(shown.0.as_str()))).await.unwrap();
    connector.deliver(&item(None)).await.unwrap();
    // A message that is edited stays where it is.
    assert_eq!(
        addresses(&api),
        [
            "sendchataction 7",
            "sendmessage 7",
            "editmessagetext null",
            "sendmessage 7"
        ]
    );
    assert_eq!(
        api.calls()[3].body["reply_markup"]["inline_keyboard"][0][0]["callback_data"],
        "consent:yes"
    );
}

#[tokio::test]
async fn a_chat_without_topics_names_none() {
    let api = BotApi::start().await;
    let connector = connector_at(api.address);
    let plain = outbox_item(notice("x"), None);
    connector.typing(&plain.conversation).await;
    connector.deliver(&plain).await.unwrap();
    for call in api.calls() {
        assert_eq!(call.body.get("message_thread_id"), None, "{}", call.method);
    }
}

#[tokio::test]
async fn where_the_topic_is_gone_the_chat_is_told() {
    for problem in ["message thread not found", "TOPIC_DELETED", "TOPIC_CLOSED"] {
        let api = BotApi::start().await;
        api.refuse("editMessageText", 400, "Bad Request: message to edit not found");
        api.refuse("sendMessage", 400, &format!("Bad Request: {problem}"));
        connector_at(api.address)
            .deliver(&item(Some("77")))
            .await
            .unwrap();
        assert_eq!(
            addresses(&api),
            ["editmessagetext null", "sendmessage 7", "sendmessage null"],
            "{problem}"
        );
        let call = api.calls().pop().unwrap();
        assert_eq!(call.body["parse_mode"], "HTML", "the markup was not at fault");
    }
}

#[tokio::test]
async fn another_refusal_is_not_tried_outside_the_topic() {
    let api = BotApi::start().await;
    api.refuse("sendMessage", 403, "Forbidden: bot was blocked by the user");
    connector_at(api.address).deliver(&item(None)).await.unwrap_err();
    assert_eq!(methods(&api), ["sendmessage"]);
}

#[tokio::test]
async fn a_group_is_told_in_the_topic_where_it_asked() {
    let api = BotApi::start().await;
    let mut update = in_topic(text_update(3, "@WardBot my chest hurts"));
    update["message"]["chat"] = json!({"id": -5, "type": "supergroup", "title": "G", "is_forum": true});
    api.deliver(update);
    let running = run(&connector_at(api.address), &GatedIntake::open());
    api.until(|it| !it.calls().is_empty()).await;
    running.abort();
    let body = api.calls()[0].body.clone();
    assert_eq!(
        (&body["chat_id"], &body["message_thread_id"]),
        (&json!(-5), &json!(7))
    );
}
