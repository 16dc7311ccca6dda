//! `bedside check-config`: what a start would refuse, without starting.

use std::{path::Path, process::ExitCode};

use bedside_contract::AnswerMode;

use crate::{
    config::{Config, ConfigError},
    output::say,
    wiring::{NO_CONNECTOR, embeddings, rules},
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
    let embeddings = embeddings(&config, &data_dir)?;
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
    for warning in warnings(&config).into_iter().chain(embeddings.warning()) {
        say(&format!("  warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a start takes and a hospital should still know.
fn warnings(config: &Config) -> Vec<String> {
    let free = Some(AnswerMode::Free);
    let modes = [
        (
            "model",
            !config.remote.is_on() && config.model.answer_mode == free,
        ),
        (
            "remote",
            config.remote.is_on() && config.remote.answer_mode == free,
        ),
    ];
    modes
        .iter()
        .filter(|(_, is_free)| *is_free)
        .map(|(section, _)| {
            format!(
                "{section}.answer_mode is \"free\": the model may say what no passage of the knowledge base does, and \
                 only the output gate stands between it and patients; \"grounded\" is the default"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bedside_contract::AnswerMode;

    use super::warnings;
    use crate::config::Config;

    #[test]
    fn a_model_that_may_speak_freely_is_warned_of() {
        let mut config = Config::default();
        assert_eq!(warnings(&config), Vec::<String>::new());
        config.model.answer_mode = Some(AnswerMode::Grounded);
        assert_eq!(warnings(&config), Vec::<String>::new());
        config.model.answer_mode = Some(AnswerMode::Free);
        let said = warnings(&config);
        assert!(
            said.len() == 1 && said[0].starts_with("model.answer_mode"),
            "{said:?}"
        );
    }
}
