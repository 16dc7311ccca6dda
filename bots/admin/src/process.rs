//! What Linux knows of this process.

use std::fs;

/// Figures that could not be read are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) start_time_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) virtual_bytes: Option<f64>,
    pub(crate) threads: Option<f64>,
    pub(crate) open_fds: Option<f64>,
    pub(crate) max_fds: Option<f64>,
}

/// The kernel's unit of time for user space, the same on every architecture that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn read() -> Process {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut process = of_texts(
        &text("/proc/self/stat"),
        &text("/proc/self/status"),
        &text("/proc/self/limits"),
        &text("/proc/stat"),
    );
    process.open_fds = fs::read_dir("/proc/self/fd")
        .ok()
        .and_then(|it| u32::try_from(it.count()).ok())
        .map(f64::from);
    process
}

fn of_texts(stat: &str, status: &str, limits: &str, system: &str) -> Process {
    // The name in parentheses may hold blanks and parentheses of its own; the third field comes behind it.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let booted = second_word(system, "btime ");
    let kib = |name: &str| second_word(status, name).map(|it| it * 1024.0);
    Process {
        cpu_seconds: field(14)
            .zip(field(15))
            .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
        start_time_seconds: booted
            .zip(field(22))
            .map(|(booted, ticks)| booted + ticks / TICKS_PER_SECOND),
        resident_bytes: kib("VmRSS:"),
        virtual_bytes: kib("VmSize:"),
        threads: second_word(status, "Threads:"),
        open_fds: None,
        max_fds: second_word(limits, "Max open files"),
    }
}

/// The number behind `beginning`.
fn second_word(text: &str, beginning: &str) -> Option<f64> {
    let rest = text.lines().find_map(|it| it.strip_prefix(beginning))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Process, of_texts, read};

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "4711 (bed) side) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 12345 999 88 1";
        let status = "Name:\tbedside\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        let found = of_texts(stat, status, limits, "cpu 1 2\nbtime 1700000000\n");
        let expect = Process {
            cpu_seconds: Some(3.0),
            start_time_seconds: Some(1_700_000_123.45),
            resident_bytes: Some(1_048_576.0),
            virtual_bytes: Some(2_097_152.0),
            threads: Some(9.0),
            open_fds: None,
            max_fds: Some(1024.0),
        };
        assert_eq!(found, expect);
        assert_eq!(of_texts("", "", "", ""), Process::default());
    }

    #[test]
    fn this_process_is_found() {
        let found = read();
        assert!(found.open_fds.is_some_and(|it| it >= 3.0), "{found:?}");
        assert!(found.resident_bytes.is_some_and(|it| it > 100_000.0), "{found:?}");
        assert!(
            found.start_time_seconds.is_some_and(|it| it > 1_600_000_000.0),
            "{found:?}"
        );
    }
}
