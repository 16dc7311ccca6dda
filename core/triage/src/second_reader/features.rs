//! A text as a sparse vector: hashed n-grams of characters and of words, and words for what the rules found.

use bedside_language::is_han;

/// Buckets of the hash, a power of two. Fewer buckets, more collisions: with 2^18 the area under the curve is
/// within 0.001 of that of exact n-grams.
pub(super) const BUCKETS: usize = 1 << 18;

/// The longest n-grams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) characters: usize,
    pub(super) words: usize,
}

pub(super) const OF_URGENCY: Reach = Reach {
    characters: 5,
    words: 3,
};
/// A department is known by its words, an urgency by how they are put together.
pub(super) const OF_DEPARTMENTS: Reach = Reach {
    characters: 3,
    words: 2,
};
/// Longer texts are read in part: no message needs more.
const MOST_CHARACTERS: usize = 4000;

/// How much a bucket says: the inverse frequency of its n-grams in the training messages, zero where they were
/// met too seldom.
pub(super) struct Vocabulary {
    /// In steps of [`Vocabulary::STEP`].
    pub(super) rarity: Vec<u8>,
    pub(super) reach: Reach,
}

impl Vocabulary {
    pub(super) const STEP: f32 = 1.0 / 24.0;

    /// ln((1 + n) / (1 + df)) + 1 for buckets that stand in `rarest` messages or more. `messages` are those of
    /// [`buckets`] of each.
    pub(super) fn counted(messages: impl Iterator<Item = Vec<u32>>, rarest: u32, reach: Reach) -> Self {
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
            reach,
        }
    }

    pub(super) fn knows(&self, bucket: u32) -> bool {
        self.weight(bucket) > 0.0
    }

    fn weight(&self, bucket: u32) -> f32 {
        self.rarity
            .get(bucket as usize)
            .map_or(0.0, |it| f32::from(*it) * Self::STEP)
    }
}

/// Buckets with values, in the order of buckets.
pub(super) struct Features {
    pub(super) entries: Vec<(u32, f32)>,
}

impl Features {
    pub(super) fn new(text: &str, evidence: &[String], vocabulary: &Vocabulary) -> Self {
        let mut entries = Vec::new();
        let weight_of_evidence = 0.5;
        for (block, weight) in [
            (characters(text, vocabulary.reach.characters), 1.0),
            (words(text, vocabulary.reach.words), 1.0),
            (found(evidence), weight_of_evidence),
        ] {
            entries.extend(weighed(block, weight, vocabulary));
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

/// Every bucket of a text, once: for counting in how many messages it stands.
pub(super) fn buckets(text: &str, evidence: &[String], reach: Reach) -> Vec<u32> {
    let mut all: Vec<u32> = [
        characters(text, reach.characters),
        words(text, reach.words),
        found(evidence),
    ]
    .concat();
    all.sort_unstable();
    all.dedup();
    all
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

/// The n-grams that stand for a bucket, for explanations.
pub(super) fn spelled_out(text: &str) -> Vec<(u32, String)> {
    let mut spelled = Vec::new();
    each_word_run(text, OF_URGENCY.words, |words| {
        spelled.push((hash(WORDS, words.join(" ").as_bytes()), words.join(" ")))
    });
    spelled
}

fn characters(text: &str, longest: usize) -> Vec<u32> {
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

fn words(text: &str, longest: usize) -> Vec<u32> {
    let mut buckets = Vec::new();
    each_word_run(text, longest, |words| {
        buckets.push(hash(WORDS, words.join(" ").as_bytes()))
    });
    buckets
}

fn found(evidence: &[String]) -> Vec<u32> {
    evidence.iter().map(|it| hash(FOUND, it.as_bytes())).collect()
}

/// One to three words on end; a Chinese character is a word.
fn each_word_run(text: &str, longest: usize, mut take: impl FnMut(&[&str])) {
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
const WORDS: u8 = 2;
const FOUND: u8 = 3;

fn hash(kind: u8, bytes: &[u8]) -> u32 {
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
