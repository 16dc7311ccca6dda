//! `bedside check-config`: what a start would refuse, without starting.

use std::{path::Path, process::ExitCode};

use bedside_contract::AnswerMode;
use bedside_model::{GgufFile, ModelSource, pull::place_of, source::DEFAULT_MODEL};
use bedside_runtime::{THIRD_READER_PARAMETERS, ThirdReader};
use indicatif::HumanCount;

use crate::{
    config::Config,
    output::say,
    whole_config::check_whole,
    wiring::{embeddings, models_dir},
};

/// What a configuration that is in order says.
pub(super) struct Examined {
    pub(super) lines: Vec<String>,
    pub(super) warnings: Vec<String>,
}

pub(crate) fn run(config: &Config, file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let examined = examine(config)?;
    let name = file.map_or_else(|| "the defaults".to_owned(), |it| it.display().to_string());
    say(&format!("{name}: in order"));
    for line in examined.lines {
        say(&format!("  {line}"));
    }
    for warning in examined.warnings {
        say(&format!("  warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// [`ConfigError`] and its like, for what a start would refuse.
pub(super) fn examine(config: &Config) -> anyhow::Result<Examined> {
    check_whole(config)?;
    let data_dir = config.data_dir()?;
    let Config {
        remote,
        web,
        telegram,
        discord,
        wechat,
        ..
    } = config;
    let embeddings = embeddings(config, &data_dir)?;
    let (levels, count) = (config.levels.name(), config.levels.list().len());
    let mut lines = vec![
        format!("data directory: {}", data_dir.display()),
        format!("triage levels:  {levels}, {count} levels"),
    ];
    if let Some(address) = remote.base_url.as_ref().filter(|_| remote.is_on()) {
        lines.push(format!("remote model:   {address}"));
    }
    if web.enabled {
        lines.push(format!("web page:       {}", web.listen));
    }
    if telegram.enabled {
        lines.push("telegram:       on, token ***".to_owned());
    }
    if discord.enabled {
        lines.push("discord:        on, token ***".to_owned());
    }
    if wechat.enabled {
        lines.push(format!(
            "wechat:         {} on {}, keys ***",
            wechat.path, wechat.listen
        ));
    }
    if let Some(listen) = &config.admin.listen {
        lines.push(format!("admin:          {listen}"));
    }
    let told = match config.escalation.ways().as_slice() {
        [] => "nobody".to_owned(),
        ways => format!(
            "{} after {} minutes",
            ways.join(" and "),
            config.escalation.after_minutes
        ),
    };
    lines.push(format!("of emergency notices that do not arrive: {told}"));
    let third_reader = third_reader_warning(config, &data_dir);
    let warnings = warnings(config)
        .into_iter()
        .chain(third_reader)
        .chain(embeddings.warning())
        .collect();
    Ok(Examined { lines, warnings })
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
    let outside = config.remote.is_outside().then(|| {
        "patients' messages are sent to remote.base_url, and the consent question says that the model runs outside the \
         hospital; if it runs inside, set remote.inside_hospital = true"
            .to_owned()
    });
    let bad_source = config.model.source.parse::<ModelSource>().err();
    let bad_source = bad_source
        .filter(|_| !config.remote.is_on())
        .map(|error| format!("model.source: {error}; until then the bot answers without a model"));
    modes
        .iter()
        .filter(|(_, is_free)| *is_free)
        .map(|(section, _)| {
            format!(
                "{section}.answer_mode is \"free\": the model may say what no passage of the knowledge base does, and \
                 only the output gate stands between it and patients; \"grounded\" is the default"
            )
        })
        .chain(outside)
        .chain(bad_source)
        .collect()
}

/// A third reader that is switched on for a model that is too small for it, or whose size is not known here.
fn third_reader_warning(config: &Config, data_dir: &Path) -> Option<String> {
    if config.bot.third_reader != ThirdReader::On {
        return None;
    }
    let (parameters, advice) = if config.remote.is_on() {
        (
            config.remote.known_parameters(),
            "say it with remote.billion_parameters",
        )
    } else {
        (
            parameters_of_file(&config.model.source, data_dir),
            "fetch it with `bedside model pull`",
        )
    };
    let needed = HumanCount(THIRD_READER_PARAMETERS);
    match parameters {
        Some(found) if found >= THIRD_READER_PARAMETERS => None,
        Some(found) => Some(format!(
            "bot.third_reader is \"on\" and the model has {} parameters; smaller ones than {needed} call too much an \
             emergency, or nothing: \"auto\" leaves them out",
            HumanCount(found)
        )),
        None => Some(format!(
            "bot.third_reader is \"on\" and how large the model is is not known here: {advice}; one below {needed} \
             parameters calls too much an emergency, or nothing"
        )),
    }
}

/// Of a model that is on this disk already.
fn parameters_of_file(source: &str, data_dir: &Path) -> Option<u64> {
    let path = place_of(&source.parse().ok()?, &DEFAULT_MODEL, &models_dir(data_dir));
    Some(GgufFile::open(&path).ok()?.parameters())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bedside_contract::AnswerMode;
    use bedside_runtime::ThirdReader;

    use super::{third_reader_warning, warnings};
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

    #[test]
    fn a_source_that_a_start_does_without_is_warned_of() {
        for (source, word) in [("http://mirror/a.gguf", "#sha256="), ("hf:nonsense", "hf:")] {
            let mut config = Config::default();
            config.model.source = source.to_owned();
            let said = warnings(&config);
            assert!(
                said.len() == 1 && said[0].starts_with("model.source") && said[0].contains(word),
                "{said:?}"
            );
            config.remote.base_url = Some("http://127.0.0.1:8000/v1".to_owned());
            assert_eq!(warnings(&config), Vec::<String>::new());
        }
    }

    #[test]
    fn a_third_reader_of_unknown_or_small_size_is_warned_of() {
        let mut config = Config::default();
        let nowhere = Path::new("/nowhere");
        assert_eq!(third_reader_warning(&config, nowhere), None);
        config.bot.third_reader = ThirdReader::On;
        let unknown = third_reader_warning(&config, nowhere).unwrap();
        assert!(
            unknown.starts_with("bot.third_reader") && unknown.contains("model pull"),
            "{unknown}"
        );
        config.remote.base_url = Some("http://127.0.0.1:8000/v1".to_owned());
        let unknown = third_reader_warning(&config, nowhere).unwrap();
        assert!(unknown.contains("remote.billion_parameters"), "{unknown}");
        config.remote.model = Some("Qwen2.5-1.5B-Instruct".to_owned());
        let small = third_reader_warning(&config, nowhere).unwrap();
        assert!(
            small.contains("has 1,500,000,000") && small.contains("3,000,000,000"),
            "{small}"
        );
        config.remote.billion_parameters = Some(3.0);
        assert_eq!(third_reader_warning(&config, nowhere), None);
    }
}
