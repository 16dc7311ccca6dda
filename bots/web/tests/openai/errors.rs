//! What is refused, and in which words.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bedside_contract::{FinishReason, GenerateError};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    program::{Program, answer, config, question},
    scripted::{BASE, Scripted, Step, finish, say},
    start,
};

const SECRET: &str = "hiccups-since-tuesday";

#[tokio::test]
async fn what_the_model_cannot_do_is_told_by_status_and_code() {
    let program = start();
    let check = async |error: GenerateError, expect: (u16, &str, Value), message: &str| {
        *program.scripted.refusal.lock().unwrap() = Some(error);
        let response = program.post(&question(&json!({}))).send().await.unwrap();
        let retry_after = response.headers().get("retry-after").cloned();
        let status = response.status().as_u16();
        assert_eq!(retry_after.is_some(), matches!(status, 429 | 503), "{message}");
        let body: Value = response.json().await.unwrap();
        let error = &body["error"];
        assert_eq!(
            (status, error["type"].as_str().unwrap(), error["code"].clone()),
            expect
        );
        assert_eq!(error["message"], message);
        let about_messages = status == 400;
        assert_eq!(error["param"] == "messages", about_messages, "{error}");
        assert!(error.get("param").is_some(), "{error}");
    };
    check(
        GenerateError::Busy { queued: 32 },
        (429, "rate_limit_error", json!("busy")),
        "32 requests are waiting already",
    )
    .await;
    check(
        GenerateError::NotReady,
        (503, "server_error", json!("model_not_ready")),
        "the model is not loaded yet",
    )
    .await;
    check(
        GenerateError::Unavailable {
            reason: "no such file".to_owned(),
        },
        (503, "server_error", json!("model_unavailable")),
        "the model could not be loaded: no such file",
    )
    .await;
    check(
        GenerateError::SwitchedOff,
        (503, "server_error", json!("answers_switched_off")),
        "answers are switched off for now",
    )
    .await;
    check(
        GenerateError::PromptTooLong {
            tokens: 9_000,
            limit: 2_048,
        },
        (400, "invalid_request_error", json!("context_length_exceeded")),
        "the prompt takes 9000 tokens, the model reads 2048",
    )
    .await;
    check(
        GenerateError::UnknownAdapter {
            name: "gone".to_owned(),
        },
        (404, "invalid_request_error", json!("model_not_found")),
        "there is no adapter \"gone\"",
    )
    .await;
    check(
        GenerateError::Refused {
            problem: "must alternate".to_owned(),
        },
        (400, "invalid_request_error", json!("invalid_value")),
        "the model's prompt format does not take these messages: must alternate",
    )
    .await;
    check(
        GenerateError::Failed("the decoder panicked".to_owned()),
        (500, "server_error", Value::Null),
        "generation failed: the decoder panicked",
    )
    .await;
}

#[tokio::test]
async fn a_failure_before_the_end_is_no_answer() {
    let program = start();
    let failure = Step::Fail(GenerateError::Failed("out of memory".to_owned()));
    program.scripted.plays([say("Dri"), failure]);
    assert_eq!(program.ask(&json!({})).await.0, 500);
    program.scripted.plays([say("Dri")]);
    assert_eq!(program.ask(&json!({})).await.0, 500);
}

#[tokio::test]
async fn an_unknown_model_is_named_and_not_replaced() {
    let program = start();
    for model in ["gpt-4o", "", "tiny-135m q4_1"] {
        let (status, body) = program.ask(&json!({"model": model})).await;
        assert_eq!(status, 404, "{model}");
        assert_eq!(
            (&body["error"]["code"], &body["error"]["param"]),
            (&json!("model_not_found"), &json!("model"))
        );
        assert!(
            body["error"]["message"]
                .as_str()
                .unwrap()
                .contains(&format!("{model:?}"))
        );
    }
    assert!(program.scripted.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn before_the_model_is_loaded_nothing_is_promised() {
    let scripted = Arc::new(Scripted::default());
    *scripted.model.lock().unwrap() = None;
    let without_model = Program::start_with(config(&json!({})), Arc::clone(&scripted), Some(scripted));
    let without_generator = Program::start_with(config(&json!({})), Arc::default(), None);
    for program in [without_model, without_generator] {
        for path in ["/v1/models", "/v1/models/default"] {
            let (status, body) = answer(program.get(path)).await;
            assert_eq!((status, &body["error"]["code"]), (503, &json!("model_not_ready")));
        }
        assert_eq!(program.ask(&json!({"model": "gpt-4o"})).await.0, 503);
    }
}

#[tokio::test]
async fn requests_that_are_wrong_name_the_parameter() {
    let program = start();
    let check = async |more: Value, expect: (&str, &str)| {
        let (status, body) = program.ask(&more).await;
        let error = &body["error"];
        assert_eq!(
            (status, error["type"].as_str().unwrap()),
            (400, "invalid_request_error")
        );
        assert_eq!(
            (error["param"].as_str().unwrap(), error["code"].as_str().unwrap()),
            expect
        );
    };
    check(json!({"n": 2}), ("n", "unsupported_parameter")).await;
    check(
        json!({"tools": [{"type": "function"}]}),
        ("tools", "unsupported_parameter"),
    )
    .await;
    check(json!({"logprobs": true}), ("logprobs", "unsupported_parameter")).await;
    check(json!({"temperature": 2.5}), ("temperature", "invalid_value")).await;
    check(json!({"max_tokens": 0}), ("max_tokens", "invalid_value")).await;
    check(json!({"messages": []}), ("messages", "invalid_value")).await;
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]);
    check(
        json!({ "messages": image }),
        ("messages[0].content[0].type", "unsupported_parameter"),
    )
    .await;
    assert!(program.scripted.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_megabyte_is_read_and_three_are_not() {
    let program = start();
    let long = |length: usize| json!({"messages": [{"role": "user", "content": "x".repeat(length)}]});
    assert_eq!(program.ask(&long(1024 * 1024)).await.0, 200);
    let (status, body) = program.ask(&long(5 * 1024 * 1024 / 2)).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (413, &json!("request_too_large"))
    );
}

#[tokio::test]
async fn other_formats_paths_and_methods_are_told_in_the_same_form() {
    let program = start();
    let check = async |request: reqwest::RequestBuilder, expect: (u16, &str)| {
        let (status, body) = answer(request).await;
        assert_eq!((status, body["error"]["code"].as_str().unwrap()), expect);
    };
    check(
        program.post_raw("{\"messages\": ".to_owned()),
        (400, "invalid_json"),
    )
    .await;
    check(program.get("/v1/chat/completions"), (405, "method_not_allowed")).await;
    check(program.get("/v1/embeddings"), (404, "unknown_url")).await;
    let form = program.post_raw("{}".to_owned());
    let form = form.headers(reqwest::header::HeaderMap::from_iter([(
        reqwest::header::CONTENT_TYPE,
        "text/plain".parse().unwrap(),
    )]));
    check(form, (415, "not_json")).await;
}

#[tokio::test]
async fn slashes_too_many_are_served_or_told_with_base_url() {
    let program = start();
    let body = question(&json!({})).to_string();
    for path in [
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1//chat//completions//",
    ] {
        let (status, answered) = answer(program.post_to(path, body.clone())).await;
        assert_eq!(
            (status, &answered["object"]),
            (200, &json!("chat.completion")),
            "{path}"
        );
    }
    for path in ["/v1/models/", "/v1//models", "/v1/models/?limit=1"] {
        let (status, list) = answer(program.get(path)).await;
        assert_eq!((status, &list["object"]), (200, &json!("list")), "{path}");
    }
    let (status, one) = answer(program.get("/v1//models/ward3/notes/")).await;
    assert_eq!((status, &one["id"]), (200, &json!("ward3/notes")));

    let wrong = [
        "/v1",
        "/v1/",
        "/v1//",
        "//v1",
        "//v1/models",
        "//v1//models/",
        "/v1/v1/models",
        "/v1/embeddings",
        "/models",
        "/chat/completions/",
    ];
    for path in wrong {
        for request in [program.get(path), program.post_to(path, body.clone())] {
            let (status, body) = answer(request).await;
            let error = &body["error"];
            assert_eq!(
                (status, error["code"].as_str()),
                (404, Some("unknown_url")),
                "{path}: {body}"
            );
            assert!(
                error["message"].as_str().unwrap().contains("base_url"),
                "{path}: {body}"
            );
        }
    }
    let (status, body) = answer(program.get("/nothing")).await;
    assert_eq!(
        (status, &body["code"]),
        (404, &json!("not-found")),
        "the page's own"
    );
}

#[tokio::test]
async fn programs_leave_places_for_patients() {
    let program = Program::start(config(&json!({"max_requests": 2})));
    program.scripted.plays([say("Dri"), Step::Hang]);
    let first = program.stream(&json!({})).await;
    let _second = program.stream(&json!({})).await;
    let (status, body) = program.ask(&json!({})).await;
    assert_eq!(status, 429);
    assert_eq!(body["error"]["code"], "busy");
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("2 requests")
    );
    drop(first);
    program.scripted.cancelled().await;
    program.scripted.plays([finish(FinishReason::Stop)]);
    assert_eq!(program.ask(&json!({})).await.0, 200);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn what_is_said_is_in_no_error_and_in_no_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .finish();
    let program = start();
    let _guard = tracing::subscriber::set_default(subscriber);
    let messages = json!([{"role": "user", "content": SECRET}]);
    for more in [
        json!({ "messages": messages, "model": BASE }),
        json!({ "messages": SECRET }),
        json!({"messages": [{"role": SECRET, "content": SECRET}]}),
        json!({"messages": [{"role": "user", "content": [{"type": SECRET, "text": SECRET}]}]}),
        json!({ "messages": messages, "stop": [7, SECRET] }),
        json!({ "messages": messages, "tools": [SECRET] }),
        json!({ "messages": messages, "user": SECRET, "temperature": SECRET }),
    ] {
        let (_, body) = program.ask(&more).await;
        assert!(!body.to_string().contains(SECRET), "{body}");
    }
    let broken = format!("{{\"messages\": [{{\"role\": {SECRET}");
    let (_, body) = answer(program.post_raw(broken)).await;
    assert!(!body.to_string().contains(SECRET), "{body}");
    let failure = GenerateError::Failed("the decoder panicked".to_owned());
    program.scripted.plays([say(SECRET), Step::Fail(failure)]);
    program.ask(&json!({ "messages": messages })).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the decoder panicked"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}
