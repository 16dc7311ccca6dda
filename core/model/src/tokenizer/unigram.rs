//! Sentencepiece's unigram tokenizer for models whose file is no GGUF.

use super::sentencepiece::{Algorithm, Normalizer, Piece, PieceKind, SentencePiece};

/// Cuts a text into the pieces whose scores have the largest sum.
#[derive(Debug)]
pub struct Unigram(SentencePiece);

impl Unigram {
    /// From pieces as (id, text with `▁` for a space, score); markers of a model's own are left out of them, so that
    /// no text turns into one. `unknown` stands for what no piece covers.
    ///
    /// # Errors
    /// If the pieces cannot be searched.
    pub fn new(pieces: impl IntoIterator<Item = (u32, String, f32)>, unknown: u32) -> Result<Self, String> {
        let pieces = pieces.into_iter().map(|(id, text, score)| Piece {
            id,
            text,
            score,
            kind: PieceKind::Normal,
        });
        let normalizer = Normalizer {
            space_before: true,
            ..Normalizer::default()
        };
        SentencePiece::new(Algorithm::Unigram, normalizer, pieces.collect(), Some(unknown)).map(Self)
    }

    /// The tokens of a text whose characters are normalized already; a space is put before it.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Unigram;

    #[test]
    fn the_best_sum_wins() {
        let pieces = [(1, "▁a", -2.0), (2, "b", -2.0), (3, "▁ab", -3.0), (4, "▁", -2.5)];
        let pieces = pieces.map(|(id, text, score)| (id, text.to_owned(), score));
        let unigram = Unigram::new(pieces, 0).unwrap();
        assert_eq!(unigram.encode("ab b头疼"), [3, 4, 2, 0]);
        assert_eq!(unigram.encode(""), [0_u32; 0]);
    }
}
