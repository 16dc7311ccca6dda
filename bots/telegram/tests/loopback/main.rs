//! The connector against a Bot API on loopback: the order of commit and confirmation, delivery, failures.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod bot_api;
mod parts_around;
mod topics;

use std::{
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bedside_contract::{
    Connector, ConnectorError, DeliverError, InboxSeq, Intake, Language, Part, PlatformMessageId, QuickReply,
    StoreError,
};
use bedside_telegram::{TelegramConfig, TelegramConnector};
use bot_api::{BotApi, closed_port, resetting_server, text_update};
use parts_around::{GatedIntake, conversation, outbox_item};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const TOKEN: &str = "123456789:AAF7-secret_part_of_the_token_xyz";

fn connector_at(address: SocketAddr) -> Arc<TelegramConnector> {
    let config = TelegramConfig {
        enabled: true,
        token: Some(TOKEN.to_owned().into()),
        api_url: format!("http://{address}"),
        poll_timeout: 1,
        ..TelegramConfig::default()
    };
    Arc::new(config.build().unwrap())
}

fn run(
    connector: &Arc<TelegramConnector>,
    intake: &Arc<GatedIntake>,
) -> JoinHandle<Result<(), ConnectorError>> {
    let (connector, intake) = (Arc::clone(connector), Arc::clone(intake) as Arc<dyn Intake>);
    tokio::spawn(async move { connector.run(intake).await })
}

async fn deliver(
    api: &BotApi,
    part: Part,
    replaces: Option<&str>,
) -> Result<PlatformMessageId, DeliverError> {
    connector_at(api.address)
        .deliver(&outbox_item(part, replaces))
        .await
}

fn notice(text: &str) -> Part {
    Part::notice(Language::En, text)
}

fn methods(api: &BotApi) -> Vec<String> {
    api.calls().into_iter().map(|it| it.method).collect()
}

#[tokio::test]
async fn updates_are_confirmed_only_after_they_are_committed() {
    let api = BotApi::start().await;
    let intake = GatedIntake::closed();
    api.deliver(text_update(7, "a"));
    api.deliver(text_update(8, "b"));
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| !it.offsets().is_empty()).await;
    // While the commit waits, nothing more is polled, so nothing is confirmed.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(api.offsets(), [None]);
    intake.gate.add_permits(1);
    api.until(|it| it.offsets().len() > 1).await;
    assert_eq!(api.offsets()[1], Some(9));
    assert_eq!(
        intake.committed(),
        [(vec!["7".to_owned(), "8".to_owned()], Some("9".to_owned()))]
    );
    running.abort();
}

#[tokio::test]
async fn what_was_not_stored_is_polled_again() {
    let api = BotApi::start().await;
    let intake = GatedIntake::after(Some("5"));
    intake
        .failures
        .lock()
        .unwrap()
        .push_back(StoreError::Failed("busy".to_owned()));
    api.deliver(text_update(7, "a"));
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| it.offsets().last() == Some(&Some(8))).await;
    assert_eq!(api.offsets(), [Some(5), Some(5), Some(8)]);
    assert_eq!(intake.committed().len(), 1);
    running.abort();
}

#[tokio::test]
async fn a_broken_store_stops_the_connector() {
    let api = BotApi::start().await;
    let intake = GatedIntake::open();
    intake
        .failures
        .lock()
        .unwrap()
        .push_back(StoreError::Broken("disk full".to_owned()));
    api.deliver(text_update(7, "a"));
    let error = run(&connector_at(api.address), &intake)
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(error, ConnectorError::Store(StoreError::Broken(_))),
        "{error}"
    );
    assert_eq!(api.offsets(), [None]);
}

#[tokio::test]
async fn strange_updates_move_the_cursor_only() {
    let api = BotApi::start().await;
    let intake = GatedIntake::open();
    api.deliver(json!({"update_id": 7, "hologram": {}}));
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| it.offsets().len() > 1).await;
    assert_eq!(intake.committed(), [(vec![], Some("8".to_owned()))]);
    running.abort();
}

#[tokio::test]
async fn an_edit_is_taken_only_if_it_is_an_emergency() {
    let api = BotApi::start().await;
    let intake = GatedIntake::open();
    for (id, text) in [(7, "what helps against a cold?"), (8, "I can't breathe")] {
        let message = text_update(id, text)["message"].clone();
        api.deliver(json!({"update_id": id, "edited_message": message}));
    }
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| it.offsets().last() == Some(&Some(9))).await;
    let taken: Vec<String> = intake.committed().into_iter().flat_map(|it| it.0).collect();
    assert_eq!(taken, ["8"]);
    running.abort();
}

#[tokio::test]
async fn a_refused_token_ends_the_run_and_names_the_key() {
    let api = BotApi::start().await;
    api.refuse("getMe", 401, "Unauthorized");
    let error = run(&connector_at(api.address), &GatedIntake::open())
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(error, ConnectorError::Refused { .. }) && error.to_string().contains("telegram.token"),
        "{error}"
    );
}

#[tokio::test]
async fn trouble_at_the_start_is_waited_out() {
    let api = BotApi::start().await;
    api.script(
        "getMe",
        json!({"ok": false, "error_code": 429, "description": "Too Many Requests: retry after 1",
        "parameters": {"retry_after": 1}}),
    );
    api.refuse(
        "getUpdates",
        409,
        "Conflict: can't use getUpdates method while webhook is active; delete it first",
    );
    let running = run(&connector_at(api.address), &GatedIntake::open());
    api.until(|it| it.offsets().len() > 1).await;
    assert_eq!(methods(&api), ["deletewebhook"]);
    running.abort();
}

#[tokio::test]
async fn a_pressed_button_is_confirmed() {
    let api = BotApi::start().await;
    let intake = GatedIntake::open();
    let person = json!({"id": 42, "is_bot": false, "first_name": "P"});
    api.deliver(
        json!({"update_id": 3, "callback_query": {"id": "q9", "chat_instance": "c", "data": "consent:yes",
        "from": person, "message": text_update(1, "?")["message"]}}),
    );
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| !it.calls().is_empty()).await;
    assert_eq!(api.calls()[0].method, "answercallbackquery");
    assert_eq!(api.calls()[0].body["callback_query_id"], "q9");
    assert_eq!(intake.committed()[0].0, ["3"]);
    running.abort();
}

#[tokio::test]
async fn a_group_is_told_to_write_in_private() {
    let api = BotApi::start().await;
    let intake = GatedIntake::open();
    for id in [3, 4] {
        let mut update = text_update(id, "@WardBot my chest hurts");
        update["message"]["chat"] = json!({"id": -5, "type": "group", "title": "G"});
        api.deliver(update);
    }
    let running = run(&connector_at(api.address), &intake);
    api.until(|it| it.offsets().len() > 1 && !it.calls().is_empty())
        .await;
    let calls = api.calls();
    assert_eq!((calls.len(), calls[0].body["chat_id"].as_i64()), (1, Some(-5)));
    assert!(
        calls[0].body["text"]
            .as_str()
            .unwrap()
            .contains("https://t.me/WardBot")
    );
    assert_eq!(intake.committed(), [(vec![], Some("5".to_owned()))]);
    running.abort();
}

#[tokio::test]
async fn a_part_is_sent_with_markup_and_buttons() {
    let api = BotApi::start().await;
    let mut part = notice("**Rest** & drink");
    part.quick_replies = vec![QuickReply {
        label: "Yes".to_owned(),
        data: "consent:yes".to_owned(),
    }];
    assert_eq!(deliver(&api, part, None).await.unwrap().0, "101");
    let body = api.calls()[0].body.clone();
    assert_eq!(body["text"], "<b>Rest</b> &amp; drink");
    assert_eq!(
        (&body["parse_mode"], &body["chat_id"]),
        (&json!("HTML"), &json!(42))
    );
    assert_eq!(body["link_preview_options"]["is_disabled"], true);
    assert_eq!(
        body["reply_markup"]["inline_keyboard"][0][0]["callback_data"],
        "consent:yes"
    );
}

#[tokio::test]
async fn words_without_markup_have_no_parse_mode() {
    let api = BotApi::start().await;
    deliver(&api, notice("1 < 2 & 3"), None).await.unwrap();
    assert_eq!(api.calls()[0].body["text"], "1 < 2 & 3");
    assert_eq!(api.calls()[0].body["parse_mode"], Value::Null);
}

#[tokio::test]
async fn refused_markup_is_sent_as_plain_text() {
    let api = BotApi::start().await;
    api.refuse(
        "sendMessage",
        400,
        "Bad Request: can't parse entities: unexpected end tag",
    );
    deliver(&api, notice("**Rest**"), None).await.unwrap();
    let texts: Vec<_> = api.calls().iter().map(|it| it.body["text"].clone()).collect();
    assert_eq!(texts, ["<b>Rest</b>", "**Rest**"]);
}

#[tokio::test]
async fn the_preview_becomes_the_answer() {
    let api = BotApi::start().await;
    assert_eq!(deliver(&api, notice("done"), Some("77")).await.unwrap().0, "77");
    assert_eq!(methods(&api), ["editmessagetext"]);
    assert_eq!(api.calls()[0].body["message_id"], 77);

    let unchanged = "Bad Request: message is not modified: specified new message content and reply markup are \
                     exactly the same as a current content and reply markup of the message";
    api.refuse("editMessageText", 400, unchanged);
    assert_eq!(deliver(&api, notice("done"), Some("77")).await.unwrap().0, "77");
    assert_eq!(methods(&api), ["editmessagetext"; 2]);
}

#[tokio::test]
async fn a_lost_preview_is_replaced_by_a_new_message() {
    let api = BotApi::start().await;
    for problem in [
        "message to edit not found",
        "message can't be edited",
        "MESSAGE_ID_INVALID",
    ] {
        api.refuse("editMessageText", 400, &format!("Bad Request: {problem}"));
        deliver(&api, notice("**done**"), Some("77")).await.unwrap();
    }
    assert_eq!(methods(&api), ["editmessagetext", "sendmessage"].repeat(3));
}

#[tokio::test]
async fn previews_send_once_and_then_edit() {
    let api = BotApi::start().await;
    let connector = connector_at(api.address);
    let shown = connector
        .preview(&conversation(), InboxSeq(1), None, "**Re")
        .await
        .unwrap();
    let again = connector
        .preview(&conversation(), InboxSeq(1), Some(&shown), &"好".repeat(5000))
        .await
        .unwrap();
    assert_eq!(shown, again);
    assert_eq!(methods(&api), ["sendmessage", "editmessagetext"]);
    let calls = api.calls();
    assert_eq!(
        (&calls[0].body["text"], &calls[0].body["parse_mode"]),
        (&json!("**Re"), &Value::Null)
    );
    assert_eq!(
        calls[1].body["text"].as_str().unwrap().encode_utf16().count(),
        4096
    );
}

#[tokio::test]
async fn failures_say_whether_to_try_again() {
    let api = BotApi::start().await;
    api.script(
        "sendMessage",
        json!({"ok": false, "error_code": 429, "description": "Too Many Requests",
        "parameters": {"retry_after": 3}}),
    );
    let slow = deliver(&api, notice("x"), None).await.unwrap_err();
    assert!(
        matches!(slow, DeliverError::RetryAfter(wait) if wait == Duration::from_secs(3)),
        "{slow}"
    );

    api.refuse("sendMessage", 403, "Forbidden: bot was blocked by the user");
    assert!(matches!(
        deliver(&api, notice("x"), None).await,
        Err(DeliverError::Permanent(_))
    ));

    let at = |address| async move {
        connector_at(address)
            .deliver(&outbox_item(notice("x"), None))
            .await
            .unwrap_err()
    };
    let nobody = at(closed_port().await).await;
    assert!(matches!(nobody, DeliverError::NotSent(_)), "{nobody}");
    let hung_up = at(resetting_server().await).await;
    assert!(matches!(hung_up, DeliverError::Unknown(_)), "{hung_up}");
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_not_sent_again() {
    let api = BotApi::start().await;
    api.script(
        "sendMessage",
        json!({"ok": true, "result": {"message_id": 9, "chat": {"type": "hologram"}}}),
    );
    assert_eq!(deliver(&api, notice("x"), None).await.unwrap().0, "9");
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_token_nor_words_reach_log_or_error() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("debug")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let api = BotApi::start().await;
    api.script("getUpdates", json!("not what a Bot API says"));
    api.deliver(text_update(7, "my chest hurts"));
    let running = run(&connector_at(api.address), &GatedIntake::open());
    api.until(|it| it.offsets().contains(&Some(8))).await;
    running.abort();
    let unreachable = run(&connector_at(closed_port().await), &GatedIntake::open());
    let mut said = String::new();
    for address in [closed_port().await, resetting_server().await] {
        let connector = connector_at(address);
        connector.typing(&conversation()).await;
        said += &connector
            .deliver(&outbox_item(notice("my chest hurts"), None))
            .await
            .unwrap_err()
            .to_string();
    }
    api.script(
        "sendMessage",
        json!({"ok": "perhaps", "result": "my chest hurts"}),
    );
    said += &deliver(&api, notice("my chest hurts"), None)
        .await
        .unwrap_err()
        .to_string();
    unreachable.abort();

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("telegram is polled"), "the log was captured: {log}");
    for text in [&log, &said] {
        assert!(!text.contains("secret_part") && !text.contains("chest"), "{text}");
    }
}
