//! So much in so much time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Counts what happens within a window that moves on by whole windows.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    window: Duration,
    since: Instant,
    used: u64,
}

impl Budget {
    pub(crate) fn new(limit: u64, window: Duration) -> Self {
        Self {
            limit,
            window,
            since: Instant::now(),
            used: 0,
        }
    }

    /// Takes `amount` if that much is left.
    pub(crate) fn take(&mut self, amount: u64) -> bool {
        if self.since.elapsed() >= self.window {
            self.since = Instant::now();
            self.used = 0;
        }
        let fits = self.used.saturating_add(amount) <= self.limit;
        if fits {
            self.used += amount;
        }
        fits
    }

    /// Gives back what was taken and not used.
    pub(crate) fn give_back(&mut self, amount: u64) {
        self.used = self.used.saturating_sub(amount);
    }
}

/// Remembers failures for a while.
#[derive(Debug)]
pub(crate) struct Failures {
    times: VecDeque<Instant>,
}

impl Failures {
    const MEMORY: Duration = Duration::from_secs(600);
    /// So many within [`Self::MEMORY`], and the plugin is not started again.
    pub(crate) const LIMIT: usize = 5;

    pub(crate) fn new() -> Self {
        Self {
            times: VecDeque::new(),
        }
    }

    /// Counts one more; how long to wait before the next start, or `None` if there shall be none.
    pub(crate) fn another(&mut self, now: Instant) -> Option<Duration> {
        self.times.retain(|it| now.duration_since(*it) < Self::MEMORY);
        self.times.push_back(now);
        let count = self.times.len();
        (count < Self::LIMIT).then(|| Duration::from_secs(1 << (count - 1)).min(Duration::from_secs(60)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Budget, Failures};

    #[test]
    fn five_failures_in_ten_minutes_are_the_end() {
        let start = Instant::now();
        let mut failures = Failures::new();
        let mut fail = |seconds: u64| {
            failures
                .another(start + Duration::from_secs(seconds))
                .map(|it| it.as_secs())
        };
        assert_eq!(
            [fail(0), fail(10), fail(20), fail(30)],
            [Some(1), Some(2), Some(4), Some(8)]
        );
        assert_eq!(fail(600 + 15), Some(4), "the first two are forgotten");
        assert_eq!(fail(600 + 16), Some(8));
        assert_eq!(fail(600 + 17), None);
    }

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::new(10, Duration::from_secs(3600));
        assert!(budget.take(8) && !budget.take(3) && budget.take(2) && !budget.take(1));
        budget.give_back(5);
        assert!(budget.take(5));
    }
}
