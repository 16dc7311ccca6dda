//! `bedside run`: everything that the config enables, until a signal.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use bedside_contract::StoreHealth;
use bedside_store::{DataDirLock, SqliteStore};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    admin,
    commands::make_data_dir,
    config::Config,
    control::{Control, hangups},
    language_model::LanguageModel,
    output::{complain, say},
    service_manager::tell_ready,
    wiring::{Connected, Parts},
};

/// `file`: where the configuration came from, and comes from when it is reloaded.
pub(crate) fn run(config: Config, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let data_dir = make_data_dir(&config)?;
    let _lock = DataDirLock::acquire(&data_dir)?;
    let store = SqliteStore::open(&data_dir.join("bedside.sqlite"))?;
    store.watch_space(&config.store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no async runtime")?;
    runtime.block_on(async {
        let stop = stop_signal()?;
        let hangups = hangups()?;
        let parts = Parts::start(config, store, &data_dir)?;
        let Connected { connectors, lines } = parts.connectors()?;
        let bot = parts.bot(connectors)?;
        let controlled = Control::start(&parts, bot.clone(), file, &data_dir, hangups)?;
        let admin = admin::start(&parts, &bot)?;
        say("Bedside runs. Stop it with Ctrl-C.");
        for line in lines.into_iter().chain(admin.line()) {
            say(&format!("  {line}"));
        }
        if let Some(warning) = parts.embeddings.warning() {
            complain(&format!("  warning:   {warning}"));
        }
        let model = tokio::spawn(report_model(parts.model.clone()));
        let telling = tell_ready(Arc::clone(&parts.store) as Arc<dyn StoreHealth>, stop.clone());
        let ended = bot.run(stop).await;
        model.abort();
        drop(controlled);
        parts.plugins.shutdown().await;
        parts.store.close().await;
        drop((telling, admin));
        ended?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn report_model(model: LanguageModel) {
    match model.wait_ready().await {
        Ok(info) => say(&format!("  model:     {}", info.name)),
        Err(error) => say(&format!(
            "  model:     none ({error})\n             Until it is there, answers are passages of the knowledge base. {}",
            model.advice()
        )),
    }
}

/// Cancelled by SIGINT (Ctrl-C) or SIGTERM. A second one ends the process at once.
pub(crate) fn stop_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let token = stop.clone();
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if round > 0 {
                std::process::exit(1);
            }
            token.cancel();
        }
    });
    Ok(stop)
}
