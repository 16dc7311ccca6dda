use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bedside_contract::{FinishReason, GenerateError, GenerationEvent, Generator};
use bedside_model::{Model, NoProgress};

use super::{answer, reason, request, tiny};
use crate::{
    config::{EngineConfig, ModelConfig},
    engine::{Engine, Shared},
    loaded::Loaded,
};

#[tokio::test]
async fn a_panic_fails_one_request_only() {
    let (_folder, path) = tiny();
    let count = AtomicUsize::new(0);
    let probe = move || {
        assert_ne!(
            count.fetch_add(1, Ordering::SeqCst),
            3,
            "the fourth pass goes wrong"
        )
    };
    let shared = Shared {
        probe: Some(Arc::new(probe)),
        ..Shared::new()
    };
    let loader = move || {
        let model = Model::load(&path, &NoProgress).map_err(|error| error.to_string())?;
        Ok(Loaded::new(model, &ModelConfig::default()))
    };
    let engine = Engine::spawn(EngineConfig::default(), Box::new(loader), shared);
    let mut generation = engine.generate(request("hello")).await.unwrap();
    let error = loop {
        match generation.next().await.unwrap() {
            Ok(GenerationEvent::Finished { .. }) => panic!("it should have failed"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GenerateError::Failed(_)));
    assert!(generation.next().await.is_none());
    assert_eq!(
        reason(&answer(&engine, request("hello")).await.1),
        FinishReason::Length
    );
    assert_eq!((engine.stats().failed, engine.stats().finished), (1, 1));
}

#[tokio::test]
async fn a_panic_between_passes_ends_no_engine() {
    let (_folder, path) = tiny();
    let count = AtomicUsize::new(0);
    let probe = move || {
        let round = count.fetch_add(1, Ordering::SeqCst);
        assert!(!matches!(round, 0 | 4 | 9), "round {round} goes wrong");
    };
    let shared = Shared {
        probe_between: Some(Arc::new(probe)),
        ..Shared::new()
    };
    let loader = move || {
        let model = Model::load(&path, &NoProgress).map_err(|error| error.to_string())?;
        Ok(Loaded::new(model, &ModelConfig::default()))
    };
    let engine = Engine::spawn(EngineConfig::default(), Box::new(loader), shared);
    let mut failed = 0;
    let finished = loop {
        let mut generation = engine.generate(request("hello")).await.unwrap();
        let ended = loop {
            match generation.next().await {
                Some(Ok(GenerationEvent::Finished { reason, .. })) => break Some(reason),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break None,
            }
        };
        match ended {
            Some(reason) => break reason,
            None => failed += 1,
        }
        assert!(failed <= 3, "it does not come back");
    };
    assert_eq!(finished, FinishReason::Length);
    assert!(failed >= 1 && engine.model().is_some());
}
