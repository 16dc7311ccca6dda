//! Which sequence uses which block of the key-value cache, and what finished sequences left in the others.
//!
//! A whole block is known by the block before it, its tokens and the adapter: sequences that begin alike
//! share their first blocks, and one that comes back finds its own. Keys are compared in full, never by a
//! hash alone, so that no patient is ever answered from another's words.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bedside_model::decoder::BLOCK_TOKENS;

/// The number of a block in the cache.
pub(crate) type Block = u32;

/// The blocks of a cache, and what is in them.
#[derive(Debug)]
pub(crate) struct Blocks {
    entries: Vec<Entry>,
    free: Vec<Block>,
    known: HashMap<Key, Block>,
    /// Known blocks that nobody uses now, the longest unused first.
    idle: BTreeSet<(u64, Block)>,
    /// Counts uses and known blocks.
    clock: u64,
    /// Whether whole blocks are kept for others.
    sharing: bool,
    /// Beginnings of sequences whose context sees itself in both directions, the newest first: what their blocks
    /// hold depends on all of it.
    contexts: VecDeque<(Context, Link)>,
}

/// Adapter and tokens.
type Context = (u32, Vec<u32>);

#[derive(Debug, Default)]
struct Entry {
    /// Sequences that use it now.
    users: usize,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    key: Key,
    link: Link,
    last_used: u64,
}

/// Stands for a block and all before it. No two contents ever have the same, even after a block's number has
/// been used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Link(u64);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    before: Link,
    tokens: [u32; BLOCK_TOKENS],
}

/// Links below are roots of adapters.
const FIRST_LINK: u64 = 1 << 32;
/// Contexts that are remembered; of one that is not, nothing is found again.
const CONTEXTS: usize = 64;

impl Blocks {
    pub(crate) fn new(count: usize, sharing: bool) -> Self {
        Self {
            entries: (0..count).map(|_| Entry::default()).collect(),
            free: (0..).take(count).collect::<Vec<_>>().into_iter().rev().collect(),
            known: HashMap::new(),
            idle: BTreeSet::new(),
            clock: FIRST_LINK,
            sharing,
            contexts: VecDeque::new(),
        }
    }

    /// The beginning of all sequences of an adapter, 0 being the base model; of those with the same context where
    /// the model sees that in both directions.
    pub(crate) fn root(&mut self, adapter: u32, context: &[u32]) -> Link {
        if context.is_empty() {
            return Link(u64::from(adapter));
        }
        let known = self
            .contexts
            .iter()
            .find(|((of, tokens), _)| *of == adapter && tokens == context);
        if let Some((_, link)) = known {
            return *link;
        }
        self.clock += 1;
        let link = Link(self.clock);
        self.contexts.truncate(CONTEXTS - 1);
        self.contexts.push_front(((adapter, context.to_vec()), link));
        link
    }

    pub(crate) fn total(&self) -> usize {
        self.entries.len()
    }

    /// How many could be taken now.
    pub(crate) fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// A block with nothing in it; the longest unused known one is forgotten if there is no other.
    pub(crate) fn take(&mut self) -> Option<Block> {
        let block = match self.free.pop() {
            Some(block) => block,
            None => {
                let (_, block) = self.idle.pop_first()?;
                if let Some(known) = self.entry(block).known.take() {
                    self.known.remove(&known.key);
                }
                block
            }
        };
        self.entry(block).users = 1;
        Some(block)
    }

    /// The block that holds these tokens behind `before`, if one is known; it is in use then.
    pub(crate) fn find(&mut self, before: Link, tokens: &[u32; BLOCK_TOKENS]) -> Option<(Block, Link)> {
        let key = Key {
            before,
            tokens: *tokens,
        };
        let block = *self.known.get(&key)?;
        let entry = self.entries.get_mut(block as usize)?;
        let known = entry.known.as_ref()?;
        if entry.users == 0 {
            self.idle.remove(&(known.last_used, block));
        }
        entry.users += 1;
        Some((block, known.link))
    }

    /// Tells what is in a block that has just been filled. If another holds the same already, that one is
    /// used from now on and `block` is free.
    pub(crate) fn fill(&mut self, block: Block, before: Link, tokens: &[u32; BLOCK_TOKENS]) -> (Block, Link) {
        if let Some(found) = self.find(before, tokens) {
            self.release(block);
            return found;
        }
        self.clock += 1;
        let link = Link(self.clock);
        if self.sharing {
            let key = Key {
                before,
                tokens: *tokens,
            };
            self.known.insert(key.clone(), block);
            self.entry(block).known = Some(Known {
                key,
                link,
                last_used: 0,
            });
        }
        (block, link)
    }

    /// A sequence needs its blocks no longer. The last are forgotten first: without those before them they
    /// would be of no use.
    pub(crate) fn release_all(&mut self, blocks: &mut Vec<Block>) {
        while let Some(block) = blocks.pop() {
            self.release(block);
        }
    }

    fn release(&mut self, block: Block) {
        self.clock += 1;
        let now = self.clock;
        let entry = self.entry(block);
        entry.users -= 1;
        if entry.users == 0 {
            match &mut entry.known {
                Some(known) => {
                    known.last_used = now;
                    self.idle.insert((now, block));
                }
                None => self.free.push(block),
            }
        }
    }

    fn entry(&mut self, block: Block) -> &mut Entry {
        self.entries
            .get_mut(block as usize)
            .expect("blocks come from here")
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_TOKENS, Block, Blocks, CONTEXTS};

    fn tokens(first: u32) -> [u32; BLOCK_TOKENS] {
        std::array::from_fn(|it| first + it as u32)
    }

    /// Reads so many blocks as a sequence would: what is known is used, the rest filled.
    fn read(blocks: &mut Blocks, adapter: u32, contents: &[u32]) -> (Vec<Block>, usize) {
        let (mut link, mut mine, mut found) = (blocks.root(adapter, &[]), Vec::new(), 0);
        for first in contents {
            let (block, next) = match blocks.find(link, &tokens(*first)) {
                Some(known) => {
                    found += 1;
                    known
                }
                None => {
                    let block = blocks.take().unwrap();
                    blocks.fill(block, link, &tokens(*first))
                }
            };
            mine.push(block);
            link = next;
        }
        (mine, found)
    }

    #[test]
    fn contexts_are_told_apart_and_forgotten_in_the_end() {
        let mut blocks = Blocks::new(4, true);
        let first = blocks.root(0, &[1, 2, 3]);
        assert_eq!(blocks.root(0, &[1, 2, 3]), first);
        let others = [
            blocks.root(0, &[1, 2]),
            blocks.root(1, &[1, 2, 3]),
            blocks.root(0, &[]),
        ];
        assert!(!others.contains(&first));
        for number in 0..CONTEXTS as u32 {
            blocks.root(0, &[9, number]);
        }
        assert_ne!(blocks.root(0, &[1, 2, 3]), first);
        assert_eq!(blocks.contexts.len(), CONTEXTS);
    }

    #[test]
    fn a_common_beginning_is_shared_and_no_more() {
        let mut blocks = Blocks::new(10, true);
        let (mut first, _) = read(&mut blocks, 0, &[1, 2, 3]);
        let (mut second, found) = read(&mut blocks, 0, &[1, 2, 4]);
        assert_eq!((found, &first[..2]), (2, &second[..2]));
        assert_ne!(first[2], second[2]);
        // The same tokens behind others, or with an adapter, are something else.
        assert_eq!(read(&mut blocks, 0, &[2, 3]).1, 0);
        assert_eq!(read(&mut blocks, 1, &[1]).1, 0);
        blocks.release_all(&mut first);
        blocks.release_all(&mut second);
        assert_eq!(read(&mut blocks, 0, &[1, 2, 3]).1, 3);
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_last_of_a_sequence_before_its_first() {
        let mut blocks = Blocks::new(4, true);
        let (mut old, _) = read(&mut blocks, 0, &[1, 2]);
        let (mut new, _) = read(&mut blocks, 0, &[7, 8]);
        blocks.release_all(&mut old);
        blocks.release_all(&mut new);
        assert_eq!(blocks.available(), 4);
        let (mut third, _) = read(&mut blocks, 0, &[30]);
        blocks.release_all(&mut third);
        let (mut again, found) = read(&mut blocks, 0, &[1]);
        assert_eq!(found, 1, "only the second block of the oldest is gone");
        blocks.release_all(&mut again);
        assert_eq!(read(&mut blocks, 0, &[7, 8]).1, 2);
    }

    #[test]
    fn a_block_whose_beginning_is_gone_is_never_found_by_a_new_one() {
        let mut blocks = Blocks::new(2, true);
        let (mut first, _) = read(&mut blocks, 0, &[1, 2]);
        blocks.release_all(&mut first);
        // 1 goes, and comes back in the same place; what stood behind the old one is not its.
        let taken: Vec<_> = (0..2).map(|_| blocks.take().unwrap()).collect();
        assert!(blocks.take().is_none());
        blocks.release_all(&mut taken.clone());
        let (_, found) = read(&mut blocks, 0, &[1, 2]);
        assert_eq!(found, 0);
    }

    #[test]
    fn what_two_fill_alike_is_kept_once() {
        let mut blocks = Blocks::new(4, true);
        let (a, b) = (blocks.take().unwrap(), blocks.take().unwrap());
        let root = blocks.root(0, &[]);
        let first = blocks.fill(a, root, &tokens(1));
        assert_eq!(blocks.fill(b, root, &tokens(1)), first);
        assert_eq!(blocks.available(), 3);
        blocks.release_all(&mut vec![a, a]);
        assert_eq!(blocks.available(), 4);
    }

    #[test]
    fn without_sharing_nothing_is_kept() {
        let mut blocks = Blocks::new(4, false);
        let (mut mine, _) = read(&mut blocks, 0, &[1, 2]);
        assert_eq!(read(&mut blocks, 0, &[1]).1, 0);
        blocks.release_all(&mut mine);
        assert_eq!(blocks.available(), 3);
    }
}
