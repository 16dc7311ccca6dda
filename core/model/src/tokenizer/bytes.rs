//! What each token stands for, in bytes.

use super::{
    pieces::{Kind, Pieces},
    whitespace,
};

/// All tokens' bytes in one allocation.
pub(super) struct Spellings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Spellings {
    pub(super) fn new(pieces: &Pieces<'_>) -> Self {
        let mut spellings = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(pieces.texts.len()),
        };
        for (id, text) in (0..).zip(pieces.texts) {
            match pieces.kind {
                _ if pieces.is_marker(id) => spellings.bytes.extend(text.bytes()),
                // Their texts are written as they are.
                Kind::ByteLevel if pieces.is_added(id) => spellings.bytes.extend(text.bytes()),
                Kind::ByteLevel => text.chars().for_each(|it| match byte_of(it) {
                    Some(byte) => spellings.bytes.push(byte),
                    None => spellings.bytes.extend(it.encode_utf8(&mut [0; 4]).bytes()),
                }),
                Kind::SentencePiece(_) => {
                    let written = pieces.written_whitespace.then(|| whitespace::read(text));
                    match (byte_piece(text), written.flatten()) {
                        (Some(byte), _) => spellings.bytes.push(byte),
                        (None, Some(written)) => spellings.bytes.extend(written.bytes()),
                        (None, None) => spellings.bytes.extend(text.replace('▁', " ").bytes()),
                    }
                }
            }
            spellings.ends.push(spellings.bytes.len());
        }
        spellings
    }

    pub(super) fn get(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let start = token
            .checked_sub(1)
            .and_then(|it| self.ends.get(it))
            .copied()
            .unwrap_or(0);
        self.ends
            .get(token)
            .and_then(|end| self.bytes.get(start..*end))
            .unwrap_or_default()
    }
}

/// `<0x0A>` → 10.
pub(super) fn byte_piece(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() == 2 {
        u8::from_str_radix(hex, 16).ok()
    } else {
        None
    }
}

/// GPT-2 writes a byte as the character of its number where that can be seen, the other 68 bytes in their
/// order as U+0100 and on.
fn byte_of(character: char) -> Option<u8> {
    let number = u32::from(character);
    if is_visible(number) {
        return u8::try_from(number).ok();
    }
    let place = usize::try_from(number.checked_sub(0x100)?).ok()?;
    (0..=255).filter(|it| !is_visible(u32::from(*it))).nth(place)
}

fn is_visible(number: u32) -> bool {
    matches!(number, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// The inverse of [`byte_of`], for building vocabularies.
pub(crate) fn character_of(byte: u8) -> char {
    if is_visible(byte.into()) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|it| !is_visible(u32::from(*it))).count();
    u32::try_from(place)
        .ok()
        .and_then(|it| char::from_u32(0x100 + it))
        .unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::{byte_of, byte_piece, character_of};

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255 {
            assert_eq!(byte_of(character_of(byte)), Some(byte));
        }
        assert_eq!(
            (character_of(b' '), character_of(b'\n'), character_of(b'a')),
            ('Ġ', 'Ċ', 'a')
        );
        assert_eq!(byte_of('医'), None);
    }

    #[test]
    fn byte_pieces_are_read() {
        assert_eq!(byte_piece("<0x0A>"), Some(10));
        assert_eq!(byte_piece("<0xA>"), None);
        assert_eq!(byte_piece("<|a|>"), None);
    }
}
