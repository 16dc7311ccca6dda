//! Which sequence uses which block of the key-value cache, and what finished sequences left in the others.
//!
//! A whole block is known by the block before it, its tokens, the adapter and who may find it: sequences that begin
//! alike share the blocks of their common instruction, and one that comes back finds its own. Keys are compared in
//! full, never by a hash alone, so that no patient is ever answered from another's words. Nor does a prompt's time tell
//! what others asked: patients, programs and plugins share nothing, and patients only the instruction.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bedside_contract::{ConversationKey, Priority};
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

/// What a sequence begins with.
type Context = (Root, Vec<u32>);

/// The beginning of all sequences of one adapter, 0 being the base model, that one kind of asker sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) adapter: u32,
    pub(crate) audience: Audience,
    /// Where all of it is one conversation's own.
    pub(crate) owner: Option<ConversationKey>,
}

/// Those among whom blocks are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Plugins,
    Programs,
    People,
}

impl From<Priority> for Audience {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Background => Self::Plugins,
            Priority::Program => Self::Programs,
            Priority::Patient | Priority::Staff => Self::People,
        }
    }
}

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

/// What a whole block is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) before: Link,
    /// The conversation that alone may find it, and with it all behind it.
    pub(crate) owner: Option<ConversationKey>,
    pub(crate) tokens: [u32; BLOCK_TOKENS],
}

/// Links below are roots of adapters and audiences.
const FIRST_LINK: u64 = 1 << 40;
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

    /// Where sequences of a root begin; those with the same context where the model sees that in both directions.
    pub(crate) fn root(&mut self, root: Root, context: &[u32]) -> Link {
        if context.is_empty() && root.owner.is_none() {
            return Link(u64::from(root.adapter) << 2 | root.audience as u64);
        }
        let known = self
            .contexts
            .iter()
            .find(|((of, tokens), _)| *of == root && tokens == context);
        if let Some((_, link)) = known {
            return *link;
        }
        self.clock += 1;
        let link = Link(self.clock);
        self.contexts.truncate(CONTEXTS - 1);
        self.contexts.push_front(((root, context.to_vec()), link));
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

    /// The block that is known by this key, if there is one; it is in use then.
    pub(crate) fn find(&mut self, key: &Key) -> Option<(Block, Link)> {
        let block = *self.known.get(key)?;
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
    pub(crate) fn fill(&mut self, block: Block, key: Key) -> (Block, Link) {
        if let Some(found) = self.find(&key) {
            self.release(block);
            return found;
        }
        self.clock += 1;
        let link = Link(self.clock);
        if self.sharing {
            self.known.insert(key.clone(), block);
            self.entry(block).known = Some(Known {
                key,
                link,
                last_used: 0,
            });
        }
        (block, link)
    }

    /// Nobody finds any more what is a conversation's own.
    pub(crate) fn forget(&mut self, conversation: &ConversationKey) {
        self.contexts
            .retain(|((root, _), _)| root.owner.as_ref() != Some(conversation));
        let own = self
            .known
            .keys()
            .filter(|it| it.owner.as_ref() == Some(conversation));
        let mut gone: Vec<Key> = own.cloned().collect();
        while let Some(key) = gone.pop() {
            let Some(block) = self.known.remove(&key) else {
                continue;
            };
            let entry = self.entry(block);
            let users = entry.users;
            let Some(known) = entry.known.take() else { continue };
            if users == 0 {
                self.idle.remove(&(known.last_used, block));
                self.free.push(block);
            }
            gone.extend(self.known.keys().filter(|it| it.before == known.link).cloned());
        }
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
    use bedside_contract::ConversationKey;

    use super::{Audience, BLOCK_TOKENS, Block, Blocks, CONTEXTS, Key, Link, Root};

    fn of(adapter: u32) -> Root {
        Root {
            adapter,
            audience: Audience::People,
            owner: None,
        }
    }

    fn key(before: Link, first: u32) -> Key {
        Key {
            before,
            owner: None,
            tokens: tokens(first),
        }
    }

    fn tokens(first: u32) -> [u32; BLOCK_TOKENS] {
        std::array::from_fn(|it| first + it as u32)
    }

    /// Reads so many blocks as a sequence would: what is known is used, the rest filled.
    fn read(blocks: &mut Blocks, adapter: u32, contents: &[u32]) -> (Vec<Block>, usize) {
        let (mut link, mut mine, mut found) = (blocks.root(of(adapter), &[]), Vec::new(), 0);
        for first in contents {
            let (block, next) = match blocks.find(&key(link, *first)) {
                Some(known) => {
                    found += 1;
                    known
                }
                None => {
                    let block = blocks.take().unwrap();
                    blocks.fill(block, key(link, *first))
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
        let first = blocks.root(of(0), &[1, 2, 3]);
        assert_eq!(blocks.root(of(0), &[1, 2, 3]), first);
        let others = [
            blocks.root(of(0), &[1, 2]),
            blocks.root(of(1), &[1, 2, 3]),
            blocks.root(of(0), &[]),
        ];
        assert!(!others.contains(&first));
        for number in 0..CONTEXTS as u32 {
            blocks.root(of(0), &[9, number]);
        }
        assert_ne!(blocks.root(of(0), &[1, 2, 3]), first);
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
        let root = blocks.root(of(0), &[]);
        let first = blocks.fill(a, key(root, 1));
        assert_eq!(blocks.fill(b, key(root, 1)), first);
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

    #[test]
    fn what_is_ones_own_is_found_by_nobody_else_and_forgotten_whole() {
        let mut blocks = Blocks::new(6, true);
        let [mine, other] = ["a", "b"].map(|it| ConversationKey::new("web", "web", it));
        let root = blocks.root(of(0), &[]);
        let own = |owner: &ConversationKey, before| Key {
            owner: Some(owner.clone()),
            ..key(before, 2)
        };
        let mut used: Vec<Block> = (0..3).map(|_| blocks.take().unwrap()).collect();
        let (_, common) = blocks.fill(used[0], key(root, 1));
        let (_, link) = blocks.fill(used[1], own(&mine, common));
        blocks.fill(used[2], key(link, 3));
        assert_eq!(blocks.find(&own(&other, common)), None);
        assert_eq!(blocks.find(&key(common, 2)), None);
        let found = [blocks.find(&own(&mine, common)), blocks.find(&key(link, 3))];
        let mut again: Vec<Block> = found.into_iter().map(|it| it.unwrap().0).collect();
        blocks.release_all(&mut again);
        blocks.forget(&other);
        let (again, _) = blocks.find(&own(&mine, common)).unwrap();
        blocks.release_all(&mut vec![again]);
        blocks.forget(&mine);
        assert_eq!(blocks.find(&own(&mine, common)), None);
        assert_eq!(blocks.find(&key(link, 3)), None);
        blocks.release_all(&mut used);
        assert_eq!(blocks.available(), 6);
        assert!(
            blocks.find(&key(root, 1)).is_some(),
            "what all have in common stays"
        );
    }

    #[test]
    fn audiences_share_nothing() {
        let mut blocks = Blocks::new(4, true);
        let roots: Vec<Link> = [0, 1]
            .into_iter()
            .flat_map(|adapter| {
                [Audience::Plugins, Audience::Programs, Audience::People].map(|audience| Root {
                    audience,
                    ..of(adapter)
                })
            })
            .map(|it| blocks.root(it, &[]))
            .collect();
        for (number, root) in roots.iter().enumerate() {
            assert!(!roots[..number].contains(root));
        }
    }
}
