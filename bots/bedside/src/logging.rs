//! What goes to standard error while the bot runs.

use std::{io::IsTerminal, sync::OnceLock};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{ConfigError, LogConfig, LogFormat};

/// Through it the level is changed while the program runs.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Whether this can be a level, as in [`LogConfig::level`].
pub(crate) fn check(level: &str) -> Result<(), ConfigError> {
    filter(level).map(drop)
}

/// From now on so much is logged.
pub(crate) fn set_level(level: &str) -> Result<(), ConfigError> {
    let filter = filter(level)?;
    match LEVEL.get() {
        Some(handle) => handle
            .reload(filter)
            .map_err(|error| ConfigError::new(format!("log.level: {level:?}: {error}"))),
        None => Ok(()),
    }
}

fn filter(level: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(level).map_err(|error| ConfigError::new(format!("log.level: {level:?}: {error}")))
}

/// `level`: as in [`LogConfig::level`].
pub(crate) fn start(config: &LogConfig, level: &str) -> Result<(), ConfigError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let stderr = std::io::stderr;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(stderr)
            .boxed(),
        LogFormat::Text => fmt::layer()
            .with_ansi(stderr().is_terminal())
            .with_writer(stderr)
            .boxed(),
    };
    let layer = layer.with_filter(filter).with_filter(filter_fn(may_say));
    tracing_subscriber::registry().with(layer).init();
    // `init` lets nobody come here twice.
    let _first = LEVEL.set(handle);
    Ok(())
}

/// At debug and trace, libraries log raw traffic, tokens included.
fn may_say(event: &Metadata<'_>) -> bool {
    event.target().starts_with("bedside") || *event.level() <= Level::INFO
}
