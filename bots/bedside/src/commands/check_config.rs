//! `bedside check-config`: what a start would refuse, without starting.

use std::{path::Path, process::ExitCode};

use crate::{
    config::{Config, ConfigError},
    output::say,
    wiring::{NO_CONNECTOR, rules},
};

pub(crate) fn run(config: Config, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    rules(&config)?;
    let data_dir = config.data_dir()?;
    let Config {
        remote,
        web,
        telegram,
        discord,
        wechat,
        ..
    } = &config;
    config.model.check_prompt_format().map_err(ConfigError::new)?;
    config.model.check_adapters().map_err(ConfigError::new)?;
    let mut model_line = None;
    if let Some(address) = remote.base_url.as_ref().filter(|_| remote.is_on()) {
        remote.check().map_err(|it| ConfigError::new(it.to_string()))?;
        model_line = Some(format!("  remote model:   {address}"));
    }
    let mut lines = Vec::new();
    if web.enabled {
        web.check()?;
        lines.push(format!("  web page:       {}", web.listen));
    }
    if telegram.enabled {
        telegram.check()?;
        lines.push("  telegram:       on, token ***".to_owned());
    }
    if discord.enabled {
        discord.check()?;
        lines.push("  discord:        on, token ***".to_owned());
    }
    if wechat.enabled {
        wechat.check()?;
        lines.push(format!(
            "  wechat:         {} on {}, keys ***",
            wechat.path, wechat.listen
        ));
    }
    if lines.is_empty() {
        return Err(ConfigError::new(NO_CONNECTOR).into());
    }
    let name = file.map_or_else(|| "the defaults".to_owned(), |it| it.display().to_string());
    say(&format!("{name}: in order"));
    say(&format!("  data directory: {}", data_dir.display()));
    for line in model_line.into_iter().chain(lines) {
        say(&line);
    }
    Ok(ExitCode::SUCCESS)
}
