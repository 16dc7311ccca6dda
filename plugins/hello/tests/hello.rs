//! The plugin as plain Rust, with a host that needs no bot.

use bedside_plugin_api::{
    Plugin,
    msg::{Message, Verdict},
    testing::FakeHost,
};
use bedside_plugin_hello::Hello;
use serde_json::json;

#[test]
fn greets_in_the_language_of_the_greeting() {
    let mut hello: Hello = FakeHost::default().start(json!({})).unwrap();
    let mut check = |text: &str, expect: Verdict| {
        let message = Message {
            text: text.to_owned(),
            ..Message::default()
        };
        assert_eq!(hello.on_message(&message).unwrap(), expect, "{text}");
    };
    check(
        "Hello ",
        Verdict::Reply("Hello! What can I do for you?".to_owned()),
    );
    check("你好", Verdict::Reply("你好！有什么可以帮您？".to_owned()));
    check("hello, my head hurts", Verdict::Continue);
}

#[test]
fn a_typo_in_the_settings_is_told() {
    let problem = FakeHost::default()
        .start::<Hello>(json!({"greting": "hi"}))
        .err()
        .unwrap();
    assert!(problem.to_string().contains("greting"), "{problem}");
}
