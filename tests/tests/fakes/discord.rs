use std::time::Duration;

use bedside_tests::{DiscordFake, DiscordUser, Fault, discord_fake::TOKEN, eventually};
use reqwest::{Method, header};
use serde_json::{Value, json};

const SEND: &str = "POST /channels/*/messages";

struct BotSide<'a> {
    fake: &'a DiscordFake,
    user: DiscordUser<'a>,
    client: reqwest::Client,
}

impl<'a> BotSide<'a> {
    async fn new(fake: &'a DiscordFake) -> Self {
        Self {
            fake,
            user: fake.user("Ann").await.unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Result<(u16, Value), reqwest::Error> {
        let url = format!("{}{path}", self.fake.access().api_url);
        let call = self.client.request(method, url).json(&body);
        let response = call
            .header(header::AUTHORIZATION, format!("Bot {TOKEN}"))
            .send()
            .await?;
        Ok((
            response.status().as_u16(),
            response.json().await.unwrap_or_default(),
        ))
    }

    async fn send(&self, body: Value) -> Result<(u16, Value), reqwest::Error> {
        let path = format!("/channels/{}/messages", self.user.channel);
        self.call(Method::POST, &path, body).await
    }

    async fn shows(&self, count: usize) {
        eventually("what the patient sees", Duration::from_secs(5), async || {
            (self.user.messages().len() == count).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_shown_edited_and_refused() {
    let fake = DiscordFake::start().await.unwrap();
    let bot = BotSide::new(&fake).await;
    let row = json!({"type": 1, "components": [{"type": 2, "style": 1, "label": "Yes", "custom_id": "y"}]});
    let (status, sent) = bot
        .send(json!({"content": "Hi", "components": [row]}))
        .await
        .unwrap();
    assert_eq!(status, 200, "{sent}");
    bot.shows(1).await;
    assert_eq!(bot.user.messages()[0].buttons[0].data, "y");

    let path = format!(
        "/channels/{}/messages/{}",
        bot.user.channel,
        sent["id"].as_str().unwrap()
    );
    let edit = json!({"content": "Ho", "components": []});
    assert_eq!(bot.call(Method::PATCH, &path, edit).await.unwrap().0, 200);
    let edited = bot.user.message("the edit", |it| it.edits.len() == 1).await;
    assert_eq!((edited.text.as_str(), edited.buttons.len()), ("Ho", 0));

    let (status, complaint) = bot.send(json!({"content": "x".repeat(2001)})).await.unwrap();
    assert_eq!((status, &complaint["code"]), (400, &json!(50035)));
    let (status, complaint) = bot.send(json!({"content": ""})).await.unwrap();
    assert_eq!((status, &complaint["code"]), (400, &json!(50006)));
    let url = format!("{}/users/@me", fake.access().api_url);
    let stranger = bot.client.get(url).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let (_, opened) = bot
        .call(
            Method::POST,
            "/users/@me/channels",
            json!({"recipient_id": bot.user.id}),
        )
        .await
        .unwrap();
    assert_eq!(opened["id"], bot.user.channel);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_nonce_is_the_same_message() {
    let fake = DiscordFake::start().await.unwrap();
    let bot = BotSide::new(&fake).await;
    let message = json!({"content": "once", "nonce": "abc", "enforce_nonce": true});
    fake.proxy.inject(SEND, Fault::ResetAfter);
    assert!(bot.send(message.clone()).await.is_err());
    let (first, second) = futures::future::try_join(bot.send(message.clone()), bot.send(message))
        .await
        .unwrap();
    assert_eq!(first.1["id"], second.1["id"]);
    bot.shows(1).await;
    // Without enforcement a nonce is only a mark.
    let marked = json!({"content": "twice", "nonce": "abc"});
    bot.send(marked.clone()).await.unwrap();
    bot.send(marked).await.unwrap();
    bot.shows(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_to_wait_in_its_own_way() {
    let fake = DiscordFake::start().await.unwrap();
    let bot = BotSide::new(&fake).await;
    let retry_after = Duration::from_millis(500);
    fake.proxy.inject(SEND, Fault::TooMany { retry_after });
    let (status, answer) = bot.send(json!({"content": "x"})).await.unwrap();
    assert_eq!(
        (status, &answer["retry_after"], &answer["global"]),
        (429, &json!(0.5), &json!(false))
    );
    fake.proxy.inject(SEND, Fault::ResetBefore);
    assert!(bot.send(json!({"content": "x"})).await.is_err());
    assert!(bot.user.messages().is_empty());
    assert_eq!((fake.proxy.calls(SEND).len(), fake.proxy.faults_left()), (2, 0));
}
