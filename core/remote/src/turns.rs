//! Who may speak to the server now, and who waits: higher priorities first, in their order within each. Programs and
//! plugins get a quarter of the places at most, and none in the queue that a patient could have.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bedside_contract::{GenerateError, GenerationEvent, Priority};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

pub(crate) type Event = Result<GenerationEvent, GenerateError>;

pub(crate) struct Turns {
    state: Mutex<State>,
    queue: usize,
}

struct State {
    /// How many may run, and how many of them programs.
    concurrent: usize,
    programs: usize,
    running: usize,
    running_programs: usize,
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
    priority: Priority,
    turn: Option<oneshot::Receiver<()>>,
}

impl Turns {
    pub(crate) fn new(concurrent: usize, queue: usize) -> Arc<Self> {
        let state = State {
            concurrent: concurrent.max(1),
            programs: (concurrent / 4).max(1),
            running: 0,
            running_programs: 0,
            waiting: Vec::new(),
            next_number: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            queue,
        })
    }

    /// Takes a place behind those of the same priority; `events` is told the position while it waits.
    ///
    /// # Errors
    /// [`GenerateError::Busy`] when as many of its priority or above wait as may.
    pub(crate) fn join(
        self: &Arc<Self>,
        priority: Priority,
        events: UnboundedSender<Event>,
    ) -> Result<Place, GenerateError> {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        let at = state.waiting.partition_point(|it| it.priority >= priority);
        if at == 0 && state.may_run(priority) {
            state.begin(priority);
            return Ok(self.place(number, priority, None));
        }
        if at >= self.queue {
            return Err(GenerateError::Busy { queued: at });
        }
        let (turn, receiver) = oneshot::channel();
        let waiting = Waiting {
            number,
            priority,
            told: None,
            events,
            turn,
        };
        state.waiting.insert(at, waiting);
        state.tell();
        Ok(self.place(number, priority, Some(receiver)))
    }

    pub(crate) fn queued(&self) -> usize {
        self.lock().waiting.len()
    }

    fn place(
        self: &Arc<Self>,
        number: u64,
        priority: Priority,
        turn: Option<oneshot::Receiver<()>>,
    ) -> Place {
        Place {
            turns: self.clone(),
            number,
            priority,
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
            None => {
                state.running -= 1;
                state.running_programs -= usize::from(self.priority.gives_way());
                state.hand_on();
            }
        }
        state.tell();
    }
}

impl State {
    fn may_run(&self, priority: Priority) -> bool {
        let has_place = !priority.gives_way() || self.running_programs < self.programs;
        self.running < self.concurrent && has_place
    }

    fn begin(&mut self, priority: Priority) {
        self.running += 1;
        self.running_programs += usize::from(priority.gives_way());
    }

    /// The first that may runs. If its owner has just gone, its own drop hands the place on again.
    fn hand_on(&mut self) {
        let first = self.waiting.iter().position(|it| self.may_run(it.priority));
        if let Some(at) = first {
            let next = self.waiting.remove(at);
            self.begin(next.priority);
            let _gone = next.turn.send(());
        }
    }

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
            if self.place.turn.as_mut().is_some_and(|it| it.try_recv().is_ok()) {
                self.place.turn = None;
            }
            self.place.turn.is_none()
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
        let refused = join(&turns, Priority::Background).err();
        assert!(
            matches!(refused, Some(GenerateError::Busy { queued: 3 })),
            "{refused:?}"
        );
        drop(join(&turns, Priority::Staff).expect("what is less urgent takes no place from it"));
        background.positions();
        patient.positions();
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

    #[test]
    fn programs_leave_places_to_patients() {
        let turns = Turns::new(8, 9);
        let mut programs: Vec<One> = (0..6).map(|_| join(&turns, Priority::Program).unwrap()).collect();
        let running = |programs: &mut [One]| {
            programs
                .iter_mut()
                .map(|it| usize::from(it.runs()))
                .sum::<usize>()
        };
        assert_eq!(running(&mut programs), 2);
        let mut patients: Vec<One> = (0..7).map(|_| join(&turns, Priority::Patient).unwrap()).collect();
        assert_eq!(running(&mut patients), 6);
        drop(programs.remove(0));
        assert_eq!(running(&mut patients), 7, "a patient before the next program");
        patients.clear();
        let state = turns.lock();
        assert_eq!((state.running, state.running_programs), (2, 2));
    }
}
