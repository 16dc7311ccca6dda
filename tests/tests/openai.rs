//! Programs that ask the model itself, in OpenAI's protocol.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::Duration;

use bedside_tests::{Bot, BotOptions, places};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

const KEY: &str = "sk-black-box-0123456789";
const PATIENCE: Duration = Duration::from_secs(240);

async fn start(config: &str) -> Bot {
    let options = BotOptions {
        config: config.to_owned(),
        ..BotOptions::default()
    };
    Bot::start(options).await.unwrap()
}

fn client() -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_is_at_home() {
    let bot = start(&format!("[web.api]\nkey = {KEY:?}")).await;
    let mut python = Command::new(places::python().unwrap());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("openai_") || text.ends_with("_proxy") {
            python.env_remove(&name);
        }
    }
    python
        .arg(places::repository().join("tests/python/openai_client.py"))
        .args([&format!("{}/v1", bot.url()), KEY])
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, python.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        bot.log()
    );
    let log = bot.log();
    assert!(!log.contains("fruits") && !log.contains(KEY), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_programs_on_this_machine_are_served_and_no_others() {
    let bot = start("").await;
    let models = format!("{}/v1/models", bot.url());
    let (status, list) = answer(client().get(&models)).await;
    assert_eq!(status, StatusCode::OK, "{list}");

    let question = json!({
        "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8, "temperature": 0,
    });
    let ask = client()
        .post(format!("{}/v1/chat/completions", bot.url()))
        .json(&question);
    let (status, body) = answer(ask).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["model"], list["data"][0]["id"]);
    assert!(body["usage"]["completion_tokens"].as_u64().unwrap() <= 8);

    let proxied = client().get(&models).header("x-forwarded-for", "10.0.0.9");
    let (status, body) = answer(proxied).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("api_key_not_configured"))
    );
    let other_site = client().get(&models).header("origin", "https://evil.example");
    assert_eq!(answer(other_site).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_a_key_is_needed_and_the_log_says_so() {
    let options = BotOptions {
        config: "[web]\npublic_url = \"https://chat.hospital.example\"".to_owned(),
        without_model: true,
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    let (status, body) = answer(client().get(format!("{}/v1/models", bot.url()))).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("web.api.key_file")
    );
    assert!(bot.log().contains("web.api.key_file"), "{}", bot.log());
}
