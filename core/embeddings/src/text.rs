//! A text's tokens: prefix, characters in one spelling, XLM-RoBERTa's pieces.

use bedside_contract::EmbeddingPurpose;
use bedside_model::tokenizer::Unigram;

use crate::{
    MAX_WINDOWS,
    file::{Fault, Vocabulary},
};

/// Characters of a text that are looked at: more than the windows hold even of the longest words.
const MAX_CHARACTERS: usize = MAX_WINDOWS * 512 * 16;

pub(crate) struct TextReader {
    characters: Vec<(char, String)>,
    pieces: Unigram,
    start: u32,
    end: u32,
}

impl TextReader {
    pub(crate) fn new(vocabulary: Vocabulary) -> Result<Self, Fault> {
        let Vocabulary {
            pieces,
            start,
            end,
            unknown,
            characters,
            at,
        } = vocabulary;
        Ok(Self {
            characters,
            pieces: Unigram::new(pieces, unknown).map_err(|problem| Fault { at, problem })?,
            start,
            end,
        })
    }

    /// Without the two ends. None is a marker, whatever the text says.
    pub(crate) fn tokens(&self, text: &str, purpose: EmbeddingPurpose) -> Vec<u32> {
        let prefix = match purpose {
            EmbeddingPurpose::Query => "query: ",
            EmbeddingPurpose::Passage => "passage: ",
        };
        let characters = prefix.chars().chain(text.chars().take(MAX_CHARACTERS));
        self.pieces.encode(&self.normalized(characters))
    }

    pub(crate) fn with_ends(&self, tokens: &[u32]) -> Vec<u32> {
        let ends = (std::iter::once(self.start), std::iter::once(self.end));
        ends.0.chain(tokens.iter().copied()).chain(ends.1).collect()
    }

    /// Each character as the table has it, then one space for several.
    fn normalized(&self, text: impl Iterator<Item = char>) -> String {
        let mut normalized = String::new();
        let mut write = |character: char| {
            if character != ' ' || !normalized.ends_with(' ') {
                normalized.push(character);
            }
        };
        for character in text {
            match self.characters.binary_search_by_key(&character, |(it, _)| *it) {
                Ok(place) => self
                    .characters
                    .get(place)
                    .into_iter()
                    .flat_map(|(_, written)| written.chars())
                    .for_each(&mut write),
                Err(_) => write(character),
            }
        }
        normalized
    }
}
