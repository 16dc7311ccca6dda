//! The machine around the bot: clock, open files, service manager, proxies.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use super::finding::Finding;
use crate::config::Config;

/// The start of 2025 and of 2100, in seconds since 1970.
const PLAUSIBLE: std::ops::Range<u64> = 1_735_689_600..4_102_444_800;
/// For the store, the model, platforms and plugins.
const FILES_BESIDE_CONNECTIONS: u64 = 256;

/// `process`: the running bot, whose limits and variables count instead of our own.
pub(super) fn look(config: &Config, process: Option<u32>) -> Vec<Finding> {
    let place = process.map_or("self".to_owned(), |it| it.to_string());
    let limits = fs::read_to_string(format!("/proc/{place}/limits")).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let variables = variables(process);
    let value = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    let wanted = u64::try_from(config.web.max_connections).unwrap_or(u64::MAX);
    [
        Some(year(now.as_secs())),
        open_files(&limits, wanted.saturating_add(FILES_BESIDE_CONNECTIONS)),
        Some(service_manager(
            value("NOTIFY_SOCKET").is_some(),
            value("WATCHDOG_USEC"),
        )),
        Some(proxies(&variables)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Only those that are looked at: the others hold secrets.
const NAMES: [&str; 10] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

fn variables(process: Option<u32>) -> Vec<(&'static str, String)> {
    let theirs = process.and_then(|it| fs::read(format!("/proc/{it}/environ")).ok());
    match theirs {
        Some(bytes) => chosen(&String::from_utf8_lossy(&bytes)),
        None => NAMES
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)))
            .collect(),
    }
}

/// Of `NAME=value`, with a zero between them.
fn chosen(environment: &str) -> Vec<(&'static str, String)> {
    let pairs = environment.split('\0').filter_map(|it| it.split_once('='));
    pairs
        .filter_map(|(name, value)| {
            let name = NAMES.into_iter().find(|it| *it == name)?;
            Some((name, value.to_owned()))
        })
        .collect()
}

fn year(seconds: u64) -> Finding {
    // Of 365.2425 days.
    let year = 1970 + seconds / 31_556_952;
    if PLAUSIBLE.contains(&seconds) {
        return Finding::ok("clock", format!("it is {year}"));
    }
    Finding::problem(
        "clock",
        format!("it is {year} by this machine's clock"),
        "set it right (chrony, NTP): deliveries and consent are timed by it",
    )
}

/// After `/proc/…/limits`; nothing where there is none.
fn open_files(limits: &str, wanted: u64) -> Option<Finding> {
    let line = limits.lines().find_map(|it| it.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    let text = format!("{soft} may be open at once, {wanted} are wanted for web.max_connections");
    let advice = "LimitNOFILE=16384 in the unit, or `ulimit -n 16384` before a start by hand";
    let most = soft.parse::<u64>().unwrap_or(u64::MAX);
    Some(if most < FILES_BESIDE_CONNECTIONS {
        Finding::problem("open files", text, advice)
    } else if most < wanted {
        Finding::note("open files", text, advice)
    } else {
        Finding::ok("open files", text)
    })
}

fn service_manager(notifies: bool, watchdog: Option<&str>) -> Finding {
    const CHECK: &str = "service manager";
    let unit = "take Type=notify, NotifyAccess=main and WatchdogSec=30 from configs/bedside.service";
    match (notifies, watchdog.map(str::parse::<u64>)) {
        (false, None) => Finding::ok(CHECK, "none waits to be told here"),
        (false, Some(_)) => Finding::problem(
            CHECK,
            "a watchdog waits (WATCHDOG_USEC) and cannot be told (no NOTIFY_SOCKET): it will end the bot",
            unit,
        ),
        (true, None) => Finding::note(CHECK, "no watchdog: a bot that hangs stays so", unit),
        (true, Some(Ok(1_000_000..))) => Finding::ok(CHECK, "is told, with a watchdog"),
        (true, Some(_)) => Finding::problem(
            CHECK,
            "WATCHDOG_USEC is less than a second, or no number: a busy bot would be ended",
            unit,
        ),
    }
}

fn proxies(variables: &[(&'static str, String)]) -> Finding {
    let set: Vec<String> = variables
        .iter()
        .filter(|(name, value)| name.to_ascii_lowercase().ends_with("_proxy") && !value.is_empty())
        .map(|(name, value)| format!("{name} {}", without_password(value)))
        .collect();
    if set.is_empty() {
        return Finding::ok("proxies", "none in the environment");
    }
    Finding::note(
        "proxies",
        set.join(", "),
        "platforms and servers are reached through it, addresses of this machine are not; name the hospital's own in \
         NO_PROXY",
    )
}

fn without_password(proxy: &str) -> &str {
    let address = proxy.rsplit_once('@').map_or(proxy, |it| it.1);
    address.rsplit_once("://").map_or(address, |it| it.1)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Verdict, chosen, open_files, proxies, service_manager, year};

    #[test]
    fn years_that_cannot_be() {
        for (seconds, expect, words) in [
            (0, Verdict::Problem, "1970"),
            (1_800_000_000, Verdict::Ok, "2027"),
            (4_200_000_000, Verdict::Problem, "2103"),
        ] {
            let found = year(seconds);
            assert_eq!(found.verdict, expect, "{found:?}");
            assert!(found.text.contains(words), "{found:?}");
        }
    }

    #[test]
    fn too_few_open_files() {
        let check = |soft: &str, expect: Option<Verdict>| {
            let limits = format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max open files            {soft}                 524288               files\n"
            );
            assert_eq!(open_files(&limits, 8256).map(|it| it.verdict), expect, "{soft}");
        };
        check("64", Some(Verdict::Problem));
        check("1024", Some(Verdict::Note));
        check("16384", Some(Verdict::Ok));
        check("unlimited", Some(Verdict::Ok));
        assert_eq!(open_files("", 1), None);
    }

    #[test]
    fn watchdogs_that_cannot_be_fed() {
        for (notifies, watchdog, expect) in [
            (false, None, Verdict::Ok),
            (false, Some("30000000"), Verdict::Problem),
            (true, None, Verdict::Note),
            (true, Some("30000000"), Verdict::Ok),
            (true, Some("1000"), Verdict::Problem),
            (true, Some("soon"), Verdict::Problem),
        ] {
            let found = service_manager(notifies, watchdog);
            assert_eq!(found.verdict, expect, "{found:?}");
        }
    }

    #[test]
    fn a_proxys_password_and_other_variables_stay_hidden() {
        let environment =
            "BEDSIDE_TELEGRAM__TOKEN=hush\0HTTPS_PROXY=http://ward:hush@proxy.example:3128\0no_proxy=";
        let found = proxies(&chosen(environment));
        assert_eq!(found.verdict, Verdict::Note);
        assert_eq!(found.text, "HTTPS_PROXY proxy.example:3128");
        assert_eq!(chosen(environment).len(), 2);
        assert_eq!(proxies(&[]).verdict, Verdict::Ok);
    }
}
