use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Asks `look` again and again until it gives something.
///
/// # Panics
/// After `within`, naming what did not come.
pub async fn eventually<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            start.elapsed() < within,
            "this did not come within {within:?}: {what}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Checks that something stays true for a while: that a second answer does not come.
///
/// # Panics
/// As soon as it is no longer true.
pub async fn holds_for(what: &str, duration: Duration, mut look: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < duration {
        assert!(look(), "this was true only for {:?}: {what}", start.elapsed());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
