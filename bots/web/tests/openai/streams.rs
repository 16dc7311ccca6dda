//! Answers as they are written.

use std::time::Duration;

use bedside_contract::{FinishReason, GenerateError, GenerationEvent};
use serde_json::{Value, json};

use crate::{
    program::{Program, config, question},
    scripted::{BASE, Step, finish, say},
    start,
};

#[tokio::test]
async fn an_answer_comes_in_chunks() {
    let program = start();
    let mut lines = program.stream(&json!({})).await;
    let mut chunks = Vec::new();
    loop {
        let line = lines.next().await.unwrap();
        if line == "data: [DONE]" {
            break;
        }
        chunks.push(serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap()).unwrap());
    }
    assert_eq!(lines.next().await, None, "nothing comes after the end");
    let choices: Vec<_> = chunks.iter().map(|it| it["choices"].clone()).collect();
    let choice = |delta: Value, finish_reason: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
    assert_eq!(
        choices,
        [
            choice(json!({"role": "assistant", "content": ""}), None),
            choice(json!({"content": "Drink "}), None),
            choice(json!({"content": "水。\n"}), None),
            choice(json!({}), Some("stop")),
        ]
    );
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!((&chunk["id"], &chunk["model"]), (&chunks[0]["id"], &json!(BASE)));
        assert_eq!(chunk["system_fingerprint"], "fp_0123456789ab");
        assert_eq!(chunk.get("usage"), None, "usage was not asked for");
    }
}

#[tokio::test]
async fn usage_comes_last_if_it_is_asked_for() {
    let program = start();
    program
        .scripted
        .plays([say("Dri"), finish(FinishReason::Deadline)]);
    let mut lines = program
        .stream(&json!({"stream_options": {"include_usage": true}}))
        .await;
    for _ in ["role", "text"] {
        assert_eq!(lines.object().await.get("usage"), Some(&Value::Null));
    }
    let last = lines.object().await;
    assert_eq!(last["choices"][0]["finish_reason"], "length");
    assert_eq!(last.get("usage"), Some(&Value::Null));
    let usage = lines.object().await;
    assert_eq!(usage["choices"], json!([]));
    let expect = json!({
        "prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 4},
    });
    assert_eq!(usage["usage"], expect);
    assert_eq!(lines.next().await.as_deref(), Some("data: [DONE]"));
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream() {
    let program = start();
    let check = async |script: Vec<Step>, expect: &str| {
        program.scripted.plays(script);
        let mut lines = program.stream(&json!({})).await;
        assert_eq!(lines.object().await["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(lines.object().await["choices"][0]["delta"]["content"], "Dri");
        let error = lines.object().await;
        assert_eq!(error["error"]["type"], "server_error");
        assert_eq!(error["error"]["message"], expect);
        assert_eq!(lines.next().await, None);
    };
    let failure = Step::Fail(GenerateError::Failed("the decoder panicked".to_owned()));
    check(
        vec![say("Dri"), failure],
        "generation failed: the decoder panicked",
    )
    .await;
    check(vec![say("Dri")], "the answer broke off").await;
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels() {
    let program = start();
    program.scripted.plays([say("Dri"), Step::Hang]);
    let mut lines = program.stream(&json!({})).await;
    lines.object().await;
    drop(lines);
    program.scripted.cancelled().await;

    let waits_in_the_queue = Step::Event(GenerationEvent::Queued { position: 3 });
    program.scripted.plays([waits_in_the_queue, Step::Hang]);
    let lines = program.stream(&json!({})).await;
    drop(lines);
    program.scripted.cancelled().await;

    let asked = program.scripted.requests.lock().unwrap().len();
    let whole = tokio::spawn(program.post(&question(&json!({}))).send());
    while program.scripted.requests.lock().unwrap().len() == asked {
        tokio::task::yield_now().await;
    }
    whole.abort();
    program.scripted.cancelled().await;
}

#[tokio::test]
async fn who_waits_hears_a_sign_of_life() {
    let program = start();
    let waits_in_the_queue = Step::Event(GenerationEvent::Queued { position: 3 });
    program.scripted.plays([waits_in_the_queue, Step::Hang]);
    let mut lines = program.stream(&json!({})).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(lines.next().await.as_deref(), Some(": waiting"));
    }
    let waited = begun.elapsed();
    assert!(
        waited >= Duration::from_secs(29) && waited < Duration::from_secs(35),
        "{waited:?}"
    );
}

#[tokio::test]
async fn answers_end_when_the_connector_stops() {
    let program = Program::start(config(&json!({})));
    program.scripted.plays([say("Dri"), Step::Hang]);
    let mut lines = program.stream(&json!({})).await;
    lines.object().await;
    lines.object().await;
    let whole = tokio::spawn(program.post(&question(&json!({}))).send());
    while program.scripted.requests.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    program.stop();
    let error = lines.object().await;
    assert_eq!(error["error"]["code"], "stopping");
    assert_eq!(lines.next().await, None);
    assert_eq!(whole.await.unwrap().unwrap().status().as_u16(), 503);
    program.scripted.cancelled().await;
}
