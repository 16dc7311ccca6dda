//! The data directory: whose it is, what it lies on, how much room there is.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use bedside_store::{FileSystem, file_system, free_bytes};

use super::finding::Finding;

const CHECK: &str = "data directory";
const MIB: u64 = 1 << 20;

pub(super) fn look(data_dir: &Path, min_free: u64) -> Vec<Finding> {
    let place = data_dir.display().to_string();
    let found = match fs::metadata(data_dir) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("{place} is not there yet");
            return vec![Finding::note(
                CHECK,
                text,
                "nothing: the first start makes it, if its parent can be written",
            )];
        }
        Err(error) => {
            return vec![Finding::problem(
                CHECK,
                format!("{place} cannot be looked at: {error}"),
                "run doctor as the bot's own user",
            )];
        }
    };
    let facts = Facts {
        is_folder: found.is_dir(),
        mode: found.mode() & 0o777,
        owner: found.uid(),
        // The owner of this process's own entry is its effective user.
        own: fs::metadata("/proc/self").map_or(found.uid(), |it| it.uid()),
        free: free_bytes(data_dir).ok(),
        min_free,
        file_system: file_system(data_dir),
    };
    judge(&place, &facts)
}

struct Facts {
    is_folder: bool,
    mode: u32,
    owner: u32,
    /// The user that asks.
    own: u32,
    free: Option<u64>,
    min_free: u64,
    file_system: Option<FileSystem>,
}

fn judge(place: &str, facts: &Facts) -> Vec<Finding> {
    if !facts.is_folder {
        let text = format!("{place} is no folder");
        return vec![Finding::problem(
            CHECK,
            text,
            "set data_dir or BEDSIDE_DATA_DIR to a folder",
        )];
    }
    [owner(place, facts), mode(place, facts)]
        .into_iter()
        .flatten()
        .chain(room(place, facts))
        .chain(kind(place, facts.file_system.as_ref()))
        .collect()
}

fn owner(place: &str, facts: &Facts) -> Option<Finding> {
    let Facts { owner, own, .. } = facts;
    if owner == own {
        return None;
    }
    let text = format!("{place} belongs to user {owner}, and doctor runs as user {own}");
    let advice =
        "run doctor as the bot's own user (`sudo -u bedside bedside doctor`), or chown the folder to it";
    Some(if *own == 0 {
        Finding::note(CHECK, text, advice)
    } else {
        Finding::problem(CHECK, text, advice)
    })
}

fn mode(place: &str, facts: &Facts) -> Option<Finding> {
    let mode = facts.mode;
    let text = format!("{place} (mode {mode:03o})");
    Some(if mode & 0o077 != 0 {
        let text = format!("{text} can be entered by other users, who find what patients wrote");
        Finding::problem(CHECK, text, format!("chmod 700 {place}"))
    } else if mode & 0o700 != 0o700 {
        let text = format!("{text} cannot be used by its own user");
        Finding::problem(CHECK, text, format!("chmod 700 {place}"))
    } else {
        Finding::ok(CHECK, text)
    })
}

fn room(place: &str, facts: &Facts) -> Option<Finding> {
    let (free, wanted) = (facts.free?, facts.min_free);
    let text = format!(
        "{place}: {} MiB are free, {} are wanted (store.min_free_mib)",
        free / MIB,
        wanted / MIB
    );
    let advice = "make room or use a larger disk; below it no new conversation is begun and /readyz is 503";
    Some(if free < wanted {
        Finding::problem("disk", text, advice)
    } else if free < wanted.saturating_mul(2) {
        Finding::note("disk", text, advice)
    } else {
        Finding::ok("disk", text)
    })
}

fn kind(place: &str, found: Option<&FileSystem>) -> Option<Finding> {
    let FileSystem { kind, is_network } = found?;
    let text = format!("{place} is on {kind}");
    Some(match kind.as_str() {
        _ if *is_network => Finding::problem(
            "file system",
            format!("{text}, where locks and shared memory cannot be relied on"),
            "set data_dir to a local disk: the bot does not start here",
        ),
        "tmpfs" | "ramfs" => Finding::note(
            "file system",
            format!("{text}, which is memory"),
            "all is gone after a restart of the machine: fine for trying out",
        ),
        "overlay" | "aufs" => Finding::note(
            "file system",
            format!("{text}, a container's own layer"),
            "all is gone with the container: mount a volume there",
        ),
        _ => Finding::ok("file system", text),
    })
}

#[cfg(test)]
mod tests {
    use bedside_store::FileSystem;

    use super::{super::finding::Verdict, Facts, MIB, judge};

    fn healthy() -> Facts {
        Facts {
            is_folder: true,
            mode: 0o700,
            owner: 1000,
            own: 1000,
            free: Some(4096 * MIB),
            min_free: 512 * MIB,
            file_system: Some(FileSystem {
                kind: "ext4".to_owned(),
                is_network: false,
            }),
        }
    }

    fn check(facts: &Facts, expect: Verdict, words: &str) {
        let found = judge("/data", facts);
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
        check(&healthy(), Verdict::Ok, "/data");
        let with = |change: &dyn Fn(&mut Facts)| {
            let mut facts = healthy();
            change(&mut facts);
            facts
        };
        let kind = |kind: &str, is_network| {
            let kind = kind.to_owned();
            with(&|it| {
                it.file_system = Some(FileSystem {
                    kind: kind.clone(),
                    is_network,
                });
            })
        };
        check(&with(&|it| it.is_folder = false), Verdict::Problem, "no folder");
        check(&with(&|it| it.mode = 0o755), Verdict::Problem, "other users");
        check(&with(&|it| it.mode = 0o500), Verdict::Problem, "its own user");
        check(&with(&|it| it.own = 7), Verdict::Problem, "belongs to user 1000");
        check(&with(&|it| it.own = 0), Verdict::Note, "belongs to user 1000");
        check(
            &with(&|it| it.free = Some(MIB)),
            Verdict::Problem,
            "1 MiB are free",
        );
        check(&with(&|it| it.free = Some(600 * MIB)), Verdict::Note, "600 MiB");
        check(&with(&|it| it.free = None), Verdict::Ok, "ext4");
        check(&with(&|it| it.file_system = None), Verdict::Ok, "mode 700");
        check(&kind("nfs4", true), Verdict::Problem, "nfs4");
        check(&kind("tmpfs", false), Verdict::Note, "memory");
        check(&kind("overlay", false), Verdict::Note, "container");
    }
}
