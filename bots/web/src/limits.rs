use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Full buckets are forgotten once there are this many.
const KEPT: usize = 4_096;

/// A bucket for each session that holds one minute's messages and fills up evenly.
pub(crate) struct RateLimit {
    per_minute: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl RateLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute: f64::from(per_minute),
            buckets: Mutex::default(),
        }
    }

    /// Takes one message from the session's bucket; otherwise how long until there is one.
    pub(crate) fn take(&self, session: &str, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEPT {
            buckets.retain(|_, it| self.filled(it, now) < self.per_minute);
        }
        let bucket = buckets.entry(session.to_owned()).or_insert(Bucket {
            left: self.per_minute,
            at: now,
        });
        *bucket = Bucket {
            left: self.filled(bucket, now),
            at: now,
        };
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64(
                (1.0 - bucket.left) * 60.0 / self.per_minute,
            ));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let minutes = now.saturating_duration_since(bucket.at).as_secs_f64() / 60.0;
        (bucket.left + minutes * self.per_minute).min(self.per_minute)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{KEPT, RateLimit};

    #[test]
    fn a_minutes_worth_at_once_then_evenly() {
        let limit = RateLimit::new(3);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limit.take("a", start), Ok(()));
        }
        assert_eq!(limit.take("a", start), Err(Duration::from_secs(20)));
        assert_eq!(limit.take("b", start), Ok(()));
        assert!(limit.take("a", start + Duration::from_secs(19)).is_err());
        assert_eq!(limit.take("a", start + Duration::from_secs(21)), Ok(()));
    }

    #[test]
    fn idle_sessions_are_forgotten() {
        let limit = RateLimit::new(60);
        let start = Instant::now();
        for index in 0..KEPT {
            limit.take(&index.to_string(), start).unwrap();
        }
        limit.take("late", start + Duration::from_secs(60)).unwrap();
        assert_eq!(limit.buckets.lock().unwrap().len(), 1);
    }
}
