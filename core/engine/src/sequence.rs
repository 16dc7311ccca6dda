//! One generation that runs: its tokens, its blocks, and what it says.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_contract::{FinishReason, GenerationEvent};
use bedside_model::{Adapter, ResponseFilter, Sampler, StopMatcher, TextStream, decoder::BLOCK_TOKENS};

use crate::{
    blocks::{Audience, Block, Blocks, Key, Link, Root},
    job::{Job, Prepared},
    loaded::Loaded,
    lookup::Lookup,
};

pub(crate) struct Sequence<'m> {
    pub(crate) job: Job,
    loaded: &'m Loaded,
    /// With its number.
    pub(crate) adapter: Option<(u32, Arc<Adapter>)>,
    root: Link,
    /// The first block that only its own conversation may find again; none where all of its audience may.
    first_own_block: Option<usize>,
    /// See [`Prepared::common`].
    pub(crate) common: Option<usize>,
    /// Prompt and answer.
    pub(crate) tokens: Vec<u32>,
    pub(crate) prompt_tokens: usize,
    /// So many of them see each other whatever their order, so they are read in one pass.
    pub(crate) context: usize,
    /// How many of the tokens the model has read.
    pub(crate) computed: usize,
    pub(crate) blocks: Vec<Block>,
    /// Of the blocks that are known to hold what they hold.
    links: Vec<Link>,
    /// Prompt tokens that others had read already.
    pub(crate) reused: usize,
    pub(crate) generated: usize,
    sampler: Sampler,
    stream: TextStream<'m>,
    filter: ResponseFilter,
    stop: StopMatcher,
    lookup: Option<Lookup>,
    started: Instant,
    prompt_time: Option<Duration>,
    /// Tokens at the end of `tokens` that are only guessed, while a pass runs.
    guessed: usize,
    /// Tokens that the pass reads, guesses included.
    pub(crate) planned: usize,
}

impl<'m> Sequence<'m> {
    pub(crate) fn new(
        job: Job,
        Prepared {
            prompt,
            adapter,
            common,
        }: Prepared,
        loaded: &'m Loaded,
        speculate: bool,
        blocks: &mut Blocks,
    ) -> Self {
        let sampling = &job.request.sampling;
        let context = loaded.model.decoder.context(prompt.len());
        let is_own = context > 0 && common.is_some();
        let root = Root {
            adapter: adapter.as_ref().map_or(0, |it| it.0),
            audience: Audience::from(job.request.priority),
            owner: is_own.then(|| job.request.conversation.clone()),
        };
        Self {
            root: blocks.root(root, prompt.get(..context).unwrap_or_default()),
            first_own_block: common.map(|it| it / BLOCK_TOKENS),
            common,
            context,
            adapter,
            sampler: Sampler::new(sampling, &prompt),
            stream: loaded.model.tokenizer.stream(&prompt),
            filter: ResponseFilter::new(loaded.model.response_rules()),
            stop: StopMatcher::new(&sampling.stop),
            lookup: speculate.then(Lookup::new),
            loaded,
            prompt_tokens: prompt.len(),
            tokens: prompt,
            computed: 0,
            blocks: Vec::new(),
            links: Vec::new(),
            reused: 0,
            generated: 0,
            started: Instant::now(),
            prompt_time: None,
            guessed: 0,
            planned: 0,
            job,
        }
    }

    /// Tokens that are still to be read before the next can be drawn.
    pub(crate) fn unread(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Whether it waits for its last token only.
    pub(crate) fn is_decoding(&self) -> bool {
        self.generated > 0 && self.unread() - self.guessed == 1
    }

    /// Takes over what others have read already, but never all: the last token must be read again for its
    /// logits.
    pub(crate) fn adopt(&mut self, blocks: &mut Blocks) {
        while self.computed == self.links.len() * BLOCK_TOKENS && self.blocks.len() == self.links.len() {
            let rest = self.tokens.get(self.computed..).unwrap_or_default();
            let Some(tokens) = rest.first_chunk().filter(|_| rest.len() > BLOCK_TOKENS) else {
                return;
            };
            let Some((block, link)) = blocks.find(&self.next_key(*tokens)) else {
                return;
            };
            self.blocks.push(block);
            self.links.push(link);
            self.computed += BLOCK_TOKENS;
            if self.generated == 0 {
                self.reused += BLOCK_TOKENS;
            }
        }
    }

    /// Takes the blocks that so many tokens need; `false` if there are not enough.
    pub(crate) fn reserve(&mut self, tokens: usize, blocks: &mut Blocks) -> bool {
        while self.blocks.len() * BLOCK_TOKENS < tokens {
            match blocks.take() {
                Some(block) => self.blocks.push(block),
                None => return false,
            }
        }
        true
    }

    /// Preempts it: it releases its blocks, and reads its text again when it is resumed.
    pub(crate) fn give_up_blocks(&mut self, blocks: &mut Blocks) {
        blocks.release_all(&mut self.blocks);
        self.links.clear();
        self.computed = 0;
    }

    /// Adds guesses to what the pass reads.
    pub(crate) fn guess(&mut self, limit: usize) {
        if let Some(lookup) = &mut self.lookup {
            let guess = lookup.guess(&self.tokens, limit).to_vec();
            self.guessed = guess.len();
            self.tokens.extend(guess);
        }
    }

    /// Takes back guesses that no pass has read.
    pub(crate) fn drop_guesses(&mut self) {
        self.tokens.truncate(self.tokens.len() - self.guessed);
        self.guessed = 0;
    }

    /// How many of the last tokens that the pass reads need logits.
    pub(crate) fn logits_wanted(&self) -> usize {
        if self.computed + self.planned == self.tokens.len() {
            1 + self.guessed
        } else {
            0
        }
    }

    /// After a pass: draws tokens, says them, and gives the reason if it has ended.
    ///
    /// `logits` are those that were wanted. A guess is right if it is what is drawn in its place, so that the
    /// same tokens come with guesses and without.
    pub(crate) fn advance<'l>(
        &mut self,
        logits: impl Iterator<Item = &'l mut [f32]>,
        blocks: &mut Blocks,
    ) -> Option<FinishReason> {
        let guesses = self.tokens.split_off(self.tokens.len() - self.guessed);
        self.guessed = 0;
        self.computed += self.planned - guesses.len();
        let (mut end, mut right) = (None, 0);
        for (number, logits) in logits.enumerate() {
            if self.prompt_time.is_none() {
                self.prompt_time = Some(self.started.elapsed());
            }
            let token = self.sampler.sample(logits);
            end = self.take(token);
            if end.is_some() || guesses.get(number) != Some(&token) {
                break;
            }
            // What was guessed has been read already.
            self.computed += 1;
            right += 1;
        }
        if let Some(lookup) = &mut self.lookup {
            lookup.judge(guesses.len(), right, self.tokens.len());
        }
        self.share(blocks);
        end
    }

    fn take(&mut self, token: u32) -> Option<FinishReason> {
        if self.loaded.model.tokenizer.is_end(token) {
            self.say_rest();
            return Some(FinishReason::Stop);
        }
        self.generated += 1;
        self.tokens.push(token);
        let text = self.filter.push(&self.stream.push(token));
        let text = self.stop.push(&text);
        self.say(text);
        if self.stop.is_stopped() {
            return Some(FinishReason::Stop);
        }
        if self.is_full() {
            self.say_rest();
            return Some(FinishReason::Length);
        }
        None
    }

    /// Whether there may be no further token.
    pub(crate) fn is_full(&self) -> bool {
        self.generated >= self.job.request.max_tokens || self.tokens.len() >= self.loaded.info.context_length
    }

    /// Tokens that may still come.
    pub(crate) fn room(&self) -> usize {
        let asked = self.job.request.max_tokens.saturating_sub(self.generated);
        asked.min(self.loaded.info.context_length.saturating_sub(self.tokens.len()))
    }

    /// Lets others use the blocks that are full now.
    fn share(&mut self, blocks: &mut Blocks) {
        while (self.links.len() + 1) * BLOCK_TOKENS <= self.computed {
            let number = self.links.len();
            let tokens = self
                .tokens
                .get(number * BLOCK_TOKENS..)
                .and_then(|it| it.first_chunk());
            let (Some(tokens), Some(block)) = (tokens, self.blocks.get(number).copied()) else {
                return;
            };
            let (kept, link) = blocks.fill(block, self.next_key(*tokens));
            if let Some(block) = self.blocks.get_mut(number) {
                *block = kept;
            }
            self.links.push(link);
        }
    }

    /// What the first block without a link is known by.
    fn next_key(&self, tokens: [u32; BLOCK_TOKENS]) -> Key {
        let is_first_own = self.first_own_block == Some(self.links.len());
        Key {
            before: self.links.last().copied().unwrap_or(self.root),
            owner: is_first_own.then(|| self.job.request.conversation.clone()),
            tokens,
        }
    }

    /// How many tokens it begins alike with another, as far as it may use what that one reads.
    pub(crate) fn common_beginning(&self, other: &Self) -> usize {
        if self.root != other.root {
            return 0;
        }
        let is_same_chat = self.job.request.conversation == other.job.request.conversation;
        let shared = [self.common, other.common].into_iter().flatten().min();
        let shared = shared.filter(|_| !is_same_chat).unwrap_or(usize::MAX);
        let pairs = self.tokens.iter().zip(&other.tokens).take(shared);
        pairs.take_while(|(a, b)| a == b).count()
    }

    /// Whether it makes room for people.
    pub(crate) fn gives_way(&self) -> bool {
        self.job.request.priority.gives_way()
    }

    pub(crate) fn end(&self, reason: FinishReason) -> GenerationEvent {
        let all = self.started.elapsed();
        let prompt_time = self.prompt_time.unwrap_or(all);
        GenerationEvent::Finished {
            reason,
            prompt_tokens: self.prompt_tokens,
            reused_tokens: self.reused,
            generated_tokens: self.generated,
            prompt_time,
            generate_time: all.saturating_sub(prompt_time),
        }
    }

    fn say(&self, text: String) {
        if !text.is_empty() {
            self.job.send(GenerationEvent::Text(text));
        }
    }

    pub(crate) fn say_rest(&mut self) {
        let mut rest = self.filter.push(&self.stream.finish());
        rest.push_str(&self.filter.finish());
        let mut text = self.stop.push(&rest);
        text.push_str(&self.stop.finish());
        self.say(text);
    }
}
