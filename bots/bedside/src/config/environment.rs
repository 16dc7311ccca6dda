//! `BEDSIDE_SECTION__KEY` variables over the file.

use std::collections::BTreeSet;

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::Env,
    value::{Dict, Map, Value},
};
use serde::de::DeserializeOwned;

/// The name of the source in errors.
const NAME: &str = "environment";

/// Variables as TOML values, but texts where a text is wanted: the token `20261128` and the number `0120` keep every
/// digit.
#[derive(Default)]
struct Environment {
    /// Paths of keys whose value is taken as it stands.
    texts: BTreeSet<String>,
}

/// Reads a configuration with the variables over `file`.
pub(super) fn extract<T: DeserializeOwned>(file: &Figment) -> Result<T, Box<Error>> {
    let mut environment = Environment::default();
    loop {
        let error = match file.clone().merge(&environment).extract() {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        let before = environment.texts.len();
        let wanted = error
            .clone()
            .into_iter()
            .filter(wants_text)
            .map(|it| it.path.join("."));
        environment.texts.extend(wanted);
        // Each round finds another text, or there is none left to find.
        if environment.texts.len() == before {
            return Err(Box::new(error));
        }
    }
}

fn wants_text(error: &Error) -> bool {
    let is_ours = error.metadata.as_ref().is_some_and(|it| it.name == NAME);
    is_ours && matches!(&error.kind, Kind::InvalidType(_, expected) if expected.contains("string"))
}

impl Provider for &Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(NAME)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        // Variables of this program, its tests and its Makefile that are no keys have no double underscore.
        let keys = Env::prefixed("BEDSIDE_").filter(|it| it == "DATA_DIR" || it.as_str().contains("__"));
        let mut values = Dict::new();
        for (key, text) in keys.iter() {
            let path: Vec<&str> = key.as_str().split("__").collect();
            let value = match text.parse::<Value>() {
                Ok(value) if !self.texts.contains(&path.join(".")) => value,
                _ => Value::from(text),
            };
            insert(&mut values, &path, value);
        }
        Ok(Profile::Default.collect(values))
    }
}

/// A section's own value gives way to its keys.
fn insert(values: &mut Dict, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => drop(values.insert((*key).to_owned(), value)),
        [section, rest @ ..] => {
            let inner = values
                .entry((*section).to_owned())
                .or_insert_with(|| Value::from(Dict::new()));
            if !matches!(inner, Value::Dict(..)) {
                *inner = Value::from(Dict::new());
            }
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use figment::{Figment, Jail};
    use serde::Deserialize;

    use super::extract;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Config {
        data_dir: Option<String>,
        bot: Bot,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Bot {
        number: String,
        token: Option<String>,
        words: Vec<String>,
        seconds: u64,
        on: bool,
    }

    #[expect(clippy::result_large_err, reason = "figment's jail wants figment's error")]
    #[test]
    fn a_text_stays_a_text_and_a_number_a_number() {
        Jail::expect_with(|jail| {
            jail.clear_env();
            let set = [
                ("BEDSIDE_BOT__NUMBER", "0120"),
                ("BEDSIDE_BOT__TOKEN", "20261128"),
                ("BEDSIDE_BOT__WORDS", "[\"a\", \"b\"]"),
                ("BEDSIDE_BOT__SECONDS", "90"),
                ("BEDSIDE_BOT__ON", "true"),
                ("BEDSIDE_DATA_DIR", "17"),
                ("BEDSIDE_FIXTURES", "no key"),
            ];
            set.into_iter()
                .for_each(|(name, value)| jail.set_env(name, value));
            let config: Config = extract(&Figment::new()).map_err(|it| *it)?;
            let bot = Bot {
                number: "0120".to_owned(),
                token: Some("20261128".to_owned()),
                words: vec!["a".to_owned(), "b".to_owned()],
                seconds: 90,
                on: true,
            };
            let data_dir = Some("17".to_owned());
            assert_eq!(config, Config { data_dir, bot });

            jail.set_env("BEDSIDE_BOT__SECONDS", "soon");
            let error = extract::<Config>(&Figment::new()).unwrap_err();
            assert_eq!(error.path, ["bot", "seconds"]);
            Ok(())
        });
    }
}
