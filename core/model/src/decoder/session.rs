//! The keys and values of one chat.

use std::sync::Arc;

/// Tokens per block.
pub(super) const BLOCK: usize = 32;

/// What a decoder remembers of the tokens that it has read.
///
/// Keys and values lie in blocks that clones share until one of them writes, so that a clone is a cheap
/// snapshot and chats with a common beginning keep it in memory once.
#[derive(Debug, Clone)]
pub struct Session {
    layers: usize,
    /// Numbers of one token's keys (or values) in one layer.
    width: usize,
    blocks: Vec<Arc<Vec<f32>>>,
    len: usize,
}

impl Session {
    pub(super) fn new(layers: usize, width: usize) -> Self {
        Self {
            layers,
            width,
            blocks: Vec::new(),
            len: 0,
        }
    }

    /// Tokens read so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.blocks.truncate(self.len.div_ceil(BLOCK));
    }

    /// Address and bytes of each block, so that blocks that sessions share can be counted once.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        self.blocks
            .iter()
            .map(|it| (Arc::as_ptr(it) as usize, it.len() * size_of::<f32>()))
    }

    /// Makes room for more tokens that is this session's alone.
    pub(super) fn reserve(&mut self, tokens: usize) {
        let first = self.len / BLOCK;
        let needed = (self.len + tokens).div_ceil(BLOCK);
        let block_len = self.layers * 2 * BLOCK * self.width;
        for block in self.blocks.iter_mut().skip(first) {
            Arc::make_mut(block);
        }
        while self.blocks.len() < needed {
            self.blocks.push(Arc::new(vec![0.0; block_len]));
        }
    }

    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// Puts keys and values of the tokens from `start` on into reserved room.
    pub(super) fn write(&mut self, layer: usize, start: usize, keys: &[f32], values: &[f32]) {
        let width = self.width;
        let rows = keys.chunks_exact(width).zip(values.chunks_exact(width));
        for (position, (key, value)) in (start..).zip(rows) {
            let at = (layer * 2 * BLOCK + position % BLOCK) * width;
            if let Some(block) = self.blocks.get_mut(position / BLOCK).map(Arc::make_mut) {
                for (at, row) in [(at, key), (at + BLOCK * width, value)] {
                    if let Some(room) = block.get_mut(at..at + width) {
                        room.copy_from_slice(row);
                    }
                }
            }
        }
    }

    /// One layer's keys and values, block by block: tokens × width each, the last blocks partly unwritten.
    pub(super) fn layer(&self, layer: usize) -> impl Iterator<Item = (&[f32], &[f32])> {
        let rows = BLOCK * self.width;
        self.blocks.iter().map(move |block| {
            let start = layer * 2 * rows;
            let both = block.get(start..start + 2 * rows).unwrap_or_default();
            both.split_at_checked(rows).unwrap_or_default()
        })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Session};

    fn filled(session: &mut Session, values: &[f32]) {
        for value in values {
            session.reserve(1);
            let start = session.len();
            (0..2).for_each(|layer| session.write(layer, start, &[*value, 1.0], &[-*value, layer as f32]));
            session.advance(1);
        }
    }

    fn keys(session: &Session, layer: usize) -> Vec<f32> {
        let rows = session
            .layer(layer)
            .flat_map(|(keys, _)| keys.chunks(2).map(|it| it[0]));
        rows.take(session.len()).collect()
    }

    #[test]
    fn clones_share_until_they_write() {
        let numbers: Vec<f32> = (0..40).map(|it| it as f32).collect();
        let mut first = Session::new(2, 2);
        filled(&mut first, &numbers);
        let mut second = first.clone();
        second.truncate(35);
        filled(&mut second, &[100.0; 5]);
        assert_eq!(keys(&first, 1), numbers);
        let expect: Vec<f32> = numbers.iter().copied().take(35).chain([100.0; 5]).collect();
        assert_eq!(keys(&second, 0), expect);
        let shared = first
            .blocks()
            .filter(|it| second.blocks().any(|other| other == *it))
            .count();
        assert_eq!(
            shared, 1,
            "the whole first block of {BLOCK} tokens is shared, the other is not"
        );
    }

    #[test]
    fn truncating_frees_blocks() {
        let mut session = Session::new(2, 2);
        filled(&mut session, &[1.0; 70]);
        assert_eq!(session.blocks().count(), 3);
        session.truncate(32);
        assert_eq!((session.len(), session.blocks().count()), (32, 1));
        session.truncate(99);
        assert_eq!(session.len(), 32);
    }
}
