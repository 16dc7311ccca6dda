use bedside_contract::{Language, UpdateKind};
use serde_json::{Value, json};

use super::{Event, InteractionKind, Snowflake};

const US: Snowflake = Snowflake(666);

fn private(change: Value) -> Value {
    let mut message = json!({
        "id": "1000", "channel_id": "50", "content": "my head hurts", "type": 0,
        "author": {"id": "42", "username": "p"}, "mentions": [], "attachments": [],
    });
    for (key, value) in change.as_object().unwrap() {
        message[key] = value.clone();
    }
    message
}

/// What a message is read as, in one word.
fn read(change: Value) -> String {
    match Event::read("MESSAGE_CREATE", private(change), US) {
        Event::Message(it) => match it.kind {
            UpdateKind::Text { text } => match it.beside_words {
                Some(what) => format!("text {text}, beside it unreadable {what}"),
                None => format!("text {text}"),
            },
            UpdateKind::Unreadable { what } => format!("unreadable {what}"),
            _ => "something else".to_owned(),
        },
        Event::Mentioned(it) => format!("mentioned {}", it.language.code()),
        _ => "nothing".to_owned(),
    }
}

#[test]
fn messages_are_read() {
    let check = |change: Value, expect: &str| assert_eq!(read(change.clone()), expect, "{change}");
    check(json!({}), "text my head hurts");
    check(json!({"content": " 头疼 "}), "text 头疼");
    check(json!({"content": "/ask why?"}), "text why?");
    check(json!({"content": "/asking"}), "text /asking");
    check(json!({"type": 19}), "text my head hurts");
    check(json!({"type": 7}), "nothing");
    check(json!({"guild_id": ""}), "text my head hurts");
    check(json!({"author": {"id": "42", "bot": true}}), "nothing");
    check(json!({"author": {"id": "42", "system": true}}), "nothing");
    check(json!({"author": {"id": "666"}}), "nothing");
    check(json!({"webhook_id": "9"}), "nothing");
    check(json!({"content": ""}), "nothing");
    let nothing_said = |more: Value| {
        let mut change = json!({"content": ""});
        change
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        change
    };
    check(
        nothing_said(json!({"attachments": [{"content_type": "image/png"}]})),
        "unreadable photo",
    );
    check(nothing_said(json!({"attachments": [{}]})), "unreadable file");
    check(
        nothing_said(json!({"attachments": [{"content_type": "audio/ogg"}], "flags": 8192})),
        "unreadable voice",
    );
    check(nothing_said(json!({"sticker_items": [{}]})), "unreadable sticker");
    check(nothing_said(json!({"poll": {}})), "unreadable poll");
    check(
        nothing_said(json!({"message_snapshots": [{}]})),
        "unreadable forwarded message",
    );
    check(
        json!({"attachments": [{"content_type": "image/png"}]}),
        "text my head hurts, beside it unreadable photo",
    );
}

#[test]
fn only_what_a_person_changed_is_an_edit() {
    let is_edit = |change: Value| {
        matches!(
            Event::read("MESSAGE_UPDATE", private(change), US),
            Event::Edited(..)
        )
    };
    let edited = "2026-11-29T08:00:00.000000+00:00";
    assert!(is_edit(json!({"edited_timestamp": edited})));
    assert!(!is_edit(json!({"edited_timestamp": null})), "a preview of a link");
    assert!(!is_edit(json!({"edited_timestamp": edited, "guild_id": "7"})));
    assert!(!is_edit(
        json!({"edited_timestamp": edited, "author": {"id": "666"}})
    ));
}

#[test]
fn a_server_is_heard_only_when_it_speaks_to_us() {
    let check = |change: Value, expect: &str| assert_eq!(read(change.clone()), expect, "{change}");
    check(json!({"guild_id": "7"}), "nothing");
    check(
        json!({"guild_id": "7", "mentions": [{"id": "666"}]}),
        "mentioned en",
    );
    check(json!({"guild_id": "7", "content": "<@666> 头疼"}), "mentioned zh");
    check(json!({"guild_id": "7", "content": "<@!666> hi"}), "mentioned en");
    check(json!({"guild_id": "7", "content": "<@6667> hi"}), "nothing");
    check(
        json!({"guild_id": "7", "mentions": [{"id": "5"}], "mention_everyone": true}),
        "nothing",
    );
}

#[test]
fn odd_fields_cost_no_words() {
    let odd = json!({"attachments": "none", "mentions": null, "sticker_items": 5, "flags": "x", "poll": null,
        "guild_id": null, "webhook_id": null, "hologram": {}, "id": 1000});
    assert_eq!(read(odd), "text my head hurts");
    for useless in [json!(null), json!("x"), json!({}), json!({"id": "x"})] {
        for name in ["MESSAGE_CREATE", "INTERACTION_CREATE", "READY", "NEWS"] {
            assert!(matches!(Event::read(name, useless.clone(), US), Event::Other));
        }
    }
}

fn interaction(change: Value) -> Value {
    let mut out = json!({
        "id": "2000", "application_id": "666", "token": "aW50-X_9", "type": 2, "channel_id": "50", "context": 1,
        "user": {"id": "42"}, "locale": "zh-CN",
        "data": {"name": "ask", "options": [{"name": "question", "type": 3, "value": "为什么头疼"}]},
    });
    for (key, value) in change.as_object().unwrap() {
        out[key] = value.clone();
    }
    out
}

fn read_interaction(change: Value) -> Option<(String, Option<u64>)> {
    match Event::read("INTERACTION_CREATE", interaction(change), US) {
        Event::Interaction(it) => {
            assert_eq!(it.user, Snowflake(42));
            let words = match it.kind {
                InteractionKind::Command { text } => text,
                InteractionKind::Press { data, message, label } => format!(
                    "{data} under {} as {}",
                    message.map_or(0, |it| it.0),
                    label.unwrap_or_default()
                ),
            };
            Some((words, it.private_channel.map(|it| it.0)))
        }
        _ => None,
    }
}

#[test]
fn interactions_are_read() {
    let check = |change: Value, words: &str, channel: Option<u64>| {
        assert_eq!(
            read_interaction(change.clone()),
            Some((words.to_owned(), channel)),
            "{change}"
        );
    };
    check(json!({}), "为什么头疼", Some(50));
    check(json!({"data": {"name": "stop"}}), "/stop", Some(50));
    check(
        json!({"data": {"name": "language", "options": [{"value": "zh"}]}}),
        "/language zh",
        Some(50),
    );
    let message = json!({"id": "77", "components": [{"type": 1, "components": [
        {"type": 2, "custom_id": "consent:no", "label": "No"},
        {"type": 2, "custom_id": "consent:yes", "label": "Yes"}]}]});
    check(
        json!({"type": 3, "data": {"custom_id": "consent:yes"}, "message": message}),
        "consent:yes under 77 as Yes",
        Some(50),
    );
    check(
        json!({"type": 3, "data": {"custom_id": "x"}}),
        "x under 0 as ",
        Some(50),
    );
}

#[test]
fn only_our_own_chat_is_private() {
    let check = |change: Value, expect: Option<u64>| {
        let mut change = change;
        if change.get("guild_id").is_some_and(|it| it != "") {
            change["user"] = Value::Null;
            change["member"] = json!({"user": {"id": "42"}});
        }
        assert_eq!(read_interaction(change.clone()).unwrap().1, expect, "{change}");
    };
    check(json!({"guild_id": "7", "context": 0}), None);
    check(json!({"guild_id": "7", "context": null}), None);
    check(json!({"context": 2}), None);
    check(json!({"context": null, "channel": {"type": 3}}), None);
    check(json!({"context": null, "channel": {"type": 1}}), Some(50));
    check(json!({"context": null}), Some(50));
    check(json!({"guild_id": ""}), Some(50));
}

#[test]
fn what_nobody_can_answer_is_left_out() {
    for change in [
        json!({"type": 4}),
        json!({"type": 9}),
        json!({"user": null}),
        json!({"token": "a/../b"}),
        json!({"token": ""}),
        json!({"type": 3, "data": {}}),
    ] {
        assert_eq!(read_interaction(change.clone()), None, "{change}");
    }
}

#[test]
fn a_language_is_guessed_without_the_mention() {
    let Event::Interaction(it) = Event::read("INTERACTION_CREATE", interaction(json!({})), US) else {
        panic!("it is an interaction");
    };
    assert_eq!(it.language, Some(Language::Zh));
    assert_eq!(super::without_mentions("<@666> 你好 <b"), " 你好 b");
}
