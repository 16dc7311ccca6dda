//! Sentencepiece's own algorithms, token for token as its C++ gives them, from the lists of any file that has them.
//!
//! The library of Hugging Face cuts a text at other places where scores are equal, a normalizer meets letters of
//! several code points, or a piece is defined by a user; a model reads such prompts worse.

mod bpe;
mod normalizer;
mod unigram;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};

pub(crate) use normalizer::CharacterMap;
pub(super) use normalizer::{Normalizer, SPACE};

/// Which way a text is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// The pieces whose scores have the largest sum.
    Unigram,
    /// Neighbours that give the piece with the best score are joined first.
    Bpe,
}

/// Pieces that can stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal,
    /// Never cut and never joined.
    UserDefined,
    /// Not given out, but on the way to larger ones.
    Unused,
    /// `<0x41>`: a byte of what no piece covers.
    Byte(u8),
}

#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) id: u32,
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// The tokenizer of one vocabulary.
#[derive(Debug)]
pub(super) struct SentencePiece {
    algorithm: Algorithm,
    normalizer: Normalizer,
    vocabulary: Vocabulary,
    unknown: Option<u32>,
    bytes: Option<Box<[u32; 256]>>,
}

/// The pieces by their text.
#[derive(Debug)]
struct Vocabulary {
    /// In the order of their bytes, so that those with one beginning are neighbours.
    pieces: Vec<Piece>,
    user_defined: UserDefined,
    /// Of normal pieces.
    least_score: f32,
}

/// Finds the longest user-defined piece at the start of a text.
#[derive(Debug)]
struct UserDefined(Option<AhoCorasick>);

impl SentencePiece {
    /// `unknown` stands for what no piece covers, where the vocabulary has no bytes.
    ///
    /// # Errors
    /// If the pieces cannot be searched.
    pub(super) fn new(
        algorithm: Algorithm,
        normalizer: Normalizer,
        pieces: Vec<Piece>,
        unknown: Option<u32>,
    ) -> Result<Self, String> {
        let mut bytes = [None; 256];
        for piece in &pieces {
            if let PieceKind::Byte(byte) = piece.kind
                && let Some(place) = bytes.get_mut(usize::from(byte))
            {
                place.get_or_insert(piece.id);
            }
        }
        let all: Vec<u32> = bytes.into_iter().flatten().collect();
        Ok(Self {
            algorithm,
            normalizer,
            vocabulary: Vocabulary::new(pieces)?,
            unknown,
            bytes: <[u32; 256]>::try_from(all).ok().map(Box::new),
        })
    }

    pub(super) fn writes_space_first(&self) -> bool {
        self.normalizer.space_before
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let normalized = self.normalizer.normalize(text, &self.vocabulary.user_defined);
        let spans = match self.algorithm {
            Algorithm::Unigram => unigram::spans(&self.vocabulary, &normalized),
            Algorithm::Bpe => bpe::spans(&self.vocabulary, &normalized),
        };
        let mut tokens = Vec::with_capacity(spans.len());
        let mut after_unknown = false;
        for (span, piece) in spans {
            let known = piece.and_then(|it| self.vocabulary.pieces.get(it));
            match (known, &self.bytes, self.unknown) {
                (Some(piece), ..) => tokens.push(piece.id),
                (None, Some(bytes), _) => {
                    let bytes = span.bytes().filter_map(|it| bytes.get(usize::from(it)));
                    tokens.extend(bytes);
                }
                (None, None, Some(unknown)) if !after_unknown => tokens.push(unknown),
                (None, None, _) => {}
            }
            after_unknown = known.is_none();
        }
        tokens
    }
}

impl Vocabulary {
    fn new(pieces: Vec<Piece>) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = pieces
            .into_iter()
            .filter(|it| !matches!(it.kind, PieceKind::Byte(_)))
            .collect();
        pieces.sort_by(|a, b| a.text.cmp(&b.text).then(a.id.cmp(&b.id)));
        pieces.dedup_by(|later, first| later.text == first.text);
        let of_kind = |kind: PieceKind| pieces.iter().filter(move |it| it.kind == kind);
        let user_defined = UserDefined::new(of_kind(PieceKind::UserDefined).map(|it| it.text.as_str()))?;
        Ok(Self {
            least_score: of_kind(PieceKind::Normal)
                .map(|it| it.score)
                .fold(f32::MAX, f32::min),
            user_defined,
            pieces,
        })
    }

    fn get(&self, text: &str) -> Option<(usize, &Piece)> {
        let by_text = |it: &Piece| it.text.as_str().cmp(text);
        let place = self.pieces.binary_search_by(by_text).ok()?;
        self.pieces.get(place).map(|it| (place, it))
    }

    /// Every piece that `text` begins with, shortest first.
    fn beginnings(&self, text: &str) -> impl Iterator<Item = (usize, &Piece)> {
        let text = text.as_bytes();
        let mut range = 0..self.pieces.len();
        let mut length = 0;
        std::iter::from_fn(move || {
            loop {
                let byte = *text.get(length)?;
                let among = self.pieces.get(range.clone())?;
                let at = |it: &Piece| it.text.as_bytes().get(length).copied();
                let from = among.partition_point(|it| at(it).is_none_or(|it| it < byte));
                let to = among.partition_point(|it| at(it).is_none_or(|it| it <= byte));
                range = range.start + from..range.start + to;
                length += 1;
                let first = self.pieces.get(range.clone())?.first()?;
                if first.text.len() == length {
                    return Some((range.start, first));
                }
            }
        })
    }
}

impl UserDefined {
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let texts: Vec<&str> = texts.collect();
        if texts.is_empty() {
            return Ok(Self(None));
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Anchored)
            .build(texts);
        finder.map(|it| Self(Some(it))).map_err(|error| error.to_string())
    }

    /// Its length in bytes.
    fn longest_at_start(&self, text: &str) -> Option<usize> {
        let input = Input::new(text).anchored(Anchored::Yes);
        self.0.as_ref()?.find(input).map(|it| it.end())
    }
}

fn first_character(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Normalizer, Piece, PieceKind, SentencePiece};

    fn piece(id: u32, text: &str, score: f32, kind: PieceKind) -> Piece {
        let text = text.to_owned();
        Piece {
            id,
            text,
            score,
            kind,
        }
    }

    fn letters(algorithm: Algorithm, more: Vec<Piece>) -> SentencePiece {
        let mut pieces: Vec<Piece> = (1..)
            .zip(["▁", "a", "b"])
            .map(|(id, text)| piece(id, text, -5.0, PieceKind::Normal))
            .collect();
        pieces.extend(more);
        SentencePiece::new(algorithm, Normalizer::default(), pieces, Some(0)).unwrap()
    }

    #[test]
    fn equal_pairs_are_joined_from_the_left() {
        let tokenizer = letters(Algorithm::Bpe, vec![piece(9, "aa", -1.0, PieceKind::Normal)]);
        assert_eq!(tokenizer.encode("aaa"), [9, 2]);
    }

    #[test]
    fn what_no_piece_covers_is_one_unknown_or_its_bytes() {
        let tokenizer = letters(Algorithm::Unigram, vec![]);
        assert_eq!(tokenizer.encode("a头疼b"), [2, 0, 3]);
        let bytes = (0..=255).map(|it| piece(300 + u32::from(it), "", 0.0, PieceKind::Byte(it)));
        let tokenizer = letters(Algorithm::Unigram, bytes.collect());
        assert_eq!(tokenizer.encode("aé"), [2, 300 + 0xc3, 300 + 0xa9]);
    }

    #[test]
    fn user_defined_pieces_stand_alone() {
        for algorithm in [Algorithm::Unigram, Algorithm::Bpe] {
            let more = vec![
                piece(7, "ab", 0.0, PieceKind::UserDefined),
                piece(8, "bab", -0.1, PieceKind::Normal),
                piece(9, "ba", -0.1, PieceKind::Normal),
            ];
            assert_eq!(letters(algorithm, more).encode("abab"), [7, 7], "{algorithm:?}");
        }
    }

    #[test]
    fn unused_pieces_are_taken_apart_again() {
        let more = vec![
            piece(7, "ab", -0.1, PieceKind::Unused),
            piece(8, "abb", -0.2, PieceKind::Normal),
        ];
        let tokenizer = letters(Algorithm::Bpe, more);
        assert_eq!(tokenizer.encode("ababb"), [2, 3, 8]);
    }
}
