//! `bedside model pull|list|verify|inspect`.

mod verify;

use std::{fs, path::Path, process::ExitCode, sync::OnceLock};

use anyhow::Context;
use bedside_embeddings::{DEFAULT_EMBEDDINGS, Embeddings, pull_embeddings};
use bedside_model::{
    GgufFile, ModelSource, Progress,
    inspect::Inspection,
    pull::{PackagedFile, model_files, noted, pull_from, sha256, wanted_sha256},
    source::DEFAULT_MODEL,
};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::{
    commands::make_data_dir,
    config::{Config, ConfigError},
    output::{complain, say},
    wiring::models_dir,
};

pub(crate) use verify::verify;

/// All that the config needs, or one chat model. Only the chat model's path goes to standard output.
pub(crate) fn pull(config: &Config, source: Option<&ModelSource>) -> anyhow::Result<ExitCode> {
    let models = models_dir(&make_data_dir(config)?);
    let chosen = match source {
        Some(source) => source.clone(),
        None => configured_source(config)?,
    };
    let bar = Bar::default();
    let path = pull_from(&chosen, &models, &config.model.endpoint, &bar)?;
    let found = sha256(&path, &bar)?;
    bar.finish();
    // A file that came whole may still be no model.
    GgufFile::open(&path)?;
    say(&format!("{}", path.display()));
    tell_sha256(&chosen, &DEFAULT_MODEL, &found);
    if source.is_none() && config.embeddings.enabled {
        pull_second(config, &models)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn configured_source(config: &Config) -> Result<ModelSource, ConfigError> {
    let configured = &config.model.source;
    configured
        .parse()
        .map_err(|error| ConfigError::new(format!("model.source: {configured:?}: {error}")))
}

fn embeddings_source(config: &Config) -> Result<ModelSource, ConfigError> {
    let section = &config.embeddings;
    let bad_source = |error| ConfigError::new(format!("embeddings.source: {:?}: {error}", section.source));
    section.source().map_err(bad_source)
}

/// What makes sure that the same file comes on every machine and on every day.
fn tell_sha256(source: &ModelSource, default: &PackagedFile, found: &str) {
    complain(&format!("sha256 {found}"));
    if wanted_sha256(source, default).is_none() {
        complain(&format!(
            "`#sha256={found}` behind the source has it checked, so that no other file is ever taken for it"
        ));
    }
}

/// The model that compares texts.
fn pull_second(config: &Config, models: &Path) -> anyhow::Result<()> {
    let source = embeddings_source(config)?;
    let bar = Bar::default();
    let path = pull_embeddings(&source, models, &config.model.endpoint, &bar)
        .context("the embedding model; `enabled = false` in [embeddings] does without")?;
    let found = sha256(&path, &bar)?;
    bar.finish();
    Embeddings::open(&path)?;
    complain(&format!("{}", path.display()));
    tell_sha256(&source, &DEFAULT_EMBEDDINGS, &found);
    Ok(())
}

pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let models = models_dir(&config.data_dir()?);
    let mut rows = Vec::new();
    for path in model_files(&models)? {
        rows.push((fs::metadata(&path)?.len(), noted(&path), path));
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(bytes, noted, path)| {
                let current = noted.as_ref().filter(|it| it.is_current);
                serde_json::json!({
                    "path": path,
                    "bytes": bytes,
                    "sha256": current.map(|it| &it.sha256),
                    "source": noted.as_ref().and_then(|it| it.source.as_ref()),
                })
            })
            .collect();
        say(&serde_json::Value::from(rows).to_string());
    } else if rows.is_empty() {
        say(&format!(
            "no models in {}; fetch one with `bedside model pull`",
            models.display()
        ));
    } else {
        for (bytes, noted, path) in rows {
            let (sha256, source) = match noted {
                None => ("not checked".to_owned(), None),
                Some(it) if it.is_current => (it.sha256, it.source),
                Some(it) => ("changed since it was checked".to_owned(), it.source),
            };
            let source = source.map_or(String::new(), |it| format!("  from {it}"));
            say(&format!(
                "{}  {}  sha256 {sha256}{source}",
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
            format!(
                "{}{}, sha256 {}",
                HumanBytes(found.file_bytes),
                match found.parts {
                    1 => String::new(),
                    parts => format!(" in {parts} parts"),
                },
                found.sha256
            ),
        ),
    ] {
        say(&format!("{what:12} {value}"));
    }
    found
        .tokenizer
        .notes
        .iter()
        .chain(&found.template_note)
        .for_each(|it| say(&format!("{:12} {it}", "note")));
    let template = found.chat_template.as_deref().unwrap_or("none");
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
