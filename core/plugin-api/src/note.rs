//! The note in each plugin's library: for whom it was built, readable without running a byte of it.
//!
//! It lies in the section [`SECTION`]: magic (8 bytes), ABI major and minor (u16, little-endian), pointer
//! width in bits (u8), three zero bytes, target triple and compiler version (64 bytes each, zero-padded).

use crate::abi::{ABI_MAJOR, ABI_MINOR, MAGIC};

/// The section of the library that holds it.
pub const SECTION: &str = if cfg!(target_vendor = "apple") {
    "__bedside"
} else {
    ".bedside.plugin"
};
/// Its length in bytes.
pub const LENGTH: usize = 16 + 2 * TEXT;
const TEXT: usize = 64;

/// The note of whatever is compiled together with this crate.
pub const BYTES: [u8; LENGTH] = encode(env!("BEDSIDE_PLUGIN_TARGET"), env!("BEDSIDE_PLUGIN_RUSTC"));

/// A note, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub abi_major: u16,
    pub abi_minor: u16,
    /// In bits.
    pub pointer_width: u8,
    /// e.g. `x86_64-unknown-linux-gnu`.
    pub target: String,
    /// For people only; bytes do not depend on it.
    pub rustc: String,
}

impl Note {
    /// The note of this very build: what a bot can load.
    #[must_use]
    pub fn own() -> Self {
        Self::parse(&BYTES).expect("encode and parse agree")
    }

    /// Reads a note; `None` if it does not start with the magic or is too short.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let field = |from: usize, length: usize| bytes.get(from..from + length);
        if field(0, 8)? != MAGIC.to_le_bytes() {
            return None;
        }
        let number = |from| Some(u16::from_le_bytes(field(from, 2)?.try_into().ok()?));
        let text = |from| {
            let bytes = field(from, TEXT)?.split(|it| *it == 0).next()?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        Some(Self {
            abi_major: number(8)?,
            abi_minor: number(10)?,
            pointer_width: *bytes.get(12)?,
            target: text(16)?,
            rustc: text(16 + TEXT)?,
        })
    }
}

const fn encode(target: &str, rustc: &str) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    copy(&mut out, 0, &MAGIC.to_le_bytes());
    copy(&mut out, 8, &ABI_MAJOR.to_le_bytes());
    copy(&mut out, 10, &ABI_MINOR.to_le_bytes());
    out[12] = usize::BITS as u8;
    copy(&mut out, 16, target.as_bytes());
    copy(&mut out, 16 + TEXT, rustc.as_bytes());
    out
}

const fn copy(out: &mut [u8; LENGTH], at: usize, bytes: &[u8]) {
    let mut index = 0;
    while index < bytes.len() && index < TEXT {
        out[at + index] = bytes[index];
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Note};

    #[test]
    fn own_note_reads_back() {
        let note = Note::own();
        assert_eq!(
            (note.abi_major, note.abi_minor),
            (crate::abi::ABI_MAJOR, crate::abi::ABI_MINOR)
        );
        assert_eq!(u32::from(note.pointer_width), usize::BITS);
        assert!(note.target.contains(std::env::consts::ARCH), "{note:?}");
        assert!(note.rustc.starts_with("rustc "), "{note:?}");
    }

    #[test]
    fn damaged_notes_are_refused() {
        assert_eq!(Note::parse(b""), None);
        assert_eq!(Note::parse(&BYTES[..20]), None);
        let mut wrong = BYTES;
        wrong[0] ^= 1;
        assert_eq!(Note::parse(&wrong), None);
    }
}
