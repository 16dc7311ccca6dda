//! `bedside model sample-grid`: how top-p and temperature change what a model says, the question of the DoctorGLM
//! paper (Xiong et al., 2023).

mod measure;
mod plot;

use std::{fs, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail, ensure};
use bedside_contract::{
    ChatMessage, ChatRole, ConversationKey, FinishReason, GenerateRequest, GenerationEvent, Generator,
    Language, ModelInfo, Priority, Sampling,
};
use bedside_engine::{Engine, EngineConfig, ModelConfig};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{cli::SampleGridArguments, config::Config, output::say, wiring::models_dir};
use measure::{Figures, figures};

/// Questions for models of each language.
const ENGLISH: &str = include_str!("../../data/questions.en.txt");
const CHINESE: &str = include_str!("../../data/questions.zh.txt");

/// One pair of settings and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Cell {
    top_p: f32,
    temperature: f32,
    #[serde(flatten)]
    figures: Figures,
}

/// An answer, and whether it came to its own end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    text: String,
    is_whole: bool,
}

pub(crate) fn run(config: Config, arguments: &SampleGridArguments) -> anyhow::Result<ExitCode> {
    // Better now than after all the answers.
    if let Some(folder) = arguments.plot.as_deref().and_then(Path::parent) {
        let there = folder.as_os_str().is_empty() || folder.is_dir();
        ensure!(there, "--plot: there is no folder {}", folder.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (info, cells) = runtime.block_on(all_cells(config, arguments))?;
    if arguments.json {
        say(&serde_json::json!({ "model": info.name, "cells": cells }).to_string());
    } else {
        say("top-p  temperature  distinct-1  distinct-2  repeated  length  whole");
        for cell in &cells {
            let it = &cell.figures;
            say(&format!(
                "{:5}  {:11}  {:10.3}  {:10.3}  {:8.3}  {:6.1}  {:5.2}",
                cell.top_p, cell.temperature, it.distinct_1, it.distinct_2, it.repeated, it.length, it.whole
            ));
        }
    }
    if let Some(path) = &arguments.plot {
        plot::draw(path, &info.name, &cells)
            .with_context(|| format!("{} cannot be drawn", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn all_cells(
    config: Config,
    arguments: &SampleGridArguments,
) -> anyhow::Result<(ModelInfo, Vec<Cell>)> {
    let models_dir = models_dir(&config.data_dir()?);
    let mut model = ModelConfig {
        models_dir,
        ..config.model
    };
    if let Some(path) = &arguments.model {
        model.source = format!("file:{}", path.display());
    }
    let concurrent = config.engine.sequences.max(1);
    let engine = Engine::start(EngineConfig { ..config.engine }, model);
    let info = engine.wait_ready().await?;
    let questions = questions(arguments, &info)?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:32}] {pos}/{len} answers {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    let pairs = arguments
        .temperature
        .iter()
        .flat_map(|temperature| arguments.top_p.iter().map(move |top_p| (*temperature, *top_p)));
    let pairs: Vec<_> = pairs.collect();
    bar.set_length((pairs.len() * questions.len() * arguments.samples) as u64);
    let mut cells = Vec::new();
    for (temperature, top_p) in pairs {
        bar.set_message(format!("top-p {top_p}, T {temperature}"));
        let sampling = |sample: u64| Sampling {
            temperature,
            top_p,
            // The question is what these two do alone.
            top_k: 0,
            min_p: 0.0,
            seed: Some(arguments.seed.wrapping_add(sample)),
            ..Sampling::default()
        };
        let asked = questions.iter().enumerate().flat_map(|(number, question)| {
            let sampling = &sampling;
            (0..arguments.samples).map(move |sample| {
                let sample = (number * arguments.samples + sample) as u64;
                (question.clone(), sampling(sample))
            })
        });
        let asked: Vec<_> = asked.collect();
        let answers: Vec<Answer> = stream::iter(asked)
            .map(|(question, sampling)| {
                let request = request(arguments, question, sampling);
                let (engine, bar) = (&engine, &bar);
                async move {
                    let answer = answer(engine, request).await;
                    bar.inc(1);
                    answer
                }
            })
            .buffered(concurrent)
            .try_collect()
            .await?;
        cells.push(Cell {
            top_p,
            temperature,
            figures: figures(&answers),
        });
    }
    bar.finish_and_clear();
    Ok((info, cells))
}

fn questions(arguments: &SampleGridArguments, info: &ModelInfo) -> anyhow::Result<Vec<String>> {
    let text = match &arguments.questions {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
        None if info.languages.contains(&Language::Zh) => CHINESE.to_owned(),
        None => ENGLISH.to_owned(),
    };
    let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
    let questions: Vec<String> = lines.map(str::to_owned).collect();
    ensure!(
        !questions.is_empty(),
        "there is no question in the file: write one a line"
    );
    Ok(questions)
}

fn request(arguments: &SampleGridArguments, question: String, sampling: Sampling) -> GenerateRequest {
    GenerateRequest {
        conversation: ConversationKey::new("tool", "sample-grid", &question),
        messages: vec![ChatMessage {
            role: ChatRole::User,
            content: question,
        }],
        adapter: arguments.adapter.clone(),
        sampling,
        max_tokens: arguments.max_tokens,
        priority: Priority::Patient,
        deadline: Duration::from_secs(86_400),
    }
}

async fn answer(engine: &Engine, request: GenerateRequest) -> anyhow::Result<Answer> {
    let mut generation = engine.generate(request).await?;
    let mut text = String::new();
    while let Some(event) = generation.next().await {
        match event? {
            GenerationEvent::Text(more) => text.push_str(&more),
            GenerationEvent::Finished { reason, .. } => {
                let is_whole = reason == FinishReason::Stop;
                return Ok(Answer { text, is_whole });
            }
            GenerationEvent::Queued { .. } | GenerationEvent::Started => {}
        }
    }
    bail!("the generation ended early")
}
