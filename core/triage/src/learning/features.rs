//! A text as a sparse vector: blocks of hashed n-grams.

use bedside_language::is_han;

/// Buckets of the hash, a power of two. Fewer buckets, more collisions: with 2^18 the area under the curve is
/// within 0.001 of that of exact n-grams.
pub(crate) const BUCKETS: usize = 1 << 18;

/// Longer texts are read in part: no message needs more.
const MOST_CHARACTERS: usize = 4000;

/// How much a bucket says: the inverse frequency of its n-grams in the training messages, zero where they were
/// met too seldom.
pub(crate) struct Vocabulary {
    /// In steps of [`Vocabulary::STEP`].
    pub(crate) rarity: Vec<u8>,
}

impl Vocabulary {
    pub(crate) const STEP: f32 = 1.0 / 24.0;

    /// ln((1 + n) / (1 + df)) + 1 for buckets that stand in `rarest` messages or more. `messages` are those of
    /// [`Block::distinct`] of each.
    pub(crate) fn counted(messages: impl Iterator<Item = Vec<u32>>, rarest: u32) -> Self {
        let mut counts = vec![0_u32; BUCKETS];
        let mut total = 1.0_f32;
        for buckets in messages {
            total += 1.0;
            for bucket in buckets {
                if let Some(count) = counts.get_mut(bucket as usize) {
                    *count += 1;
                }
            }
        }
        let rarity = counts.into_iter().map(|count| {
            if count < rarest {
                return 0;
            }
            let rarity = (total / (count as f32 + 1.0)).ln() + 1.0;
            (rarity / Self::STEP).round().clamp(0.0, 255.0) as u8
        });
        Self {
            rarity: rarity.collect(),
        }
    }

    pub(crate) fn knows(&self, bucket: u32) -> bool {
        self.weight(bucket) > 0.0
    }

    /// Without the buckets that `keeps` does not want.
    pub(crate) fn restricted(&self, keeps: impl Fn(u32) -> bool) -> Self {
        let rarity = self.rarity.iter().zip(0..);
        Self {
            rarity: rarity
                .map(|(it, bucket)| if keeps(bucket) { *it } else { 0 })
                .collect(),
        }
    }

    pub(crate) fn weight(&self, bucket: u32) -> f32 {
        self.rarity
            .get(bucket as usize)
            .map_or(0.0, |it| f32::from(*it) * Self::STEP)
    }
}

/// One way to take a text apart: its buckets, as often as they occur, and the length of their vector.
pub(crate) struct Block {
    pub(crate) buckets: Vec<u32>,
    pub(crate) weight: f32,
}

impl Block {
    /// Every bucket of a text, once: for counting in how many texts it stands.
    pub(crate) fn distinct(blocks: &[Self]) -> Vec<u32> {
        let mut all: Vec<u32> = blocks.iter().flat_map(|it| it.buckets.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Buckets with values, in the order of buckets.
pub(crate) struct Features {
    pub(crate) entries: Vec<(u32, f32)>,
}

impl Features {
    pub(crate) fn new(blocks: Vec<Block>, vocabulary: &Vocabulary) -> Self {
        let mut entries = Vec::new();
        for block in blocks {
            entries.extend(weighed(block.buckets, block.weight, vocabulary));
        }
        entries.sort_unstable_by_key(|(bucket, _)| *bucket);
        entries.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        Self { entries }
    }
}

/// 1 + ln(count), times rarity, as a vector of length `weight`.
fn weighed(mut block: Vec<u32>, weight: f32, vocabulary: &Vocabulary) -> Vec<(u32, f32)> {
    block.sort_unstable();
    let mut values: Vec<(u32, f32)> = block
        .chunk_by(|a, b| a == b)
        .filter_map(|same| {
            let bucket = *same.first()?;
            let value = (1.0 + (same.len() as f32).ln()) * vocabulary.weight(bucket);
            (value > 0.0).then_some((bucket, value))
        })
        .collect();
    let length = values.iter().map(|(_, it)| it * it).sum::<f32>().sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|(_, it)| *it *= weight / length);
    }
    values
}

/// All runs of one to `longest` characters.
pub(crate) fn characters(text: &str, longest: usize) -> Vec<u32> {
    let padded: Vec<char> = std::iter::once(' ')
        .chain(
            text.chars()
                .take(MOST_CHARACTERS)
                .map(|it| if it == '\n' { ' ' } else { it }),
        )
        .chain(std::iter::once(' '))
        .collect();
    let mut buckets = Vec::with_capacity(padded.len() * longest);
    let mut utf8 = [0; 4];
    for start in 0..padded.len() {
        let mut state = Fnv::new(CHARACTERS);
        for c in padded.iter().skip(start).take(longest) {
            state.take(c.encode_utf8(&mut utf8).as_bytes());
            buckets.push(state.bucket());
        }
    }
    buckets
}

/// One to `longest` words on end; a Chinese character is a word.
pub(crate) fn each_word_run(text: &str, longest: usize, mut take: impl FnMut(&[&str])) {
    let mut words: Vec<&str> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().take(MOST_CHARACTERS) {
        if c.is_ascii_alphanumeric() {
            start.get_or_insert(at);
            continue;
        }
        words.extend(start.take().and_then(|from| text.get(from..at)));
        if is_han(c) {
            words.extend(text.get(at..at + c.len_utf8()));
        }
    }
    words.extend(start.and_then(|from| text.get(from..)));
    for length in 1..=longest {
        words.windows(length).for_each(&mut take);
    }
}

const CHARACTERS: u8 = 1;

/// The bucket of one thing of a kind; kinds keep the same bytes of different blocks apart, 1 is taken.
pub(crate) fn hash(kind: u8, bytes: &[u8]) -> u32 {
    let mut state = Fnv::new(kind);
    state.take(bytes);
    state.bucket()
}

/// FNV-1a of 64 bits, folded: the same on every machine.
struct Fnv(u64);

impl Fnv {
    fn new(kind: u8) -> Self {
        let mut state = Self(0xcbf2_9ce4_8422_2325);
        state.take(&[kind]);
        state
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn bucket(&self) -> u32 {
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 32) as u32) & (BUCKETS as u32 - 1)
    }
}
