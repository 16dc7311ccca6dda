//! Who gets in.

use reqwest::RequestBuilder;
use serde_json::json;

use crate::{
    program::{Program, answer, config, question},
    start,
};

const KEY: &str = "sk-0123456789abcdef";

async fn check(request: RequestBuilder, expect: (u16, Option<&str>)) {
    let (status, body) = answer(request).await;
    assert_eq!((status, body["error"]["code"].as_str()), expect, "{body}");
}

#[tokio::test]
async fn a_key_is_needed_if_there_is_one() {
    let program = Program::start(config(&json!({"key": KEY})));
    let ask = || program.post(&question(&json!({})));
    check(ask().bearer_auth(KEY), (200, None)).await;
    check(program.get("/v1/models").bearer_auth(KEY), (200, None)).await;
    let refused = (401, Some("invalid_api_key"));
    check(ask(), refused).await;
    check(ask().bearer_auth("sk-0123456789abcdeg"), refused).await;
    check(ask().basic_auth("ann", Some(KEY)), refused).await;
    check(program.get("/v1/models"), refused).await;
    check(program.get("/v1/nothing"), refused).await;
    assert_eq!(
        program.scripted.requests.lock().unwrap().len(),
        1,
        "the wrong keys reach no model"
    );

    let response = ask().send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let text = response.text().await.unwrap();
    assert!(
        text.contains("invalid_request_error") && !text.contains(KEY),
        "{text}"
    );
}

#[tokio::test]
async fn whoever_guesses_waits_and_the_right_key_does_not() {
    let program = Program::start(config(&json!({"key": KEY})));
    let models = |key: &str, address: &str| {
        let request = program.get("/v1/models").bearer_auth(key);
        request.header("x-forwarded-for", address)
    };
    let (guesser, other) = ("198.51.100.1", "198.51.100.2");
    check(
        models("sk-0123456789abcdeg", guesser),
        (401, Some("invalid_api_key")),
    )
    .await;
    let wrong = "sk-0123456789abcdeh";
    let response = models(wrong, guesser).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    // All programs behind a proxy may have the guesser's address.
    check(models(KEY, guesser), (200, None)).await;
    check(models(wrong, other), (401, Some("invalid_api_key"))).await;
}

#[tokio::test]
async fn adapters_are_changed_elsewhere() {
    let program = Program::start(config(&json!({"key": KEY})));
    for path in ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"] {
        let request = program.post_to(path, json!({"lora_name": "a", "lora_path": "b"}).to_string());
        let (status, body) = answer(request.bearer_auth(KEY)).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!("adapters_moved")));
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("admin.listen"), "{message}");
    }
}

#[tokio::test]
async fn without_a_key_nobody_comes_in_from_outside() {
    let program = start();
    check(program.get("/v1/models"), (200, None)).await;
    let proxied = program.get("/v1/models").header("x-forwarded-for", "10.0.0.9");
    check(proxied, (403, Some("api_key_not_configured"))).await;
    let by_address = program.get("/v1/models").header("host", "10.0.0.7");
    check(by_address, (403, Some("api_key_not_configured"))).await;

    let mut behind_proxy = config(&json!({}));
    behind_proxy.public_url = Some("https://chat.hospital.example".to_owned());
    let program = Program::start(behind_proxy);
    let (status, body) = answer(program.post(&question(&json!({})))).await;
    assert_eq!(status, 403);
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("web.api.key_file"),
        "{body}"
    );
    assert!(program.scripted.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let program = Program::start(config(&json!({"enabled": false, "key": KEY})));
    check(
        program.get("/v1/models").bearer_auth(KEY),
        (404, Some("api_disabled")),
    )
    .await;
}

#[tokio::test]
async fn pages_of_other_sites_stay_out() {
    let program = start();
    let own = format!("http://{}", program.authority());
    let ask = || program.post(&question(&json!({})));
    let other_site = (403, Some("other-site"));
    check(ask().header("origin", "https://evil.example"), other_site).await;
    check(ask().header("origin", "null"), other_site).await;
    check(ask().header("sec-fetch-site", "cross-site"), other_site).await;
    let list = program.get("/v1/models").header("origin", "https://evil.example");
    check(list, other_site).await;
    check(ask().header("host", "evil.example"), (421, Some("unknown-host"))).await;
    assert!(program.scripted.requests.lock().unwrap().is_empty());
    check(ask().header("origin", own), (200, None)).await;
    let response = ask().send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers().get("access-control-allow-origin"), None);
}
