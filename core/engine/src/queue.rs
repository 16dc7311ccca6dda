//! Requests that wait: higher priorities first, in their order within each.

use bedside_contract::{ConversationKey, GenerateError, GenerationEvent, Priority};

use crate::job::Job;

pub(crate) struct Queue {
    waiting: Vec<Waiting>,
    /// How many the engine would take at once; none while it loads the model.
    vacancies: usize,
    pub(crate) closed: bool,
    forgotten: Vec<ConversationKey>,
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
            forgotten: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a job behind those of the same priority and tells all whose position changes. Less urgent ones that wait
    /// take no place from it.
    pub(crate) fn push(&mut self, job: Job, priority: Priority, limit: usize) -> Result<(), GenerateError> {
        // One that nobody waits for any more takes no place.
        self.waiting.retain(|it| !it.job.is_cancelled());
        let place = self.waiting.partition_point(|it| it.priority >= priority);
        if place >= limit {
            return Err(GenerateError::Busy { queued: place });
        }
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
    /// generations running, so that one who asks much at once does not hold up the others. `running` says how many
    /// those are, and nothing of a job that may not begin now.
    pub(crate) fn pop(&mut self, running: impl Fn(&Job) -> Option<usize>) -> Option<Job> {
        let mut next: Option<(usize, Priority, usize)> = None;
        for (place, waiting) in self.waiting.iter().enumerate() {
            if next.is_some_and(|it| it.1 > waiting.priority) {
                break;
            }
            let Some(running) = running(&waiting.job) else {
                continue;
            };
            if next.is_none_or(|it| running < it.2) {
                next = Some((place, waiting.priority, running));
            }
        }
        let (place, ..) = next?;
        self.vacancies = self.vacancies.saturating_sub(1);
        let next = self.waiting.remove(place);
        self.tell();
        Some(next.job)
    }

    /// The priority of the most urgent that waits.
    pub(crate) fn most_urgent(&self) -> Option<Priority> {
        self.waiting.first().map(|it| it.priority)
    }

    /// Conversations whose traces are to be removed from the cache.
    pub(crate) fn take_forgotten(&mut self) -> Vec<ConversationKey> {
        std::mem::take(&mut self.forgotten)
    }

    pub(crate) fn has_forgotten(&self) -> bool {
        !self.forgotten.is_empty()
    }

    pub(crate) fn forget(&mut self, conversation: ConversationKey) {
        self.forgotten.push(conversation);
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
