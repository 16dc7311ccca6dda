use std::time::{Duration, Instant};

use bedside_tests::{Fault, TelegramFake, telegram_fake::TOKEN};
use serde_json::{Value, json};

struct BotSide {
    client: reqwest::Client,
    url: String,
}

impl BotSide {
    fn new(fake: &TelegramFake) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            client,
            url: format!("{}/bot{TOKEN}", fake.proxy.url()),
        }
    }

    async fn call(&self, method: &str, body: Value) -> Result<Value, reqwest::Error> {
        self.client
            .post(format!("{}/{method}", self.url))
            .json(&body)
            .send()
            .await?
            .json()
            .await
    }

    async fn update_ids(&self, offset: i64) -> Vec<i64> {
        let answer = self.call("GetUpdates", json!({"offset": offset})).await.unwrap();
        answer["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["update_id"].as_i64().unwrap())
            .collect()
    }
}

#[tokio::test]
async fn updates_stay_until_an_offset_confirms_them() {
    let fake = TelegramFake::start().await.unwrap();
    let bot = BotSide::new(&fake);
    fake.user(5).say("a").await.unwrap();
    fake.user(5).say("/start").await.unwrap();
    fake.user(5).press("consent:yes").await.unwrap();
    let ids = bot.update_ids(0).await;
    assert_eq!((ids.len(), bot.update_ids(0).await), (3, ids.clone()));
    assert_eq!(bot.update_ids(ids[0] + 1).await, ids[1..]);
    assert!(bot.update_ids(ids[2] + 1).await.is_empty());
    assert!(
        bot.update_ids(0).await.is_empty(),
        "confirmed once is confirmed for good"
    );
    let start = Instant::now();
    bot.call("getUpdates", json!({"timeout": 1})).await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "an empty poll is held open"
    );
}

#[tokio::test]
async fn updates_have_the_fields_of_the_real_api() {
    let fake = TelegramFake::start().await.unwrap();
    let bot = BotSide::new(&fake);
    fake.user(5).say("头疼").await.unwrap();
    fake.user(5).press("x:y").await.unwrap();
    let answer = bot.call("getUpdates", json!({})).await.unwrap();
    let message = &answer["result"][0]["message"];
    assert_eq!(
        (&message["text"], &message["chat"]["id"], &message["chat"]["type"]),
        (&json!("头疼"), &json!(5), &json!("private"))
    );
    assert_eq!(message["from"]["is_bot"], false);
    let query = &answer["result"][1]["callback_query"];
    assert_eq!(
        (
            &query["data"],
            &query["chat_instance"],
            &query["message"]["chat"]["id"]
        ),
        (&json!("x:y"), &json!("1"), &json!(5))
    );
}

#[tokio::test]
async fn messages_are_kept_edited_and_refused() {
    let fake = TelegramFake::start().await.unwrap();
    let bot = BotSide::new(&fake);
    let markup = json!({"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]});
    let sent = json!({"chat_id": 5, "text": "<b>Hi</b>", "parse_mode": "HTML", "reply_markup": markup});
    let answer = bot.call("SendMessage", sent).await.unwrap();
    let id = answer["result"]["message_id"].as_i64().unwrap();
    let edit = |text: String| {
        bot.call(
            "EditMessageText",
            json!({"chat_id": 5, "message_id": id, "text": text}),
        )
    };
    assert_eq!(edit("Ho".to_owned()).await.unwrap()["result"]["message_id"], id);
    let problem = |answer: Value| answer["description"].as_str().unwrap_or_default().to_owned();
    assert!(problem(edit("Ho".to_owned()).await.unwrap()).contains("not modified"));
    assert!(problem(edit("x".repeat(4097)).await.unwrap()).contains("too long"));
    let gone = json!({"chat_id": 5, "message_id": 999, "text": "x"});
    assert!(problem(bot.call("EditMessageText", gone).await.unwrap()).contains("not found"));
    let broken = json!({"chat_id": 5, "text": "<b>x", "parse_mode": "HTML"});
    assert!(problem(bot.call("SendMessage", broken).await.unwrap()).contains("can't parse entities"));

    let messages = fake.user(5).messages();
    assert_eq!(
        (messages.len(), messages[0].text.as_str(), messages[0].edits.len()),
        (1, "Ho", 1)
    );
    assert_eq!(fake.proxy.calls("editmessagetext").len(), 4);
}

#[tokio::test]
async fn faults_come_when_they_are_ordered() {
    let fake = TelegramFake::start().await.unwrap();
    let bot = BotSide::new(&fake);
    let send = || bot.call("sendMessage", json!({"chat_id": 5, "text": "x"}));
    let count = || fake.user(5).messages().len();

    fake.proxy.inject(
        "sendmessage",
        Fault::TooMany {
            retry_after: Duration::from_secs(7),
        },
    );
    assert_eq!(send().await.unwrap()["parameters"]["retry_after"], 7);
    assert_eq!(count(), 0);

    fake.proxy.inject("sendmessage", Fault::ResetBefore);
    let error = send().await.unwrap_err();
    assert!(!error.is_connect() && count() == 0, "{error:?}");

    fake.proxy.inject("sendmessage", Fault::ResetAfter);
    let error = send().await.unwrap_err();
    assert!(!error.is_connect() && count() == 1, "{error:?}");

    fake.proxy
        .inject("sendmessage", Fault::Delay(Duration::from_millis(400)));
    let start = Instant::now();
    assert_eq!(send().await.unwrap()["ok"], true);
    assert!(start.elapsed() >= Duration::from_millis(400) && count() == 2);
    assert_eq!(send().await.unwrap()["ok"], true);
}
