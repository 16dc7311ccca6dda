use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bedside_contract::{
    AnswerMode, ChatMessage, ChatRole, ConversationKey, FinishReason, GenerateError, GenerateRequest,
    Generation, GenerationEvent, Generator, Language, Priority, Sampling,
};
use bedside_model::{Model, NoProgress, testing::TinyModel};
use tempfile::TempDir;

use super::{Engine, Shared};
use crate::{config::EngineConfig, config::ModelConfig, loaded::Loaded};

/// Lets the engine make one pass at a time, when a test holds it.
#[derive(Default)]
struct Gate {
    allowed: Mutex<usize>,
    changed: Condvar,
    passes: AtomicUsize,
}

impl Gate {
    fn open() -> Arc<Self> {
        let gate = Self::default();
        *gate.allowed.lock().unwrap() = usize::MAX;
        Arc::new(gate)
    }

    fn closed() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn close(&self) {
        *self.allowed.lock().unwrap() = 0;
    }

    fn allow(&self, passes: usize) {
        let mut allowed = self.allowed.lock().unwrap();
        *allowed = allowed.saturating_add(passes);
        self.changed.notify_all();
    }

    fn is_used_up(&self) -> bool {
        *self.allowed.lock().unwrap() == 0
    }

    fn pass(&self) {
        let mut allowed = self
            .changed
            .wait_while(self.allowed.lock().unwrap(), |it| *it == 0)
            .unwrap();
        *allowed -= 1;
        self.passes.fetch_add(1, Ordering::SeqCst);
    }
}

struct Rig {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    _folder: TempDir,
}

fn tiny() -> (TempDir, PathBuf) {
    tiny_of("llama")
}

fn tiny_of(architecture: &'static str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let model = TinyModel {
        architecture,
        ..TinyModel::default()
    };
    model.write(&path);
    (folder, path)
}

fn rig(config: EngineConfig, gate: Arc<Gate>) -> Rig {
    let (folder, path) = tiny();
    let probe = gate.clone();
    let shared = Shared {
        probe: Some(Arc::new(move || probe.pass())),
        ..Shared::new()
    };
    let loader = move || {
        let model = Model::load(&path, &NoProgress).map_err(|error| error.to_string())?;
        Ok(Loaded::new(model, &ModelConfig::default()))
    };
    Rig {
        engine: Engine::spawn(config, Box::new(loader), shared),
        gate,
        _folder: folder,
    }
}

/// Answers one after the other.
fn one_at_a_time() -> EngineConfig {
    EngineConfig {
        sequences: 1,
        ..EngineConfig::default()
    }
}

fn request(text: &str) -> GenerateRequest {
    GenerateRequest {
        conversation: ConversationKey::new("test", "bot", "chat"),
        messages: vec![
            ChatMessage {
                role: ChatRole::System,
                content: "Be brief and kind to everybody.".into(),
            },
            ChatMessage {
                role: ChatRole::User,
                content: text.into(),
            },
        ],
        adapter: None,
        sampling: Sampling {
            seed: Some(7),
            ..Sampling::default()
        },
        max_tokens: 12,
        priority: Priority::Patient,
        deadline: Duration::from_secs(600),
    }
}

async fn next(generation: &mut Box<dyn Generation>) -> GenerationEvent {
    let event = tokio::time::timeout(Duration::from_secs(30), generation.next())
        .await
        .expect("an event comes");
    event.expect("it is not over").expect("it has not failed")
}

/// All text, and how it ended.
async fn collect(mut generation: Box<dyn Generation>) -> (Vec<String>, GenerationEvent) {
    let mut pieces = Vec::new();
    loop {
        match next(&mut generation).await {
            GenerationEvent::Text(text) => pieces.push(text),
            end @ GenerationEvent::Finished { .. } => {
                assert!(generation.next().await.is_none(), "nothing comes behind the end");
                return (pieces, end);
            }
            GenerationEvent::Queued { .. } | GenerationEvent::Started => {}
        }
    }
}

async fn answer(engine: &Engine, request: GenerateRequest) -> (String, GenerationEvent) {
    let (pieces, end) = collect(engine.generate(request).await.unwrap()).await;
    (pieces.concat(), end)
}

fn reason(end: &GenerationEvent) -> FinishReason {
    match end {
        GenerationEvent::Finished { reason, .. } => *reason,
        other => panic!("{other:?} is no end"),
    }
}

/// Waits, without sleeping a guessed time, until something is so.
async fn until(what: impl Fn() -> bool) {
    let turns = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), turns)
        .await
        .expect("it becomes so");
}

#[tokio::test]
async fn the_model_is_introduced_once_loaded() {
    let rig = rig(EngineConfig::default(), Gate::open());
    let info = rig.engine.wait_ready().await.unwrap();
    assert_eq!(
        (info.name.as_str(), info.architecture.as_str()),
        ("tiny", "llama")
    );
    assert_eq!(
        (info.context_length, info.answer_mode),
        (512, AnswerMode::Grounded)
    );
    assert_eq!(info.languages, [Language::En]);
    assert_eq!(rig.engine.model(), Some(info));
    let messages = request("hello").messages;
    let (_, end) = answer(&rig.engine, request("hello")).await;
    let counted = rig.engine.count_tokens(&messages).unwrap();
    assert!(
        matches!(end, GenerationEvent::Finished { prompt_tokens, generated_tokens: 12, .. } if prompt_tokens == counted)
    );
    assert_eq!(reason(&end), FinishReason::Length);
}

#[tokio::test]
async fn requests_wait_for_the_model() {
    let rig = rig(EngineConfig::default(), Gate::open());
    let generation = rig.engine.generate(request("hello")).await.unwrap();
    let (pieces, end) = collect(generation).await;
    assert!(!pieces.is_empty());
    assert_eq!(reason(&end), FinishReason::Length);
}

#[tokio::test]
async fn pieces_are_the_whole_and_a_seed_repeats() {
    let rig = rig(
        EngineConfig {
            prefix_cache: false,
            ..EngineConfig::default()
        },
        Gate::open(),
    );
    let (pieces, _) = collect(rig.engine.generate(request("hello")).await.unwrap()).await;
    assert!(pieces.len() > 1, "{pieces:?}");
    let (whole, _) = answer(&rig.engine, request("hello")).await;
    assert_eq!(pieces.concat(), whole);
    let mut other = request("hello");
    other.sampling = Sampling {
        seed: Some(8),
        temperature: 5.0,
        ..other.sampling
    };
    assert_ne!(answer(&rig.engine, other).await.0, whole);
}

#[tokio::test]
async fn a_known_beginning_changes_nothing_but_the_time() {
    let cold = rig(
        EngineConfig {
            prefix_cache: false,
            ..EngineConfig::default()
        },
        Gate::open(),
    );
    let warm = rig(
        EngineConfig {
            prompt_chunk: 7,
            ..EngineConfig::default()
        },
        Gate::open(),
    );
    for text in ["hello", "hello", "hello there", "something else"] {
        assert_eq!(
            answer(&warm.engine, request(text)).await.0,
            answer(&cold.engine, request(text)).await.0,
            "{text}"
        );
    }
    assert_eq!(cold.engine.stats().reused_tokens, 0);
    let stats = warm.engine.stats();
    // The second question is known but for its last block, the others share the instructions' whole blocks.
    let system = warm.engine.count_tokens(&request("").messages[..1]).unwrap() as u64;
    assert!(stats.reused_tokens > 3 * (system - 32), "{stats:?}");
    assert_eq!(stats.finished, 4);
}

#[tokio::test]
async fn dropping_ends_it_within_one_token() {
    let rig = rig(EngineConfig::default(), Gate::closed());
    let mut generation = rig
        .engine
        .generate(GenerateRequest {
            max_tokens: 400,
            ..request("hello")
        })
        .await
        .unwrap();
    rig.gate.allow(5);
    while !matches!(next(&mut generation).await, GenerationEvent::Text(_)) {}
    until(|| rig.gate.passes.load(Ordering::SeqCst) == 5).await;
    drop(generation);
    // The next pass finds that nobody waits; no other follows.
    rig.gate.allow(100);
    until(|| rig.engine.stats().cancelled == 1).await;
    assert_eq!(rig.gate.passes.load(Ordering::SeqCst), 6);
    assert_eq!(
        reason(&answer(&rig.engine, request("next")).await.1),
        FinishReason::Length
    );
}

#[tokio::test]
async fn dropping_ends_it_while_the_prompt_is_read() {
    let rig = rig(
        EngineConfig {
            prompt_chunk: 4,
            ..EngineConfig::default()
        },
        Gate::closed(),
    );
    let mut generation = rig.engine.generate(request(&"long ".repeat(40))).await.unwrap();
    while next(&mut generation).await != GenerationEvent::Started {}
    rig.gate.allow(2);
    until(|| rig.gate.passes.load(Ordering::SeqCst) == 2).await;
    drop(generation);
    rig.gate.allow(100);
    until(|| rig.engine.stats().cancelled == 1).await;
    assert_eq!(rig.gate.passes.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_full_queue_says_so_at_once() {
    let rig = rig(
        EngineConfig {
            queue: 2,
            ..one_at_a_time()
        },
        Gate::closed(),
    );
    rig.engine.wait_ready().await.unwrap();
    let mut running = rig.engine.generate(request("a")).await.unwrap();
    assert_eq!(next(&mut running).await, GenerationEvent::Started);
    let second = rig.engine.generate(request("b")).await.unwrap();
    let _third = rig.engine.generate(request("c")).await.unwrap();
    let error = rig.engine.generate(request("d")).await.err();
    assert!(
        matches!(error, Some(GenerateError::Busy { queued: 2 })),
        "{error:?}"
    );
    assert_eq!(rig.engine.stats().rejected, 1);
    // A place that is given up is free at once.
    drop(second);
    assert!(rig.engine.generate(request("e")).await.is_ok());
    rig.gate.allow(10_000);
}

#[tokio::test]
async fn positions_go_down() {
    let rig = rig(one_at_a_time(), Gate::closed());
    rig.engine.wait_ready().await.unwrap();
    let mut first = rig.engine.generate(request("a")).await.unwrap();
    assert_eq!(next(&mut first).await, GenerationEvent::Started);
    let second = rig.engine.generate(request("b")).await.unwrap();
    let third = rig.engine.generate(request("c")).await.unwrap();
    let mut last = rig.engine.generate(request("d")).await.unwrap();
    assert_eq!(next(&mut last).await, GenerationEvent::Queued { position: 3 });
    drop(second);
    assert_eq!(next(&mut last).await, GenerationEvent::Queued { position: 2 });
    drop(first);
    rig.gate.allow(1);
    assert_eq!(next(&mut last).await, GenerationEvent::Queued { position: 1 });
    drop(third);
    rig.gate.allow(10_000);
    assert_eq!(next(&mut last).await, GenerationEvent::Started);
}

#[tokio::test]
async fn staff_goes_first_and_nobody_overtakes_an_equal() {
    let rig = rig(
        EngineConfig {
            prompt_chunk: 1000,
            ..one_at_a_time()
        },
        Gate::closed(),
    );
    rig.engine.wait_ready().await.unwrap();
    let mut running = rig.engine.generate(request("a")).await.unwrap();
    assert_eq!(next(&mut running).await, GenerationEvent::Started);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (name, priority) in [
        ("background", Priority::Background),
        ("patient 1", Priority::Patient),
        ("staff 1", Priority::Staff),
        ("patient 2", Priority::Patient),
        ("staff 2", Priority::Staff),
    ] {
        let mut generation = rig
            .engine
            .generate(GenerateRequest {
                priority,
                max_tokens: 1,
                ..request(name)
            })
            .await
            .unwrap();
        let order = order.clone();
        tasks.push(tokio::spawn(async move {
            while next(&mut generation).await != GenerationEvent::Started {}
            order.lock().unwrap().push(name);
            collect(generation).await;
        }));
    }
    drop(running);
    rig.gate.allow(1);
    // One pass each, one after the other, so that the order of the starts is seen.
    for done in 0..tasks.len() {
        until(|| order.lock().unwrap().len() == done + 1).await;
        rig.gate.allow(1);
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        *order.lock().unwrap(),
        ["staff 1", "staff 2", "patient 1", "patient 2", "background"]
    );
}

#[tokio::test]
async fn a_deadline_ends_it_running_or_waiting() {
    let rig = rig(one_at_a_time(), Gate::closed());
    rig.engine.wait_ready().await.unwrap();
    let soon = Duration::from_millis(50);
    let mut running = rig
        .engine
        .generate(GenerateRequest {
            deadline: soon,
            ..request("a")
        })
        .await
        .unwrap();
    assert_eq!(next(&mut running).await, GenerationEvent::Started);
    let waiting = rig
        .engine
        .generate(GenerateRequest {
            deadline: soon,
            ..request("b")
        })
        .await
        .unwrap();
    // The engine is held: only the waiting one can notice the time by itself.
    let (pieces, end) = collect(waiting).await;
    assert_eq!((pieces.len(), reason(&end)), (0, FinishReason::Deadline));
    rig.gate.allow(100);
    let (pieces, end) = collect(running).await;
    assert_eq!((pieces.len(), reason(&end)), (0, FinishReason::Deadline));
    until(|| rig.engine.stats().queued == 0).await;
}

#[tokio::test]
async fn an_answer_ends_before_a_stop_string() {
    let rig = rig(EngineConfig::default(), Gate::open());
    let (whole, _) = answer(&rig.engine, request("hello")).await;
    let characters: Vec<char> = whole.chars().collect();
    let stop: String = characters[4..6].iter().collect();
    let mut stopped = request("hello");
    stopped.sampling.stop = vec![stop.clone()];
    let (text, end) = answer(&rig.engine, stopped).await;
    assert_eq!(text, whole.split(&stop).next().unwrap());
    assert_eq!(reason(&end), FinishReason::Stop);
}

#[tokio::test]
async fn the_context_is_a_limit() {
    let rig = rig(EngineConfig::default(), Gate::open());
    rig.engine.wait_ready().await.unwrap();
    let error = rig.engine.generate(request(&"x".repeat(600))).await.err();
    assert!(
        matches!(
            error,
            Some(GenerateError::PromptTooLong {
                tokens: 600..,
                limit: 511
            })
        ),
        "{error:?}"
    );
    let long = GenerateRequest {
        max_tokens: 100_000,
        ..request(&"x".repeat(400))
    };
    let (_, end) = answer(&rig.engine, long).await;
    let GenerationEvent::Finished {
        prompt_tokens,
        generated_tokens,
        ..
    } = end
    else {
        panic!("{end:?}")
    };
    assert_eq!(
        (prompt_tokens + generated_tokens, reason(&end)),
        (512, FinishReason::Length)
    );
    let none = GenerateRequest {
        max_tokens: 0,
        ..request("a")
    };
    assert_eq!(answer(&rig.engine, none).await.0, "");
}

#[tokio::test]
async fn a_prompt_too_long_is_told_after_loading_too() {
    let rig = rig(EngineConfig::default(), Gate::open());
    let mut generation = rig.engine.generate(request(&"x".repeat(600))).await;
    let error = loop {
        match &mut generation {
            // Loading was quicker than this test.
            Err(error) => break error.clone(),
            Ok(generation) => match generation.next().await.unwrap() {
                Ok(GenerationEvent::Queued { .. }) => {}
                Ok(event) => panic!("{event:?}"),
                Err(error) => break error,
            },
        }
    };
    assert!(matches!(error, GenerateError::PromptTooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_told_to_all() {
    let model = ModelConfig {
        source: "/nowhere/model.gguf".into(),
        ..ModelConfig::default()
    };
    let engine = Engine::start(EngineConfig::default(), model);
    let error = engine.wait_ready().await.unwrap_err();
    let told = |error: &GenerateError| matches!(error, GenerateError::Unavailable { reason } if reason.contains("/nowhere/model.gguf"));
    assert!(told(&error), "{error}");
    assert!(told(&engine.generate(request("a")).await.err().unwrap()));
    assert!(engine.failure().is_some() && engine.model().is_none());
    // Nobody waits for a model that will not come.
    assert!(told(&engine.count_tokens(&[]).unwrap_err()));
}

#[tokio::test]
async fn a_file_of_another_kind_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, "PK, a zip perhaps").unwrap();
    let model = ModelConfig {
        source: path.display().to_string(),
        ..ModelConfig::default()
    };
    let engine = Engine::start(EngineConfig::default(), model);
    let error = engine.wait_ready().await.unwrap_err().to_string();
    assert!(error.contains("no GGUF file"), "{error}");
}

#[tokio::test]
async fn dropping_the_engine_ends_all() {
    let Rig {
        engine,
        gate,
        _folder,
    } = rig(one_at_a_time(), Gate::closed());
    engine.wait_ready().await.unwrap();
    let mut running = engine.generate(request("a")).await.unwrap();
    assert_eq!(next(&mut running).await, GenerationEvent::Started);
    let mut waiting = engine.generate(request("b")).await.unwrap();
    assert_eq!(next(&mut waiting).await, GenerationEvent::Queued { position: 1 });
    drop(engine);
    gate.allow(1);
    for mut generation in [running, waiting] {
        assert!(matches!(
            generation.next().await,
            Some(Err(GenerateError::Failed(_)))
        ));
        assert!(generation.next().await.is_none());
    }
}

mod adapters;
mod batching;
mod panics;
mod programs;
mod templates;
