//! `bedside plugin list` and the subcommands that belong to a plugin.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use bedside_contract::PluginStatus;
use bedside_plugin_host::PluginHost;
use bedside_store::SqliteStore;

use crate::{
    cli::PluginArguments,
    config::Config,
    output::{complain, say},
    wiring::{PluginBacking, embeddings, start_plugins},
};

/// Hands `words` to a plugin's command.
pub(crate) fn command(
    config: Config,
    plugin: &str,
    name: &str,
    arguments: &PluginArguments,
) -> anyhow::Result<ExitCode> {
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
    with_plugins(&config, async |host| {
        let rows = settled(host).await;
        if json {
            say(&serde_json::json!(rows).to_string());
        } else {
            for row in rows {
                let problem = row.last_problem.map(|it| format!("  ({it})")).unwrap_or_default();
                say(&format!(
                    "{:<24} {:<9} {:<12} {:<22} sandbox: {}{problem}",
                    row.id, row.version, row.state, row.place, row.sandbox
                ));
            }
        }
        ExitCode::SUCCESS
    })
}

/// The rows once no plugin is starting any more, or after five seconds.
async fn settled(host: &PluginHost) -> Vec<PluginStatus> {
    for _ in 0..100 {
        if host.list().iter().all(|it| it.state != "starting") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    host.list()
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
