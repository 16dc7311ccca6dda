//! `bedside plugin list` and the subcommands that belong to a plugin.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use bedside_contract::PluginStatus;
use bedside_plugin_host::PluginHost;
use bedside_store::SqliteStore;
use serde_json::Value;

use crate::{
    cli::PluginArguments,
    config::Config,
    control::{CallError, PluginCommand, Request, Status, call},
    output::{complain, say},
    wiring::{PluginBacking, embeddings, start_plugins},
};

/// Words behind which a file or folder of the operator's stands.
const READING: [&str; 2] = ["import", "lint"];

/// Hands `words` to a plugin's command: of the running bot, or of a plugin that is started for it.
pub(crate) fn command(
    config: Config,
    plugin: &str,
    name: &str,
    arguments: &PluginArguments,
) -> anyhow::Result<ExitCode> {
    let asked = handing_over(
        PluginCommand {
            plugin: plugin.to_owned(),
            command: name.to_owned(),
            json: arguments.json,
            ..PluginCommand::default()
        },
        &arguments.words,
    );
    match call(&config.data_dir()?, &Request::PluginCommand(asked), |words| {
        complain(&format!("  {words}"));
    }) {
        Ok(reply) => return Ok(told(&reply)),
        Err(CallError::Failed(words)) => {
            complain(&format!("bedside: {words}"));
            return Ok(ExitCode::FAILURE);
        }
        Err(CallError::NotRunning(_)) => {}
    }
    let words = arguments.words.join(" ");
    with_plugins(&config, async |host| {
        match host.run_command(plugin, name, &words, arguments.json).await {
            Ok(reply) if reply.failed => {
                complain(&format!("bedside: {}", reply.text));
                ExitCode::FAILURE
            }
            Ok(reply) => {
                say(&reply.text);
                ExitCode::SUCCESS
            }
            Err(words) => {
                complain(&format!("bedside: {words}"));
                ExitCode::FAILURE
            }
        }
    })
}

pub(crate) fn list(config: Config, json: bool) -> anyhow::Result<ExitCode> {
    match rows_of_running_bot(&config.data_dir()?) {
        Ok(rows) => {
            show(rows, json);
            return Ok(ExitCode::SUCCESS);
        }
        Err(CallError::Failed(words)) => {
            complain(&format!("bedside: {words}"));
            return Ok(ExitCode::FAILURE);
        }
        Err(CallError::NotRunning(_)) => {}
    }
    with_plugins(&config, async |host| {
        show(settled(host).await, json);
        ExitCode::SUCCESS
    })
}

fn show(rows: Vec<PluginStatus>, json: bool) {
    if json {
        return say(&serde_json::json!(rows).to_string());
    }
    for row in rows {
        let problem = row.last_problem.map(|it| format!("  ({it})")).unwrap_or_default();
        say(&format!(
            "{:<24} {:<9} {:<12} {:<22} sandbox: {}{problem}",
            row.id, row.version, row.state, row.place, row.sandbox
        ));
    }
}

/// How often it is looked whether plugins are still starting.
const LOOKS: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn are_settled(rows: &[PluginStatus]) -> bool {
    rows.iter().all(|it| it.state != "starting")
}

/// The rows once no plugin is starting any more, or after five seconds.
async fn settled(host: &PluginHost) -> Vec<PluginStatus> {
    for _ in 0..LOOKS {
        if are_settled(&host.list()) {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    host.list()
}

/// [`settled`] rows, as the running bot has them.
fn rows_of_running_bot(data_dir: &Path) -> Result<Vec<PluginStatus>, CallError> {
    let mut looks = 0;
    loop {
        let answer = call(data_dir, &Request::Status, |_| {})?;
        let status: Status = serde_json::from_value(answer).map_err(|error| {
            CallError::Failed(format!(
                "the bot's answer cannot be read, it may be of another version: {error}"
            ))
        })?;
        looks += 1;
        if looks >= LOOKS || are_settled(&status.plugins) {
            return Ok(status.plugins);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// With the file or folder that it shall read, if the words name one of this machine.
fn handing_over(command: PluginCommand, words: &[String]) -> PluginCommand {
    let all = words.join(" ");
    let path = match words.split_first() {
        Some((first, rest)) if READING.contains(&first.as_str()) && !rest.is_empty() => {
            Path::new(&rest.join(" ")).canonicalize().ok()
        }
        _ => None,
    };
    let arguments = match (&path, words.first()) {
        (Some(_), Some(first)) => first.clone(),
        _ => all,
    };
    PluginCommand {
        arguments,
        path,
        ..command
    }
}

/// What the running bot's plugin said.
fn told(reply: &Value) -> ExitCode {
    let text = reply.get("text").and_then(Value::as_str).unwrap_or_default();
    if reply.get("failed").and_then(Value::as_bool).unwrap_or(true) {
        complain(&format!("bedside: {text}"));
        return ExitCode::FAILURE;
    }
    say(text);
    ExitCode::SUCCESS
}

fn with_plugins(
    config: &Config,
    work: impl AsyncFnOnce(&Arc<PluginHost>) -> ExitCode,
) -> anyhow::Result<ExitCode> {
    let store = SqliteStore::open_temporary()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    runtime.block_on(async {
        let backing = PluginBacking {
            store: &store,
            generator: None,
            embeddings: embeddings(config, &config.data_dir()?)?,
            data_dir: None,
        };
        let host = start_plugins(config, backing)?;
        let code = work(&host).await;
        host.shutdown().await;
        Ok(code)
    })
}

#[cfg(test)]
mod tests {
    use super::{PluginCommand, handing_over};

    #[test]
    fn only_a_folder_that_is_there_and_shall_be_read_is_handed_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("my articles");
        std::fs::create_dir(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        let place = folder.display().to_string();
        for (words, arguments, is_handed) in [
            (vec!["import", place.as_str()], "import".to_owned(), true),
            (vec!["lint", place.as_str()], "lint".to_owned(), true),
            (
                vec!["import", "/nowhere/kb"],
                "import /nowhere/kb".to_owned(),
                false,
            ),
            (vec!["search", place.as_str()], format!("search {place}"), false),
            (vec!["lint"], "lint".to_owned(), false),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let asked = handing_over(PluginCommand::default(), &words);
            assert_eq!(asked.arguments, arguments);
            assert_eq!(asked.path, is_handed.then(|| folder.clone()));
        }
    }
}
