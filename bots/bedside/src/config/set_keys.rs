//! Which keys are set, so that a later reading of the configuration can be compared with the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use figment::{
    Figment,
    providers::{Format, Toml},
};
use serde_json::{Map, Value};

use super::{ConfigError, environment};

/// Keys of the file and the environment by their path, with their values. These are compared and never shown: some are
/// secrets.
pub(crate) struct SetKeys(BTreeMap<String, Value>);

impl SetKeys {
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| ConfigError::new(format!("{}: cannot be read: {error}", path.display())))?,
        };
        Self::of(&text)
    }

    fn of(text: &str) -> Result<Self, ConfigError> {
        let figment = Figment::new().merge(Toml::string(text));
        let document: Map<String, Value> =
            environment::extract(&figment).map_err(|error| ConfigError::new(error.to_string()))?;
        let mut keys = BTreeMap::new();
        collect(&document, "", &mut keys);
        Ok(Self(keys))
    }

    /// The keys that are set in one and not, or otherwise, in the other.
    pub(crate) fn changed(&self, other: &Self) -> BTreeSet<String> {
        let all = self.0.keys().chain(other.0.keys());
        all.filter(|it| self.0.get(*it) != other.0.get(*it))
            .cloned()
            .collect()
    }
}

fn collect(table: &Map<String, Value>, above: &str, keys: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        match value {
            Value::Object(inner) => collect(inner, &key, keys),
            value => drop(keys.insert(key, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SetKeys;

    #[test]
    fn changed_keys_are_named_by_their_whole_path() {
        let before = SetKeys::of(
            "data_dir = '/a'\n[bot]\nhospital = 'A'\n[web]\nlisten = '127.0.0.1:1'\n[web.api]\nkey = 'k'\n[plugins.settings.'a.b']\nn = [1, 2]\n",
        )
        .unwrap();
        let same = SetKeys::of(
            "data_dir = \"/a\"\n[plugins.settings]\n'a.b' = { n = [1, 2] }\n[web]\napi.key = 'k'\nlisten = '127.0.0.1:1'\n[bot]\nhospital = 'A'\n",
        )
        .unwrap();
        assert!(before.changed(&same).is_empty(), "{:?}", before.changed(&same));
        let after = SetKeys::of(
            "data_dir = '/a'\n[bot]\nhospital = 'B'\n[web.api]\nkey = 'other'\n[log]\nlevel = 'debug'\n[plugins.settings.'a.b']\nn = [2, 1]\n",
        )
        .unwrap();
        let expected = [
            "bot.hospital",
            "log.level",
            "plugins.settings.a.b.n",
            "web.api.key",
            "web.listen",
        ];
        for changed in [before.changed(&after), after.changed(&before)] {
            assert_eq!(changed.into_iter().collect::<Vec<_>>(), expected);
        }
    }
}
