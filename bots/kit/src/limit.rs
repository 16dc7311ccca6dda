use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};

/// At most so many a minute for each key (a patient, an address, a group): all at once, then evenly.
pub struct KeyedLimit<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    /// Idle keys are looked for when there are this many: twice as many as the last look left, so that a flood of keys
    /// does not make each call look through all of them.
    next_look: AtomicUsize,
}

/// Keys that are not short of anything are forgotten once there are this many.
const KEPT: usize = 4_096;
/// Beyond it nobody new is served, so that a flood of keys takes no memory.
const MOST: usize = 100_000;

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    #[must_use]
    pub fn per_minute(most: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::hashmap(Quota::per_minute(most)),
            clock: DefaultClock::default(),
            next_look: AtomicUsize::new(KEPT),
        }
    }

    /// # Errors
    /// How long until there is one for this key.
    pub fn take(&self, key: &K) -> Result<(), Duration> {
        if self.limiter.len() >= self.next_look.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            let next = (2 * self.limiter.len()).clamp(KEPT, MOST);
            self.next_look.store(next, Ordering::Relaxed);
        }
        if self.limiter.len() >= MOST {
            return Err(Duration::from_secs(60));
        }
        self.limiter
            .check_key(key)
            .map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::{KEPT, KeyedLimit};

    #[test]
    fn a_minutes_worth_at_once_then_evenly() {
        let limit = KeyedLimit::per_minute(NonZeroU32::new(3).unwrap());
        for _ in 0..3 {
            assert_eq!(limit.take(&"a"), Ok(()));
        }
        let wait = limit.take(&"a").unwrap_err();
        assert!(
            wait > Duration::from_secs(18) && wait <= Duration::from_secs(20),
            "{wait:?}"
        );
        assert_eq!(limit.take(&"b"), Ok(()), "the others are not held up");
    }

    #[test]
    fn idle_keys_are_forgotten() {
        let limit = KeyedLimit::per_minute(NonZeroU32::new(60_000).unwrap());
        for key in 0..KEPT {
            limit.take(&key).unwrap();
        }
        std::thread::sleep(Duration::from_millis(30));
        limit.take(&KEPT).unwrap();
        assert!(limit.limiter.len() < 10, "{}", limit.limiter.len());
    }
}
