//! `bedside model pull|list|inspect`.

use std::{fs, path::Path, process::ExitCode, sync::OnceLock};

use anyhow::Context;
use bedside_embeddings::{Embeddings, pull_embeddings};
use bedside_model::{GgufFile, ModelSource, Progress, inspect::Inspection, pull::pull_from};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::{
    commands::make_data_dir,
    config::{Config, ConfigError},
    output::{complain, say},
    wiring::models_dir,
};

/// All that the config needs, or one chat model. Only the chat model's path goes to standard output.
pub(crate) fn pull(config: &Config, source: Option<&ModelSource>) -> anyhow::Result<ExitCode> {
    let models = models_dir(&make_data_dir(config)?);
    let configured = &config.model.source;
    let chosen = match source {
        Some(source) => source.clone(),
        None => configured
            .parse()
            .map_err(|error| ConfigError::new(format!("model.source: {configured:?}: {error}")))?,
    };
    let bar = Bar::default();
    let path = pull_from(&chosen, &models, &config.model.endpoint, &bar)?;
    bar.finish();
    // A file that came whole may still be no model.
    GgufFile::open(&path)?;
    say(&format!("{}", path.display()));
    if source.is_none() && config.embeddings.enabled {
        pull_second(config, &models)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The model that compares texts.
fn pull_second(config: &Config, models: &Path) -> anyhow::Result<()> {
    let section = &config.embeddings;
    let bad_source = |error| ConfigError::new(format!("embeddings.source: {:?}: {error}", section.source));
    let source = section.source().map_err(bad_source)?;
    let bar = Bar::default();
    let path = pull_embeddings(&source, models, &config.model.endpoint, &bar)
        .context("the embedding model; `enabled = false` in [embeddings] does without")?;
    bar.finish();
    Embeddings::open(&path)?;
    complain(&format!("{}", path.display()));
    Ok(())
}

pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let models = models_dir(&config.data_dir()?);
    let mut rows = Vec::new();
    let entries = match fs::read_dir(&models) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", models.display())),
    };
    for entry in entries.into_iter().flatten() {
        let path = entry?.path();
        let is_model = |it: &std::ffi::OsStr| it == "gguf" || it == "bin";
        if path.extension().is_some_and(is_model) {
            rows.push((
                path.clone(),
                fs::metadata(&path)?.len(),
                bedside_model::pull::known_sha256(&path),
            ));
        }
    }
    rows.sort();
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(
                |(path, bytes, sha256)| serde_json::json!({ "path": path, "bytes": bytes, "sha256": sha256 }),
            )
            .collect();
        say(&serde_json::Value::from(rows).to_string());
    } else if rows.is_empty() {
        say(&format!(
            "no models in {}; fetch one with `bedside model pull`",
            models.display()
        ));
    } else {
        for (path, bytes, sha256) in rows {
            let sha256 = sha256.unwrap_or_else(|| "not checked".to_owned());
            say(&format!(
                "{}  {}  sha256 {sha256}",
                path.display(),
                HumanBytes(bytes)
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn inspect(
    config: &Config,
    file: Option<&Path>,
    context: Option<usize>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let bar = Bar::default();
    let path = match file {
        Some(file) => file.to_owned(),
        None => {
            let source = config.model.source.parse().context("model.source")?;
            let models = models_dir(&config.data_dir()?);
            pull_from(&source, &models, &config.model.endpoint, &bar)?
        }
    };
    let found = bedside_model::inspect::inspect(&path, context, &bar)?;
    bar.finish();
    if json {
        say(&serde_json::to_string(&found)?);
    } else {
        show(&path, &found);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(path: &Path, found: &Inspection) {
    let memory = |key: &str| HumanBytes(found.memory_bytes.get(key).copied().unwrap_or_default());
    let kinds = found
        .weights
        .iter()
        .map(|(kind, it)| format!("{kind} {} in {} tensors", HumanBytes(it.bytes), it.tensors));
    let pre = found
        .tokenizer
        .pre
        .as_deref()
        .map_or(String::new(), |it| format!(" ({it})"));
    say(&format!("{}: {}", found.name, path.display()));
    for (what, value) in [
        ("family", found.architecture.clone()),
        ("parameters", HumanCount(found.parameters).to_string()),
        (
            "layers",
            format!(
                "{} × {} wide, feed-forward {}",
                found.layers, found.width, found.feed_width
            ),
        ),
        (
            "heads",
            format!(
                "{} × {}, {} for keys and values",
                found.heads, found.head_width, found.kv_heads
            ),
        ),
        ("trained for", format!("{} tokens", found.context_length)),
        ("weights", kinds.collect::<Vec<_>>().join(", ")),
        (
            "memory",
            format!(
                "{} of weights; at {} tokens {} of keys and values in f16, {} in q8, {} in f32",
                memory("weights"),
                found.memory_at,
                memory("kv_f16"),
                memory("kv_q8"),
                memory("kv_f32"),
            ),
        ),
        (
            "tokenizer",
            format!(
                "{}{pre}, {} tokens, {} rows of weights",
                found.tokenizer.model, found.tokenizer.tokens, found.vocabulary
            ),
        ),
        (
            "file",
            format!("{}, sha256 {}", HumanBytes(found.file_bytes), found.sha256),
        ),
    ] {
        say(&format!("{what:12} {value}"));
    }
    found
        .tokenizer
        .notes
        .iter()
        .for_each(|it| say(&format!("{:12} {it}", "note")));
    let template = found
        .chat_template
        .as_deref()
        .unwrap_or("none; one is chosen by the tokens");
    say(&format!("{:12} {template}", "template"));
}

/// A bar on standard error; nothing where that is no terminal.
#[derive(Default)]
pub(super) struct Bar {
    bar: OnceLock<ProgressBar>,
}

impl Bar {
    fn get(&self) -> &ProgressBar {
        self.bar.get_or_init(|| {
            let template = "{msg:12} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style.progress_chars("=> "))
        })
    }

    pub(super) fn finish(&self) {
        self.get().finish_and_clear();
    }
}

impl Progress for Bar {
    fn phase(&self, name: &str) {
        self.get().set_position(0);
        self.get().set_message(name.to_owned());
    }

    fn total(&self, bytes: u64) {
        self.get().set_length(bytes);
    }

    fn advance(&self, bytes: u64) {
        self.get().inc(bytes);
    }
}
