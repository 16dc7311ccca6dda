//! `[remote]`: the real binary has a model server on loopback answer.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::{get, post},
};
use bedside_tests::{Bot, BotOptions, run_bedside};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const KEY: &str = "sk-only-for-this-test";
const QUESTION: &str = "How is gout treated?";

#[derive(Default)]
struct Seen {
    keys: Vec<String>,
    /// Requests for answers.
    bodies: Vec<Value>,
    /// Requests for one word.
    third_reader: Vec<Value>,
    /// What it says to those; "No" where it is empty.
    word: &'static str,
}

/// A server whose model repeats the first sentence of the passages that it is given, and sees an emergency only if it
/// is told to.
async fn model_server() -> (String, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let models = get(async || Json(json!({"data": [{"id": "ward-14b", "max_model_len": 4096}]})));
    let router = Router::new()
        .route("/v1/models", models)
        .route("/v1/chat/completions", post(answer))
        .with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, seen)
}

async fn answer(
    State(seen): State<Arc<Mutex<Seen>>>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> impl IntoResponse {
    let last = body["messages"].as_array().unwrap().last().unwrap();
    let content = last["content"].as_str().unwrap();
    let passage = content
        .lines()
        .find_map(|it| it.strip_prefix("Info: "))
        .unwrap_or(content);
    let (_title, passage) = passage.split_once(": ").unwrap_or(("", passage));
    let mut sentence = format!("{}.", passage.split(". ").next().unwrap().trim_end_matches('.'));
    let is_third = body["max_tokens"] == 1;
    if is_third {
        let word = seen.lock().unwrap().word;
        sentence = if word.is_empty() { "No" } else { word }.to_owned();
    }
    let mut events = String::new();
    for word in sentence.split_inclusive(' ') {
        let event = json!({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": null}]});
        events.push_str(&format!("data: {event}\r\n\r\n: ping\r\n\r\n"));
    }
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 123, "completion_tokens": 17}});
    events.push_str(&format!("data: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n"));
    let mut seen = seen.lock().unwrap();
    let key = headers
        .get(header::AUTHORIZATION)
        .map(|it| it.to_str().unwrap().to_owned());
    seen.keys.extend(key);
    if is_third {
        seen.third_reader.push(body);
    } else {
        seen.bodies.push(body);
    }
    ([(header::CONTENT_TYPE, "text/event-stream")], events)
}

fn configured(directory: &Path, remote: &str) -> PathBuf {
    let file = directory.join("bedside.toml");
    // A model file that is not there: the model in the process is not touched.
    std::fs::write(
        &file,
        format!("[model]\nsource = \"file:/nowhere.gguf\"\n[remote]\n{remote}"),
    )
    .unwrap();
    file
}

async fn run(directory: &Path, config: &Path, arguments: &[&str]) -> Output {
    let config = config.to_str().unwrap();
    let all = [&["--config", config], arguments].concat();
    run_bedside(&directory.join("data"), &all, "").await.unwrap()
}

#[tokio::test]
async fn a_question_is_answered_by_the_server() {
    let (address, seen) = model_server().await;
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key");
    std::fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let remote = format!("base_url = {address:?}\napi_key_file = {key_file:?}");
    let config = configured(directory.path(), &remote);
    let output = run(directory.path(), &config, &["ask", "--json", QUESTION]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["model"], "ward-14b", "{answer}{said}");
    assert_eq!(answer["timings"]["generated_tokens"], 17, "{answer}");
    let seen = seen.lock().unwrap();
    assert!(
        seen.keys.iter().all(|it| *it == format!("Bearer {KEY}")),
        "{:?}",
        seen.keys
    );
    let body = &seen.bodies[0];
    assert_eq!(
        (&body["model"], &body["stream"]),
        (&json!("ward-14b"), &json!(true))
    );
    assert!(body["messages"].to_string().contains(QUESTION), "{body}");
    assert!(!said.contains(KEY), "{said}");
}

#[tokio::test]
async fn without_its_server_patients_get_the_passages() {
    // Taken and given back: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let address = format!("http://{free}/v1");
    let directory = tempfile::tempdir().unwrap();
    let config = configured(directory.path(), &format!("base_url = {address:?}"));
    let output = run(directory.path(), &config, &["ask", "--json", QUESTION]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["model"], Value::Null);
    assert!(
        answer["answer"].as_str().unwrap().to_lowercase().contains("gout"),
        "{answer}"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("cannot be reached") && !said.contains("gout"),
        "{said}"
    );
}

#[tokio::test]
async fn a_large_model_raises_what_the_rules_do_not_see() {
    let (address, seen) = model_server().await;
    let directory = tempfile::tempdir().unwrap();
    let log = "[log]\nlevel = \"debug\"";
    let config = configured(directory.path(), &format!("base_url = {address:?}\n{log}"));
    let ask = async || {
        let output = run(directory.path(), &config, &["ask", "--json", QUESTION]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        (answer, said)
    };
    let (answer, said) = ask().await;
    assert_ne!(answer["disposition"], "emergency", "{answer}");
    assert!(
        said.contains("third reader") && said.contains("no-emergency"),
        "{said}"
    );
    seen.lock().unwrap().word = "Yes";
    let (answer, said) = ask().await;
    assert_eq!(answer["disposition"], "emergency", "{answer}");
    let notice = answer["answer"].as_str().unwrap();
    assert!(
        notice.contains("This could be an emergency") && notice.contains("120"),
        "{notice}"
    );
    assert!(!said.contains("gout"), "words of a patient in the log: {said}");
    let requests = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!((requests.third_reader.len(), requests.bodies.len()), (2, 1));
    let [first, second] = requests.third_reader.as_slice() else {
        panic!("{:?}", requests.third_reader);
    };
    assert_eq!(first, second, "the same message gives the same prompt");
    assert_eq!(first["temperature"], 0.0, "{first}");

    seen.lock().unwrap().word = "Yes";
    let off = format!("base_url = {address:?}\n[bot]\nthird_reader = \"off\"");
    let config = configured(directory.path(), &off);
    let output = run(directory.path(), &config, &["ask", "--json", QUESTION]).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(answer["disposition"], "emergency", "{answer}");
    assert!(seen.lock().unwrap().third_reader.is_empty());
}

#[tokio::test]
async fn readiness_follows_the_server() {
    let (address, _seen) = model_server().await;
    let options = BotOptions {
        without_model: true,
        config: format!("[remote]\nbase_url = {address:?}"),
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async {
        loop {
            let response = client.get(format!("{}/readyz", bot.url())).send().await.unwrap();
            if response.status().is_success() {
                return response.json::<Value>().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ready = tokio::time::timeout(Duration::from_secs(30), ready)
        .await
        .unwrap();
    assert_eq!(ready, json!({"ready": true}), "nothing of which model it is");
    assert!(bot.log().contains("The model server is ready"), "{}", bot.log());
}

#[tokio::test]
async fn a_wrong_key_of_the_config_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        ("base_url = 'nonsense'", "remote.base_url"),
        (
            "base_url = 'http://127.0.0.1/v1'\napi_key_file = '/nowhere/key'",
            "remote.api_key_file",
        ),
        (
            "base_url = 'http://127.0.0.1/v1'\nconcurrent = 0",
            "remote.concurrent",
        ),
    ];
    for (remote, key) in cases {
        let config = configured(directory.path(), remote);
        for command in ["check-config", "run"] {
            let output = run(directory.path(), &config, &[command]).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{command} {remote}: {said}");
            assert!(said.contains(key), "{command} {remote}: {said}");
        }
    }
    let config = configured(
        directory.path(),
        "base_url = 'http://127.0.0.1:9/v1'\napi_key = 'sk-Hush'",
    );
    let output = run(directory.path(), &config, &["check-config"]).await;
    let said = format!("{output:?}");
    assert!(
        output.status.success() && said.contains("http://127.0.0.1:9/v1"),
        "{said}"
    );
    assert!(!said.contains("Hush"), "{said}");
}
