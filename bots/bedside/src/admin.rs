//! The operator's listener, and what it reads of all parts.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_admin::{AdminContext, EngineFigures, Figures, Snapshot, StoreFigures};
use bedside_contract::{AuditLog, Clock, Intake, Plugins, StoreHealth, SystemClock};
use bedside_plugin_host::PluginHost;
use bedside_runtime::Bot;
use bedside_store::{SqliteStore, StoreCounters};
use tokio_util::task::AbortOnDropHandle;

use crate::{language_model::LanguageModel, wiring::Parts};

/// Serves until it is dropped; nothing where no address is configured.
pub(crate) struct RunningAdmin {
    line: Option<String>,
    _serving: Option<AbortOnDropHandle<()>>,
}

impl RunningAdmin {
    /// What to print about it.
    pub(crate) fn line(&self) -> Option<String> {
        self.line.clone()
    }
}

/// Binds the port and serves it. Call within a tokio runtime.
pub(crate) fn start(parts: &Parts, bot: &Bot) -> anyhow::Result<RunningAdmin> {
    let figures = BotFigures {
        store: Arc::clone(&parts.store),
        plugins: Arc::clone(&parts.plugins),
        model: parts.model.clone(),
        bot: bot.clone(),
    };
    let admin = parts.config.admin.build(AdminContext {
        metrics: Arc::clone(&parts.metrics),
        figures: Arc::new(figures),
        generator: parts.model.generator(),
        audit: Arc::clone(&parts.store) as Arc<dyn AuditLog>,
    })?;
    let Some(admin) = admin else {
        return Ok(RunningAdmin {
            line: None,
            _serving: None,
        });
    };
    let line = format!("admin:     http://{}", admin.local_address());
    let serving = tokio::spawn(async move {
        // Patients are served without it.
        if let Err(error) = admin.serve().await {
            tracing::error!(%error, "The admin listener has ended; the bot goes on.");
        }
    });
    Ok(RunningAdmin {
        line: Some(line),
        _serving: Some(AbortOnDropHandle::new(serving)),
    })
}

struct BotFigures {
    store: Arc<SqliteStore>,
    plugins: Arc<PluginHost>,
    model: LanguageModel,
    bot: Bot,
}

#[async_trait]
impl Figures for BotFigures {
    fn is_alive(&self) -> bool {
        self.store.is_healthy()
    }

    async fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            model: self.model.generator().model(),
            engine: self.engine(),
            health: self.bot.health(),
            store: self.store_figures().await,
            plugins: self.plugins.status(),
        }
    }
}

impl BotFigures {
    fn engine(&self) -> Option<EngineFigures> {
        let LanguageModel::Here(engine) = &self.model else {
            return None;
        };
        let stats = engine.stats();
        Some(EngineFigures {
            running: stats.running,
            waiting: stats.queued,
            blocks_used: stats.blocks_used,
            blocks: stats.blocks,
            finished: stats.finished,
            cancelled: stats.cancelled,
            failed: stats.failed,
            rejected: stats.rejected,
            prompt_tokens: stats.prompt_tokens,
            reused_tokens: stats.reused_tokens,
            generated_tokens: stats.generated_tokens,
            guessed_tokens: stats.guessed_tokens,
            right_guesses: stats.right_guesses,
        })
    }

    async fn store_figures(&self) -> Option<StoreFigures> {
        let read = async {
            let counters = self.store.counters().await?;
            let head = self.store.audit_head().await?;
            Ok::<_, bedside_contract::StoreError>(figures_of(&counters, head.seq, SystemClock.now_ms()))
        };
        read.await
            .inspect_err(|error| tracing::error!(%error, "The store cannot be read for the metrics."))
            .ok()
    }
}

fn figures_of(counters: &StoreCounters, audit_head: u64, now_ms: i64) -> StoreFigures {
    let age = |since_ms: Option<i64>| {
        let age_ms = now_ms.saturating_sub(since_ms?);
        // Nothing where the clock was set back.
        Some(Duration::from_millis(u64::try_from(age_ms).unwrap_or_default()))
    };
    StoreFigures {
        inbox_depth: counters.inbox_depth,
        inbox_oldest: age(counters.inbox_oldest_ms),
        outbox_pending: counters.outbox_pending,
        outbox_sending: counters.outbox_sending,
        outbox_unknown: counters.outbox_unknown,
        outbox_parked: counters.outbox_parked,
        outbox_oldest: age(counters.outbox_oldest_ms),
        dead_messages: counters.dead_messages,
        dead_parts: counters.dead_parts,
        audit_head,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_store::StoreCounters;

    use super::figures_of;

    #[test]
    fn ages_are_counted_from_now_and_never_negative() {
        let counters = StoreCounters {
            inbox_oldest_ms: Some(4_000),
            outbox_oldest_ms: Some(9_000),
            ..StoreCounters::default()
        };
        let figures = figures_of(&counters, 7, 5_500);
        assert_eq!(figures.inbox_oldest, Some(Duration::from_millis(1_500)));
        assert_eq!(figures.outbox_oldest, Some(Duration::ZERO));
        assert_eq!(figures_of(&StoreCounters::default(), 7, 5_500).inbox_oldest, None);
    }
}
