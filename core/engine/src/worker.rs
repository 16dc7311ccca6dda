//! The engine's own thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
};

use bedside_contract::GenerateError;
use bedside_model::{
    Threads,
    memory::{Serving, chat_blocks},
};

use crate::{
    batch::{Admitted, Batch, CHUNKS_ALONE},
    config::EngineConfig,
    engine::{Shared, Status},
    job::Job,
    loaded::Loaded,
};

pub(crate) type Loader = Box<dyn FnOnce() -> Result<Loaded, String> + Send>;

/// Chats of full length that the cache has room for unless the config says otherwise.
const FULL_CHATS: usize = 4;

/// Loads the model, then serves requests until the engine is dropped.
pub(crate) fn work(shared: &Shared, config: &EngineConfig, loader: Loader) {
    let loaded =
        catch_unwind(AssertUnwindSafe(loader)).unwrap_or_else(|_| Err("loading panicked".to_owned()));
    let started = loaded.and_then(|loaded| Ok((loaded, threads(config)?)));
    let (loaded, threads) = match started {
        Ok(started) => started,
        Err(reason) => return give_up(shared, &reason),
    };
    let loaded = Arc::new(loaded);
    let count = threads.count();
    let mut threads = threads;
    for start in 0.. {
        let executor = loaded.model.decoder.executor(threads);
        let decoder = &loaded.model.decoder;
        let blocks = loaded.cache_blocks.unwrap_or_else(|| {
            let block = decoder.cache(0, config.kv_precision).block_bytes();
            wanted_blocks(config, loaded.info.context_length, block as u64)
        });
        let cache = decoder.cache(blocks, config.kv_precision);
        if start == 0 {
            report(&loaded, count, cache.blocks() * cache.block_bytes());
        }
        let mut batch = Batch::new(&loaded, executor, cache, config);
        shared.lock().set_vacancies(batch.vacancies());
        shared.status.send_replace(Status::Ready(loaded.clone()));
        if catch_unwind(AssertUnwindSafe(|| serve(shared, &mut batch))).is_ok() {
            return;
        }
        // What the batch holds may be half changed: it is thrown away, with the cache.
        tracing::error!(
            requests = batch.len(),
            "The engine panicked between two passes and starts anew."
        );
        let error = GenerateError::Failed("the engine panicked".to_owned());
        let failing = AssertUnwindSafe(|| batch.fail(&error, &shared.counters));
        if catch_unwind(failing).is_err() {
            tracing::error!("Some requests were dropped without a word.");
        }
        threads = match self::threads(config) {
            Ok(threads) => threads,
            Err(reason) => return give_up(shared, &reason),
        };
    }
}

fn serve(shared: &Shared, batch: &mut Batch<'_>) {
    while !shared.stopping.load(Ordering::Acquire) {
        #[cfg(test)]
        if let Some(probe) = &shared.probe_between {
            probe();
        }
        let (forgotten, waiting) = {
            let mut queue = shared.lock();
            (queue.take_forgotten(), queue.most_urgent())
        };
        for conversation in forgotten {
            batch.forget(&conversation);
        }
        batch.resume(waiting);
        while let Some(job) = next_job(shared, batch) {
            if let Admitted::Later(job) = batch.admit(job, &shared.counters) {
                shared.lock().put_back(*job);
                break;
            }
        }
        shared.counters.show(batch.len(), batch.blocks_in_use());
        if batch.is_empty() {
            continue;
        }
        let step = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            if let Some(probe) = &shared.probe {
                probe();
            }
            batch.sweep(&shared.counters);
            batch.step(&shared.counters)
        }));
        match step {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "A pass could not be computed; its requests have failed.");
                batch.fail(&GenerateError::Failed(error.to_string()), &shared.counters);
            }
            Err(_) => {
                tracing::error!(
                    "the decoder panicked; the requests that ran have failed, the engine goes on"
                );
                batch.fail(
                    &GenerateError::Failed("the decoder panicked".to_owned()),
                    &shared.counters,
                );
            }
        }
        shared.counters.show(batch.len(), batch.blocks_in_use());
    }
}

/// The next request, if there is one and a place for it. Waits if there is nothing else to do.
fn next_job(shared: &Shared, batch: &Batch<'_>) -> Option<Job> {
    let mut queue = shared.lock();
    queue.set_vacancies(batch.vacancies());
    loop {
        if queue.closed {
            return None;
        }
        if let Some(job) = queue.pop(|it| batch.may_begin(it).then(|| batch.running_for(it))) {
            return Some(job);
        }
        if !batch.is_empty() || queue.has_forgotten() {
            return None;
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
        shared.counters.fail();
    }
}

fn threads(config: &EngineConfig) -> Result<Threads, String> {
    let count = config
        .threads
        .filter(|it| *it > 0)
        .unwrap_or_else(bedside_model::physical_cores);
    Threads::new(count).map_err(|error| format!("the computing threads cannot be started: {error}"))
}

/// What a model in this engine takes memory for.
pub(crate) fn serving(config: &EngineConfig, context_length: usize, block_bytes: u64) -> Serving {
    Serving {
        context_length,
        precision: config.kv_precision,
        blocks: wanted_blocks(config, context_length, block_bytes),
        may_have_fewer: config.kv_cache_mib.is_none(),
        sequences: config.sequences.max(1),
        rows: config
            .prompt_chunk
            .saturating_mul(CHUNKS_ALONE)
            .saturating_add(config.sequences),
    }
}

/// Always enough for one chat of full length.
fn wanted_blocks(config: &EngineConfig, context_length: usize, block_bytes: u64) -> usize {
    let full = chat_blocks(context_length);
    let wanted = config.kv_cache_mib.map_or(FULL_CHATS * full, |it| {
        let bytes = (it as u64).saturating_mul(1 << 20);
        usize::try_from(bytes / block_bytes.max(1)).unwrap_or(usize::MAX)
    });
    wanted.max(full)
}

fn report(loaded: &Loaded, threads: usize, cache_bytes: usize) {
    let facts = &loaded.model.facts;
    tracing::info!(
        model = facts.name,
        architecture = facts.architecture,
        sha256 = facts.sha256,
        parameters = facts.parameters,
        context = loaded.info.context_length,
        weights_mib = facts.weight_bytes >> 20,
        cache_mib = cache_bytes >> 20,
        resident_mib = bedside_model::bench::resident_bytes().map(|it| it >> 20),
        adapters = loaded.adapter_names().len(),
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
