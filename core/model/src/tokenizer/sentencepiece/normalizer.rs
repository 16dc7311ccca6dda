//! Other spellings of one text become one; `normalizer.cc`.

use super::{UserDefined, first_character};

/// Sentencepiece's way to write a space.
pub(in crate::tokenizer) const SPACE: &str = "▁";

#[derive(Debug, Default)]
pub(crate) struct Normalizer {
    pub(crate) map: Option<CharacterMap>,
    /// A space before the first word, so that it is cut like the same word within the text.
    pub(crate) space_before: bool,
    /// One space for several, none at the ends.
    pub(crate) drop_extra_spaces: bool,
}

/// What is written instead of some stretches of characters: NFKC with exceptions, as a double array by the bytes of
/// the stretch (darts-clone) and the new texts behind it.
#[derive(Debug)]
pub(crate) struct CharacterMap {
    units: Vec<u32>,
    texts: Vec<u8>,
}

impl Normalizer {
    pub(super) fn normalize(&self, text: &str, user_defined: &UserDefined) -> String {
        let mut rest = text;
        while self.drop_extra_spaces && !rest.is_empty() {
            let (written, length) = self.first(rest, user_defined);
            if written != " " {
                break;
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        let mut normalized = String::with_capacity(text.len() + 3);
        if rest.is_empty() {
            return normalized;
        }
        if self.space_before {
            normalized.push_str(SPACE);
        }
        let mut after_space = self.drop_extra_spaces;
        while !rest.is_empty() {
            let (mut written, length) = self.first(rest, user_defined);
            if after_space {
                written = written.trim_start_matches(' ');
            }
            if !written.is_empty() {
                normalized.push_str(&written.replace(' ', SPACE));
                after_space = written.ends_with(' ');
            }
            after_space &= self.drop_extra_spaces;
            rest = rest.get(length..).unwrap_or_default();
        }
        if self.drop_extra_spaces {
            normalized.truncate(normalized.trim_end_matches(SPACE).len());
        }
        normalized
    }

    /// What is written for the first stretch of a text, and how many bytes that is.
    fn first<'a>(&'a self, text: &'a str, user_defined: &UserDefined) -> (&'a str, usize) {
        let same = |length: usize| (text.get(..length).unwrap_or_default(), length);
        if let Some(length) = user_defined.longest_at_start(text) {
            return same(length);
        }
        let mapped = self.map.as_ref().and_then(|it| it.longest_at_start(text));
        mapped.unwrap_or_else(|| same(first_character(text)))
    }
}

impl CharacterMap {
    /// Reads `precompiled_charsmap`: the bytes that the array takes, the array, the texts.
    ///
    /// # Errors
    /// If the array does not fit or a text is no UTF-8.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let (length, rest) = bytes
            .split_first_chunk()
            .ok_or("the map of characters has no length")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (units, texts) = rest
            .split_at_checked(length)
            .filter(|(units, _)| units.len() % 4 == 0)
            .ok_or_else(|| format!("the map of characters has {} bytes, not {length}", rest.len()))?;
        std::str::from_utf8(texts).map_err(|error| format!("the map of characters: {error}"))?;
        let units = units.chunks_exact(4);
        let units = units.filter_map(|it| it.try_into().ok().map(u32::from_le_bytes));
        Ok(Self {
            units: units.collect(),
            texts: texts.to_vec(),
        })
    }

    /// The text for the longest stretch at the start that has one, and the length of that stretch.
    fn longest_at_start(&self, text: &str) -> Option<(&str, usize)> {
        let mut found = None;
        let mut place = offset(*self.units.first()?);
        for (length, byte) in (1..).zip(text.bytes()) {
            place ^= usize::from(byte);
            let Some(unit) = self.units.get(place) else {
                break;
            };
            if unit & 0x8000_00ff != u32::from(byte) {
                break;
            }
            place ^= offset(*unit);
            if unit >> 8 & 1 == 1 {
                found = self.units.get(place).map(|it| (*it & 0x7fff_ffff, length));
            }
        }
        let (start, length) = found?;
        let written = self.texts.get(start as usize..)?;
        let written = written.split(|it| *it == 0).next()?;
        // A stretch ends between characters, unless the map is broken.
        text.is_char_boundary(length)
            .then_some((std::str::from_utf8(written).ok()?, length))
    }
}

/// Where the children of a unit are, relative to it.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{CharacterMap, Normalizer, UserDefined};

    #[test]
    fn spaces_are_dropped_where_a_model_wants_it() {
        let normalizer = Normalizer {
            map: None,
            space_before: true,
            drop_extra_spaces: true,
        };
        let none = UserDefined::new(std::iter::empty()).unwrap();
        assert_eq!(normalizer.normalize("  a  b ", &none), "▁a▁b");
        assert_eq!(normalizer.normalize("   ", &none), "");
        let normalizer = Normalizer {
            drop_extra_spaces: false,
            ..normalizer
        };
        assert_eq!(normalizer.normalize(" a  b ", &none), "▁▁a▁▁b▁");
    }

    proptest! {
        #[test]
        fn a_broken_map_is_an_error_or_harmless(bytes: Vec<u8>, units in proptest::collection::vec(any::<u32>(), 0..64), text: String) {
            let mut built = u32::try_from(units.len() * 4).unwrap().to_le_bytes().to_vec();
            built.extend(units.iter().flat_map(|it| it.to_le_bytes()));
            built.extend("ab\0头\0".bytes());
            let none = UserDefined::new(std::iter::empty()).unwrap();
            for bytes in [bytes, built] {
                if let Ok(map) = CharacterMap::read(&bytes) {
                    Normalizer { map: Some(map), ..Normalizer::default() }.normalize(&text, &none);
                }
            }
        }
    }
}
