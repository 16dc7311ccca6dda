//! What a model thinks aloud, by servers that leave it in the answer.

use bedside_contract::{FinishReason, GenerateRequest, GenerationEvent, Generator};
use bedside_remote::RemoteConfig;
use serde_json::json;

use crate::{
    answer, config, next, ready, request,
    server::{FakeServer, Reply, Step, done, end, event, text},
};

/// Nothing is known of the model.
fn unknown(server: &FakeServer) -> RemoteConfig {
    RemoteConfig {
        thinks_aloud: None,
        ..config(server)
    }
}

fn pieces(texts: &[&str], reason: &str) -> Reply {
    let mut steps: Vec<Step> = texts.iter().map(|it| text(it)).collect();
    steps.extend([end(reason), done()]);
    Reply::stream(steps)
}

#[tokio::test]
async fn no_thought_leaves_from_the_first_answer_on() {
    let cases: [&[&str]; 7] = [
        &["<think>", "SECRET", "</think>", "Rest."],
        &["<th", "ink>SEC", "RET</thi", "nk>Re", "st."],
        &["SECRET", "</think>", "Rest."],
        &["SE", "CRET", " <", "/", "thi", "nk", ">", "Re", "st."],
        &["SECRET</think>Rest."],
        &["<think>SECRET <think>SECRET</think> SECRET</think>Rest."],
        &["病人 SECRET", "◁/think", "▷Rest."],
    ];
    for texts in cases {
        let server = FakeServer::start().await;
        server.always(pieces(texts, "stop"));
        let remote = ready(&unknown(&server)).await;
        for _ in 0..2 {
            let outcome = answer(&remote, request()).await;
            assert_eq!(outcome.text, "Rest.", "{texts:?}");
            assert_eq!(outcome.reason(), FinishReason::Stop);
        }
        server.then(Reply::stream(vec![text("SECRET"), Step::Break]));
        let broken = answer(&remote, request()).await;
        if !texts.concat().starts_with('<') {
            assert_eq!(broken.text, "", "{texts:?}");
        }
    }
}

#[tokio::test]
async fn thoughts_that_come_apart_are_no_text() {
    let server = FakeServer::start().await;
    for delta in [
        json!({"reasoning_content": "SECRET"}),
        json!({"reasoning": "SECRET", "content": ""}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "SECRET"}]}]}),
    ] {
        server.always(Reply::stream(vec![
            event(&json!({"choices": [{"delta": delta}]})),
            text("Re"),
            Step::Hang,
        ]));
        let remote = ready(&unknown(&server)).await;
        let mut generation = remote.generate(request()).await.unwrap();
        assert_eq!(next(&mut generation).await.unwrap(), GenerationEvent::Started);
        // At once, since no end of a thought has to be waited for.
        assert_eq!(
            next(&mut generation).await.unwrap(),
            GenerationEvent::Text("Re".to_owned()),
            "{delta}"
        );
    }
}

#[tokio::test]
async fn answers_are_streamed_once_one_has_shown_no_thought() {
    let server = FakeServer::start().await;
    let remote = ready(&unknown(&server)).await;
    server.then(pieces(&["Re", "st."], "stop"));
    assert_eq!(answer(&remote, request()).await.text, "Rest.");
    server.then(Reply::stream(vec![text("Re"), Step::Hang]));
    let mut generation = remote.generate(request()).await.unwrap();
    assert_eq!(next(&mut generation).await.unwrap(), GenerationEvent::Started);
    assert_eq!(
        next(&mut generation).await.unwrap(),
        GenerationEvent::Text("Re".to_owned())
    );
}

#[tokio::test]
async fn what_is_cut_off_is_shown_only_if_it_is_no_thought() {
    let server = FakeServer::start().await;
    let set = |thinks_aloud| RemoteConfig {
        thinks_aloud,
        ..config(&server)
    };
    // One word is asked for by the third reader, which shows it to nobody.
    let cases = [
        (None, 50, ""),
        (Some(true), 50, ""),
        (Some(false), 50, "The patient"),
        (None, 1, "The patient"),
    ];
    for (thinks_aloud, max_tokens, expect) in cases {
        server.always(pieces(&["The ", "patient"], "length"));
        let remote = ready(&set(thinks_aloud)).await;
        let request = GenerateRequest {
            max_tokens,
            ..request()
        };
        let outcome = answer(&remote, request).await;
        assert_eq!(
            (outcome.text.as_str(), outcome.reason()),
            (expect, FinishReason::Length),
            "{thinks_aloud:?} {max_tokens}"
        );
    }
}
