//! How much memory this process may still take.

use std::{
    fmt, fs,
    path::{Component, Path},
};

/// Memory that can be taken without anything being ended for it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    pub bytes: u64,
    pub bound: Bound,
}

/// What keeps it from being more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Machine,
    ControlGroup,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "on this machine (MemAvailable)",
            Self::ControlGroup => {
                "under the limit of its control group (MemoryMax of systemd, --memory of containers)"
            }
        })
    }
}

/// The files by which a version of control groups tells of memory.
struct Files {
    limits: &'static [&'static str],
    used: &'static str,
    /// What of it are pages of files, which are given back when memory runs short.
    given_back: [&'static str; 2],
}

const VERSION_1: Files = Files {
    limits: &["memory.limit_in_bytes"],
    used: "memory.usage_in_bytes",
    given_back: ["total_inactive_file", "total_active_file"],
};
const VERSION_2: Files = Files {
    // Above "high" a process is slowed down until it is of no use.
    limits: &["memory.max", "memory.high"],
    used: "memory.current",
    given_back: ["inactive_file", "active_file"],
};

/// The least that machine and control groups leave; `None` where the system does not tell. Swap is not counted: a model
/// in it is too slow to answer anybody.
#[must_use]
pub fn free() -> Option<Free> {
    read(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn read(proc: &Path, groups: &Path) -> Option<Free> {
    let machine = fs::read_to_string(proc.join("meminfo"))
        .ok()
        .and_then(|it| available(&it))
        .map(|bytes| Free {
            bytes,
            bound: Bound::Machine,
        });
    let own = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let groups = own.lines().filter_map(|line| group_free(line, groups));
    let groups = groups.map(|bytes| Free {
        bytes,
        bound: Bound::ControlGroup,
    });
    machine.into_iter().chain(groups).min_by_key(|it| it.bytes)
}

/// From `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|it| it.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1 << 10))
}

/// What the group of a line of `/proc/self/cgroup` and all groups around it leave.
fn group_free(line: &str, groups: &Path) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (mut folder, files) = match controllers {
        "" => (groups.to_owned(), VERSION_2),
        it if it.split(',').any(|it| it == "memory") => (groups.join("memory"), VERSION_1),
        _ => return None,
    };
    // In a container the path may be that outside of it: then only the folder itself is there, which is its group.
    let mut least = files.free(&folder);
    for part in Path::new(path).components() {
        if let Component::Normal(part) = part {
            folder.push(part);
            least = least.into_iter().chain(files.free(&folder)).min();
        }
    }
    least
}

impl Files {
    /// What one group leaves, if it has a limit.
    fn free(&self, folder: &Path) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let limit = self.limits.iter().filter_map(|it| number(it)).min()?;
        let statistics = read("memory.stat").unwrap_or_default();
        let given_back: u64 = statistics
            .lines()
            .filter_map(|it| it.split_once(' '))
            .filter(|(name, _)| self.given_back.contains(name))
            .filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok())
            .sum();
        let used = number(self.used).unwrap_or_default().saturating_sub(given_back);
        Some(limit.saturating_sub(used))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{Bound, Free, available, free, read};

    const MIB: u64 = 1 << 20;

    /// What is free where these files are there, `/proc` and `/sys/fs/cgroup` being folders of that name.
    fn check(files: &[(&str, &str)], expect: Option<(u64, Bound)>) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = read(&folder.path().join("proc"), &folder.path().join("groups"));
        let expect = expect.map(|(bytes, bound)| Free { bytes, bound });
        assert_eq!(found, expect, "{files:?}");
    }

    const MACHINE: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       8192000 kB\nMemFree:  1 kB\nMemAvailable:    4096000 kB\nSwapFree: 9 kB\n",
    );

    #[test]
    fn the_machine_alone() {
        check(&[MACHINE], Some((4_096_000 << 10, Bound::Machine)));
        check(&[], None);
        check(&[("proc/meminfo", "MemFree: 1 kB\n")], None);
    }

    #[test]
    fn groups_of_version_2_with_those_around_them() {
        let own = ("proc/self/cgroup", "0::/system.slice/bedside.service\n");
        let none = [
            MACHINE,
            own,
            ("groups/system.slice/bedside.service/memory.max", "max\n"),
            ("groups/system.slice/bedside.service/memory.high", "max\n"),
        ];
        check(&none, Some((4_096_000 << 10, Bound::Machine)));
        let limit = [
            MACHINE,
            own,
            ("groups/system.slice/bedside.service/memory.max", "1048576000\n"),
            (
                "groups/system.slice/bedside.service/memory.current",
                "524288000\n",
            ),
            (
                "groups/system.slice/bedside.service/memory.stat",
                "anon 1\nfile 999\ninactive_file 104857600\nactive_file 104857600\nslab 7\n",
            ),
        ];
        check(&limit, Some((700 * MIB, Bound::ControlGroup)));
        let around = [
            limit.as_slice(),
            &[("groups/system.slice/memory.high", "104857600\n")],
        ];
        check(&around.concat(), Some((100 * MIB, Bound::ControlGroup)));
        let full = [
            MACHINE,
            own,
            ("groups/system.slice/memory.max", "1000\n"),
            ("groups/system.slice/memory.current", "2000\n"),
        ];
        check(&full, Some((0, Bound::ControlGroup)));
    }

    #[test]
    fn groups_of_version_1_in_a_container() {
        let own = (
            "proc/self/cgroup",
            "9:name=systemd:/\n8:cpu,memory:/docker/0a1b\n0::/docker/0a1b\n",
        );
        let files = [
            MACHINE,
            own,
            ("groups/memory/memory.limit_in_bytes", "209715200\n"),
            ("groups/memory/memory.usage_in_bytes", "104857600\n"),
            (
                "groups/memory/memory.stat",
                "inactive_file 5\ntotal_inactive_file 1048576\ntotal_active_file 0\n",
            ),
        ];
        check(&files, Some((101 * MIB, Bound::ControlGroup)));
        let unlimited = [
            MACHINE,
            own,
            ("groups/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        check(&unlimited, Some((4_096_000 << 10, Bound::Machine)));
    }

    #[test]
    fn this_machine_is_looked_at() {
        if Path::new("/proc/meminfo").exists() {
            let text = fs::read_to_string("/proc/meminfo").unwrap();
            assert_eq!(
                available(&text).is_some(),
                text.contains("MemAvailable"),
                "{text}"
            );
            assert!(free().is_none_or(|it| it.bytes > 0));
        }
    }
}
