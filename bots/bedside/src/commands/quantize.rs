//! `bedside model quantize`.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use bedside_model::{
    Model,
    perplexity::{Perplexity, perplexity},
    quantize::quantize,
};
use indicatif::HumanBytes;
use serde_json::json;

use crate::{cli::QuantizeArguments, commands::model::Bar, output::say};

pub(crate) fn run(arguments: &QuantizeArguments) -> anyhow::Result<ExitCode> {
    let QuantizeArguments {
        source,
        target,
        to,
        text,
        window,
        json,
    } = arguments;
    // Before the long work: a text that cannot be read should not be noticed behind it.
    let text = match text {
        Some(path) => Some(
            fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read as UTF-8", path.display()))?,
        ),
        None => None,
    };
    let measure = |path: &Path| -> anyhow::Result<Option<Perplexity>> {
        let Some(text) = &text else { return Ok(None) };
        let bar = Bar::default();
        let measured = perplexity(&Model::load(path, &bar)?, text, *window, &bar)?;
        bar.finish();
        Ok(Some(measured))
    };
    let before = measure(source)?;
    let bar = Bar::default();
    let done = quantize(source, target, *to, &bar)?;
    bar.finish();
    let after = measure(target)?;
    let figures = before.zip(after);
    if *json {
        let figures = figures.map(|(before, after)| {
            json!({ "before": before.value, "after": after.value, "tokens": before.tokens, "window": window })
        });
        let line = json!({
            "path": target, "kind": to.to_string(), "tensors": done.tensors, "bytes_before": done.bytes_before,
            "bytes_after": done.bytes_after, "perplexity": figures,
        });
        say(&line.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!(
        "{}: {to}, {} tensors, {} of weights (before {})",
        target.display(),
        done.tensors,
        HumanBytes(done.bytes_after),
        HumanBytes(done.bytes_before),
    ));
    if let Some((before, after)) = figures {
        say(&format!(
            "perplexity {:.3} → {:.3} ({:+.2} %) on {} tokens in windows of {window}",
            before.value,
            after.value,
            (after.value / before.value - 1.0) * 100.0,
            before.tokens,
        ));
    }
    Ok(ExitCode::SUCCESS)
}
