//! The configuration, and who can read or change its secrets.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::finding::Finding;
use crate::{commands::check_config::examine, config::Config};

const CHECK: &str = "configuration";
const SECRETS: &str = "secrets";

/// Keys that hold secrets themselves.
const SECRET_KEYS: [&str; 10] = [
    "remote.api_key",
    "web.api.key",
    "admin.key",
    "telegram.token",
    "discord.token",
    "wechat.token",
    "wechat.encoding_aes_key",
    "wechat.previous_encoding_aes_key",
    "wechat.secret",
    "plugins.settings",
];

/// Where containers mount secrets; everybody in them may read.
const MOUNTED_SECRETS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

pub(super) fn unreadable(problem: &str) -> Finding {
    Finding::problem(
        CHECK,
        problem,
        "mend the configuration; configs/bedside.toml shows every key",
    )
}

pub(super) fn look(config: &Config, file: Option<&Path>, data_dir: &Path) -> Vec<Finding> {
    let mut findings: Vec<Finding> = match examine(config) {
        Ok(examined) => {
            let name = file.map_or_else(|| "the defaults".to_owned(), |it| it.display().to_string());
            let warning = |it: String| Finding::note(CHECK, it, "see `bedside check-config`");
            let warnings = examined.warnings.into_iter().map(warning);
            [Finding::ok(CHECK, format!("{name}: in order"))]
                .into_iter()
                .chain(warnings)
                .collect()
        }
        Err(error) => vec![unreadable(&format!("{error:#}"))],
    };
    // Its owner is the bot's user.
    let bot = fs::metadata(data_dir)
        .or_else(|_| fs::metadata("/proc/self"))
        .map_or(0, |it| it.uid());
    findings.extend(
        secret_files(config)
            .into_iter()
            .filter_map(|(key, path)| SecretFile::look(key.to_owned(), path))
            .map(|it| judge(&it, bot)),
    );
    findings.extend(file.and_then(own_secrets).map(|it| judge(&it, bot)));
    findings
}

/// Every key that names a secret's file.
fn secret_files(config: &Config) -> Vec<(&'static str, &Path)> {
    let (wechat, escalation) = (&config.wechat, &config.escalation);
    let all = [
        ("remote.api_key_file", &config.remote.api_key_file),
        ("web.api.key_file", &config.web.api.key_file),
        ("admin.key_file", &config.admin.key_file),
        ("telegram.token_file", &config.telegram.token_file),
        ("discord.token_file", &config.discord.token_file),
        ("wechat.token_file", &wechat.token_file),
        ("wechat.encoding_aes_key_file", &wechat.encoding_aes_key_file),
        ("wechat.secret_file", &wechat.secret_file),
        ("escalation.webhook_key_file", &escalation.webhook_key_file),
        ("escalation.mail_password_file", &escalation.mail_password_file),
    ];
    all.into_iter()
        .filter_map(|(key, path)| Some((key, path.as_deref()?)))
        .collect()
}

/// The configuration itself, if secrets stand in it.
fn own_secrets(file: &Path) -> Option<SecretFile> {
    let text = fs::read_to_string(file).ok()?;
    let keys = secret_keys_in(&text);
    (!keys.is_empty()).then(|| SecretFile::look(keys.join(", "), file))?
}

fn secret_keys_in(text: &str) -> Vec<&'static str> {
    let Ok(table) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let whole = toml::Value::Table(table);
    let is_there = |key: &&str| {
        let found = key.split('.').try_fold(&whole, |value, name| value.get(name));
        found.is_some()
    };
    SECRET_KEYS.into_iter().filter(is_there).collect()
}

/// A file with a secret, and who may do what with it.
#[derive(Debug, PartialEq, Eq)]
struct SecretFile {
    /// Whose secret it is.
    key: String,
    path: PathBuf,
    mode: u32,
    owner: u32,
}

impl SecretFile {
    /// The configuration's own check reports a missing file.
    fn look(key: String, path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            key,
            path: path.to_owned(),
            mode: found.mode() & 0o777,
            owner: found.uid(),
        })
    }
}

fn judge(file: &SecretFile, bot: u32) -> Finding {
    let SecretFile {
        key,
        path,
        mode,
        owner,
    } = file;
    let place = format!("{key}: {} (mode {mode:03o}, user {owner})", path.display());
    let advice = format!("chown {bot} {0}; chmod 600 {0}", path.display());
    if *owner != bot && *owner != 0 {
        return Finding::problem(SECRETS, format!("{place} belongs to another user"), advice);
    }
    if mode & 0o022 != 0 {
        return Finding::problem(SECRETS, format!("{place} can be changed by others"), advice);
    }
    if mode & 0o004 != 0 {
        let text = format!("{place} can be read by every user of this machine");
        return if MOUNTED_SECRETS.iter().any(|it| path.starts_with(it)) {
            Finding::note(SECRETS, text, "fine in a container that runs nothing but the bot")
        } else {
            Finding::problem(SECRETS, text, advice)
        };
    }
    if mode & 0o040 != 0 {
        let text = format!("{place} can be read by its group");
        return Finding::note(SECRETS, text, "fine if the bot is alone in that group");
    }
    Finding::ok(SECRETS, place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        super::finding::Verdict, SECRET_KEYS, SecretFile, judge, look, secret_files, secret_keys_in,
    };
    use crate::config::Config;

    #[test]
    fn modes_and_owners_of_secrets() {
        let check = |path: &str, mode: u32, owner: u32, expect: Verdict, words: &str| {
            let file = SecretFile {
                key: "telegram.token_file".to_owned(),
                path: path.into(),
                mode,
                owner,
            };
            let found = judge(&file, 1000);
            assert_eq!(found.verdict, expect, "{found:?}");
            assert!(
                found.text.contains(words) && found.text.contains("telegram.token_file"),
                "{found:?}"
            );
        };
        check("/etc/token", 0o600, 1000, Verdict::Ok, "mode 600");
        check("/etc/token", 0o400, 0, Verdict::Ok, "user 0");
        check("/etc/token", 0o640, 0, Verdict::Note, "its group");
        check("/etc/token", 0o644, 1000, Verdict::Problem, "every user");
        check("/run/secrets/token", 0o444, 0, Verdict::Note, "every user");
        check("/run/secrets/token", 0o466, 0, Verdict::Problem, "changed");
        check("/etc/token", 0o620, 1000, Verdict::Problem, "changed");
        check("/etc/token", 0o600, 1001, Verdict::Problem, "another user");
    }

    #[test]
    fn secrets_in_the_configuration_make_it_one() {
        let text = "[telegram]\ntoken = \"a\"\n[web.api]\nkey = \"b\"\nkey_file = \"/c\"\n";
        assert_eq!(secret_keys_in(text), ["web.api.key", "telegram.token"]);
        assert!(secret_keys_in("[telegram]\ntoken_file = \"/x\"").is_empty());
        assert!(secret_keys_in("[telegram").is_empty());
    }

    /// The shipped configuration shows every key.
    #[test]
    fn no_secret_is_forgotten() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/bedside.toml");
        let example = std::fs::read_to_string(example).unwrap();
        let (mut section, mut files, mut keys) = (String::new(), 0, 0);
        for line in example.lines() {
            let bare = line.trim_start_matches("# ");
            if bare.starts_with('[') && bare.ends_with(']') {
                section = bare.trim_matches(['[', ']']).to_owned();
                continue;
            }
            let Some((name, value)) = bare.split_once(" = ") else {
                continue;
            };
            if !name.chars().all(|it| it.is_ascii_lowercase() || it == '_') {
                continue;
            }
            let is_word = ["key", "token", "secret", "password"]
                .iter()
                .any(|it| name.contains(it));
            if is_word && name.ends_with("_file") {
                let text = format!("[{section}]\n{name} = {value}");
                let config: Config = toml::from_str(&text).unwrap();
                assert_eq!(secret_files(&config).len(), 1, "{section}.{name}");
                files += 1;
            } else if is_word && value.starts_with('"') && !section.starts_with("plugins") {
                let key = format!("{section}.{name}");
                assert!(SECRET_KEYS.contains(&key.as_str()), "{key}");
                keys += 1;
            }
        }
        assert!(files >= 9 && keys >= 8, "{files} {keys}");
    }

    #[test]
    fn what_a_start_refuses_is_a_problem() {
        let mut config = Config {
            data_dir: Some("/nowhere/data".into()),
            ..Config::default()
        };
        config.web.enabled = false;
        let found = look(&config, None, Path::new("/nowhere/data"));
        assert_eq!(found[0].verdict, Verdict::Problem, "{found:?}");
        assert!(found[0].text.contains("no connector"), "{found:?}");
    }
}
