//! Prompts that were read before: a new one that begins alike starts from there.

use std::collections::HashSet;

use bedside_model::Session;

/// The latest sessions with their tokens. Sessions share memory where they began alike.
pub(crate) struct PrefixCache {
    entries: Vec<Entry>,
    max_entries: usize,
    max_bytes: usize,
}

struct Entry {
    tokens: Vec<u32>,
    session: Session,
}

impl PrefixCache {
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            entries: Vec::new(),
            max_entries,
            max_bytes,
        }
    }

    /// A session that has read as much of the prompt's beginning as is known, but never all of it: the last
    /// token must be read again for its logits.
    pub(crate) fn resume(&mut self, prompt: &[u32]) -> Option<Session> {
        let limit = prompt.len().saturating_sub(1);
        let known = |entry: &Entry| {
            entry
                .tokens
                .iter()
                .zip(prompt)
                .take(limit)
                .take_while(|(a, b)| a == b)
                .count()
        };
        let (best, length) = self
            .entries
            .iter()
            .map(known)
            .enumerate()
            .max_by_key(|(_, length)| *length)
            .filter(|it| it.1 > 0)?;
        // The latest used stands last.
        let entry = self.entries.remove(best);
        let mut session = entry.session.clone();
        self.entries.push(entry);
        session.truncate(length);
        Some(session)
    }

    /// Keeps a session that has read these tokens.
    pub(crate) fn keep(&mut self, mut tokens: Vec<u32>, session: Session) {
        tokens.truncate(session.len());
        if tokens.is_empty() {
            return;
        }
        self.entries.retain(|it| !tokens.starts_with(&it.tokens));
        self.entries.push(Entry { tokens, session });
        while self.entries.len() > self.max_entries
            || (!self.entries.is_empty() && self.bytes() > self.max_bytes)
        {
            self.entries.remove(0);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Memory of all sessions, shared parts counted once.
    fn bytes(&self) -> usize {
        let blocks: HashSet<(usize, usize)> =
            self.entries.iter().flat_map(|it| it.session.blocks()).collect();
        blocks.into_iter().map(|(_, bytes)| bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use bedside_model::{Decoder, GgufFile, decoder::Want, testing::TinyModel};

    use super::PrefixCache;

    fn decoder() -> Decoder {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        TinyModel::default().write(&path);
        Decoder::load(&GgufFile::open(&path).unwrap(), &mut |_| {}).unwrap()
    }

    fn read(cache: &mut PrefixCache, decoder: &Decoder, prompt: &[u32]) -> usize {
        let mut session = cache.resume(prompt).unwrap_or_else(|| decoder.session());
        let reused = session.len();
        decoder
            .forward(&mut session, &prompt[reused..], Want::Nothing)
            .unwrap();
        cache.keep(prompt.to_vec(), session);
        reused
    }

    #[test]
    fn the_longest_common_beginning_is_used() {
        let decoder = decoder();
        let mut cache = PrefixCache::new(8, usize::MAX);
        let check = |cache: &mut PrefixCache, prompt: &[u32], expect: usize| {
            assert_eq!(read(cache, &decoder, prompt), expect, "{prompt:?}");
        };
        check(&mut cache, &[5, 6, 7, 8], 0);
        check(&mut cache, &[5, 6, 9], 2);
        check(&mut cache, &[5, 6, 7, 8, 9], 4);
        check(&mut cache, &[5, 6, 7, 8, 9], 4);
        check(&mut cache, &[6], 0);
        check(&mut cache, &[5], 0);
    }

    #[test]
    fn what_goes_on_replaces_its_beginning() {
        let decoder = decoder();
        let mut cache = PrefixCache::new(8, usize::MAX);
        for length in 1..6 {
            read(&mut cache, &decoder, &[5, 6, 7, 8, 9, 10][..length]);
        }
        assert_eq!(cache.entries.len(), 1);
    }

    #[test]
    fn the_oldest_goes_when_entries_or_memory_run_out() {
        let decoder = decoder();
        let mut cache = PrefixCache::new(2, usize::MAX);
        for first in [5, 6, 7] {
            read(&mut cache, &decoder, &[first, 1, 1]);
        }
        assert_eq!(read(&mut cache, &decoder, &[5, 1, 1]), 0);
        assert_eq!(read(&mut cache, &decoder, &[7, 1, 1]), 2);
        let one = {
            let mut session = decoder.session();
            decoder.forward(&mut session, &[1], Want::Nothing).unwrap();
            session.blocks().map(|it| it.1).sum::<usize>()
        };
        let mut cache = PrefixCache::new(9, 2 * one);
        for first in [5, 6, 7] {
            read(&mut cache, &decoder, &[first, 1, 1]);
        }
        assert_eq!((cache.entries.len(), cache.bytes()), (2, 2 * one));
        let mut off = PrefixCache::new(0, usize::MAX);
        read(&mut off, &decoder, &[5, 6]);
        assert_eq!(read(&mut off, &decoder, &[5, 6]), 0);
    }
}
