use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// After a wrong key no other key from the same address is looked at for so long.
const PAUSE: Duration = Duration::from_secs(1);
const LOGGED_EVERY: Duration = Duration::from_secs(60);
/// Beyond it no further address is remembered, so that a flood of them takes no memory.
const MOST: usize = 10_000;

/// Slows down whoever guesses keys, without holding their connections, and tells the log of them once a minute.
pub struct WrongKeys {
    /// The section of the configuration that the key belongs to.
    place: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The address of a client, none where a proxy does not say, and until when it waits.
    waiting: HashMap<Option<IpAddr>, Instant>,
    logged: Option<Instant>,
    unlogged: u64,
}

impl WrongKeys {
    #[must_use]
    pub fn new(place: &'static str) -> Self {
        Self {
            place,
            state: Mutex::default(),
        }
    }

    /// Whether keys from this address are not looked at now, and for how long.
    #[must_use]
    pub fn pause(&self, address: Option<IpAddr>) -> Option<Duration> {
        let until = *self.state().waiting.get(&address)?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// A wrong key came from this address.
    pub fn note(&self, address: Option<IpAddr>) {
        let now = Instant::now();
        let mut state = self.state();
        if state.waiting.len() >= MOST {
            state.waiting.retain(|_, until| *until > now);
        }
        if state.waiting.len() < MOST {
            state.waiting.insert(address, now + PAUSE);
        }
        state.unlogged += 1;
        if state
            .logged
            .is_none_or(|it| now.duration_since(it) >= LOGGED_EVERY)
        {
            let (count, place) = (state.unlogged, self.place);
            state.unlogged = 0;
            state.logged = Some(now);
            drop(state);
            tracing::warn!(
                place,
                count,
                "Wrong keys were sent; the next line about them comes in a minute."
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::{MOST, WrongKeys};

    #[test]
    fn only_the_address_that_guesses_waits() {
        let keys = WrongKeys::new("ward");
        let (guesser, other) = (
            Some(IpAddr::from([10, 0, 0, 1])),
            Some(IpAddr::from([10, 0, 0, 2])),
        );
        assert_eq!(keys.pause(guesser), None);
        keys.note(guesser);
        assert!(keys.pause(guesser).is_some_and(|it| it.as_millis() > 500));
        assert_eq!(keys.pause(other), None);
        assert_eq!(keys.pause(None), None);
        keys.note(None);
        assert!(keys.pause(None).is_some());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_memory_and_one_line_of_the_log() {
        let keys = WrongKeys::new("ward");
        for number in 0..2 * u32::try_from(MOST).unwrap() {
            keys.note(Some(Ipv4Addr::from_bits(number).into()));
        }
        let state = keys.state();
        assert!(state.waiting.len() <= MOST);
        assert_eq!(state.unlogged, 2 * MOST as u64 - 1);
    }
}
