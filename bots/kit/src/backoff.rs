use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Waits between attempts: doubling from the shortest to the longest, each drawn out by up to its own length, so that
/// not all bots come back at once.
#[derive(Debug)]
pub struct Backoff {
    policy: ExponentialBuilder,
    waits: ExponentialBackoff,
    failures: u32,
}

impl Backoff {
    #[must_use]
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        let policy = ExponentialBuilder::new()
            .with_min_delay(shortest)
            .with_max_delay(longest)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        Self {
            policy,
            waits: policy.build(),
            failures: 0,
        }
    }

    /// Since the last [`Self::reset`].
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure; how long to wait after it.
    pub fn next_wait(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.waits.next().unwrap_or_default()
    }

    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.waits = self.policy.build();
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for round in 0..2 {
            for expect in [1, 2, 4, 8, 16, 30, 30, 30] {
                let wait = backoff.next_wait().as_secs_f64();
                let expect = f64::from(expect);
                assert!(
                    (expect..=2.0 * expect).contains(&wait),
                    "{wait} of {expect} in {round}"
                );
            }
            assert_eq!(backoff.failures(), 8);
            backoff.reset();
        }
    }
}
