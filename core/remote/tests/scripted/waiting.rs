use std::time::Duration;

use bedside_contract::{FinishReason, GenerateError, GenerateRequest, GenerationEvent, Generator, Priority};
use bedside_remote::RemoteConfig;
use serde_json::json;

use crate::{
    answer, config, next, ready, request,
    server::{FakeServer, Reply, Step, text},
    until,
};

#[tokio::test]
async fn more_than_the_server_takes_wait_their_turn() {
    let server = FakeServer::start().await;
    server.always(Reply::stream(vec![text("a"), Step::Hang]));
    let config = RemoteConfig {
        concurrent: 2,
        queue: 2,
        ..config(&server)
    };
    let remote = ready(&config).await;
    let with = |priority| GenerateRequest {
        priority,
        ..request()
    };
    let mut first = remote.generate(request()).await.unwrap();
    let mut second = remote.generate(request()).await.unwrap();
    for running in [&mut first, &mut second] {
        assert_eq!(next(running).await.unwrap(), GenerationEvent::Started);
    }
    let mut patient = remote.generate(request()).await.unwrap();
    let mut staff = remote.generate(with(Priority::Staff)).await.unwrap();
    let refused = remote.generate(request()).await.err();
    assert!(
        matches!(refused, Some(GenerateError::Busy { queued: 2 })),
        "{refused:?}"
    );
    assert_eq!(
        next(&mut patient).await.unwrap(),
        GenerationEvent::Queued { position: 1 }
    );
    assert_eq!(
        next(&mut patient).await.unwrap(),
        GenerationEvent::Queued { position: 2 }
    );
    assert_eq!(
        next(&mut staff).await.unwrap(),
        GenerationEvent::Queued { position: 1 }
    );
    until(|| server.open() == 2).await;
    drop(first);
    assert_eq!(next(&mut staff).await.unwrap(), GenerationEvent::Started);
    assert_eq!(
        next(&mut patient).await.unwrap(),
        GenerationEvent::Queued { position: 1 }
    );
    until(|| server.asked().len() == 3).await;
    drop(second);
    assert_eq!(next(&mut patient).await.unwrap(), GenerationEvent::Started);
    until(|| server.asked().len() == 4).await;
}

#[tokio::test]
async fn a_deadline_holds_while_it_waits() {
    let server = FakeServer::start().await;
    server.always(Reply::stream(vec![Step::Hang]));
    let config = RemoteConfig {
        concurrent: 1,
        ..config(&server)
    };
    let remote = ready(&config).await;
    let _running = remote.generate(request()).await.unwrap();
    let soon = GenerateRequest {
        deadline: Duration::from_millis(100),
        ..request()
    };
    let outcome = answer(&remote, soon).await;
    assert_eq!(
        (outcome.text.as_str(), outcome.reason()),
        ("", FinishReason::Deadline)
    );
    assert!(server.asked().len() <= 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_asked_again() {
    let address = FakeServer::start().await.address.clone();
    let config = RemoteConfig {
        base_url: Some(format!("http://{address}/v1")),
        ..RemoteConfig::default()
    };
    let remote = config.build().unwrap();
    let waits = remote.count_tokens(&request().messages).unwrap_err();
    assert!(matches!(waits, GenerateError::NotReady), "{waits:?}");
    let absent = remote.wait_ready().await.unwrap_err().to_string();
    assert!(absent.contains("refused"), "{absent}");
    assert!(remote.model().is_none() && remote.adapters().is_empty());
    let refused = remote.generate(request()).await.err();
    assert!(
        matches!(refused, Some(GenerateError::Unavailable { .. })),
        "{refused:?}"
    );
    let server = FakeServer::start_on(&address).await;
    server.then(Reply::answer(&["a"]));
    until(|| remote.model().is_some()).await;
    assert_eq!(answer(&remote, request()).await.text, "a");
}

#[tokio::test]
async fn a_server_that_changes_is_asked_anew() {
    let server = FakeServer::start().await;
    let remote = ready(&config(&server)).await;
    server.models(Reply::error(503));
    server.then(Reply::error(401));
    assert!(answer(&remote, request()).await.end.is_err());
    until(|| remote.model().is_none()).await;
    server.models(Reply::json(
        200,
        &json!({"data": [{"id": "another", "max_model_len": 1024}]}),
    ));
    until(|| remote.model().is_some_and(|it| it.name == "another")).await;
    server.always(Reply::answer(&["a"]));
    assert_eq!(answer(&remote, request()).await.text, "a");
    assert_eq!(server.asked()[1]["model"], "another");
}

#[tokio::test]
async fn a_refused_key_is_named_before_any_question() {
    let server = FakeServer::start().await;
    server.models(Reply::error(401));
    let config = RemoteConfig {
        api_key: Some("sk-wrong".into()),
        ..config(&server)
    };
    let problem = config
        .build()
        .unwrap()
        .wait_ready()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("401") && problem.contains("check remote.api_key"),
        "{problem}"
    );
    assert!(
        !problem.contains("wrong") && !problem.contains("chest"),
        "{problem}"
    );
}
