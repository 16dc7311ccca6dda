//! `bedside model bench`: how fast a model is on this machine.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use bedside_contract::{
    ChatMessage, ChatRole, ConversationKey, GenerateRequest, GenerationEvent, Generator, Priority, Sampling,
};
use bedside_engine::{Engine, EngineConfig, ModelConfig};
use bedside_model::{
    KvPrecision, Model, NoProgress,
    bench::{Kind, Measurement, Plan, measure, peak_resident_bytes, read_bandwidth, resident_bytes},
};
use serde::Serialize;
use serde_json::json;

use crate::{cli::BenchArguments, config::Config, output::say, wiring::models_dir};

/// Time to the first token of a prompt that was never read, and of the same prompt again.
#[derive(Debug, Clone, Copy, Serialize)]
struct PrefixFigures {
    prompt_tokens: usize,
    reused_tokens: usize,
    miss_ms: f64,
    hit_ms: f64,
}

pub(crate) fn run(config: &Config, arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let path = match &arguments.model {
        Some(path) => path.clone(),
        None => {
            let source = config.model.source.parse().context("model.source")?;
            let models = models_dir(&config.data_dir()?);
            bedside_model::pull::pull_from(&source, &models, &config.model.endpoint, &NoProgress)?
        }
    };
    let threads = arguments
        .threads
        .or(config.engine.threads)
        .unwrap_or_else(bedside_model::physical_cores);
    let before = resident_bytes().unwrap_or_default();
    let model = Model::load(&path, &NoProgress)?;
    let loaded = resident_bytes().unwrap_or_default();
    let precision = config.engine.kv_precision;
    let mut results = Vec::new();
    for prompt in &arguments.prompt {
        for adapters in &arguments.adapters {
            let plan = Plan {
                prompt: *prompt,
                generate: arguments.generate,
                threads,
                batches: arguments.batch.clone(),
                adapters: *adapters,
                precision,
            };
            results.extend(measure(&model, &plan)?);
        }
    }
    let facts = model.facts.clone();
    let memory = json!({
        "weight_bytes": facts.weight_bytes,
        "bytes_per_token": model.decoder.bytes_per_token(),
        "kv_bytes_per_token": kv_bytes(&model, precision),
        "loaded_bytes": loaded.saturating_sub(before),
        "resident_bytes": resident_bytes(),
        "peak_resident_bytes": peak_resident_bytes(),
    });
    drop(model);
    let read_gb_per_s = read_bandwidth(threads)? / 1e9;
    let prefix = prefix(&path, threads, arguments.prompt.first().copied().unwrap_or(256))?;
    if arguments.json {
        let all = json!({
            "model": facts.name,
            "file_bytes": facts.file_bytes,
            "load_seconds": facts.load_time.as_secs_f64(),
            "read_gb_per_s": read_gb_per_s,
            "memory": memory,
            "prefix": prefix,
            "results": results,
        });
        say(&all.to_string());
    } else {
        let mib = |key: &str| {
            memory
                .get(key)
                .and_then(serde_json::Value::as_u64)
                .unwrap_or_default()
                >> 20
        };
        say(&format!(
            "{}: loaded in {:.2} s, {} MiB of weights, {} MiB resident, {} at most; memory is read at {read_gb_per_s:.1} GB/s",
            facts.name,
            facts.load_time.as_secs_f64(),
            mib("weight_bytes"),
            mib("resident_bytes"),
            mib("peak_resident_bytes"),
        ));
        results.iter().for_each(show);
        say(&format!(
            "first token of {} prompt tokens: {:.0} ms, read before: {:.0} ms",
            prefix.prompt_tokens, prefix.miss_ms, prefix.hit_ms
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(it: &Measurement) {
    let what = match it.kind {
        Kind::Pp => "prompt",
        Kind::Tg => "decode",
    };
    say(&format!(
        "{what} {:5} tokens × {:2}, {} adapters: {:8.1} tokens/s",
        it.tokens, it.batch, it.adapters, it.tokens_per_s
    ));
}

fn kv_bytes(model: &Model, precision: KvPrecision) -> usize {
    model.decoder.cache(0, precision).block_bytes() / bedside_model::decoder::BLOCK_TOKENS
}

fn prefix(path: &Path, threads: usize, tokens: usize) -> anyhow::Result<PrefixFigures> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = Engine::start(
            EngineConfig {
                threads: Some(threads),
                ..EngineConfig::default()
            },
            ModelConfig {
                source: format!("file:{}", path.display()),
                ..ModelConfig::default()
            },
        );
        engine.wait_ready().await?;
        // Nearly every one of these words is one token.
        let request = GenerateRequest {
            conversation: ConversationKey::new("bench", "bench", "bench"),
            messages: vec![ChatMessage {
                role: ChatRole::User,
                content: "rest and water ".repeat(tokens.div_ceil(3)),
            }],
            adapter: None,
            sampling: Sampling::default(),
            max_tokens: 1,
            priority: Priority::Patient,
            deadline: Duration::from_secs(600),
        };
        let miss = first_token(&engine, request.clone()).await?;
        let hit = first_token(&engine, request).await?;
        Ok(PrefixFigures {
            prompt_tokens: miss.1,
            reused_tokens: hit.2,
            miss_ms: miss.0,
            hit_ms: hit.0,
        })
    })
}

/// Milliseconds, prompt tokens, and how many of them were reused.
async fn first_token(engine: &Engine, request: GenerateRequest) -> anyhow::Result<(f64, usize, usize)> {
    let start = Instant::now();
    let mut generation = engine.generate(request).await?;
    while let Some(event) = generation.next().await {
        if let GenerationEvent::Finished {
            prompt_tokens,
            reused_tokens,
            ..
        } = event?
        {
            return Ok((
                start.elapsed().as_secs_f64() * 1000.0,
                prompt_tokens,
                reused_tokens,
            ));
        }
    }
    anyhow::bail!("the generation ended early")
}
