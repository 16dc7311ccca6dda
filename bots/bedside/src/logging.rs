//! What goes to standard error while the bot runs.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{ConfigError, LogConfig, LogFormat};

/// `level`: as in [`LogConfig::level`].
pub(crate) fn start(config: &LogConfig, level: &str) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| ConfigError::new(format!("log.level: {level:?}: {error}")))?;
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
    Ok(())
}

/// At debug and trace, libraries log raw traffic, tokens included.
fn may_say(event: &Metadata<'_>) -> bool {
    event.target().starts_with("bedside") || *event.level() <= Level::INFO
}
