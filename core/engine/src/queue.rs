//! Requests that wait: higher priorities first, in their order within each.

use bedside_contract::{GenerateError, GenerationEvent, Priority};

use crate::job::Job;

pub(crate) struct Queue {
    waiting: Vec<Waiting>,
    /// How many the engine would take at once; none while it loads the model.
    vacancies: usize,
    pub(crate) closed: bool,
}

struct Waiting {
    job: Job,
    priority: Priority,
    told: Option<usize>,
}

impl Queue {
    /// Until the model is loaded, even the first must wait.
    pub(crate) fn before_loading() -> Self {
        Self {
            waiting: Vec::new(),
            vacancies: 0,
            closed: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a job behind those of the same priority and tells all whose position changes.
    pub(crate) fn push(&mut self, job: Job, priority: Priority, limit: usize) -> Result<(), GenerateError> {
        // One that nobody waits for any more takes no place.
        self.waiting.retain(|it| !it.job.is_cancelled());
        if self.waiting.len() >= limit {
            return Err(GenerateError::Busy {
                queued: self.waiting.len(),
            });
        }
        let place = self.waiting.partition_point(|it| it.priority >= priority);
        self.waiting.insert(
            place,
            Waiting {
                job,
                priority,
                told: None,
            },
        );
        self.tell();
        Ok(())
    }

    /// The next that may begin: of those with the highest priority the first whose conversation has the fewest
    /// generations running, so that one who asks much at once does not hold up the others.
    pub(crate) fn pop(&mut self, running: impl Fn(&Job) -> usize) -> Option<Job> {
        let highest = self.waiting.first()?.priority;
        let equals = self.waiting.iter().take_while(|it| it.priority == highest);
        let (place, _) = equals
            .enumerate()
            .min_by_key(|(place, it)| (running(&it.job), *place))?;
        self.vacancies = self.vacancies.saturating_sub(1);
        let next = self.waiting.remove(place);
        self.tell();
        Some(next.job)
    }

    /// One that could not begin after all stands before all others of its priority again.
    pub(crate) fn put_back(&mut self, job: Job) {
        let priority = job.request.priority;
        let place = self.waiting.partition_point(|it| it.priority > priority);
        let told = None;
        self.waiting.insert(place, Waiting { job, priority, told });
        self.set_vacancies(0);
    }

    pub(crate) fn set_vacancies(&mut self, vacancies: usize) {
        self.vacancies = vacancies;
        self.tell();
    }

    pub(crate) fn remove_cancelled(&mut self) {
        self.waiting.retain(|it| !it.job.is_cancelled());
        self.tell();
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Job> {
        self.waiting.drain(..).map(|it| it.job)
    }

    fn tell(&mut self) {
        // Those that the engine takes at once do not wait.
        for (position, waiting) in (1..).zip(self.waiting.iter_mut().skip(self.vacancies)) {
            if waiting.told != Some(position) {
                waiting.told = Some(position);
                waiting.job.send(GenerationEvent::Queued { position });
            }
        }
    }
}
