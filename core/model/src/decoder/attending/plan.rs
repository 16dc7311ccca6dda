//! Which thread looks at which chunk for whom: the same in every layer of a pass.

use std::ops::Range;

use super::{BLOCKS_OF_CHUNK, CHUNK, Description, SLOTS, Slice};

/// Tokens of one sequence whose queries go over the keys together, so that these are fetched once.
const TOKENS_OF_STRETCH: usize = 16;
/// Tokens up to which a slice is cut by chunks, so that all threads have work and slices that share a beginning
/// read it once.
const SHORT: usize = 8;
/// Queries that go over a chunk together while it stays in the first cache.
const QUERIES_OF_PIECE: usize = 24;

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(super) stretches: Vec<Stretch>,
    pub(super) pieces: Vec<Piece>,
    readers: Vec<Reader>,
    /// Of each row that belongs to a short slice.
    rows: Vec<Option<RowParts>>,
    parts: usize,
}

/// Some tokens of one long slice by the heads that share keys, over all that they see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) slice: usize,
    /// Of the pass.
    pub(super) first_row: usize,
    /// Of the sequence.
    pub(super) position: usize,
    pub(super) tokens: usize,
    pub(super) head: usize,
}

/// One chunk, which tokens of one or more short slices look at, by the heads that share keys.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    readers: Range<usize>,
    pub(super) place: Place,
    pub(super) head: usize,
}

/// Where a chunk lies, counted in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// In the adapter's prefix.
    Prefix { first: usize },
    /// Among what the sequence read; `end` is the end of all it reads in this pass.
    Own { first: usize, end: usize },
}

/// One token that looks at a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) slice: usize,
    /// Of the pass.
    pub(super) row: usize,
    /// Of the sequence.
    pub(super) position: usize,
    parts: RowParts,
    /// Among the chunks that it looks at.
    chunk: usize,
}

/// Where the parts of a row's heads are kept: head by head, chunk by chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowParts {
    pub(super) first: usize,
    pub(super) chunks: usize,
}

/// A slice that is cut by chunks.
struct Short {
    slice: usize,
    first_row: usize,
    prefix_chunks: usize,
}

impl Plan {
    pub(in super::super) fn make(&mut self, description: &Description, batch: &[Slice<'_>]) {
        self.stretches.clear();
        self.pieces.clear();
        self.readers.clear();
        self.rows.clear();
        self.parts = 0;
        let mut short = Vec::new();
        for (number, slice) in batch.iter().enumerate() {
            let first_row = self.rows.len();
            if slice.tokens.len() > SHORT {
                self.stretch(description, number, slice, first_row);
                self.rows.resize(first_row + slice.tokens.len(), None);
                continue;
            }
            let prefix_chunks = prefix_tokens(slice).div_ceil(CHUNK);
            let chunks = prefix_chunks + end_of(slice).div_ceil(CHUNK);
            for _ in slice.tokens {
                self.rows.push(Some(RowParts {
                    first: self.parts,
                    chunks,
                }));
                self.parts += description.heads * chunks;
            }
            short.push(Short {
                slice: number,
                first_row,
                prefix_chunks,
            });
        }
        for prefix in [true, false] {
            let length = |it: &Short| {
                let slice = batch.get(it.slice);
                slice.map_or(0, |it| if prefix { prefix_tokens(it) } else { end_of(it) })
            };
            let longest = short.iter().map(length).max().unwrap_or_default();
            for first in (0..longest).step_by(CHUNK) {
                let those = short.iter().filter(|it| first < length(it));
                self.cut(description, batch, those.collect(), prefix, first);
            }
        }
        // The largest first, so that none is left at the end.
        self.pieces.sort_by_key(|it| std::cmp::Reverse(it.readers.len()));
    }

    fn stretch(&mut self, description: &Description, number: usize, slice: &Slice<'_>, first_row: usize) {
        for first in (0..slice.tokens.len()).step_by(TOKENS_OF_STRETCH) {
            for head in 0..description.kv_heads {
                self.stretches.push(Stretch {
                    slice: number,
                    first_row: first_row + first,
                    position: slice.start + first,
                    tokens: TOKENS_OF_STRETCH.min(slice.tokens.len() - first),
                    head,
                });
            }
        }
    }

    /// Pieces for the chunk at `first` of these slices; where it is the same for several, they share them.
    fn cut(
        &mut self,
        description: &Description,
        batch: &[Slice<'_>],
        mut left: Vec<&Short>,
        prefix: bool,
        first: usize,
    ) {
        let group = description.heads / description.kv_heads;
        let together = (QUERIES_OF_PIECE / group).max(1);
        while let Some(slice) = left.first().and_then(|it| batch.get(it.slice)) {
            let place = if prefix {
                Place::Prefix { first }
            } else {
                let end = end_of(slice);
                Place::Own { first, end }
            };
            let (same, others): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|it| batch.get(it.slice).is_some_and(|it| place.is_same(slice, it)));
            left = others;
            let start = self.readers.len();
            for short in same {
                let Some(slice) = batch.get(short.slice) else {
                    continue;
                };
                let before = if prefix { 0 } else { short.prefix_chunks };
                let rows = self.rows.iter().enumerate().skip(short.first_row);
                for ((row, parts), position) in rows.zip(slice.start..end_of(slice)) {
                    self.readers.extend(parts.map(|parts| Reader {
                        slice: short.slice,
                        row,
                        position,
                        parts,
                        chunk: before + first / CHUNK,
                    }));
                }
            }
            for head in 0..description.kv_heads {
                let pieces = (start..self.readers.len()).step_by(together).map(|it| Piece {
                    readers: it..self.readers.len().min(it + together),
                    place,
                    head,
                });
                self.pieces.extend(pieces);
            }
        }
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    pub(super) fn parts_of(&self, row: usize) -> Option<RowParts> {
        self.rows.get(row).copied().flatten()
    }

    pub(super) fn readers_of(&self, piece: &Piece) -> &[Reader] {
        self.readers.get(piece.readers.clone()).unwrap_or_default()
    }
}

impl Reader {
    /// The number of the part that a head takes from the chunk.
    pub(super) fn part(&self, head: usize) -> usize {
        self.parts.first + head * self.parts.chunks + self.chunk
    }
}

impl Place {
    /// The blocks of a chunk among what the sequence read.
    pub(super) fn blocks_of<'s>(self, slice: &'s Slice<'_>) -> &'s [u32] {
        let Self::Own { first, end } = self else {
            return &[];
        };
        let first = first / SLOTS;
        slice
            .blocks
            .get(first..end.div_ceil(SLOTS).min(first + BLOCKS_OF_CHUNK))
            .unwrap_or_default()
    }

    /// Whether the chunk that is here for one slice is the very same for another.
    fn is_same(self, slice: &Slice<'_>, other: &Slice<'_>) -> bool {
        match self {
            Self::Prefix { .. } => match (slice.adapter, other.adapter) {
                (Some(adapter), Some(other)) => std::ptr::eq(adapter, other),
                _ => false,
            },
            Self::Own { first, .. } => {
                let of_other = Self::Own {
                    first,
                    end: end_of(other),
                };
                self.blocks_of(slice) == of_other.blocks_of(other)
            }
        }
    }
}

fn end_of(slice: &Slice<'_>) -> usize {
    slice.start + slice.tokens.len()
}

fn prefix_tokens(slice: &Slice<'_>) -> usize {
    slice
        .adapter
        .and_then(|it| it.prefix.as_ref())
        .map_or(0, |it| it.tokens)
}
