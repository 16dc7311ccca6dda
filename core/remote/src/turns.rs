//! Who may speak to the server now, and who waits: higher priorities first, in their order within each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bedside_contract::{GenerateError, GenerationEvent, Priority};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

pub(crate) type Event = Result<GenerationEvent, GenerateError>;

pub(crate) struct Turns {
    state: Mutex<State>,
    concurrent: usize,
    queue: usize,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: Vec<Waiting>,
    next_number: u64,
}

struct Waiting {
    number: u64,
    priority: Priority,
    told: Option<usize>,
    events: UnboundedSender<Event>,
    turn: oneshot::Sender<()>,
}

/// A place among those that wait or run. Dropping it gives it up.
pub(crate) struct Place {
    turns: Arc<Turns>,
    number: u64,
    turn: Option<oneshot::Receiver<()>>,
}

impl Turns {
    pub(crate) fn new(concurrent: usize, queue: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            concurrent: concurrent.max(1),
            queue,
        })
    }

    /// Takes a place behind those of the same priority; `events` is told the position while it waits.
    ///
    /// # Errors
    /// [`GenerateError::Busy`] when as many wait as may.
    pub(crate) fn join(
        self: &Arc<Self>,
        priority: Priority,
        events: UnboundedSender<Event>,
    ) -> Result<Place, GenerateError> {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        if state.running < self.concurrent {
            state.running += 1;
            return Ok(self.place(number, None));
        }
        if state.waiting.len() >= self.queue {
            return Err(GenerateError::Busy {
                queued: state.waiting.len(),
            });
        }
        let (turn, receiver) = oneshot::channel();
        let at = state.waiting.partition_point(|it| it.priority >= priority);
        let waiting = Waiting {
            number,
            priority,
            told: None,
            events,
            turn,
        };
        state.waiting.insert(at, waiting);
        state.tell();
        Ok(self.place(number, Some(receiver)))
    }

    pub(crate) fn queued(&self) -> usize {
        self.lock().waiting.len()
    }

    fn place(self: &Arc<Self>, number: u64, turn: Option<oneshot::Receiver<()>>) -> Place {
        Place {
            turns: self.clone(),
            number,
            turn,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for its turn.
    pub(crate) async fn turn(&mut self) {
        if let Some(turn) = self.turn.take() {
            // The sender goes only when the turn has come: this place is on the list until then.
            let _came = turn.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        let waits = state.waiting.iter().position(|it| it.number == self.number);
        match waits {
            Some(at) => drop(state.waiting.remove(at)),
            None if state.waiting.is_empty() => state.running -= 1,
            // Handed on. If its owner has just gone, its own drop hands it on again.
            None => {
                let next = state.waiting.remove(0);
                let _gone = next.turn.send(());
            }
        }
        state.tell();
    }
}

impl State {
    fn tell(&mut self) {
        for (position, waiting) in (1..).zip(&mut self.waiting) {
            if waiting.told != Some(position) {
                waiting.told = Some(position);
                let _gone = waiting.events.send(Ok(GenerationEvent::Queued { position }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{GenerateError, GenerationEvent, Priority};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::{Event, Place, Turns};

    struct One {
        place: Place,
        events: UnboundedReceiver<Event>,
    }

    impl One {
        fn positions(&mut self) -> Vec<usize> {
            std::iter::from_fn(|| self.events.try_recv().ok())
                .map(|it| match it {
                    Ok(GenerationEvent::Queued { position }) => position,
                    other => panic!("{other:?}"),
                })
                .collect()
        }

        fn runs(&mut self) -> bool {
            self.place.turn.as_mut().is_none_or(|it| it.try_recv().is_ok())
        }
    }

    fn join(turns: &std::sync::Arc<Turns>, priority: Priority) -> Result<One, GenerateError> {
        let (sender, events) = unbounded_channel();
        turns.join(priority, sender).map(|place| One { place, events })
    }

    #[test]
    fn positions_priorities_and_the_bound() {
        let turns = Turns::new(2, 3);
        let mut first = join(&turns, Priority::Patient).unwrap();
        let second = join(&turns, Priority::Patient).unwrap();
        assert!(first.runs() && first.positions().is_empty());
        let mut background = join(&turns, Priority::Background).unwrap();
        let mut patient = join(&turns, Priority::Patient).unwrap();
        let mut staff = join(&turns, Priority::Staff).unwrap();
        assert_eq!(
            (background.positions(), patient.positions(), staff.positions()),
            (vec![1, 2, 3], vec![1, 2], vec![1])
        );
        let refused = join(&turns, Priority::Staff).err();
        assert!(
            matches!(refused, Some(GenerateError::Busy { queued: 3 })),
            "{refused:?}"
        );
        drop(second);
        assert!(staff.runs() && !patient.runs());
        assert_eq!((patient.positions(), background.positions()), (vec![1], vec![2]));
        // One that gives up while it waits lets the others move on, and no more than two ever run.
        drop(patient);
        assert_eq!(background.positions(), [1]);
        assert!(!background.runs());
        drop(staff);
        assert!(background.runs());
        drop(background);
        drop(first);
        assert_eq!(turns.lock().running, 0);
        assert_eq!(turns.queued(), 0);
    }
}
