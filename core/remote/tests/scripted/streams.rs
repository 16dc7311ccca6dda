use std::time::Duration;

use bedside_contract::{FinishReason, GenerateRequest, GenerationEvent, Generator, Sampling};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};
use serde_json::json;

use crate::{
    answer, config, next, ready, request,
    server::{FakeServer, Reply, Step, done, end, event, text, usage},
    until,
};

#[tokio::test]
async fn an_answer_is_streamed_with_its_figures() {
    let server = FakeServer::start().await;
    server.then(Reply::answer(&["多喝", "水，", "rest."]));
    let mut config = config(&server);
    config.api_key = Some("sk-test".into());
    config.adapters = vec!["ward".to_owned()];
    let remote = ready(&config).await;
    let model = remote.model().unwrap();
    assert_eq!((model.name.as_str(), model.context_length), ("bedside-14b", 2048));
    assert_eq!(remote.adapters(), ["ward"]);
    assert!(remote.count_tokens(&request().messages).unwrap() > 4);
    let mut generation = remote.generate(request()).await.unwrap();
    assert_eq!(next(&mut generation).await.unwrap(), GenerationEvent::Started);
    let outcome = crate::collect(generation).await;
    assert_eq!(outcome.text, "多喝水，rest.");
    assert!(
        matches!(
            outcome.end,
            Ok(GenerationEvent::Finished {
                reason: FinishReason::Stop,
                prompt_tokens: 42,
                reused_tokens: 32,
                generated_tokens: 7,
                ..
            })
        ),
        "{outcome:?}"
    );
    let asked = server.asked();
    assert_eq!(asked[0]["model"], "bedside-14b");
    assert_eq!(
        asked[0]["messages"],
        json!([{"role": "user", "content": crate::PATIENT}])
    );
    assert_eq!(server.headers()[0]["authorization"], "Bearer sk-test");
}

#[tokio::test]
async fn an_adapter_is_sent_as_model_and_a_wrong_one_refused() {
    let server = FakeServer::start().await;
    server.always(Reply::answer(&["ok"]));
    let mut config = config(&server);
    config.adapters = vec!["ward".to_owned()];
    let remote = ready(&config).await;
    let with = |name: &str| GenerateRequest {
        adapter: Some(name.to_owned()),
        ..request()
    };
    assert_eq!(answer(&remote, with("ward")).await.text, "ok");
    assert_eq!(server.asked()[0]["model"], "ward");
    let refused = remote.generate(with("wards")).await.err().unwrap();
    assert_eq!(refused.to_string(), "there is no adapter \"wards\"");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn figures_that_are_missing_are_counted() {
    let server = FakeServer::start().await;
    server.then(Reply::stream(vec![text("a"), text("b"), end("length"), done()]));
    let remote = ready(&config(&server)).await;
    let outcome = answer(&remote, request()).await;
    let counted = remote.count_tokens(&request().messages).unwrap();
    assert!(
        matches!(
            outcome.end,
            Ok(GenerationEvent::Finished { reason: FinishReason::Length, prompt_tokens, generated_tokens: 2, .. })
                if prompt_tokens == counted
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_end_needs_a_reason_or_a_done() {
    let server = FakeServer::start().await;
    let remote = ready(&config(&server)).await;
    let good = [
        vec![text("a"), end("stop")],
        vec![text("a"), end("stop"), usage()],
        vec![text("a"), end("stop"), Step::Break],
        vec![text("a"), end("stop"), Step::Hang],
        vec![text("a"), done()],
        vec![text("a"), end("stop"), Step::Send(b"data: [DONE]".to_vec())],
        vec![text("a"), end("stop"), done(), Step::Hang],
    ];
    for steps in good {
        server.then(Reply::stream(steps.clone()));
        let outcome = answer(&remote, request()).await;
        assert_eq!(
            (outcome.reason(), outcome.text.as_str()),
            (FinishReason::Stop, "a"),
            "{steps:?}"
        );
    }
    server.then(Reply::stream(vec![text("a")]));
    let outcome = answer(&remote, request()).await;
    assert!(
        outcome.error().contains("before the answer was complete"),
        "{outcome:?}"
    );
    assert_eq!(outcome.text, "a");
}

#[tokio::test]
async fn thoughts_and_keep_alives_are_no_text() {
    let server = FakeServer::start().await;
    server.then(Reply::stream(vec![
        Step::Send(b": keep-alive\n\n".to_vec()),
        event(&json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]})),
        event(&json!({"choices": [{"delta": {"reasoning_content": "the patient may"}}]})),
        text("Rest."),
        end("stop"),
        done(),
    ]));
    let remote = ready(&config(&server)).await;
    assert_eq!(answer(&remote, request()).await.text, "Rest.");
}

#[tokio::test]
async fn a_stop_string_never_leaves_and_ends_the_request() {
    let server = FakeServer::start().await;
    server.then(Reply::stream(vec![
        text("好的。病"),
        text("人"),
        text("：再说"),
        Step::Hang,
    ]));
    let remote = ready(&config(&server)).await;
    let sampling = Sampling {
        stop: vec!["病人：".to_owned()],
        ..Sampling::default()
    };
    let outcome = answer(
        &remote,
        GenerateRequest {
            sampling,
            ..request()
        },
    )
    .await;
    assert_eq!(
        (outcome.text.as_str(), outcome.reason()),
        ("好的。", FinishReason::Stop)
    );
    until(|| server.open() == 0).await;
}

#[tokio::test]
async fn dropping_ends_the_request_at_the_server() {
    let server = FakeServer::start().await;
    let remote = ready(&config(&server)).await;
    for steps in [vec![text("a"), Step::Hang], vec![Step::Hang]] {
        let has_text = steps.len() > 1;
        server.then(Reply::stream(steps));
        let mut generation = remote.generate(request()).await.unwrap();
        assert_eq!(next(&mut generation).await.unwrap(), GenerationEvent::Started);
        if has_text {
            assert_eq!(
                next(&mut generation).await.unwrap(),
                GenerationEvent::Text("a".to_owned())
            );
        }
        until(|| server.open() == 1).await;
        drop(generation);
        until(|| server.open() == 0).await;
    }
}

#[tokio::test]
async fn a_deadline_ends_it_with_what_there_is() {
    let server = FakeServer::start().await;
    server.then(Reply::stream(vec![text("a"), text("b"), Step::Hang]));
    let remote = ready(&config(&server)).await;
    let soon = GenerateRequest {
        deadline: Duration::from_millis(400),
        ..request()
    };
    let outcome = answer(&remote, soon).await;
    assert_eq!(
        (outcome.text.as_str(), outcome.reason()),
        ("ab", FinishReason::Deadline)
    );
    until(|| server.open() == 0).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The bytes of an answer come over a real connection, cut anywhere, in the middle of characters too.
    #[test]
    fn cuts_do_not_matter(
        pieces in prop::collection::vec("[a发烧é😀\"\\\\\n]{1,6}", 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        returns in any::<bool>(),
    ) {
        let names: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let mut bytes = Vec::new();
        for step in Reply::answer(&names).steps {
            if let Step::Send(sent) = step {
                bytes.extend(sent);
            }
        }
        if returns {
            bytes = String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into_bytes();
        }
        let mut places: Vec<usize> = cuts.iter().map(|it| it.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let steps = places.windows(2).map(|it| Step::Send(bytes[it[0]..it[1]].to_vec())).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(async {
            let server = FakeServer::start().await;
            server.then(Reply::stream(steps));
            answer(&*ready(&config(&server)).await, request()).await
        });
        prop_assert_eq!(&outcome.text, &pieces.concat());
        prop_assert_eq!(outcome.reason(), FinishReason::Stop);
    }
}
