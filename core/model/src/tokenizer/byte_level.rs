//! Byte-level pairs, and the tokens that were added to them.

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::NormalizedString;

use super::{pieces::Pieces, pretokenize::Rules};

/// Cuts a text into words and joins their bytes. Tokens that users have added stand in the text as they are: no pairs
/// lead to them.
pub(super) struct ByteLevel {
    pairs: Box<tokenizers::Tokenizer>,
    added: Option<Added>,
    /// Unicode NFC first.
    compose: bool,
}

struct Added {
    finder: AhoCorasick,
    ids: Vec<u32>,
}

impl ByteLevel {
    /// # Errors
    /// If the vocabulary contradicts itself.
    pub(super) fn new(pieces: &Pieces<'_>, rules: Rules) -> Result<Self, String> {
        let (ids, texts): (Vec<u32>, Vec<&str>) = pieces.added().unzip();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            pairs: Box::new(pieces.byte_level(rules)?),
            added: (!ids.is_empty()).then_some(Added { finder, ids }),
            compose: rules.compose,
        })
    }

    /// # Errors
    /// If the library fails.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<u32>) -> Result<(), String> {
        let composed = self.compose.then(|| {
            let mut text = NormalizedString::from(text);
            text.nfc();
            text.get().to_owned()
        });
        let text = composed.as_deref().unwrap_or(text);
        let Some(added) = &self.added else {
            return self.encode_words(text, tokens);
        };
        let mut done = 0;
        for found in added.finder.find_iter(text) {
            self.encode_words(text.get(done..found.start()).unwrap_or_default(), tokens)?;
            tokens.extend(added.ids.get(found.pattern().as_usize()));
            done = found.end();
        }
        self.encode_words(text.get(done..).unwrap_or_default(), tokens)
    }

    fn encode_words(&self, text: &str, tokens: &mut Vec<u32>) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let encoding = self.pairs.encode_fast(text, false);
        let encoding = encoding.map_err(|error| error.to_string())?;
        tokens.extend(encoding.get_ids());
        Ok(())
    }
}
