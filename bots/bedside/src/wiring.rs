//! Puts the parts together. Nobody else knows which implementation stands behind a trait.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use bedside_admin::Metrics;
use bedside_contract::{
    AuditLog, Connector, Embedder, Generator, Observer, PluginStorage, Plugins, Store, SystemClock,
    UndeliveredNotices,
};
use bedside_embeddings::{LazyEmbeddings, PatientEncoder};
use bedside_plugin_host::{Contacts, PluginHost, PluginHostSetup, PluginsConfig};
use bedside_runtime::{Bot, BotParts, Escalations, LiveConfig, ModelPlace};
use bedside_store::SqliteStore;
use bedside_triage::{PatientFacts, Rules, SecondReader};
use bedside_web::WebContext;
use bedside_wechat::WechatContext;

use crate::{
    config::{Config, ConfigError, TriageSection},
    language_model::LanguageModel,
    reload_state::ReloadState,
    switched_generator::SwitchedGenerator,
};

/// Connectors and what to print about them.
pub(crate) struct Connected {
    pub connectors: Vec<Arc<dyn Connector>>,
    pub lines: Vec<String>,
}

/// The parts that every way of running needs.
pub(crate) struct Parts {
    pub config: Config,
    /// Of it, what may change while the bot runs.
    pub live: LiveConfig,
    pub reload_state: Arc<ReloadState>,
    pub store: Arc<SqliteStore>,
    pub plugins: Arc<PluginHost>,
    pub model: LanguageModel,
    pub embeddings: Arc<LazyEmbeddings>,
    pub rules: &'static Rules,
    pub metrics: Arc<Metrics>,
}

impl Parts {
    /// Starts plugins and model in the background; neither is waited for. Call within a tokio runtime.
    pub(crate) fn start(config: Config, store: Arc<SqliteStore>, data_dir: &Path) -> anyhow::Result<Self> {
        let rules = rules(&config)?;
        // The first patient does not wait until the encoder is read.
        std::thread::spawn(|| drop(rules.assess("I have had a headache for days", &PatientFacts::default())));
        config.model.check_prompt_format().map_err(ConfigError::new)?;
        let model = LanguageModel::start(&config, models_dir(data_dir))?;
        let embeddings = embeddings(&config, data_dir)?;
        let live = LiveConfig::new(config.bot.clone());
        let backing = PluginBacking {
            store: &store,
            generator: Some(switched(&model, &live)),
            embeddings: Arc::clone(&embeddings),
            data_dir: Some(data_dir.join("plugins")),
        };
        let plugins = start_plugins(&config, backing)?;
        Ok(Self {
            config,
            live,
            reload_state: Arc::default(),
            store,
            plugins,
            model,
            embeddings,
            rules,
            metrics: Arc::default(),
        })
    }

    /// A bot with these connectors.
    pub(crate) fn bot(&self, connectors: Vec<Arc<dyn Connector>>) -> anyhow::Result<Bot> {
        for connector in &connectors {
            self.metrics.expect_platform(connector.platform());
        }
        let escalations = Escalations {
            notices: Arc::clone(&self.store) as Arc<dyn UndeliveredNotices>,
            staff: self.config.escalation.build()?,
            after: self.config.escalation.after(),
        };
        Ok(Bot::new(BotParts {
            config: self.live.clone(),
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            generator: switched(&self.model, &self.live),
            plugins: Arc::clone(&self.plugins) as Arc<dyn Plugins>,
            rules: self.rules,
            sampling: self.config.model.sampling.clone(),
            model_place: if self.config.remote.is_outside() {
                ModelPlace::Outside
            } else {
                ModelPlace::InsideTheHospital
            },
            clock: Arc::new(SystemClock),
            observer: Arc::clone(&self.metrics) as Arc<dyn Observer>,
            connectors,
            escalations: Some(escalations),
        }))
    }

    /// The connectors that the config enables.
    pub(crate) fn connectors(&self) -> anyhow::Result<Connected> {
        let mut connectors: Vec<Arc<dyn Connector>> = Vec::new();
        let mut lines = Vec::new();
        if self.config.web.enabled {
            let generator = switched(&self.model, &self.live);
            let named = self.live.clone();
            let web = self.config.web.clone().build(WebContext {
                ready: Arc::new(move || generator.model().is_some()),
                generator: Some(switched(&self.model, &self.live)),
                hospital_name: Arc::new(move || named.config().hospital.clone()),
            })?;
            lines.push(format!("web page:  http://{}", web.local_address()));
            connectors.push(Arc::new(web));
        }
        if self.config.telegram.enabled {
            connectors.push(Arc::new(self.config.telegram.clone().build()?));
            lines.push("telegram:  polling".to_owned());
        }
        if self.config.discord.enabled {
            connectors.push(Arc::new(self.config.discord.clone().build()?));
            lines.push("discord:   gateway".to_owned());
        }
        if self.config.wechat.enabled {
            let wechat = self.config.wechat.clone().build(WechatContext::default())?;
            lines.push(format!(
                "wechat:    callbacks on http://{}",
                wechat.local_address()
            ));
            connectors.push(Arc::new(wechat));
        }
        if connectors.is_empty() {
            return Err(ConfigError::new(NO_CONNECTOR).into());
        }
        Ok(Connected { connectors, lines })
    }
}

pub(crate) const NO_CONNECTOR: &str =
    "no connector is enabled: set enabled = true in [web], [telegram], [discord] or [wechat]";

/// The model behind the kill switch: nobody gets at it otherwise.
fn switched(model: &LanguageModel, live: &LiveConfig) -> Arc<dyn Generator> {
    Arc::new(SwitchedGenerator::new(model.generator(), live.clone()))
}

/// The safety rules and the second reader with its encoder, the hospital's own additions and levels.
pub(crate) fn rules(config: &Config) -> anyhow::Result<&'static Rules> {
    // Read once per process and needed until its end.
    Ok(Box::leak(Box::new(build_rules(config)?)))
}

/// [`rules`] that end, for a check.
pub(crate) fn build_rules(config: &Config) -> anyhow::Result<Rules> {
    let (additions, reader) = (&config.bot.triage_additions, &config.bot.second_reader);
    let text = match additions {
        Some(file) => additions_text(file)?,
        None => String::new(),
    };
    let name = additions
        .as_ref()
        .map(|it| it.display().to_string())
        .unwrap_or_default();
    let mut rules = Rules::with_additions(&text, &name)
        .map_err(|error| ConfigError::new(format!("bot.triage_additions: {error}")))?
        .with_levels(config.levels.clone());
    if let Some(file) = reader {
        let problem = |error: &dyn std::fmt::Display| {
            ConfigError::new(format!("bot.second_reader: {}: {error}", file.display()))
        };
        let bytes = std::fs::read(file).map_err(|error| problem(&error))?;
        let reader = SecondReader::from_bytes(&bytes).map_err(|error| problem(&error))?;
        rules = rules.with_second_reader(Some(reader));
    }
    Ok(rules.with_encoder(Arc::new(PatientEncoder::default())))
}

/// The plugins' settings, in which the triage plugin, which may read no files, finds the hospital's own rules and
/// levels.
fn with_triage_settings(config: &Config) -> anyhow::Result<PluginsConfig> {
    let mut plugins = config.plugins.clone();
    let mut own = serde_json::Map::new();
    if let Some(file) = &config.bot.triage_additions {
        own.insert("additions".to_owned(), additions_text(file)?.into());
    }
    if config.triage != TriageSection::default() {
        own.insert("levels".to_owned(), serde_json::to_value(&config.triage.levels)?);
    }
    if !own.is_empty() {
        let settings = plugins.settings.entry("bedside.triage".to_owned());
        if let serde_json::Value::Object(settings) = settings.or_insert_with(|| serde_json::json!({})) {
            settings.extend(own);
        }
    }
    Ok(plugins)
}

fn additions_text(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file)
        .map_err(|error| ConfigError::new(format!("bot.triage_additions: {}: {error}", file.display())))
}

/// The model that compares texts; it is read when somebody first needs it.
pub(crate) fn embeddings(config: &Config, data_dir: &Path) -> Result<Arc<LazyEmbeddings>, ConfigError> {
    let section = config.embeddings.clone();
    if let Err(error) = section.source() {
        let source = &section.source;
        return Err(ConfigError::new(format!(
            "embeddings.source: {source:?}: {error}"
        )));
    }
    Ok(Arc::new(LazyEmbeddings::new(section, models_dir(data_dir))))
}

/// What plugins run on.
pub(crate) struct PluginBacking<'a> {
    pub store: &'a Arc<SqliteStore>,
    pub generator: Option<Arc<dyn Generator>>,
    pub embeddings: Arc<LazyEmbeddings>,
    pub data_dir: Option<PathBuf>,
}

/// The plugins alone, for subcommands that belong to one.
pub(crate) fn start_plugins(config: &Config, backing: PluginBacking<'_>) -> anyhow::Result<Arc<PluginHost>> {
    let executable = std::env::current_exe().context("cannot tell where this program is")?;
    let beside = executable.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(PluginHost::start(PluginHostSetup {
        config: with_triage_settings(config)?,
        search_dirs: vec![beside.join("plugins")],
        runner: beside.join("bedside-plugin-runner"),
        data_dir: backing.data_dir,
        contacts: Contacts {
            emergency_number: config.bot.emergency_number.clone(),
            crisis_line: config.bot.crisis_line.clone(),
        },
        storage: Arc::clone(backing.store) as Arc<dyn PluginStorage>,
        audit: Arc::clone(backing.store) as Arc<dyn AuditLog>,
        clock: Arc::new(SystemClock),
        generator: backing.generator,
        embedder: Some(backing.embeddings as Arc<dyn Embedder>),
    }))
}

pub(crate) fn models_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("models")
}
