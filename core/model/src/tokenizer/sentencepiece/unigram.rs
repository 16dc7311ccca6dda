//! The best sum of scores, by Viterbi; `unigram_model.cc`, `EncodeOptimized`.

use super::{PieceKind, Vocabulary, first_character};

/// What a character that no piece covers costs beyond the least score.
const UNKNOWN_PENALTY: f32 = 10.0;

/// The best way to a place in the text.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    score: f32,
    /// Where its last piece starts; none where no way leads.
    start: Option<usize>,
    piece: Option<usize>,
}

/// Pieces of the whole text in turn; those without a number are covered by none.
pub(super) fn spans<'a>(vocabulary: &Vocabulary, text: &'a str) -> Vec<(&'a str, Option<usize>)> {
    let unknown = vocabulary.least_score - UNKNOWN_PENALTY;
    let mut ways = vec![Way::default(); text.len() + 1];
    for (start, character) in text.char_indices() {
        let here = ways.get(start).map_or(0.0, |it| it.score);
        let mut arrive = |length: usize, score: f64, piece: Option<usize>| {
            let score = score + f64::from(here);
            if let Some(way) = ways.get_mut(start + length)
                && (way.start.is_none() || score > f64::from(way.score))
            {
                *way = Way {
                    score: score as f32,
                    start: Some(start),
                    piece,
                };
            }
        };
        let mut alone = false;
        let rest = text.get(start..).unwrap_or_default();
        for (place, piece) in vocabulary.beginnings(rest) {
            let length = piece.text.len();
            match piece.kind {
                PieceKind::Unused | PieceKind::Byte(_) => continue,
                // The C++ multiplies the length with a best score that starts at the least positive float.
                PieceKind::UserDefined => arrive(length, -0.1, Some(place)),
                PieceKind::Normal => arrive(length, f64::from(piece.score), Some(place)),
            }
            alone |= length == character.len_utf8();
        }
        if !alone {
            arrive(first_character(rest), f64::from(unknown), None);
        }
    }
    let mut spans = Vec::new();
    let mut end = text.len();
    while let Some(Way {
        start: Some(start),
        piece,
        ..
    }) = ways.get(end).copied()
    {
        spans.push((text.get(start..end).unwrap_or_default(), piece));
        end = start;
    }
    spans.reverse();
    spans
}
