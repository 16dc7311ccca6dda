//! Adapters that come and go while answers run.

use std::{fs, path::Path, sync::Arc};

use bedside_contract::{AdapterChangeError, GenerateRequest, Generator};
use bedside_model::{
    Model, NoProgress,
    adapters::{Fitted, Target, formats::BaseClaim, save},
    decoder::{LinearKind, LowRankUpdate},
};
use tempfile::TempDir;

use super::{Gate, Rig, answer, collect, request, tiny, until};
use crate::{
    config::{EngineConfig, ModelConfig},
    engine::{Engine, Shared},
    loaded::Loaded,
};

/// A rig whose adapters lie in a folder of their own.
fn rig(gate: Arc<Gate>) -> (Rig, TempDir, Model) {
    let (folder, path) = tiny();
    let adapters = tempfile::tempdir().unwrap();
    let model = Model::load(&path, &NoProgress).unwrap();
    let probe = gate.clone();
    let shared = Shared {
        probe: Some(Arc::new(move || probe.pass())),
        adapters_dir: Some(adapters.path().to_owned()),
        ..Shared::new()
    };
    let loader = move || {
        let model = Model::load(&path, &NoProgress).map_err(|error| error.to_string())?;
        Ok(Loaded::new(model, &ModelConfig::default()))
    };
    let rig = Rig {
        engine: Engine::spawn(EngineConfig::default(), Box::new(loader), shared),
        gate,
        _folder: folder,
    };
    (rig, adapters, model)
}

/// Each seed another adapter.
fn write(path: &Path, model: &Model, seed: usize) {
    let description = model.decoder.description();
    let (rows, columns) = LinearKind::Down.shape(description);
    let numbers = |count: usize, size: f32| {
        let number = move |it: usize| ((it * 31 + seed * 17 + it * it * seed) % 101) as f32 / 101.0 - 0.5;
        (0..count).map(|it| number(it) * size).collect()
    };
    let update = LowRankUpdate {
        layer: 1,
        linear: LinearKind::Down,
        rank: 2,
        a: numbers(2 * columns, 1.0),
        b: numbers(rows * 2, 4.0),
    };
    let fitted = Fitted {
        updates: vec![update],
        prefix: None,
    };
    let target = Target::Gguf(path.to_owned());
    save(&fitted, description, &BaseClaim::default(), &target).unwrap();
}

fn with(adapter: &str) -> GenerateRequest {
    GenerateRequest {
        adapter: Some(adapter.to_owned()),
        ..request("hello")
    }
}

#[tokio::test]
async fn fifty_adapters_answer_side_by_side_without_being_read_again() {
    let (rig, folder, model) = rig(Gate::open());
    rig.engine.wait_ready().await.unwrap();
    let mut alone = Vec::new();
    for number in 0..50 {
        let (name, file) = (format!("ward-{number}"), format!("{number}.gguf"));
        write(&folder.path().join(&file), &model, number + 1);
        rig.engine.load_adapter(&name, &file).await.unwrap();
        alone.push(answer(&rig.engine, with(&name)).await.0);
        fs::remove_file(folder.path().join(&file)).unwrap();
    }
    let different: std::collections::HashSet<&String> = alone.iter().collect();
    assert!(different.len() > 20, "{} of 50 answers differ", different.len());
    for turn in 0..3 {
        let mut running = Vec::new();
        for number in (0..50).map(|it| (it * 7 + turn) % 50) {
            let generation = rig.engine.generate(with(&format!("ward-{number}"))).await;
            match generation {
                Ok(generation) => running.push((number, tokio::spawn(collect(generation)))),
                Err(error) => assert!(error.to_string().contains("waiting"), "{error}"),
            }
        }
        assert!(running.len() > 30, "the queue has room for them");
        for (number, task) in running {
            assert_eq!(task.await.unwrap().0.concat(), alone[number], "ward-{number}");
        }
    }
}

#[tokio::test]
async fn what_runs_with_an_adapter_goes_on_when_it_is_replaced_or_unloaded() {
    let (rig, folder, model) = rig(Gate::open());
    rig.engine.wait_ready().await.unwrap();
    write(&folder.path().join("old.gguf"), &model, 1);
    write(&folder.path().join("new.gguf"), &model, 2);
    let load = async |file: &str| rig.engine.load_adapter("ward", file).await.unwrap();
    load("new.gguf").await;
    let new = answer(&rig.engine, with("ward")).await.0;
    load("old.gguf").await;
    let old = answer(&rig.engine, with("ward")).await.0;
    assert_ne!(old, new);

    // Some wait for their turn, which changes nothing.
    rig.gate.close();
    let running = rig.engine.generate(with("ward")).await.unwrap();
    load("new.gguf").await;
    let later = rig.engine.generate(with("ward")).await.unwrap();
    rig.gate.allow(usize::MAX);
    assert_eq!(collect(running).await.0.concat(), old);
    assert_eq!(collect(later).await.0.concat(), new);

    until(|| rig.engine.stats().running == 0).await;
    rig.gate.close();
    let running = rig.engine.generate(with("ward")).await.unwrap();
    rig.engine.unload_adapter("ward").await.unwrap();
    assert!(rig.engine.adapters().is_empty());
    assert!(rig.engine.generate(with("ward")).await.is_err());
    rig.gate.allow(usize::MAX);
    assert_eq!(collect(running).await.0.concat(), new);
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_and_changes_nothing() {
    let (rig, folder, model) = rig(Gate::open());
    let file = folder.path().join("a.gguf");
    write(&file, &model, 1);
    rig.engine.wait_ready().await.unwrap();
    let refused = async |name: &str, path: &str| rig.engine.load_adapter(name, path).await.unwrap_err();
    for name in ["", "default", "tiny", "a\nb", &"x".repeat(65)] {
        let error = refused(name, "a.gguf").await;
        assert!(matches!(error, AdapterChangeError::Name { .. }), "{error}");
    }
    let outside = tempfile::tempdir().unwrap();
    let outside_file = outside.path().join("b.gguf");
    fs::copy(&file, &outside_file).unwrap();
    std::os::unix::fs::symlink(&outside_file, folder.path().join("link.gguf")).unwrap();
    for path in [
        outside_file.to_str().unwrap(),
        "link.gguf",
        "..",
        ".",
        "none.gguf",
    ] {
        let error = refused("ward", path).await;
        assert!(
            matches!(error, AdapterChangeError::Place { .. }),
            "{path}: {error}"
        );
    }
    fs::write(folder.path().join("broken.gguf"), b"GGUF and then nothing").unwrap();
    let error = refused("ward", "broken.gguf").await;
    assert!(
        matches!(&error, AdapterChangeError::Refused { problem } if problem.contains("broken.gguf")),
        "{error}"
    );
    let error = rig.engine.unload_adapter("ward").await.unwrap_err();
    assert!(matches!(error, AdapterChangeError::Unknown { .. }), "{error}");
    assert!(rig.engine.adapters().is_empty());
}
