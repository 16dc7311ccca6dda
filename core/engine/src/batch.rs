//! The sequences that run together, and what each pass reads of them.
//!
//! Running answers take part in every pass with their last token. What is left of a pass's budget goes to
//! prompts, one after the other: the first is soon done, and those behind it find what they have in common
//! with it already read.

use std::time::Instant;

use bedside_contract::{ConversationKey, FinishReason, GenerateError, GenerationEvent, Priority};
use bedside_model::{
    Executor, KvCache,
    decoder::{BLOCK_TOKENS, DecoderError, Slice},
};

use crate::{
    blocks::Blocks,
    config::EngineConfig,
    engine::Counters,
    job::{Job, Prepared},
    loaded::Loaded,
    sequence::Sequence,
};

pub(crate) struct Batch<'m> {
    loaded: &'m Loaded,
    executor: Executor,
    cache: KvCache,
    blocks: Blocks,
    /// In the order of their priorities, then of their admission.
    running: Vec<Sequence<'m>>,
    /// Those that had to make room, to go on before anyone new.
    parked: Vec<Sequence<'m>>,
    /// The blocks that were to spare when they were too few for the next request: it waits until there are more.
    too_few: Option<usize>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    sequences: usize,
    /// Of these, those that give way to people.
    programs: usize,
    /// Prompt tokens of a pass while answers run.
    prompt_chunk: usize,
    prefix_cache: bool,
    speculation: bool,
}

/// Prompt tokens of a pass that no answer waits for, in chunks.
pub(crate) const CHUNKS_ALONE: usize = 4;
/// Rows of a pass up to which guesses cost little: the weights are fetched anyway.
const ROWS_WITH_GUESSES: usize = 8;
/// Tokens of an answer that must fit beside the prompt before a sequence begins.
const HEADROOM: usize = 2 * BLOCK_TOKENS;

/// What has become of a job that was to begin.
pub(crate) enum Admitted {
    Running,
    /// It has been told why not.
    Refused,
    /// There is no memory for it now.
    Later(Box<Job>),
}

impl<'m> Batch<'m> {
    pub(crate) fn new(loaded: &'m Loaded, executor: Executor, cache: KvCache, config: &EngineConfig) -> Self {
        Self {
            loaded,
            executor,
            blocks: Blocks::new(cache.blocks(), config.prefix_cache),
            cache,
            running: Vec::new(),
            parked: Vec::new(),
            too_few: None,
            limits: Limits {
                sequences: config.sequences.max(1),
                programs: config.programs.unwrap_or(config.sequences / 4).max(1),
                prompt_chunk: config.prompt_chunk.max(1),
                prefix_cache: config.prefix_cache,
                speculation: config.speculation,
            },
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.parked.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.parked.len()
    }

    /// How many more people's requests may begin.
    pub(crate) fn vacancies(&self) -> usize {
        if self.memory_is_short() || self.parked.iter().any(|it| !it.gives_way()) {
            return 0;
        }
        self.limits.sequences.saturating_sub(self.running.len())
    }

    /// Whether there is a place for it. What had to make room goes on before anyone of its priority.
    pub(crate) fn may_begin(&self, job: &Job) -> bool {
        let priority = job.request.priority;
        let is_behind = |it: &Sequence<'_>| it.job.request.priority >= priority;
        if self.running.len() >= self.limits.sequences || self.parked.iter().any(is_behind) {
            return false;
        }
        let less_urgent = self.running.last().is_some_and(|it| !is_behind(it));
        if self.memory_is_short() && !less_urgent {
            return false;
        }
        let programs = self
            .running
            .iter()
            .chain(&self.parked)
            .filter(|it| it.gives_way());
        !priority.gives_way() || programs.count() < self.limits.programs
    }

    fn memory_is_short(&self) -> bool {
        !self.running.is_empty() && self.too_few.is_some_and(|it| self.spare_blocks() <= it)
    }

    pub(crate) fn forget(&mut self, conversation: &ConversationKey) {
        self.blocks.forget(conversation);
    }

    pub(crate) fn blocks_in_use(&self) -> (usize, usize) {
        (self.blocks.total() - self.blocks.available(), self.blocks.total())
    }

    /// How many sequences of a conversation run.
    pub(crate) fn running_for(&self, job: &Job) -> usize {
        let same = |it: &&Sequence<'_>| it.job.request.conversation == job.request.conversation;
        self.running.iter().chain(&self.parked).filter(same).count()
    }

    pub(crate) fn admit(&mut self, mut job: Job, counters: &Counters) -> Admitted {
        if job.is_cancelled() {
            counters.cancel();
            return Admitted::Refused;
        }
        let prepared = match job.prepared.take() {
            Some(prepared) => Ok(prepared),
            None => self.loaded.prepare(&job.request),
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                counters.fail();
                job.fail(error);
                return Admitted::Refused;
            }
        };
        let speculate = self.limits.speculation;
        let mut sequence = Sequence::new(job, prepared, self.loaded, speculate, &mut self.blocks);
        sequence.adopt(&mut self.blocks);
        let priority = sequence.job.request.priority;
        while !self.fits(&sequence)
            && let Some(last) = self
                .running
                .pop_if(|it| it.gives_way() && it.job.request.priority < priority)
        {
            self.park(last);
        }
        if !self.fits(&sequence) {
            let Sequence {
                mut blocks,
                mut job,
                tokens: prompt,
                adapter,
                common,
                ..
            } = sequence;
            self.blocks.release_all(&mut blocks);
            self.too_few = Some(self.spare_blocks());
            job.prepared = Some(Prepared {
                prompt,
                adapter,
                common,
            });
            return Admitted::Later(Box::new(job));
        }
        self.too_few = None;
        sequence.job.send(GenerationEvent::Started);
        self.enter(sequence);
        Admitted::Running
    }

    /// Lets those go on that had to make room; not before people who wait.
    pub(crate) fn resume(&mut self, waiting: Option<Priority>) {
        while self.running.len() < self.limits.sequences
            && let Some(mut sequence) = self.next_parked()
        {
            let people_wait = waiting.is_some_and(|it| !it.gives_way());
            if !self.running.is_empty() && sequence.gives_way() && people_wait {
                self.parked.push(sequence);
                return;
            }
            sequence.adopt(&mut self.blocks);
            if !self.running.is_empty() && !self.fits(&sequence) {
                sequence.give_up_blocks(&mut self.blocks);
                self.parked.push(sequence);
                return;
            }
            self.enter(sequence);
        }
    }

    /// The most urgent, of these the one that made room last.
    fn next_parked(&mut self) -> Option<Sequence<'m>> {
        let parked = self.parked.iter().enumerate();
        let (place, _) = parked.max_by_key(|(_, it)| it.job.request.priority)?;
        Some(self.parked.remove(place))
    }

    fn park(&mut self, mut sequence: Sequence<'m>) {
        sequence.drop_guesses();
        sequence.planned = 0;
        sequence.give_up_blocks(&mut self.blocks);
        self.parked.push(sequence);
    }

    fn fits(&self, sequence: &Sequence<'_>) -> bool {
        let tokens = sequence.tokens.len() + HEADROOM.min(sequence.room());
        let needed = tokens
            .div_ceil(BLOCK_TOKENS)
            .saturating_sub(sequence.blocks.len());
        // A sequence alone may have all.
        needed <= self.spare_blocks() || self.running.is_empty()
    }

    /// Blocks that may be taken and that no running sequence needs for what it has still to read.
    fn spare_blocks(&self) -> usize {
        let promised = self.running.iter().map(|it| {
            let whole = it.tokens.len().div_ceil(BLOCK_TOKENS);
            whole.saturating_sub(it.blocks.len())
        });
        self.blocks.available().saturating_sub(promised.sum())
    }

    fn enter(&mut self, sequence: Sequence<'m>) {
        let priority = sequence.job.request.priority;
        let place = self
            .running
            .partition_point(|it| it.job.request.priority >= priority);
        self.running.insert(place, sequence);
    }

    /// Takes out what is cancelled or late.
    pub(crate) fn sweep(&mut self, counters: &Counters) {
        let now = Instant::now();
        let mut end = |sequence: &mut Sequence<'m>| {
            let over = if sequence.job.is_cancelled() {
                counters.cancel();
                true
            } else if now >= sequence.job.deadline {
                sequence.say_rest();
                finish(sequence, FinishReason::Deadline, counters);
                true
            } else if sequence.is_full() && sequence.generated == 0 {
                finish(sequence, FinishReason::Length, counters);
                true
            } else {
                false
            };
            if over {
                sequence.give_up_blocks(&mut self.blocks);
            }
            !over
        };
        self.running.retain_mut(&mut end);
        self.parked.retain_mut(&mut end);
    }

    /// One pass over all that runs.
    pub(crate) fn step(&mut self, counters: &Counters) -> Result<(), DecoderError> {
        self.plan();
        // Those with the same adapter side by side: the decoder computes it for neighbours together.
        let mut order: Vec<(usize, &Sequence<'_>)> = self
            .running
            .iter()
            .enumerate()
            .filter(|(_, it)| it.planned > 0)
            .collect();
        order.sort_by_key(|(_, it)| it.adapter.as_ref().map(|it| it.0));
        let slices: Vec<Slice<'_>> = order
            .iter()
            .map(|(_, it)| Slice {
                tokens: it
                    .tokens
                    .get(it.computed..it.computed + it.planned)
                    .unwrap_or_default(),
                start: it.computed,
                blocks: &it.blocks,
                logits: it.logits_wanted(),
                adapter: it.adapter.as_ref().map(|it| &*it.1),
                context: it.context,
            })
            .collect();
        if slices.is_empty() {
            return Ok(());
        }
        let logits = self
            .loaded
            .model
            .decoder
            .forward(&mut self.executor, &mut self.cache, &slices)?;
        let mut rows = logits.rows();
        let mut logits: Vec<Vec<&mut [f32]>> = self.running.iter().map(|_| Vec::new()).collect();
        for (number, sequence) in order {
            if let Some(logits) = logits.get_mut(number) {
                logits.extend(rows.by_ref().take(sequence.logits_wanted()));
            }
        }
        let mut logits = logits.into_iter();
        let blocks = &mut self.blocks;
        self.running.retain_mut(|sequence| {
            let logits = logits.next().unwrap_or_default();
            if sequence.planned == 0 {
                return true;
            }
            let (wanted, before) = (sequence.logits_wanted(), sequence.generated);
            let end = sequence.advance(logits.into_iter(), blocks);
            counters.speculated(
                wanted.saturating_sub(1),
                (sequence.generated - before).saturating_sub(1),
            );
            let Some(reason) = end else { return true };
            finish(sequence, reason, counters);
            sequence.give_up_blocks(blocks);
            false
        });
        Ok(())
    }

    /// Fails all that runs, and forgets what the cache holds: something went wrong that nobody foresaw.
    pub(crate) fn fail(&mut self, error: &GenerateError, counters: &Counters) {
        for sequence in self.running.drain(..) {
            counters.fail();
            sequence.job.fail(error.clone());
        }
        // Those that are parked have none.
        self.blocks = Blocks::new(self.cache.blocks(), self.limits.prefix_cache);
    }

    /// Decides what each sequence reads in the next pass and sees to its blocks.
    fn plan(&mut self) {
        // A person's first word waits for nothing but its own prompt and other people.
        let pause_programs = self.running.iter().any(|it| !it.gives_way() && !it.is_decoding());
        let takes_part = |it: &Sequence<'_>| !(pause_programs && it.gives_way());
        let decoding = self
            .running
            .iter()
            .filter(|it| takes_part(it) && it.is_decoding());
        let decoding = decoding.count();
        let guesses = (ROWS_WITH_GUESSES / decoding.max(1)).saturating_sub(1);
        // Whoever comes while programs' prompts are read waits for one chunk only.
        let people_alone = pause_programs && decoding == 0;
        let whole = self.limits.prompt_chunk * if people_alone { CHUNKS_ALONE } else { 1 };
        let mut budget = whole;
        let mut number = 0;
        while number < self.running.len() {
            let (before, rest) = self.running.split_at_mut(number);
            let Some(sequence) = rest.first_mut() else { return };
            sequence.planned = 0;
            if pause_programs && sequence.gives_way() {
                number += 1;
                continue;
            }
            if sequence.is_decoding() {
                sequence.guess(guesses.min(sequence.room().saturating_sub(1)));
                sequence.planned = sequence.unread();
            } else {
                sequence.adopt(&mut self.blocks);
                let waits = before.iter().any(|it| is_reading_for(it, sequence));
                sequence.planned = if waits {
                    0
                } else {
                    piece(sequence, budget, budget == whole)
                };
                budget = budget.saturating_sub(sequence.planned);
            }
            number = self.see_to_blocks(number);
        }
    }

    /// Blocks for what a sequence is to read; others make room if there are none. The place of the next sequence
    /// to plan.
    fn see_to_blocks(&mut self, number: usize) -> usize {
        loop {
            let Some(sequence) = self.running.get_mut(number) else {
                return number;
            };
            if sequence.reserve(sequence.computed + sequence.planned, &mut self.blocks) {
                return number + 1;
            }
            // The last in order makes room: the least urgent, or the latest.
            let Some(last) = self.running.pop() else {
                return number;
            };
            self.park(last);
        }
    }
}

/// How many tokens of a prompt are read with what is left of the budget. A piece ends with a block where it can,
/// so that others may use all of it; the first of a pass goes on in any case. A context that is seen in both
/// directions cannot be cut.
fn piece(sequence: &Sequence<'_>, budget: usize, is_first: bool) -> usize {
    let unread = sequence.unread();
    if unread <= budget {
        return unread;
    }
    if sequence.computed <= sequence.context && sequence.context > 0 {
        return if is_first { unread } else { 0 };
    }
    let end = (sequence.computed + budget) / BLOCK_TOKENS * BLOCK_TOKENS;
    match end.saturating_sub(sequence.computed) {
        0 if is_first => budget,
        whole_blocks => whole_blocks,
    }
}

/// Whether another sequence is reading, in the same pass, what this one would have to read, too.
fn is_reading_for(other: &Sequence<'_>, sequence: &Sequence<'_>) -> bool {
    if other.planned == 0 || other.is_decoding() {
        return false;
    }
    let after = other.computed + other.planned;
    let common = sequence.common_beginning(other).min(sequence.tokens.len() - 1);
    common.min(after) / BLOCK_TOKENS * BLOCK_TOKENS > sequence.computed
}

fn finish(sequence: &Sequence<'_>, reason: FinishReason, counters: &Counters) {
    counters.finish(sequence.prompt_tokens, sequence.reused, sequence.generated);
    sequence.job.send(sequence.end(reason));
}
