//! The lowest floor: what the hospital configured and what the binary wired together. It starts nothing.

pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod interrupt;
pub(crate) mod live_config;
pub(crate) mod per_conversation;
pub(crate) mod red_flags;
pub(crate) mod words;

/// What [`per_conversation`] is built from; its test under shuttle takes shuttle's.
mod sync {
    pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
}
#[cfg(test)]
mod per_conversation_test;

use std::sync::Arc;

use bedside_contract::{
    Clock, ConversationSettings, Conversations, Generator, Inbox, Language, Observation, Observer, Outbox,
    Plugins, Sampling, StoreError, StoreHealth, Transcripts, Update, UpdateKind,
};
use bedside_triage::Rules;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    command::language_of_words,
    config::RuntimeConfig,
    live_config::LiveConfig,
    words::{Variable, say_with},
};

#[derive(Clone)]
pub(crate) struct Context {
    /// As it was when this was taken: [`Context::now`].
    pub config: Arc<RuntimeConfig>,
    pub live: LiveConfig,
    pub store: Stores,
    pub generator: Arc<dyn Generator>,
    pub plugins: Arc<dyn Plugins>,
    pub rules: &'static Rules,
    pub sampling: Sampling,
    pub model_place: ModelPlace,
    pub clock: Arc<dyn Clock>,
    pub observer: Arc<dyn Observer>,
    pub tasks: TaskTracker,
    /// No new turn starts any more.
    pub shutdown: CancellationToken,
    /// The store can no longer be trusted: the process must stop.
    pub broken: CancellationToken,
}

/// Where the model runs that reads what patients write; consent and privacy say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelPlace {
    InsideTheHospital,
    Outside,
}

impl ModelPlace {
    /// The locale files choose by it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InsideTheHospital => "inside",
            Self::Outside => "outside",
        }
    }
}

/// The store by its roles.
#[derive(Clone)]
pub(crate) struct Stores {
    pub inbox: Arc<dyn Inbox>,
    pub outbox: Arc<dyn Outbox>,
    pub conversations: Arc<dyn Conversations>,
    pub transcripts: Arc<dyn Transcripts>,
    pub health: Arc<dyn StoreHealth>,
}

impl Context {
    /// With the configuration as it is now. Whoever works at something longer takes it once, so that the configuration
    /// does not change in the middle.
    pub(crate) fn now(self: &Arc<Self>) -> Arc<Self> {
        let config = self.live.config();
        if Arc::ptr_eq(&config, &self.config) {
            return Arc::clone(self);
        }
        Arc::new(Self {
            config,
            ..(**self).clone()
        })
    }

    /// A sentence that names the emergency number, and how to reach a person where it says so.
    pub(crate) fn say_with_number(&self, language: Language, key: &str) -> String {
        let contact = self.config.human_contact(language);
        let variables = [
            ("contact", Variable::Text(&contact)),
            ("emergency", Variable::Text(&self.config.emergency_number)),
        ];
        say_with(language, key, &variables)
    }

    /// The patient's choice, else what the message shows, else what was spoken last.
    pub(crate) fn language_of(&self, update: &Update, settings: &ConversationSettings) -> Language {
        let written = match &update.kind {
            UpdateKind::Text { text } => language_of_words(text),
            _ => None,
        };
        settings
            .language
            .or(written)
            .or(settings.last_language)
            .or(update.language_hint)
            .unwrap_or(self.config.default_language)
    }

    pub(crate) fn observe(&self, observation: Observation<'_>) {
        self.observer.observe(&observation);
    }

    pub(crate) fn store_failed(&self, error: &StoreError) {
        tracing::error!(%error, "The store failed.");
        if !self.store.health.is_healthy() {
            self.broken.cancel();
        }
    }
}
