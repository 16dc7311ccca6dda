//! `bedside ask`: one turn through the whole pipeline, from the operator's shell.

use std::{process::ExitCode, time::Instant};

use anyhow::Context;
use bedside_contract::{Disposition, Language, Part};
use bedside_runtime::{AnswerReport, Question, emergency_part};
use bedside_store::SqliteStore;
use bedside_triage::{Assessment, PatientFacts};
use serde_json::json;

use crate::{
    cli::AskArguments,
    commands::text_or_standard_input,
    config::Config,
    output::say,
    wiring::{Parts, rules},
};

pub(crate) fn run(config: Config, arguments: &AskArguments) -> anyhow::Result<ExitCode> {
    let text = text_or_standard_input(arguments.text.as_deref())?;
    let text = text.trim();
    let started = Instant::now();
    let language = arguments.lang;
    let rules = rules(&config)?;
    let assessment = rules.assess(text, &PatientFacts::default());
    // An emergency waits for nothing: no plugin, no model, no store.
    if assessment.disposition == Disposition::Emergency {
        let language = language
            .or_else(|| Language::detect(text))
            .unwrap_or(config.bot.default_language);
        let contacts = config.bot.contacts();
        let part = emergency_part(rules, &assessment, language, &contacts);
        if arguments.json {
            let timings = json!({ "total_ms": started.elapsed().as_secs_f64() * 1000.0 });
            print(
                &part,
                assessment.disposition,
                &assessment,
                &[],
                None,
                None,
                timings,
            );
        } else {
            say(&part.plain_text());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let data_dir = config.data_dir()?;
    let store = SqliteStore::open_temporary()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    let report = runtime.block_on(async {
        let parts = Parts::start(config, store, &data_dir)?;
        let bot = parts.bot(Vec::new())?;
        let question = Question {
            text: text.to_owned(),
            language,
            department: arguments.department.clone(),
        };
        let report = bot.ask(&question).await;
        parts.plugins.shutdown().await;
        anyhow::Ok(report)
    })?;
    if arguments.json {
        let timings = serde_json::to_value(report.timings)?;
        let AnswerReport {
            part,
            disposition,
            passages,
            model,
            adapter,
            ..
        } = &report;
        print(
            part,
            *disposition,
            &assessment,
            passages,
            model.as_deref(),
            adapter.as_deref(),
            timings,
        );
    } else {
        say(&report.part.plain_text());
    }
    Ok(ExitCode::SUCCESS)
}

fn print(
    part: &Part,
    disposition: Disposition,
    assessment: &Assessment,
    passages: &[bedside_contract::Passage],
    model: Option<&str>,
    adapter: Option<&str>,
    timings: serde_json::Value,
) {
    let answer = json!({
        "answer": part.text,
        "disposition": disposition.name(),
        "departments": part.departments,
        "red_flags": assessment.red_flags.iter().map(|it| &it.id).collect::<Vec<_>>(),
        "passages": passages
            .iter()
            .map(|it| json!({ "id": it.id, "title": it.title, "source": it.source, "score": it.score, "text": it.text }))
            .collect::<Vec<_>>(),
        "citations": part.citations,
        "adapter": adapter,
        "model": model,
        "timings": timings,
    });
    say(&answer.to_string());
}
