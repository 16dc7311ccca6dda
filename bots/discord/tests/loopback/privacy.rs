//! Neither a patient's words nor a token reach a log or an error.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use bedside_contract::{Connector, InboxSeq, StoreError};
use serde_json::json;

use crate::{
    rest_fake::{Scripted, closed_port},
    world::{World, callback, conversation, fresh_id, message, notice, original, outbox_item, run, slash},
};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_token_nor_words_reach_log_or_error() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("debug")
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let world = World::new().await;
    let (connector, intake, running) = world.started().await;
    world
        .gateway
        .dispatch("MESSAGE_CREATE", message(1001, "my chest hurts"));
    world
        .gateway
        .dispatch("MESSAGE_CREATE", json!({"id": "x", "content": "my chest hurts"}));
    intake.fail_next(StoreError::Failed("busy".to_owned()));
    for id in [fresh_id(), fresh_id()] {
        // The first one is refused, the second one is stored.
        world
            .gateway
            .dispatch("INTERACTION_CREATE", slash(id, "my chest hurts"));
        world.rest.until_called(&callback(id)).await;
    }
    let mut said = String::new();
    let item = outbox_item(notice("your chest hurts"), None);
    for scripted in [
        Scripted::CutBefore,
        Scripted::Answer(
            400,
            json!({"message": "Invalid Form Body", "code": 50_035, "errors": {"content": "chest"}}),
        ),
        Scripted::Answer(200, json!("your chest hurts")),
    ] {
        for what in [original(), "POST /channels/50/messages".to_owned()] {
            world.rest.script(&what, scripted.clone());
        }
        said += &format!("{:?}", connector.deliver(&item).await);
        said += &format!(
            "{:?}",
            connector
                .preview(&conversation(), InboxSeq(1), None, "your chest")
                .await
        );
    }
    world.rest.script(
        &original(),
        Scripted::Answer(404, json!({"message": "Unknown Webhook", "code": 10_015})),
    );
    said += &format!("{:?}", connector.deliver(&item).await);
    running.stop().await;

    let mut config = world.config();
    config.api_url = format!("http://{}/api/v10", closed_port().await);
    let unreachable = world.connector_with(config);
    unreachable.typing(&conversation()).await;
    said += &format!("{:?}", unreachable.deliver(&item).await);
    let stopped = run(&unreachable, &world.intake());
    tokio::task::yield_now().await;
    stopped.stop().await;

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("Discord is connected"),
        "the log was captured: {log}"
    );
    for text in [log, said] {
        for secret in ["chest", "secret-part", "secret_interaction"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
