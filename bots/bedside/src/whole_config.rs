//! Checks a configuration as a whole: all that a start would refuse.

use std::path::Path;

use crate::{
    config::{Config, ConfigError},
    logging,
    wiring::{NO_CONNECTOR, build_rules, embeddings},
};

/// Checks every section. Starts nothing, connects to nothing, takes no port.
pub(crate) fn check_whole(config: &Config) -> anyhow::Result<()> {
    let Config {
        model,
        remote,
        web,
        telegram,
        discord,
        wechat,
        log,
        ..
    } = config;
    drop(build_rules(config)?);
    logging::check(&log.level)?;
    model.check_prompt_format().map_err(ConfigError::new)?;
    model.check_adapters().map_err(ConfigError::new)?;
    embeddings(config, &config.data_dir()?)?;
    if remote.is_on() {
        remote.check().map_err(|it| ConfigError::new(it.to_string()))?;
    }
    if web.enabled {
        web.check()?;
    }
    if telegram.enabled {
        telegram.check()?;
    }
    if discord.enabled {
        discord.check()?;
    }
    if wechat.enabled {
        wechat.check()?;
    }
    config.escalation.build()?;
    config.admin.check()?;
    if !(web.enabled || telegram.enabled || discord.enabled || wechat.enabled) {
        return Err(ConfigError::new(NO_CONNECTOR).into());
    }
    Ok(())
}

/// Reads the configuration and checks it whole. What is wrong comes with file, line and key.
pub(crate) fn read_checked(file: Option<&Path>) -> Result<Config, String> {
    let config = Config::load(file).map_err(|error| error.to_string())?;
    match check_whole(&config) {
        Ok(()) => Ok(config),
        Err(error) => Err(crate::config::with_place(&format!("{error:#}"), file)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::read_checked;

    #[test]
    fn what_is_wrong_is_told_with_file_line_and_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bedside.toml");
        let place = |line: usize, key: &str| format!("{}:{line}: {key}", file.display());
        for (text, expected) in [
            ("data_dir = '/x'\n[bot]\nhospitl = 'a'\n", place(3, "bot.hospitl")),
            (
                "data_dir = '/x'\n[web]\npublic_url = 'chat'\n",
                place(3, "web.public_url"),
            ),
            (
                "data_dir = '/x'\n[log]\nlevel = 'bedside=loud'\n",
                place(3, "log.level"),
            ),
            (
                "data_dir = '/x'\n[bot]\ntriage_additions = '/nowhere.toml'\n",
                place(3, "bot.triage_additions"),
            ),
            (
                "data_dir = '/x'\n[escalation]\nwebhook = 'pager'\n",
                place(3, "escalation.webhook"),
            ),
            (
                "data_dir = '/x'\n[web]\nenabled = false\n",
                "no connector".to_owned(),
            ),
        ] {
            fs::write(&file, text).unwrap();
            let problem = read_checked(Some(&file)).unwrap_err();
            assert!(problem.contains(&expected), "{problem}");
        }
        fs::write(&file, "data_dir = '/x'\n").unwrap();
        assert!(read_checked(Some(&file)).is_ok());
        assert!(
            read_checked(Some(&dir.path().join("gone.toml")))
                .unwrap_err()
                .contains("gone.toml")
        );
    }
}
