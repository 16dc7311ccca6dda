//! The computing threads: started once, they share the tasks of one piece of work after the other.
//!
//! A pass through a model is some hundred pieces of work of a few microseconds each, so a thread that has
//! nothing to do looks for more a short while before it sleeps. A piece is done when its tasks are done, not
//! when every thread has taken part: one that the system has put aside holds nobody up.
#![expect(
    unsafe_code,
    reason = "tasks borrow from the caller's stack, which waits until they are done"
)]

use std::{
    io,
    marker::PhantomData,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Some threads, the calling one among them.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held while a piece of work runs: there is one at a time.
    driver: Mutex<()>,
}

struct Shared {
    /// How many tasks there are (high half), and the number of the next (low half).
    state: AtomicU64,
    finished: AtomicUsize,
    /// A `*const &(dyn Fn(usize) + Sync)` of the caller's stack while there are tasks.
    task: AtomicPtr<()>,
    panicked: AtomicBool,
    stopping: AtomicBool,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

type Task<'a> = &'a (dyn Fn(usize) + Sync);

/// Leaves room for threads that look for a task behind the last.
const MAX_TASKS: usize = 1 << 31;
/// Parts for each thread from which on they are of two sizes.
const FEW_PARTS: usize = 4;
/// Looks, of some ten nanoseconds each, before a thread without work sleeps.
const LOOKS: usize = 4000;
/// Looks for the end of others' tasks before the core is offered to whoever else wants it.
const LOOKS_AT_END: usize = 2000;

impl Threads {
    /// `count` threads in all; at least the calling one.
    ///
    /// # Errors
    /// If the system starts no more threads.
    pub fn new(count: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            finished: AtomicUsize::new(0),
            task: AtomicPtr::new(std::ptr::null_mut()),
            panicked: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut threads = Self {
            shared,
            workers: Vec::new(),
            driver: Mutex::new(()),
        };
        for number in 1..count {
            let shared = threads.shared.clone();
            let name = format!("bedside-compute-{number}");
            // On an error the threads so far end with `threads`.
            threads
                .workers
                .push(thread::Builder::new().name(name).spawn(move || shared.work())?);
        }
        Ok(threads)
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` with each number below `tasks`, on whichever thread is free.
    ///
    /// # Panics
    /// If a task does, after all others are done.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(task);
            return;
        }
        let one_at_a_time = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        let task: Task<'_> = &task;
        assert!(tasks < MAX_TASKS, "no work has so many parts");
        self.shared.publish(tasks, task);
        drop(one_at_a_time);
        assert!(
            !self.shared.panicked.swap(false, Ordering::AcqRel),
            "a computing task panicked"
        );
    }

    /// As [`Threads::run`] over `parts` parts of `0..length`. If there are many, each thread gets a large one first
    /// and small ones at the end, so that none waits long for the last.
    pub(crate) fn run_parts(&self, length: usize, parts: usize, task: impl Fn(Range<usize>) + Sync) {
        let parts = parts.clamp(1, length.max(1));
        let large = if parts >= FEW_PARTS * self.count() {
            self.count()
        } else {
            0
        };
        let in_large = if large > 0 { length / 2 } else { 0 };
        self.run(parts, |number| {
            let range = if number < large {
                number * in_large / large..(number + 1) * in_large / large
            } else {
                let (number, rest) = (number - large, length - in_large);
                let small = parts - large;
                in_large + number * rest / small..in_large + (number + 1) * rest / small
            };
            task(range);
        });
    }
}

impl Shared {
    fn publish(&self, tasks: usize, task: Task<'_>) {
        self.finished.store(0, Ordering::Relaxed);
        self.task
            .store((&raw const task).cast_mut().cast(), Ordering::Relaxed);
        self.state.store((tasks as u64) << 32, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(self.sleep.lock());
            self.wake.notify_all();
        }
        while self.take_one() {}
        let mut looks = 0;
        while self.finished.load(Ordering::Acquire) < tasks {
            looks += 1;
            if looks < LOOKS_AT_END {
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
        // From here on no thread can take a task of this piece, so `task` may go.
    }

    /// Does one task, if there is one.
    fn take_one(&self) -> bool {
        if !has_tasks(self.state.load(Ordering::Acquire)) {
            return false;
        }
        let taken = self.state.fetch_add(1, Ordering::AcqRel);
        if !has_tasks(taken) {
            return false;
        }
        let task = self.task.load(Ordering::Relaxed).cast_const().cast::<Task<'_>>();
        // SAFETY: a task of this piece has been taken and not been counted as finished, so `publish` waits
        // and what it points to is alive.
        let task = unsafe { *task };
        let number = next_of(taken) as usize;
        if catch_unwind(AssertUnwindSafe(|| task(number))).is_err() {
            self.panicked.store(true, Ordering::Release);
        }
        self.finished.fetch_add(1, Ordering::Release);
        true
    }

    fn work(&self) {
        let mut looks = 0;
        while !self.stopping.load(Ordering::Acquire) {
            if self.take_one() {
                looks = 0;
            } else if looks < LOOKS {
                looks += 1;
                std::hint::spin_loop();
            } else {
                self.sleep_until_work();
                looks = 0;
            }
        }
    }

    fn sleep_until_work(&self) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        while !has_tasks(self.state.load(Ordering::SeqCst)) && !self.stopping.load(Ordering::SeqCst) {
            sleep = self.wake.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
        drop(sleep);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn has_tasks(state: u64) -> bool {
    u64::from(next_of(state)) < state >> 32
}

fn next_of(state: u64) -> u32 {
    (state & u64::from(u32::MAX)) as u32
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        drop(self.shared.sleep.lock());
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("count", &self.count()).finish()
    }
}

/// A slice that tasks write to apart from each other.
pub(crate) struct Spread<'a, T> {
    start: *mut T,
    length: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out nothing but `&mut` to parts that its users keep apart.
unsafe impl<T: Send> Sync for Spread<'_, T> {}

impl<'a, T> Spread<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            borrowed: PhantomData,
        }
    }

    /// # Safety
    /// While one part is in use, no other that overlaps it may be.
    ///
    /// # Panics
    /// If the part lies outside.
    #[expect(clippy::mut_from_ref, reason = "its purpose; see Safety")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "a part lies inside"
        );
        // SAFETY: inside the slice, and alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Spread, Threads};

    #[test]
    fn every_task_runs_once() {
        for count in [1, 2, 5] {
            let threads = Threads::new(count).unwrap();
            assert_eq!(threads.count(), count);
            for tasks in [0, 1, 2, 3, 100, 1000] {
                let mut done = vec![0_usize; tasks];
                let spread = Spread::new(&mut done);
                threads.run(tasks, |number| {
                    // SAFETY: each task has its own number.
                    let mine = unsafe { spread.part(number..number + 1) };
                    mine[0] += number + 1;
                });
                assert!(done.iter().enumerate().all(|(number, it)| *it == number + 1));
            }
        }
    }

    #[test]
    fn many_small_pieces_and_pauses() {
        let threads = Threads::new(3).unwrap();
        let sum = AtomicUsize::new(0);
        for round in 0..20_000 {
            threads.run(4, |number| {
                sum.fetch_add(number, Ordering::Relaxed);
            });
            if round % 5000 == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        }
        assert_eq!(sum.into_inner(), 20_000 * 6);
    }

    #[test]
    fn parts_cover_all() {
        let threads = Threads::new(2).unwrap();
        let sum = AtomicUsize::new(0);
        for parts in [0, 1, 10, 103, 200] {
            threads.run_parts(103, parts, |part| {
                sum.fetch_add(part.sum::<usize>(), Ordering::Relaxed);
            });
        }
        assert_eq!(sum.into_inner(), 5 * 103 * 102 / 2);
        threads.run_parts(0, 4, |part| assert!(part.is_empty()));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_threads_live_on() {
        let threads = Threads::new(2).unwrap();
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            threads.run(8, |number| assert_ne!(number, 5, "meant"));
        }));
        assert!(run.is_err());
        let sum = AtomicUsize::new(0);
        threads.run(8, |number| {
            sum.fetch_add(number, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 28);
    }
}
