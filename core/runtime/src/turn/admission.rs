//! How many answers are in work at once. The other questions wait here, in order, while their messages are safe in the
//! store: neither engine nor plugins ever see more than they can take.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct Admission {
    places: u32,
    free: Semaphore,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    next: u64,
    waiting: BTreeSet<u64>,
}

/// A question at the door; it leaves the queue when dropped.
pub(crate) struct Waiting<'a> {
    admission: &'a Admission,
    ticket: u64,
    places: u32,
}

/// Held while an answer is in work.
pub(crate) type Place<'a> = SemaphorePermit<'a>;

impl Admission {
    pub(crate) fn new(places: usize) -> Self {
        let places = u32::try_from(places.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            places,
            free: Semaphore::new(places as usize),
            queue: Mutex::default(),
        }
    }

    /// `alone`: nothing else may be in work meanwhile.
    pub(crate) fn queue_up(&self, alone: bool) -> Waiting<'_> {
        let mut queue = self.queue();
        let ticket = queue.next;
        queue.next += 1;
        queue.waiting.insert(ticket);
        drop(queue);
        Waiting {
            admission: self,
            ticket,
            places: if alone { self.places } else { 1 },
        }
    }

    /// Answers in work, and questions that wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let in_work = (self.places as usize).saturating_sub(self.free.available_permits());
        (in_work, self.queue().waiting.len())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Waiting<'a> {
    pub(crate) fn at_once(&self) -> Option<Place<'a>> {
        self.admission.free.try_acquire_many(self.places).ok()
    }

    /// Poll one future to its end: each call queues up anew.
    pub(crate) async fn admitted(&self) -> Place<'a> {
        match self.admission.free.acquire_many(self.places).await {
            Ok(place) => place,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Questions that come before this one.
    pub(crate) fn before(&self) -> usize {
        self.admission.queue().waiting.range(..self.ticket).count() + 1
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.queue().waiting.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::Admission;

    #[tokio::test]
    async fn the_others_wait_in_order_and_know_their_place() {
        let admission = Admission::new(2);
        let running: Vec<_> = (0..2)
            .map(|_| admission.queue_up(false).at_once().unwrap())
            .collect();
        let (first, second) = (admission.queue_up(false), admission.queue_up(false));
        assert!(first.at_once().is_none());
        assert_eq!((first.before(), second.before()), (1, 2));
        assert_eq!(admission.counts(), (2, 2));
        let (mut of_first, mut of_second) = (Box::pin(first.admitted()), Box::pin(second.admitted()));
        assert!((&mut of_first).now_or_never().is_none() && (&mut of_second).now_or_never().is_none());
        drop(running);
        let places = (of_first.await, of_second.await);
        drop(first);
        assert_eq!(second.before(), 1, "who has left is not counted");
        drop(places);
        assert!(admission.queue_up(false).at_once().is_some());
    }

    #[tokio::test]
    async fn nothing_runs_beside_what_runs_alone() {
        let admission = Admission::new(3);
        let one = admission.queue_up(false).at_once().unwrap();
        let suspect = admission.queue_up(true);
        assert!(suspect.at_once().is_none());
        let mut admitted = Box::pin(suspect.admitted());
        assert!((&mut admitted).now_or_never().is_none());
        let later = admission.queue_up(false);
        let mut of_later = Box::pin(later.admitted());
        assert!((&mut of_later).now_or_never().is_none(), "it does not overtake");
        drop(one);
        let alone = admitted.await;
        assert!((&mut of_later).now_or_never().is_none());
        drop(alone);
        drop(of_later.await);
    }
}
