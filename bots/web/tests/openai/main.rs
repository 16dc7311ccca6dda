//! OpenAI's protocol over real HTTP, with a scripted model behind it.

#[cfg(test)]
mod access;
#[cfg(test)]
mod errors;
#[cfg(test)]
#[path = "../page/memory.rs"]
#[expect(dead_code, reason = "the page's tests use the rest")]
mod memory;
#[cfg(test)]
mod program;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod streams;

use std::time::Duration;

use bedside_contract::{ChatRole, FinishReason, Priority};
use serde_json::json;

use program::{Program, answer, config};
use scripted::{ADAPTER, BASE, CONTEXT, finish, say};

fn start() -> Program {
    Program::start(config(&json!({})))
}

#[tokio::test]
async fn the_model_and_its_adapters_are_listed() {
    let program = start();
    let (status, list) = answer(program.get("/v1/models")).await;
    assert_eq!((status, list["object"].as_str()), (200, Some("list")));
    let models = list["data"].as_array().unwrap();
    let names: Vec<_> = models
        .iter()
        .map(|it| (it["id"].as_str().unwrap(), it["parent"].as_str()))
        .collect();
    assert_eq!(names, [(BASE, None), (ADAPTER, Some(BASE))]);
    for model in models {
        assert_eq!(
            (&model["object"], &model["owned_by"]),
            (&json!("model"), &json!("bedside"))
        );
        assert!(model["created"].as_u64().unwrap() > 1_700_000_000);
        assert_eq!(model["max_model_len"], CONTEXT);
    }
}

#[tokio::test]
async fn one_model_is_told_by_its_name() {
    let program = start();
    let check = async |id: &str, expect: Option<&str>| {
        let (status, body) = answer(program.get(&format!("/v1/models/{id}"))).await;
        assert_eq!(body["id"].as_str(), expect, "{id}");
        assert_eq!(status, if expect.is_some() { 200 } else { 404 });
        if expect.is_none() {
            assert_eq!(body["error"]["code"], "model_not_found");
        }
    };
    check("Tiny-135M%20Q4_1", Some(BASE)).await;
    check("default", Some(BASE)).await;
    check("ward3/notes", Some(ADAPTER)).await;
    check("ward3%2Fnotes", Some(ADAPTER)).await;
    check("gpt-4o", None).await;
}

#[tokio::test]
async fn an_answer_has_openais_form() {
    let program = start();
    let (status, mut body) = program.ask(&json!({})).await;
    assert_eq!(status, 200);
    let id = body["id"].take();
    assert!(id.as_str().unwrap().starts_with("chatcmpl-"), "{id}");
    assert!(body["created"].take().as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        body,
        json!({
            "id": null,
            "object": "chat.completion",
            "created": null,
            "model": BASE,
            "system_fingerprint": "fp_0123456789ab",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "Drink 水。\n", "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 11,
                "completion_tokens": 3,
                "total_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        })
    );
    let (_, second) = program.ask(&json!({})).await;
    assert_ne!(second["id"], id);
}

#[tokio::test]
async fn what_is_asked_reaches_the_model() {
    let program = Program::start(config(&json!({"deadline_seconds": 7})));
    let more = json!({
        "model": ADAPTER,
        "messages": [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hello"}],
        "temperature": 0.5, "seed": 7, "stop": ["END"], "max_tokens": 9, "user": "pump:7",
        "logit_bias": {"5": -100}, "metadata": {"unknown": true}, "parallel_tool_calls": true,
    });
    let (status, body) = program.ask(&more).await;
    assert_eq!((status, body["model"].as_str()), (200, Some(ADAPTER)));
    let request = program.scripted.last_request();
    let messages: Vec<_> = request
        .messages
        .iter()
        .map(|it| (it.role, it.content.as_str()))
        .collect();
    assert_eq!(
        messages,
        [(ChatRole::System, "be brief"), (ChatRole::User, "hello")]
    );
    assert_eq!(request.adapter.as_deref(), Some(ADAPTER));
    assert_eq!(request.conversation.as_str(), "api:v1:pump:7");
    assert_eq!((request.max_tokens, request.priority), (9, Priority::Program));
    assert_eq!(request.deadline, Duration::from_secs(7));
    assert_eq!(
        (
            request.sampling.temperature,
            request.sampling.top_p,
            request.sampling.top_k
        ),
        (0.5, 1.0, 0)
    );
    assert_eq!((request.sampling.seed, request.sampling.stop.len()), (Some(7), 1));
    assert_eq!(request.sampling.logit_bias, [(5, -100.0)].into());
}

/// What `core/remote` sends when another Bedside is its server.
#[tokio::test]
async fn another_bedside_may_ask() {
    let program = start();
    let more = json!({
        "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 160, "temperature": 0.5,
        "top_k": -1, "top_p": 0.9, "min_p": 0.0, "repetition_penalty": 1.1, "repeat_penalty": 1.1,
        "repeat_last_n": 2048, "frequency_penalty": 0.0, "presence_penalty": 0.5, "seed": 7, "stop": ["病人："],
        "chat_template_kwargs": {"enable_thinking": false},
    });
    let mut lines = program.stream(&more).await;
    assert_eq!(lines.object().await["object"], "chat.completion.chunk");
    assert_eq!(program.scripted.last_request().max_tokens, 160);
    let (status, body) = program
        .ask(&json!({"chat_template_kwargs": {"enable_thinking": true}}))
        .await;
    assert_eq!(
        (status, &body["error"]["param"]),
        (400, &json!("chat_template_kwargs"))
    );
}

#[tokio::test]
async fn without_a_limit_an_answer_may_fill_the_context() {
    let program = start();
    let check = async |more: serde_json::Value, expect: usize| {
        assert_eq!(program.ask(&more).await.0, 200);
        let request = program.scripted.last_request();
        assert_eq!((request.max_tokens, request.adapter), (expect, None), "{more}");
        request.conversation
    };
    let first = check(json!({"model": null}), CONTEXT).await;
    let second = check(json!({"model": BASE}), CONTEXT).await;
    assert_ne!(first, second, "requests without a user share nothing");
    check(json!({"max_completion_tokens": 1_000_000}), CONTEXT).await;
    check(json!({"max_completion_tokens": 1}), 1).await;
    check(json!({"max_completion_tokens": -1}), CONTEXT).await;
    check(json!({"max_tokens": -1}), CONTEXT).await;
}

#[tokio::test]
async fn the_end_of_tokens_and_of_time_is_length() {
    let program = start();
    for reason in [FinishReason::Length, FinishReason::Deadline] {
        program.scripted.plays([say("Dri"), finish(reason)]);
        let (_, body) = program.ask(&json!({})).await;
        let choice = &body["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!("Dri"), &json!("length"))
        );
    }
    program.scripted.plays([finish(FinishReason::Deadline)]);
    let (status, body) = program.ask(&json!({})).await;
    assert_eq!(
        (status, &body["choices"][0]["message"]["content"]),
        (200, &json!(""))
    );
}
