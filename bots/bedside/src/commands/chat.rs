//! `bedside chat`: the same conversation in the terminal.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use bedside_contract::Connector;
use bedside_store::{DataDirLock, SqliteStore};
use bedside_terminal::TerminalConfig;
use tokio_util::sync::CancellationToken;

use crate::{commands::make_data_dir, config::Config, output::complain, wiring::Parts};

pub(crate) fn run(config: Config) -> anyhow::Result<ExitCode> {
    let data_dir = make_data_dir(&config)?;
    // While the bot runs, the data directory is its own: this conversation is then kept nowhere.
    let lock = DataDirLock::acquire(&data_dir).ok();
    let store = match &lock {
        Some(_) => SqliteStore::open(&data_dir.join("bedside.sqlite"))?,
        None => {
            complain("bedside: the bot runs already, so this conversation is kept only until you leave");
            SqliteStore::open_temporary()?
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    let ended = runtime.block_on(async {
        let history = config.terminal.history.then(|| data_dir.join("terminal-history"));
        let parts = Parts::start(config, store, &data_dir)?;
        let terminal = TerminalConfig {
            history,
            ..TerminalConfig::default()
        }
        .build()?;
        let bot = parts.bot(vec![Arc::new(terminal) as Arc<dyn Connector>])?;
        let ended = bot.run(CancellationToken::new()).await;
        parts.plugins.shutdown().await;
        parts.store.close().await;
        anyhow::Ok(ended?)
    });
    // A thread that still reads standard input would hold the process otherwise.
    runtime.shutdown_background();
    drop(lock);
    ended?;
    Ok(ExitCode::SUCCESS)
}
