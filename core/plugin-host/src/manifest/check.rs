//! What is checked beyond the types, and the words for it.

use std::collections::BTreeSet;

use bedside_plugin_api::abi::{ABI_MAJOR, ABI_MINOR};
use semver::{Version, VersionReq};

use super::ManifestCommand;

pub(super) fn check_id(id: &str) -> Result<(), String> {
    let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '.' || it == '-';
    let words = id.split('.').all(|it| !it.is_empty() && !it.starts_with('-'));
    if id.len() <= 64 && id.contains('.') && id.chars().all(fits) && words {
        return Ok(());
    }
    Err(format!(
        "plugin.id = {id:?}: a name such as \"org.example.cardiology\" is needed ([a-z0-9.-], at most 64)"
    ))
}

pub(super) fn check_abi(abi: &str) -> Result<(), String> {
    let numbers = abi
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let own = format!("{ABI_MAJOR}.{ABI_MINOR}");
    match numbers {
        None => Err(format!(
            "plugin.abi = {abi:?}: two numbers such as \"{own}\" are needed"
        )),
        Some((ABI_MAJOR, minor)) if minor <= ABI_MINOR => Ok(()),
        Some((major, minor)) => {
            let newer = (major, minor) > (ABI_MAJOR, ABI_MINOR);
            let advice = if newer {
                "update the bot"
            } else {
                "install a newer version of the plugin"
            };
            Err(format!("plugin.abi = {abi:?}, this bot speaks {own}: {advice}"))
        }
    }
}

pub(super) fn check_bot(requirement: &str) -> Result<(), String> {
    let wanted =
        VersionReq::parse(requirement).map_err(|error| format!("plugin.bot = {requirement:?}: {error}"))?;
    let own = Version::parse(env!("CARGO_PKG_VERSION")).map_err(|error| error.to_string())?;
    if wanted.matches(&own) {
        return Ok(());
    }
    Err(format!(
        "plugin.bot = {requirement:?}, this bot is {own}: install a version of the plugin for it"
    ))
}

pub(super) fn check_commands(commands: &[ManifestCommand]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for command in commands {
        let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-' || it == '_';
        if command.name.is_empty() || command.name.len() > 32 || !command.name.chars().all(fits) {
            return Err(format!(
                "commands.name = {:?}: [a-z0-9_-], at most 32, are possible",
                command.name
            ));
        }
        if !seen.insert(&command.name) {
            return Err(format!("commands.name = {:?} is there twice", command.name));
        }
    }
    Ok(())
}

pub(super) fn parse_size(text: &str) -> Option<u64> {
    let unit = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit)?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// toml tells line and key; serde's list of what it expected holds the word that was meant.
pub(super) fn with_nearest(error: &toml::de::Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    if error.message().starts_with("unknown")
        && let Some(unknown) = quoted.next()
    {
        text.push_str(&nearest(unknown, quoted));
    }
    text
}

/// `; did you mean …?`, or nothing.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let best = known
        .map(|it| (strsim::jaro_winkler(word, it), it))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, known)) if likeness > 0.75 => format!("; did you mean {known}?"),
        _ => String::new(),
    }
}
