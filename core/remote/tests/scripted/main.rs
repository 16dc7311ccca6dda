//! The remote generator against a server that misbehaves in every way that a test can write down.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod errors;
mod refused_fields;
mod server;
mod streams;
mod thoughts;
mod waiting;

use std::{sync::Arc, time::Duration};

use bedside_contract::{
    ChatMessage, ChatRole, ConversationKey, FinishReason, GenerateError, GenerateRequest, Generation,
    GenerationEvent, Generator, Priority, Sampling,
};
use bedside_remote::{RemoteConfig, RemoteGenerator};
use server::FakeServer;

const PATIENT: &str = "my chest hurts";

fn config(server: &FakeServer) -> RemoteConfig {
    RemoteConfig {
        base_url: Some(server.url()),
        retries: 2,
        first_token_timeout_seconds: 20,
        // Answers are streamed from the first on.
        thinks_aloud: Some(false),
        ..RemoteConfig::default()
    }
}

async fn ready(config: &RemoteConfig) -> Arc<RemoteGenerator> {
    let remote = config.build().unwrap();
    remote.wait_ready().await.unwrap();
    remote
}

fn request() -> GenerateRequest {
    GenerateRequest {
        conversation: ConversationKey::new("test", "bot", "chat"),
        messages: vec![ChatMessage {
            role: ChatRole::User,
            content: PATIENT.to_owned(),
        }],
        adapter: None,
        sampling: Sampling::default(),
        max_tokens: 50,
        priority: Priority::Patient,
        deadline: Duration::from_secs(60),
    }
}

async fn next(generation: &mut Box<dyn Generation>) -> Result<GenerationEvent, GenerateError> {
    let event = tokio::time::timeout(Duration::from_secs(30), generation.next()).await;
    event.expect("an event comes").expect("it is not over")
}

/// What a generation came to.
#[derive(Debug)]
struct Outcome {
    text: String,
    end: Result<GenerationEvent, GenerateError>,
}

impl Outcome {
    fn reason(&self) -> FinishReason {
        match &self.end {
            Ok(GenerationEvent::Finished { reason, .. }) => *reason,
            other => panic!("{other:?} is no end"),
        }
    }

    fn error(&self) -> String {
        self.end.as_ref().unwrap_err().to_string()
    }
}

async fn collect(mut generation: Box<dyn Generation>) -> Outcome {
    let mut text = String::new();
    loop {
        match next(&mut generation).await {
            Ok(GenerationEvent::Text(piece)) => text.push_str(&piece),
            Ok(GenerationEvent::Queued { .. } | GenerationEvent::Started) => {}
            end => {
                assert!(generation.next().await.is_none(), "nothing comes behind the end");
                return Outcome { text, end };
            }
        }
    }
}

async fn answer(remote: &RemoteGenerator, request: GenerateRequest) -> Outcome {
    collect(remote.generate(request).await.unwrap()).await
}

/// Waits, without sleeping a guessed time, until something is so.
async fn until(what: impl Fn() -> bool) {
    let turns = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), turns)
        .await
        .expect("it becomes so");
}
