//! The engine's own thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
};

use bedside_contract::GenerateError;
use rayon::ThreadPool;

use crate::{
    config::EngineConfig,
    engine::{Shared, Status},
    loaded::Loaded,
    prefix::PrefixCache,
    run::{Job, Outcome, Surroundings, run},
};

pub(crate) type Loader = Box<dyn FnOnce() -> Result<Loaded, String> + Send>;

/// Loads the model, then serves requests until the engine is dropped.
pub(crate) fn work(shared: &Shared, config: &EngineConfig, loader: Loader) {
    let loaded =
        catch_unwind(AssertUnwindSafe(loader)).unwrap_or_else(|_| Err("loading panicked".to_owned()));
    let started = loaded.and_then(|loaded| Ok((Arc::new(loaded), thread_pool(config)?)));
    let (loaded, pool) = match started {
        Ok(started) => started,
        Err(reason) => return give_up(shared, &reason),
    };
    report(&loaded, pool.current_num_threads());
    shared.lock().busy = false;
    shared.status.send_replace(Status::Ready(loaded.clone()));

    let mut prefix = PrefixCache::new(config.prefix_snapshots, config.prefix_memory_mib << 20);
    let surroundings = Surroundings {
        loaded: &loaded,
        prompt_chunk: config.prompt_chunk,
        stopping: &shared.stopping,
        #[cfg(test)]
        probe: shared.probe.as_deref(),
    };
    while let Some(job) = next_job(shared) {
        // Inside the pool, so that its threads and this one share the work without a handover.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.install(|| run(&job, &mut prefix, &surroundings))
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            tracing::error!("the decoder panicked; the request has failed, the engine goes on");
            // Whatever the panic left half done must not reach another patient.
            prefix.clear();
            Outcome::Failed(GenerateError::Failed("the decoder panicked".to_owned()))
        });
        shared.counters.count(&outcome);
        match outcome {
            Outcome::Finished { end, .. } => job.send(end),
            Outcome::Failed(error) => job.fail(error),
            Outcome::Cancelled => {}
        }
    }
}

/// Waits for the next request; `None` when the engine is dropped.
fn next_job(shared: &Shared) -> Option<Job> {
    let mut queue = shared.lock();
    queue.busy = false;
    loop {
        if queue.closed {
            return None;
        }
        if let Some(job) = queue.pop() {
            return Some(job);
        }
        queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

fn give_up(shared: &Shared, reason: &str) {
    tracing::error!(reason, "The model cannot be loaded.");
    shared.status.send_replace(Status::Failed(reason.to_owned()));
    let mut queue = shared.lock();
    queue.closed = true;
    for job in queue.drain() {
        job.fail(GenerateError::Unavailable {
            reason: reason.to_owned(),
        });
        shared.counters.failed.fetch_add(1, Ordering::Relaxed);
    }
}

fn thread_pool(config: &EngineConfig) -> Result<ThreadPool, String> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(
            config
                .threads
                .filter(|it| *it > 0)
                .unwrap_or_else(bedside_model::physical_cores),
        )
        .thread_name(|number| format!("bedside-compute-{number}"))
        .build()
        .map_err(|error| format!("the computing threads cannot be started: {error}"))
}

fn report(loaded: &Loaded, threads: usize) {
    let facts = &loaded.model.facts;
    tracing::info!(
        model = facts.name,
        architecture = facts.architecture,
        parameters = facts.parameters,
        context = loaded.info.context_length,
        weights_mib = facts.weight_bytes >> 20,
        seconds = facts.load_time.as_secs_f32(),
        threads,
        "The model is loaded."
    );
    for note in &facts.notes {
        tracing::warn!(
            model = facts.name,
            note,
            "The model's file leaves something open."
        );
    }
}
