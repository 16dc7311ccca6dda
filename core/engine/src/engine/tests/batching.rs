//! Many at once: what they say, what they share, and who goes first.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use bedside_contract::{
    ConversationKey, FinishReason, GenerateError, GenerateRequest, Generation, GenerationEvent, Generator,
    Sampling,
};
use bedside_model::{
    Adapter, Model, NoProgress,
    decoder::{LinearKind, LowRankUpdate},
};

use super::{Gate, Rig, answer, collect, next, one_at_a_time, reason, request, rig, tiny_of, until};
use crate::{
    config::{EngineConfig, ModelConfig},
    engine::{Engine, Shared},
    loaded::Loaded,
};

/// As [`rig`], with adapters of random numbers.
fn rig_with_adapters(config: EngineConfig, names: &[&str]) -> Rig {
    rig_of("llama", config, names)
}

fn rig_of(architecture: &'static str, config: EngineConfig, names: &[&str]) -> Rig {
    let (folder, path) = tiny_of(architecture);
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let loader = move || {
        let model = Model::load(&path, &NoProgress).map_err(|error| error.to_string())?;
        let loaded = Loaded::new(model, &ModelConfig::default());
        for (seed, name) in (1..).zip(&names) {
            let adapter = random_adapter(&loaded.model, seed);
            loaded.add_adapter(name, adapter);
        }
        Ok(loaded)
    };
    Rig {
        engine: Engine::spawn(config, Box::new(loader), Shared::new()),
        gate: Gate::open(),
        _folder: folder,
    }
}

fn random_adapter(model: &Model, seed: u64) -> Adapter {
    let description = model.decoder.description();
    let mut state = seed;
    let mut numbers = |count: usize| -> Vec<f32> {
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        (0..count).map(|_| next()).collect()
    };
    let places = (0..description.layers).flat_map(|layer| LinearKind::ALL.map(|linear| (layer, linear)));
    let places = places.filter(|(_, linear)| description.gated || *linear != LinearKind::Gate);
    let updates = places.map(|(layer, linear)| {
        let (rows, columns) = linear.shape(description);
        LowRankUpdate {
            layer,
            linear,
            rank: 4,
            a: numbers(4 * columns),
            b: numbers(rows * 4),
        }
    });
    Adapter::new(description, updates.collect(), None).unwrap()
}

/// Eight different requests, some drawn hot, some that repeat themselves, with four adapters among them.
fn eight(adapters: &[&str]) -> Vec<GenerateRequest> {
    (0..8)
        .map(|number| GenerateRequest {
            conversation: ConversationKey::new("test", "bot", &format!("chat {number}")),
            adapter: adapters.get(number % 5).map(|it| (*it).to_owned()),
            sampling: Sampling {
                seed: Some(number as u64),
                temperature: if number % 2 == 0 { 0.0 } else { 1.5 },
                ..Sampling::default()
            },
            max_tokens: 20 + number,
            ..request(&"again and again ".repeat(number + 1))
        })
        .collect()
}

#[tokio::test]
async fn a_batch_says_what_each_says_alone() {
    same_together_as_alone("llama").await;
}

/// Contexts that see themselves in both directions are read whole, and found again only by the same.
#[tokio::test]
async fn so_it_is_with_contexts_in_both_directions() {
    same_together_as_alone("chatglm1").await;
}

async fn same_together_as_alone(architecture: &'static str) {
    let adapters = ["a", "b", "c", "d"];
    let alone = rig_of(
        architecture,
        EngineConfig {
            prefix_cache: false,
            speculation: false,
            ..one_at_a_time()
        },
        &adapters,
    );
    let mut expect = Vec::new();
    for request in eight(&adapters) {
        expect.push(answer(&alone.engine, request).await);
    }
    let texts: HashSet<&String> = expect.iter().map(|it| &it.0).collect();
    assert!(
        texts.len() > 6,
        "different requests have different answers: {texts:?}"
    );
    for config in [
        EngineConfig::default(),
        EngineConfig {
            prompt_chunk: 5,
            sequences: 3,
            ..EngineConfig::default()
        },
        EngineConfig {
            threads: Some(3),
            speculation: false,
            prompt_chunk: 16,
            ..EngineConfig::default()
        },
    ] {
        let together = rig_of(architecture, config.clone(), &adapters);
        together.engine.wait_ready().await.unwrap();
        for round in 0..2 {
            let mut running = Vec::new();
            for request in eight(&adapters) {
                running.push(together.engine.generate(request).await.unwrap());
            }
            let found = all_of(running).await;
            for ((found, end), (expect, expected_end)) in found.iter().zip(&expect) {
                assert_eq!(found, expect, "{config:?}, round {round}");
                assert_eq!(reason(end), reason(expected_end));
            }
        }
        until(|| together.engine.stats().blocks_used == 0).await;
        let stats = together.engine.stats();
        assert_eq!((stats.finished, stats.running), (16, 0), "{stats:?}");
        assert!(stats.reused_tokens > 0, "{stats:?}");
        assert_eq!(stats.guessed_tokens > 0, config.speculation, "{stats:?}");
    }
}

pub(super) async fn all_of(running: Vec<Box<dyn Generation>>) -> Vec<(String, GenerationEvent)> {
    let tasks: Vec<_> = running.into_iter().map(|it| tokio::spawn(collect(it))).collect();
    let mut all = Vec::new();
    for task in tasks {
        let (pieces, end) = task.await.unwrap();
        all.push((pieces.concat(), end));
    }
    all
}

#[tokio::test]
async fn an_adapter_is_chosen_by_name_and_an_unknown_one_refused() {
    let rig = rig_with_adapters(EngineConfig::default(), &["heart"]);
    rig.engine.wait_ready().await.unwrap();
    assert_eq!(rig.engine.adapters(), ["heart"]);
    let with = GenerateRequest {
        adapter: Some("heart".to_owned()),
        ..request("hello")
    };
    assert_ne!(
        answer(&rig.engine, with).await.0,
        answer(&rig.engine, request("hello")).await.0
    );
    let unknown = GenerateRequest {
        adapter: Some("lung".to_owned()),
        ..request("hello")
    };
    let error = rig.engine.generate(unknown).await.err().unwrap();
    assert!(matches!(error, GenerateError::UnknownAdapter { name } if name == "lung"));
}

#[tokio::test]
async fn a_long_prompt_does_not_stall_a_running_answer() {
    let rig = rig(
        EngineConfig {
            prompt_chunk: 16,
            speculation: false,
            ..EngineConfig::default()
        },
        Gate::closed(),
    );
    rig.engine.wait_ready().await.unwrap();
    let mut running = rig
        .engine
        .generate(GenerateRequest {
            max_tokens: 200,
            ..request("a")
        })
        .await
        .unwrap();
    rig.gate.allow(2);
    while !matches!(next(&mut running).await, GenerationEvent::Text(_)) {}
    let mut long = rig.engine.generate(request(&"x".repeat(300))).await.unwrap();
    rig.gate.allow(1);
    while next(&mut long).await != GenerationEvent::Started {}
    // The prompt takes many passes, and each of them brings the answer a token.
    let before = rig.gate.passes.load(Ordering::SeqCst);
    for _ in 0..10 {
        rig.gate.allow(1);
        let text = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                if let GenerationEvent::Text(text) = next(&mut running).await {
                    return text;
                }
            }
        });
        assert!(!text.await.unwrap().is_empty());
    }
    assert!(rig.gate.passes.load(Ordering::SeqCst) - before <= 12);
    rig.gate.allow(10_000);
    assert_eq!(reason(&collect(long).await.1), FinishReason::Length);
}

#[tokio::test]
async fn a_common_beginning_is_read_once_though_all_come_together() {
    let rig = rig(EngineConfig::default(), Gate::open());
    rig.engine.wait_ready().await.unwrap();
    let system = "These instructions are the same for all patients. ".repeat(4);
    let mut running = Vec::new();
    for number in 0..6 {
        let mut request = request(&format!("question {number}"));
        request.messages[0].content.clone_from(&system);
        running.push(rig.engine.generate(request).await.unwrap());
    }
    all_of(running).await;
    let stats = rig.engine.stats();
    let shared = system.len() as u64 / 16 * 16;
    assert!(stats.reused_tokens >= 5 * (shared - 32), "{shared}: {stats:?}");
}

#[tokio::test]
async fn when_memory_runs_out_the_latest_makes_room_and_goes_on_later() {
    // Room for one full chat and a block: 33 blocks for four chats that want 18 each.
    let rig = rig(
        EngineConfig {
            kv_cache_mib: Some(0),
            ..EngineConfig::default()
        },
        Gate::open(),
    );
    rig.engine.wait_ready().await.unwrap();
    let ask = |number: usize| GenerateRequest {
        max_tokens: 200,
        sampling: Sampling {
            seed: Some(number as u64),
            temperature: 1.0,
            ..Sampling::default()
        },
        ..request(&format!("{number}"))
    };
    let mut expect = Vec::new();
    for number in 0..4 {
        expect.push(answer(&rig.engine, ask(number)).await.0);
    }
    let mut running = Vec::new();
    for number in 0..4 {
        running.push(rig.engine.generate(ask(number)).await.unwrap());
    }
    let found: Vec<String> = all_of(running).await.into_iter().map(|it| it.0).collect();
    assert_eq!(found, expect);
    until(|| rig.engine.stats().blocks_used == 0).await;
}

#[tokio::test]
async fn who_waits_for_memory_is_told_a_place_once_and_not_in_every_pass() {
    // 33 blocks: two prompts of some twenty do not fit together, though there are places for sixteen.
    let config = EngineConfig {
        kv_cache_mib: Some(0),
        prefix_cache: false,
        ..EngineConfig::default()
    };
    let rig = rig(config, Gate::open());
    rig.engine.wait_ready().await.unwrap();
    let ask = |number: usize| GenerateRequest {
        max_tokens: 60,
        ..request(&format!("{number}").repeat(200))
    };
    let mut running = Vec::new();
    for number in 1..5 {
        running.push(rig.engine.generate(ask(number)).await.unwrap());
    }
    let mut last = running.pop().unwrap();
    let mut places = Vec::new();
    loop {
        match next(&mut last).await {
            GenerationEvent::Queued { position } => places.push(position),
            GenerationEvent::Finished { .. } => break,
            GenerationEvent::Started | GenerationEvent::Text(_) => {}
        }
    }
    assert!(
        places.len() <= 4 && places.is_sorted_by(|a, b| a > b),
        "{places:?}"
    );
    all_of(running).await;
    let prompt = rig.engine.count_tokens(&ask(1).messages).unwrap();
    assert!(
        2 * prompt.div_ceil(16) > 33,
        "{prompt} tokens: the test has lost its point"
    );
}

#[tokio::test]
async fn one_who_asks_much_at_once_does_not_hold_up_the_others() {
    let rig = rig(
        EngineConfig {
            sequences: 2,
            ..EngineConfig::default()
        },
        Gate::closed(),
    );
    rig.engine.wait_ready().await.unwrap();
    let ask = |chat: &str| GenerateRequest {
        conversation: ConversationKey::new("test", "bot", chat),
        max_tokens: 1,
        ..request(chat)
    };
    let mut first = rig.engine.generate(ask("greedy")).await.unwrap();
    assert_eq!(next(&mut first).await, GenerationEvent::Started);
    let mut second = rig.engine.generate(ask("greedy")).await.unwrap();
    // Held in its first pass: what comes now waits in the queue until the next.
    let mut third = rig.engine.generate(ask("greedy")).await.unwrap();
    let mut other = rig.engine.generate(ask("modest")).await.unwrap();
    drop(first);
    rig.gate.allow(1);
    // Two places, and nobody runs: the greedy one's next, then the modest one.
    while next(&mut second).await != GenerationEvent::Started {}
    while next(&mut other).await != GenerationEvent::Started {}
    assert!(matches!(next(&mut third).await, GenerationEvent::Queued { .. }));
    rig.gate.allow(10_000);
    collect(third).await;
}
