//! systemd notifications: ready, watchdog, stopping.

use std::{sync::Arc, time::Duration};

use bedside_contract::StoreHealth;
use sd_notify::NotifyState;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Says that the bot takes messages, and goes on saying that it lives until this is dropped. Does nothing where no
/// service manager waits for it.
pub(crate) fn tell_ready(store: Arc<dyn StoreHealth>, stop: CancellationToken) -> AbortOnDropHandle<()> {
    tell(&[NotifyState::Ready]);
    AbortOnDropHandle::new(tokio::spawn(async move {
        let stopping = async {
            stop.cancelled().await;
            tell(&[NotifyState::Stopping]);
            std::future::pending().await
        };
        tokio::select! {
            () = stopping => {}
            () = feed_watchdog(&*store) => {}
        }
    }))
}

/// Between this and [`tell_reloaded`] the service counts as reloading.
pub(crate) fn tell_reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    tell(&states);
}

pub(crate) fn tell_reloaded() {
    tell(&[NotifyState::Ready]);
}

/// From the same threads that serve patients: where these hang, the watchdog bites. A store that no longer writes is
/// no life either.
async fn feed_watchdog(store: &dyn StoreHealth) {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval((within / 3).max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        if store.is_healthy() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "The service manager could not be told.");
    }
}
