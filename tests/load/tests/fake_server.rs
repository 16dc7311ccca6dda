//! The load generator against a small server that speaks OpenAI's protocol.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use bedside_load::{Plan, Report, run};
use serde_json::{Value, json};

/// How the server answers its n-th request.
type Manner = fn(usize) -> Response;

#[derive(Clone)]
struct Fake {
    manner: Manner,
    seen: Arc<Mutex<Vec<Value>>>,
}

async fn chat(State(fake): State<Fake>, headers: HeaderMap, Json(mut body): Json<Value>) -> Response {
    body["key"] = headers
        .get("authorization")
        .map_or(Value::Null, |it| it.to_str().unwrap().into());
    let mut seen = fake.seen.lock().unwrap();
    seen.push(body);
    (fake.manner)(seen.len())
}

fn stream(events: &[Value], end: &str) -> Response {
    let body: String = events.iter().map(|it| format!("data: {it}\n\n")).collect();
    ([("content-type", "text/event-stream")], body + end).into_response()
}

fn answer(_: usize) -> Response {
    let piece = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let events = [
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": null}}]}),
        piece("Rest "),
        piece("well."),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 30}}}),
    ];
    stream(&events, "data: [DONE]\n\n")
}

fn plan(base_url: String) -> Plan {
    Plan {
        base_url,
        api_key: None,
        models: vec![],
        lora_ids: vec![],
        never: vec![],
        patients: 4,
        turns: 3,
        system_tokens: 20,
        question_tokens: 10,
        answer_tokens: 4,
        duration: None,
        timeout: Duration::from_secs(20),
        seed: 1,
        pid: Some(std::process::id()),
    }
}

/// Plays a plan against such a server; returns what it saw as well.
async fn play(manner: Manner, change: impl FnOnce(&mut Plan)) -> (Report, Vec<Value>) {
    let fake = Fake {
        manner,
        seen: Arc::default(),
    };
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut plan = plan(format!("http://{}/v1", listener.local_addr().unwrap()));
    change(&mut plan);
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let report = run(plan, |_| ()).await.unwrap();
    server.abort();
    let seen = fake.seen.lock().unwrap().clone();
    (report, seen)
}

#[tokio::test]
async fn chats_are_counted_and_resent_as_clients_do() {
    let (report, seen) = play(answer, |_| ()).await;
    assert_eq!((report.answers, report.busy), (12, 0));
    assert_eq!(report.prompt_tokens, 600);
    assert_eq!(report.cached_tokens, 360);
    assert_eq!(report.generated_tokens, 48);
    assert!(report.errors.is_empty());
    assert!(report.first_token_ms.p50 > 0.0);
    assert!(report.memory.unwrap().resident.max > 0.0);

    assert_eq!(seen.len(), 12);
    let last = seen
        .iter()
        .max_by_key(|it| it["messages"].as_array().unwrap().len())
        .unwrap();
    let roles: Vec<&str> = last["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["role"].as_str().unwrap())
        .collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "user", "assistant", "user"]
    );
    assert_eq!(last["messages"][2]["content"], "Rest well.");
    assert!(seen.iter().all(|it| it["messages"][0] == last["messages"][0]));
    assert_eq!(
        (&last["max_tokens"], &last["logit_bias"]),
        (&json!(4), &Value::Null)
    );
    assert_eq!(
        (&last["model"], &last["lora"], &last["key"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn models_adapters_and_the_key_are_sent() {
    let (_, seen) = play(answer, |plan| {
        plan.api_key = Some("secret".into());
        plan.models = vec!["a".into(), "b".into()];
        plan.lora_ids = vec![0, 1, 2, 3];
        plan.never = vec![0, 2];
        plan.turns = 1;
    })
    .await;
    let mut dealt: Vec<String> = seen
        .iter()
        .map(|it| format!("{} {}", it["model"], it["lora"]))
        .collect();
    dealt.sort();
    assert_eq!(
        dealt,
        [
            r#""a" [{"id":0,"scale":1.0}]"#,
            r#""a" [{"id":2,"scale":1.0}]"#,
            r#""b" [{"id":1,"scale":1.0}]"#,
            r#""b" [{"id":3,"scale":1.0}]"#,
        ]
    );
    assert!(seen.iter().all(|it| it["key"] == "Bearer secret"));
    assert!(
        seen.iter()
            .all(|it| it["logit_bias"] == json!({"0": -100, "2": -100}))
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let busy_first = |number| {
        if number <= 2 {
            StatusCode::TOO_MANY_REQUESTS.into_response()
        } else {
            answer(number)
        }
    };
    let (report, _) = play(busy_first, |_| ()).await;
    assert_eq!((report.answers, report.busy), (12, 2));
    assert!(report.errors.is_empty());
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_end_the_chat() {
    let failing = |number| match number {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        2 => stream(&[json!({"error": {"message": "no"}})], ""),
        3 => stream(&[json!({"choices": []})], ""),
        _ => stream(&[], "data: {\n\n"),
    };
    let (report, seen) = play(failing, |_| ()).await;
    assert_eq!(seen.len(), 4);
    assert_eq!(report.answers, 0);
    let errors: Vec<_> = report
        .errors
        .iter()
        .map(|(kind, count)| (kind.as_str(), *count))
        .collect();
    assert_eq!(
        errors,
        [
            ("error within the stream", 1),
            ("http status 500", 1),
            ("stream ended early", 1),
            ("stream not understood", 1),
        ]
    );
}

#[tokio::test]
async fn with_a_duration_new_chats_begin_until_it_is_over() {
    let (report, seen) = play(answer, |plan| plan.duration = Some(Duration::from_millis(200))).await;
    assert!(report.answers > 12, "{}", report.answers);
    assert!(report.seconds < 10.0);
    let firsts = seen
        .iter()
        .filter(|it| it["messages"].as_array().unwrap().len() == 2);
    let questions: std::collections::HashSet<String> =
        firsts.map(|it| it["messages"][1].to_string()).collect();
    assert!(questions.len() > 4, "every chat asks something else");
}
