//! `bedside model pull|list`.

use std::{fs, process::ExitCode, sync::OnceLock};

use anyhow::Context;
use bedside_model::{GgufFile, ModelSource, Progress, pull::pull_from};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::{
    commands::make_data_dir,
    config::{Config, ConfigError},
    output::say,
    wiring::models_dir,
};

pub(crate) fn pull(config: &Config, source: Option<&ModelSource>) -> anyhow::Result<ExitCode> {
    let models = models_dir(&make_data_dir(config)?);
    let configured = &config.model.source;
    let source = match source {
        Some(source) => source.clone(),
        None => configured
            .parse()
            .map_err(|error| ConfigError::new(format!("model.source: {configured:?}: {error}")))?,
    };
    let bar = Bar::default();
    let path = pull_from(&source, &models, &config.model.endpoint, &bar)?;
    bar.finish();
    // A file that came whole may still be no model.
    GgufFile::open(&path)?;
    say(&format!("{}", path.display()));
    Ok(ExitCode::SUCCESS)
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
        if path.extension().is_some_and(|it| it == "gguf") {
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

/// A bar on standard error; nothing where that is no terminal.
#[derive(Default)]
struct Bar {
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

    fn finish(&self) {
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
