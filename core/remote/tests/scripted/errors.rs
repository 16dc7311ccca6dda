use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bedside_contract::{GenerateError, GenerateRequest, Generator};
use bedside_remote::RemoteConfig;
use serde_json::json;

use crate::{
    PATIENT, answer, config, ready, request,
    server::{FakeServer, Reply, Step, end, event, text},
    until,
};

#[tokio::test]
async fn refusals_become_the_traits_errors() {
    let too_long = json!({"error": {"code": 400, "message": "the request exceeds the available context size",
        "type": "exceed_context_size_error", "n_prompt_tokens": 700, "n_ctx": 512}});
    let html = Reply::json(200, &json!({})).with_header("x", "y");
    let cases = [
        (
            Reply::error(400),
            "generation failed: the server says 400 (some_error)",
            2,
        ),
        (Reply::error(401), "check remote.api_key_file", 1),
        (Reply::error(403), "check remote.api_key_file", 1),
        (Reply::error(404), "check remote.model", 1),
        (Reply::error(429), "requests are waiting already", 3),
        (Reply::error(503), "requests are waiting already", 3),
        (Reply::error(500), "generation failed: the server says 500", 3),
        (
            Reply::json(400, &too_long),
            "the prompt takes 700 tokens, the model reads 512",
            1,
        ),
        (html, "it does not stream", 1),
        (
            Reply::stream(vec![Step::Send(b"data: nonsense\n\n".to_vec())]),
            "no part of an answer",
            1,
        ),
        (Reply::stream(vec![end("abort")]), "gave the answer up", 3),
        (
            Reply::stream(vec![Step::Break]),
            "before the answer was complete",
            3,
        ),
        (Reply::stream(Vec::new()), "before the answer was complete", 3),
    ];
    let waits = Instant::now();
    let all = cases.into_iter().map(|(reply, expect, requests)| async move {
        let server = FakeServer::start().await;
        server.always(reply.clone());
        let remote = ready(&config(&server)).await;
        let outcome = answer(&remote, request()).await;
        assert!(outcome.error().contains(expect), "{reply:?}: {outcome:?}");
        assert!(!outcome.error().contains("chest"), "{outcome:?}");
        assert_eq!(server.asked().len(), requests, "{reply:?}");
    });
    futures::future::join_all(all).await;
    assert!(
        waits.elapsed() >= Duration::from_millis(1500),
        "retries keep a distance"
    );
}

#[tokio::test]
async fn an_adapter_that_the_server_lost_is_unknown() {
    let server = FakeServer::start().await;
    server.then(Reply::error(404));
    let mut config = config(&server);
    config.adapters = vec!["ward".to_owned()];
    let remote = ready(&config).await;
    let adapter = Some("ward".to_owned());
    let outcome = answer(&remote, GenerateRequest { adapter, ..request() }).await;
    assert!(
        matches!(outcome.end, Err(GenerateError::UnknownAdapter { .. })),
        "{outcome:?}"
    );
    assert!(remote.model().is_some(), "the model itself is still there");
}

#[tokio::test]
async fn what_fails_before_the_first_word_is_sent_again() {
    let server = FakeServer::start().await;
    let remote = ready(&config(&server)).await;
    let error = event(&json!({"error": {"message": PATIENT, "type": "server_error", "code": 503}}));
    let passing = [
        Reply::error(503),
        Reply::error(429).with_header("retry-after", "0.1"),
        Reply::stream(vec![Step::Break]),
        Reply::stream(vec![error]),
    ];
    for reply in passing {
        let before = server.asked().len();
        server.then(reply.clone()).then(Reply::answer(&["a", "b"]));
        let outcome = answer(&remote, request()).await;
        assert_eq!(outcome.text, "ab", "{reply:?}: {outcome:?}");
        assert_eq!(server.asked().len(), before + 2);
    }
}

#[tokio::test]
async fn what_fails_behind_the_first_word_is_not() {
    let server = FakeServer::start().await;
    let remote = ready(&config(&server)).await;
    let error = event(&json!({"error": {"message": PATIENT, "type": "server_error", "code": 503}}));
    let mut requests = 0;
    for last in [vec![Step::Break], vec![error], vec![], vec![end("abort")]] {
        let steps = [vec![text("a")], last].concat();
        server
            .then(Reply::stream(steps.clone()))
            .then(Reply::answer(&["never"]));
        let outcome = answer(&remote, request()).await;
        assert!(
            outcome.end.is_err() && outcome.text == "a",
            "{steps:?}: {outcome:?}"
        );
        assert!(!outcome.error().contains("chest"), "{outcome:?}");
        requests += 1;
        assert_eq!(server.asked().len(), requests, "{steps:?}");
        // The reply that no second request has fetched.
        assert_eq!(answer(&remote, request()).await.text, "never");
        requests += 1;
    }
}

#[tokio::test]
async fn the_servers_own_time_is_kept() {
    let server = FakeServer::start().await;
    let remote = ready(&config(&server)).await;
    server
        .then(Reply::error(429).with_header("retry-after", "2"))
        .then(Reply::answer(&["a"]));
    let start = Instant::now();
    assert_eq!(answer(&remote, request()).await.text, "a");
    assert!(start.elapsed() >= Duration::from_secs(2));
    // More than a patient can wait: the answer is "busy", at once.
    for (seconds, deadline) in [("600", 60), ("9", 5)] {
        server.then(Reply::error(429).with_header("retry-after", seconds));
        let start = Instant::now();
        let deadline = Duration::from_secs(deadline);
        let outcome = answer(
            &remote,
            GenerateRequest {
                deadline,
                ..request()
            },
        )
        .await;
        assert!(
            matches!(outcome.end, Err(GenerateError::Busy { .. })),
            "{outcome:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn silence_is_not_waited_out() {
    let ping = || {
        vec![
            Step::Wait(Duration::from_millis(300)),
            Step::Send(b": ping\n\n".to_vec()),
        ]
    };
    let pings: Vec<Step> = (0..20).flat_map(|_| ping()).collect();
    let cases = [
        (Vec::new(), "no word of the answer came within 1 s"),
        (pings.clone(), "no word of the answer came within 1 s"),
        (
            [vec![text("a")], pings].concat(),
            "no further word of the answer came within 1 s",
        ),
    ];
    for (mut steps, expect) in cases {
        steps.push(Step::Hang);
        let server = FakeServer::start().await;
        server.always(Reply::stream(steps));
        let config = RemoteConfig {
            first_token_timeout_seconds: 1,
            token_timeout_seconds: 1,
            ..config(&server)
        };
        let remote = ready(&config).await;
        let outcome = answer(&remote, request()).await;
        assert!(outcome.error().contains(expect), "{outcome:?}");
        assert_eq!(server.asked().len(), 1);
        until(|| server.open() == 0).await;
    }
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Writes down what this thread logs until the guard is dropped.
    pub(crate) fn keep(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_hold_neither_the_key_nor_a_patients_words() {
    let log = Log::default();
    let _guard = log.keep();
    let server = FakeServer::start().await;
    let config = RemoteConfig {
        api_key: Some("sk-Hush".into()),
        ..config(&server)
    };
    server
        .then(Reply::error(503))
        .then(Reply::stream(vec![text(PATIENT), Step::Break]));
    let remote = ready(&config).await;
    assert!(answer(&remote, request()).await.end.is_err());
    server.always(Reply::error(401));
    let outcome = answer(&remote, request()).await;
    assert!(outcome.error().contains("check remote.api_key"), "{outcome:?}");
    let said = log.text();
    assert!(
        said.contains("The model server is ready") && said.contains("503 (some_error)"),
        "{said}"
    );
    assert!(!said.contains("Hush") && !said.contains("chest"), "{said}");
}
