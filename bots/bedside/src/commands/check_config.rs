//! `bedside check-config`: what a start would refuse, without starting.

use std::{path::Path, process::ExitCode};

use crate::{
    config::{Config, ConfigError},
    output::say,
    wiring::rules,
};

pub(crate) fn run(config: Config, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    rules(&config)?;
    let data_dir = config.data_dir()?;
    if !config.web.enabled && !config.telegram.enabled {
        let reason = "no connector is enabled: set web.enabled or telegram.enabled to true";
        return Err(ConfigError::new(reason).into());
    }
    let telegram = &config.telegram;
    if telegram.enabled && telegram.token.is_none() && telegram.token_file.is_none() {
        let reason = "telegram.token: missing: set it, telegram.token_file or BEDSIDE_TELEGRAM__TOKEN";
        return Err(ConfigError::new(reason).into());
    }
    let name = file.map_or_else(|| "the defaults".to_owned(), |it| it.display().to_string());
    say(&format!("{name}: in order"));
    say(&format!("  data directory: {}", data_dir.display()));
    if config.web.enabled {
        say(&format!("  web page:       {}", config.web.listen));
    }
    if config.telegram.enabled {
        say("  telegram:       on, token ***");
    }
    Ok(ExitCode::SUCCESS)
}
