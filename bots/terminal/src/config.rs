use std::{
    env,
    io::{self, BufReader, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use bedside_contract::{ConnectorError, Language};

use crate::{
    connector::TerminalConnector,
    input::{LineSource, PipedLines, PromptedLines},
};

/// A chat in this terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalConfig {
    /// Where the lines that were typed are kept, for the owner's eyes only; `None` keeps none.
    pub history: Option<PathBuf>,
    /// The chat's name: the same name goes on with the same conversation.
    pub conversation: String,
    /// The language of prompt and hints; `None` takes it from `LC_ALL`, `LC_MESSAGES` or `LANG`.
    pub language: Option<Language>,
    /// How long an answer may show no sign of life before the next line is read.
    pub patience: Duration,
}

impl Default for TerminalConfig {
    fn default() -> Self {
        Self {
            history: None,
            conversation: "local".to_owned(),
            language: None,
            patience: Duration::from_secs(180),
        }
    }
}

/// Where lines come from and words go to.
pub struct Terminal {
    pub input: Box<dyn LineSource>,
    pub output: Box<dyn Write + Send>,
    pub look: Look,
}

/// How words are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours and cursor movement. Off in a pipe, with `NO_COLOR` and on `TERM=dumb`.
    pub color: bool,
    /// Somebody sits there: prompt, hints, the answer while it is written, Ctrl-C stops it.
    pub live: bool,
}

impl TerminalConfig {
    /// On standard input and output.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] if the terminal cannot be used.
    pub fn build(self) -> Result<TerminalConnector, ConnectorError> {
        let live = io::stdin().is_terminal() && io::stdout().is_terminal();
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let color = live && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb";
        let input: Box<dyn LineSource> = if live {
            let lines = PromptedLines::new(self.history.clone()).map_err(|error| ConnectorError::Config {
                key: "terminal".to_owned(),
                reason: format!("cannot read from this terminal ({error}); pipe the messages in instead"),
            })?;
            Box::new(lines)
        } else {
            Box::new(PipedLines::new(BufReader::new(io::stdin())))
        };
        Ok(self.build_on(Terminal {
            input,
            output: Box::new(io::stdout()),
            look: Look { color, live },
        }))
    }

    /// On any lines and any writer.
    #[must_use]
    pub fn build_on(self, terminal: Terminal) -> TerminalConnector {
        let language = self
            .language
            .unwrap_or_else(|| language_of_locale(|name| env::var(name).ok().filter(|it| !it.is_empty())));
        TerminalConnector::new(&self, language, terminal)
    }
}

/// The first of the variables that is set decides, as POSIX has it.
fn language_of_locale(variable: impl Fn(&str) -> Option<String>) -> Language {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(variable)
        .and_then(|it| Language::parse(&it))
        .unwrap_or(Language::En)
}

#[cfg(test)]
mod tests {
    use bedside_contract::Language;

    use super::language_of_locale;

    #[test]
    fn the_locale_decides_the_language() {
        let check = |variables: &[(&str, &str)], expect: Language| {
            let found =
                language_of_locale(|name| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned()));
            assert_eq!(found, expect, "{variables:?}");
        };
        check(&[("LANG", "zh_CN.UTF-8")], Language::Zh);
        check(
            &[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "en_US.UTF-8")],
            Language::En,
        );
        check(&[("LC_MESSAGES", "zh_TW"), ("LANG", "C")], Language::Zh);
        check(&[("LANG", "C.UTF-8")], Language::En);
        check(&[], Language::En);
    }
}
