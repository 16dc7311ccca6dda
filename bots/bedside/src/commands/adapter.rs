//! `bedside adapter inspect|convert|list`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use bedside_model::{
    adapters::{AdapterInspection, Target, convert as convert_adapter, inspect as inspect_adapter},
    pull::pull_from,
};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use crate::{
    commands::model::Bar,
    config::{Config, ConfigError},
    output::say,
    wiring::models_dir,
};

pub(crate) fn inspect(path: &Path, base: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let bar = Bar::default();
    let found = inspect_adapter(path, base, &bar)?;
    bar.finish();
    if json {
        say(&serde_json::to_string(&found)?);
    } else {
        say(&format!("{}: {}", path.display(), found.format));
        for (what, value) in facts(&found) {
            say(&format!("  {:<12}{value}", format!("{what}:")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn facts(found: &AdapterInspection) -> Vec<(&'static str, String)> {
    let mut facts = vec![("parameters", HumanCount(found.parameters as u64).to_string())];
    if !found.ranks.is_empty() {
        facts.push(("ranks", listed(&found.ranks)));
        facts.push(("scales", listed(&found.scales)));
        facts.push((
            "linears",
            format!("{} in {} layers", listed(&found.linears), found.layers),
        ));
    }
    if found.prefix_tokens > 0 {
        facts.push((
            "prefix",
            format!("{} tokens before every text", found.prefix_tokens),
        ));
    }
    let base = &found.base;
    let claims = [
        ("base", &base.name),
        ("family", &base.architecture),
        ("base sha256", &base.sha256),
    ];
    facts.extend(
        claims
            .into_iter()
            .filter_map(|(what, it)| Some((what, it.clone()?))),
    );
    facts.extend(
        found
            .memory_bytes
            .map(|it| ("memory", HumanBytes(it as u64).to_string())),
    );
    facts
}

fn listed<T: ToString>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    values.join(", ")
}

pub(crate) fn convert(
    config: &Config,
    source: &Path,
    target: PathBuf,
    base: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    let bar = Bar::default();
    let base = match base {
        Some(base) => base,
        None => configured_model(config, &bar)?,
    };
    let shown = target.display().to_string();
    let target = if target.extension().is_some_and(|it| it == "gguf") {
        Target::Gguf(target)
    } else {
        Target::Folder(target)
    };
    convert_adapter(source, &base, &target, &bar)?;
    bar.finish();
    say(&shown);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn list(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let adapters = &config.model.adapters;
    if adapters.is_empty() && !json {
        say("no adapters are configured; name them under [model.adapters]");
        return Ok(ExitCode::SUCCESS);
    }
    let bar = Bar::default();
    let base = configured_model(config, &bar)?;
    let mut rows = Vec::new();
    let mut all_fit = true;
    for (name, path) in adapters {
        let found = inspect_adapter(path, Some(&base), &bar);
        all_fit &= found.is_ok();
        rows.push((name, path, found));
    }
    bar.finish();
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, path, found)| match found {
                Ok(found) => json!({ "name": name, "path": path, "adapter": found }),
                Err(error) => json!({ "name": name, "path": path, "error": error.to_string() }),
            })
            .collect();
        say(&serde_json::Value::from(rows).to_string());
    } else {
        for (name, path, found) in rows {
            match found {
                Ok(found) => {
                    let memory = HumanBytes(found.memory_bytes.unwrap_or_default() as u64);
                    say(&format!("{name}  {}  {memory}  {}", found.format, path.display()));
                }
                Err(error) => say(&format!("{name}  does not fit: {error}")),
            }
        }
    }
    Ok(if all_fit {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn configured_model(config: &Config, bar: &Bar) -> anyhow::Result<PathBuf> {
    let configured = &config.model.source;
    let source = configured
        .parse()
        .map_err(|error| ConfigError::new(format!("model.source: {configured:?}: {error}")))?;
    Ok(pull_from(
        &source,
        &models_dir(&config.data_dir()?),
        &config.model.endpoint,
        bar,
    )?)
}
