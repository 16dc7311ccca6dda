//! A deleted conversation: what plugins keep under its id goes, and those that keep more are told, again after each of
//! their starts, until they have acknowledged it.
//!
//! What is still to be told stands in the store, as `forget/<plugin>/<conversation>` of the host's own entries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bedside_contract::{ConversationKey, Generator, PluginStorage, StoreError};
use bedside_plugin_api::{abi::Hook, msg::Forget};
use futures::future::join_all;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    PluginHost,
    calls::conversation_of,
    handle::{Plugin, State},
    opaque::{MOST_BYTES, OWNER, opaque_id},
    problem::Problem,
};

/// A plugin that runs and did not acknowledge is asked again after so long, too.
const AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// What it takes to have a conversation forgotten.
pub(crate) struct Forgetting {
    storage: Arc<dyn PluginStorage>,
    generator: Option<Arc<dyn Generator>>,
    /// Installed plugins that have the hook, or may have it: one that does not run is told when it does.
    listening: BTreeSet<String>,
}

impl Forgetting {
    pub(crate) fn new(storage: Arc<dyn PluginStorage>, generator: Option<Arc<dyn Generator>>) -> Self {
        Self {
            storage,
            generator,
            listening: BTreeSet::new(),
        }
    }

    pub(crate) fn add_listening(&mut self, plugin: &str) {
        self.listening.insert(plugin.to_owned());
    }
}

impl PluginHost {
    /// See [`bedside_contract::Plugins::forget`].
    pub(crate) async fn forget_conversation(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Vec<String>, StoreError> {
        let Forgetting {
            storage,
            generator,
            listening,
        } = &self.forgetting;
        let salts = self.ids.all_salts().await?;
        // Those that were taken away may come back.
        let mut ids: BTreeSet<String> = storage.plugins_with_data().await?.into_iter().collect();
        ids.remove(OWNER);
        ids.extend(listening.iter().cloned());
        let running: BTreeMap<&str, &Arc<Plugin>> = self.plugins().map(|it| (it.id(), it)).collect();
        ids.extend(running.keys().map(|it| (*it).to_owned()));

        let mut work = Vec::new();
        for id in ids {
            let plugin = running.get(id.as_str()).copied();
            let must_be_told = plugin.is_none_or(|it| it.rule(Hook::Forget).is_some());
            for salt in &salts {
                let opaque = opaque_id(salt, &id, conversation);
                // Noted before anything is done: whatever ends in between is taken up after the next start.
                if must_be_told {
                    let note = note(&id, &opaque);
                    storage.plugin_put(OWNER, &note, &[], MOST_BYTES).await?;
                }
                work.push((id.clone(), plugin, opaque));
            }
            // Its questions to the model may have held what the patient wrote.
            if let Some(generator) = generator {
                generator.forget(&conversation_of(&id));
            }
        }
        let done = work.into_iter().map(|(id, plugin, opaque)| async move {
            let acknowledged = match plugin {
                Some(plugin) => acknowledged(plugin, &opaque).await.is_ok(),
                None => false,
            };
            forget_entries(&**storage, &id, &opaque, acknowledged).await?;
            let counts = plugin.is_some() || listening.contains(&id);
            Ok::<_, StoreError>((!acknowledged && counts).then_some(id))
        });
        let mut pending = BTreeSet::new();
        for left in join_all(done).await {
            pending.extend(left?);
        }
        Ok(pending.into_iter().collect())
    }
}

/// Tells a plugin after each of its starts what it has not acknowledged yet, until `stop` is cancelled.
pub(crate) async fn catch_up(plugin: Arc<Plugin>, storage: Arc<dyn PluginStorage>, stop: CancellationToken) {
    let mut state = plugin.state.subscribe();
    // What a plugin fails at is not what it is to fail at for ever.
    let mut too_hard = BTreeSet::new();
    let work = async {
        while until_ready(&mut state).await {
            if let Err(error) = tell_what_is_left(&plugin, &*storage, &mut too_hard).await {
                tracing::warn!(plugin = plugin.id(), %error, "What a plugin is to forget could not be read.");
            }
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = sleep(AGAIN_AFTER) => {}
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn until_ready(state: &mut watch::Receiver<State>) -> bool {
    state.wait_for(|it| *it == State::Ready).await.is_ok()
}

async fn tell_what_is_left(
    plugin: &Plugin,
    storage: &dyn PluginStorage,
    too_hard: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let prefix = note(plugin.id(), "");
    for note in storage.plugin_list(OWNER, &prefix).await? {
        let Some(opaque) = note.strip_prefix(&prefix).filter(|it| !too_hard.contains(*it)) else {
            continue;
        };
        match acknowledged(plugin, opaque).await {
            Ok(()) => forget_entries(storage, plugin.id(), opaque, true).await?,
            Err(problem) if problem.ends_the_session() => {
                too_hard.insert(opaque.to_owned());
                return Ok(());
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// Asks the plugin to forget; one without the hook keeps nothing beside its entries in the store.
async fn acknowledged(plugin: &Plugin, opaque: &str) -> Result<(), Problem> {
    if plugin.rule(Hook::Forget).is_none() {
        return Ok(());
    }
    let forget = Forget {
        conversation: opaque.to_owned(),
    };
    let answer = plugin.ask::<()>(Hook::Forget, &forget).await;
    answer.inspect_err(|problem| {
        tracing::warn!(
            plugin = plugin.id(),
            %problem,
            "A plugin has not forgotten a deleted conversation; it is told again after its next start."
        );
    })
}

async fn forget_entries(
    storage: &dyn PluginStorage,
    plugin: &str,
    opaque: &str,
    acknowledged: bool,
) -> Result<(), StoreError> {
    storage.plugin_forget(plugin, opaque).await?;
    if acknowledged {
        storage.plugin_delete(OWNER, &note(plugin, opaque)).await?;
    }
    Ok(())
}

fn note(plugin: &str, opaque: &str) -> String {
    format!("forget/{plugin}/{opaque}")
}
