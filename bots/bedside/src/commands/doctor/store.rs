//! The store as it lies on the disk, and the clock beside its newest message.

use std::path::Path;

use bedside_contract::StoreError;
use bedside_store::{Inspection, SqliteStore, StoredContent};

use super::finding::Finding;

const CHECK: &str = "store";
const MINUTE_MS: i64 = 60_000;
/// A message may have come a moment ago by another machine's clock.
const CLOCK_SLACK_MS: i64 = 5 * MINUTE_MS;
const LONG_WAIT_MS: i64 = 15 * MINUTE_MS;
const LARGE_LOG: u64 = 256 << 20;
const RESTORE: &str = "stop the bot, keep the folder as it is, check the disk, and put the newest backup in the file's \
                       place: docs/operations.md";

pub(super) fn look(data_dir: &Path, now_ms: i64, is_running: bool) -> Vec<Finding> {
    let path = data_dir.join("bedside.sqlite");
    let place = path.display().to_string();
    match path.try_exists() {
        Ok(true) => judge(&place, SqliteStore::inspect(&path), now_ms, is_running),
        Ok(false) => vec![Finding::ok(
            CHECK,
            format!("{place} is not there yet: the first start makes it"),
        )],
        Err(error) => vec![unreadable(&place, &error.to_string())],
    }
}

fn unreadable(place: &str, problem: &str) -> Finding {
    Finding::problem(
        CHECK,
        format!("{place} cannot be looked at: {problem}"),
        "run doctor as the bot's own user; if it still cannot, check the disk",
    )
}

fn judge(
    place: &str,
    inspected: Result<Inspection, StoreError>,
    now_ms: i64,
    is_running: bool,
) -> Vec<Finding> {
    let found = match inspected {
        Ok(found) => found,
        Err(error) => return vec![unreadable(place, &error.to_string())],
    };
    if let Some(damage) = &found.damage {
        let text = format!("{place} is damaged: {damage}");
        return vec![Finding::problem(CHECK, text, RESTORE)];
    }
    let mut findings = vec![version(place, &found)];
    if found.log_bytes > LARGE_LOG {
        findings.push(Finding::note(
            CHECK,
            format!("its log holds {} MiB", found.log_bytes >> 20),
            "another program keeps it open (a backup, sqlite3): end that",
        ));
    }
    if let Some(content) = &found.content {
        findings.extend(messages(content, now_ms, is_running));
        findings.extend(parts(content, now_ms));
        findings.extend(given_up(content));
        findings.push(clock(content, now_ms));
    }
    findings
}

fn version(place: &str, found: &Inspection) -> Finding {
    let Inspection {
        version,
        known_version,
        ..
    } = found;
    let text = format!(
        "{place}: version {version}, {} MiB, no damage",
        found.bytes.div_ceil(1 << 20)
    );
    if version > known_version {
        let text = format!("{text}; this program knows {known_version}");
        return Finding::problem(CHECK, text, "use the newer bot that wrote it");
    }
    if version < known_version {
        let text = format!("{text}; this program writes {known_version}");
        return Finding::note(
            CHECK,
            text,
            "back it up: the next start brings it to the new version",
        );
    }
    Finding::ok(CHECK, text)
}

fn messages(content: &StoredContent, now_ms: i64, is_running: bool) -> Option<Finding> {
    let counters = &content.counters;
    let waiting_ms = now_ms.saturating_sub(counters.inbox_oldest_ms?);
    let text = format!(
        "{} messages have no end yet, the oldest for {}",
        counters.inbox_depth,
        duration(waiting_ms)
    );
    Some(if !is_running {
        Finding::note("messages", text, "start the bot: it takes them up")
    } else if waiting_ms > LONG_WAIT_MS {
        Finding::problem(
            "messages",
            text,
            "look into the log: nobody should wait that long",
        )
    } else {
        Finding::ok("messages", text)
    })
}

fn parts(content: &StoredContent, now_ms: i64) -> Option<Finding> {
    let StoredContent {
        counters,
        parked_parts,
        ..
    } = content;
    if counters.outbox_depth == 0 {
        return None;
    }
    let oldest = content.oldest_part_ms.map(|it| now_ms.saturating_sub(it));
    let age = oldest.map_or(String::new(), |it| format!(", the oldest for {}", duration(it)));
    let text = format!(
        "{} parts wait for delivery{age}; of them {parked_parts} until their patients write again",
        counters.outbox_depth
    );
    Some(if oldest.is_some_and(|it| it > LONG_WAIT_MS) {
        let advice = "look at the platforms: `bedside doctor --online`, and the log";
        Finding::note("delivery", text, advice)
    } else {
        Finding::ok("delivery", text)
    })
}

fn given_up(content: &StoredContent) -> Option<Finding> {
    let counters = &content.counters;
    let (messages, parts) = (counters.dead_messages, counters.dead_parts);
    (messages + parts > 0).then(|| {
        Finding::note(
            "given up",
            format!("{messages} messages and {parts} parts since the store exists"),
            "the log says why each was",
        )
    })
}

fn clock(content: &StoredContent, now_ms: i64) -> Finding {
    let ahead_ms = content.newest_message_ms.unwrap_or(now_ms).saturating_sub(now_ms);
    if ahead_ms > CLOCK_SLACK_MS {
        let text = format!("the newest message is {} in the future", duration(ahead_ms));
        return Finding::problem(
            "clock",
            text,
            "the clock was set back: set it right (chrony, NTP)",
        );
    }
    Finding::ok("clock", "not behind the newest message")
}

fn duration(ms: i64) -> String {
    let minutes = ms.max(0) / MINUTE_MS;
    match minutes {
        0 => "less than a minute".to_owned(),
        1..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::StoreError;
    use bedside_store::{Inspection, StoreCounters, StoredContent};

    use super::{super::finding::Verdict, duration, judge};

    const NOW_MS: i64 = 1_800_000_000_000;

    fn content() -> StoredContent {
        StoredContent {
            newest_message_ms: Some(NOW_MS - 1000),
            ..StoredContent::default()
        }
    }

    fn of(content: StoredContent) -> Result<Inspection, StoreError> {
        Ok(Inspection {
            version: 3,
            known_version: 3,
            content: Some(content),
            ..Inspection::default()
        })
    }

    fn check(found: Result<Inspection, StoreError>, is_running: bool, expect: Verdict, words: &str) {
        let found = judge("/data/bedside.sqlite", found, NOW_MS, is_running);
        let worst = [Verdict::Problem, Verdict::Note, Verdict::Ok]
            .into_iter()
            .find(|it| found.iter().any(|finding| finding.verdict == *it));
        assert_eq!(worst, Some(expect), "{found:?}");
        assert!(
            found
                .iter()
                .any(|it| it.verdict == expect && it.text.contains(words)),
            "{words}: {found:?}"
        );
    }

    #[test]
    fn each_fault_is_found_alone() {
        check(of(content()), true, Verdict::Ok, "no damage");
        let unreadable = Err(StoreError::Failed("sqlite 14: unable to open".to_owned()));
        check(unreadable, false, Verdict::Problem, "unable to open");
        let damaged = Ok(Inspection {
            damage: Some("Tree 3 page 3".to_owned()),
            ..Inspection::default()
        });
        check(damaged, false, Verdict::Problem, "damaged: Tree 3 page 3");
        let of_version = |version| {
            Ok(Inspection {
                version,
                known_version: 3,
                ..Inspection::default()
            })
        };
        check(of_version(4), false, Verdict::Problem, "knows 3");
        check(of_version(2), false, Verdict::Note, "writes 3");
        let log = of(content()).map(|it| Inspection {
            log_bytes: 300 << 20,
            ..it
        });
        check(log, true, Verdict::Note, "300 MiB");
    }

    #[test]
    fn what_waits_too_long_is_told_with_its_age() {
        let waiting = |minutes: i64| {
            of(StoredContent {
                counters: StoreCounters {
                    inbox_depth: 2,
                    inbox_oldest_ms: Some(NOW_MS - minutes * 60_000),
                    ..StoreCounters::default()
                },
                ..content()
            })
        };
        check(waiting(1), true, Verdict::Ok, "2 messages");
        check(waiting(16), true, Verdict::Problem, "16 min");
        check(waiting(16), false, Verdict::Note, "16 min");
        let parts = |minutes: i64, dead: u64| {
            of(StoredContent {
                counters: StoreCounters {
                    outbox_depth: 3,
                    dead_parts: dead,
                    ..StoreCounters::default()
                },
                parked_parts: 1,
                oldest_part_ms: Some(NOW_MS - minutes * 60_000),
                ..content()
            })
        };
        check(parts(2, 0), true, Verdict::Ok, "3 parts");
        check(parts(180, 0), true, Verdict::Note, "3 h");
        check(parts(2, 5), true, Verdict::Note, "5 parts since");
    }

    #[test]
    fn a_clock_that_was_set_back_is_seen_by_the_newest_message() {
        let ahead = |minutes: i64| {
            of(StoredContent {
                newest_message_ms: Some(NOW_MS + minutes * 60_000),
                ..content()
            })
        };
        check(ahead(4), true, Verdict::Ok, "newest");
        check(
            ahead(60 * 24 * 365),
            true,
            Verdict::Problem,
            "365 days in the future",
        );
        let empty = of(StoredContent::default());
        check(empty, true, Verdict::Ok, "newest");
    }

    #[test]
    fn durations_read_well() {
        for (ms, expect) in [
            (-5, "less than a minute"),
            (59_999, "less than a minute"),
            (61_000, "1 min"),
            (2 * 3_600_000, "2 h"),
            (48 * 3_600_000, "2 days"),
        ] {
            assert_eq!(duration(ms), expect);
        }
    }
}
