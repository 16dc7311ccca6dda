//! WeChat's message encryption: AES-256-CBC, PKCS#7 to 32 bytes, the appid inside. Pure, no I/O.

use std::fmt;

use aes::{
    Aes256,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// A key of the console, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct AesKey([u8; 32]);

/// Why a text is no key. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("has {0} characters instead of 43")]
    Length(usize),
    #[error("has characters other than letters, digits, + and /")]
    Alphabet,
}

/// Why a message could not be opened. All cases look alike from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("not base64")]
    Base64,
    #[error("not whole blocks")]
    Blocks,
    #[error("the padding is wrong: another EncodingAESKey")]
    Padding,
    #[error("the length inside is wrong")]
    Length,
    #[error("meant for another appid")]
    Appid,
    #[error("not UTF-8")]
    Utf8,
}

const PAD_TO: usize = 32;
const RANDOM: usize = 16;
const HEADER: usize = RANDOM + 4;

/// 43 characters leave two bits over, which the console sets as it likes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl AesKey {
    /// Reads an EncodingAESKey of 43 characters.
    ///
    /// # Errors
    /// [`KeyError`], which does not repeat the key.
    pub fn parse(encoding_aes_key: &str) -> Result<Self, KeyError> {
        let length = encoding_aes_key.chars().count();
        if length != 43 {
            return Err(KeyError::Length(length));
        }
        BASE64
            .decode(encoding_aes_key)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(KeyError::Alphabet)
    }

    fn iv(&self) -> &[u8] {
        self.0.split_at(16).0
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKey(hidden)")
    }
}

/// Decrypts the base64 of an `Encrypt` field and checks padding, length and appid.
///
/// Check its signature first: without it the differences between errors could be used to decrypt.
///
/// # Errors
/// [`OpenError`]; show the caller of the callback none of it.
pub fn open(key: &AesKey, appid: &str, encrypted: &str) -> Result<String, OpenError> {
    let compact: String;
    let encrypted = if encrypted.contains(|it: char| it.is_ascii_whitespace()) {
        compact = encrypted.split_ascii_whitespace().collect();
        &compact
    } else {
        encrypted
    };
    let cipher_text = BASE64.decode(encrypted).map_err(|_| OpenError::Base64)?;
    if cipher_text.is_empty() || cipher_text.len() % 16 != 0 {
        return Err(OpenError::Blocks);
    }
    let decryptor =
        cbc::Decryptor::<Aes256>::new_from_slices(&key.0, key.iv()).map_err(|_| OpenError::Blocks)?;
    let plain = decryptor
        .decrypt_padded_vec::<NoPadding>(&cipher_text)
        .map_err(|_| OpenError::Blocks)?;
    let content = without_padding(&plain)?;
    let (header, rest) = content.split_at_checked(HEADER).ok_or(OpenError::Length)?;
    let length = header
        .last_chunk::<4>()
        .map(|it| u32::from_be_bytes(*it))
        .and_then(|it| usize::try_from(it).ok())
        .ok_or(OpenError::Length)?;
    let (message, of) = rest.split_at_checked(length).ok_or(OpenError::Length)?;
    if of != appid.as_bytes() {
        return Err(OpenError::Appid);
    }
    String::from_utf8(message.to_vec()).map_err(|_| OpenError::Utf8)
}

/// Encrypts a message. `random` must be fresh for each.
#[must_use]
pub fn seal(key: &AesKey, appid: &str, message: &str, random: [u8; RANDOM]) -> String {
    let length = u32::try_from(message.len()).expect("a reply is far shorter than 4 GiB");
    let mut plain = Vec::with_capacity(HEADER + message.len() + appid.len() + PAD_TO);
    plain.extend_from_slice(&random);
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(message.as_bytes());
    plain.extend_from_slice(appid.as_bytes());
    let pad = PAD_TO - plain.len() % PAD_TO;
    plain.resize(plain.len() + pad, u8::try_from(pad).expect("a pad is at most 32"));
    let encryptor = cbc::Encryptor::<Aes256>::new_from_slices(&key.0, key.iv())
        .expect("a key has 32 bytes and its iv 16");
    BASE64.encode(encryptor.encrypt_padded_vec::<NoPadding>(&plain))
}

fn without_padding(plain: &[u8]) -> Result<&[u8], OpenError> {
    let pad = usize::from(*plain.last().ok_or(OpenError::Padding)?);
    let end = plain
        .len()
        .checked_sub(pad)
        .filter(|_| (1..=PAD_TO).contains(&pad))
        .ok_or(OpenError::Padding)?;
    let (content, padding) = plain.split_at(end);
    if padding.iter().all(|byte| usize::from(*byte) == pad) {
        Ok(content)
    } else {
        Err(OpenError::Padding)
    }
}

#[cfg(test)]
mod tests {
    use aes::{
        Aes256,
        cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
    };
    use base64::Engine;
    use proptest::prelude::*;

    use super::{AesKey, BASE64, KeyError, OpenError, open, seal};

    /// From wechatpy's tests; its last character carries bits that a strict decoder refuses.
    const ENCODED: &str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR";
    const APPID: &str = "wx49f0ab532d5d035a";

    fn key() -> AesKey {
        AesKey::parse(ENCODED).unwrap()
    }

    /// Encrypts these very bytes, whatever they are.
    fn raw(plain: &[u8]) -> String {
        let key = key();
        let encryptor = cbc::Encryptor::<Aes256>::new_from_slices(&key.0, key.iv()).unwrap();
        BASE64.encode(encryptor.encrypt_padded_vec::<NoPadding>(plain))
    }

    fn plain(length: u32, message: &[u8], appid: &str, pad: u8, times: usize) -> Vec<u8> {
        let mut bytes = vec![7; 16];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(appid.as_bytes());
        bytes.resize(bytes.len() + times, pad);
        bytes
    }

    #[test]
    fn keys_have_43_characters() {
        assert_eq!(AesKey::parse("x"), Err(KeyError::Length(1)));
        assert_eq!(AesKey::parse(&"!".repeat(43)), Err(KeyError::Alphabet));
        assert_eq!(AesKey::parse(&"密".repeat(43)), Err(KeyError::Alphabet));
        assert!(!format!("{:?}", key()).contains("145"));
    }

    #[test]
    fn what_is_wrong_inside_is_refused() {
        // 20 + 2 + 18 = 40 bytes of content, so that 24 bytes of padding follow.
        let good = plain(2, b"hi", APPID, 24, 24);
        let check = |bytes: Vec<u8>, expect: Result<&str, OpenError>| {
            assert_eq!(
                open(&key(), APPID, &raw(&bytes)).as_deref(),
                expect.as_ref().copied()
            );
        };
        check(good.clone(), Ok("hi"));
        check(plain(2, b"hi", APPID, 0, 24), Err(OpenError::Padding));
        check(plain(2, b"hi", APPID, 33, 24), Err(OpenError::Padding));
        let mut uneven = good.clone();
        uneven[50] = 23;
        check(uneven, Err(OpenError::Padding));
        check(vec![24; 16], Err(OpenError::Padding));
        check(plain(3, b"hi", APPID, 24, 24), Err(OpenError::Appid));
        check(plain(21, b"hi", APPID, 24, 24), Err(OpenError::Length));
        check(plain(u32::MAX, b"hi", APPID, 24, 24), Err(OpenError::Length));
        check(
            plain(2, b"hi", "wx49f0ab532d5d035b", 24, 24),
            Err(OpenError::Appid),
        );
        check(plain(2, &[0xff, 0xfe], APPID, 24, 24), Err(OpenError::Utf8));
        check(plain(0, b"", "", 12, 12), Err(OpenError::Appid));
        check(vec![32; 32], Err(OpenError::Length));
    }

    #[test]
    fn what_is_no_cipher_text_is_refused() {
        let check = |text: &str, expect| assert_eq!(open(&key(), APPID, text), Err(expect), "{text}");
        check("", OpenError::Blocks);
        check("%", OpenError::Base64);
        check("QUJD", OpenError::Blocks);
        let sealed = seal(&key(), APPID, "hi", [1; 16]);
        let cut: String = sealed.chars().take(40).collect();
        check(&cut, OpenError::Blocks);
        let other = AesKey::parse(&"A".repeat(43)).unwrap();
        assert!(open(&other, APPID, &sealed).is_err());
    }

    #[test]
    fn lines_in_base64_are_read() {
        let sealed = seal(&key(), APPID, &"我头疼".repeat(40), [1; 16]);
        let lines: Vec<_> = sealed
            .as_bytes()
            .chunks(76)
            .map(|it| std::str::from_utf8(it).unwrap())
            .collect();
        assert_eq!(
            open(&key(), APPID, &lines.join("\r\n")).unwrap(),
            "我头疼".repeat(40)
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(message in "(\\PC|[a-z]|\n){0,300}", appid in "wx[0-9a-f]{0,30}", random: [u8; 16]) {
            let sealed = seal(&key(), &appid, &message, random);
            prop_assert_eq!(BASE64.decode(&sealed).unwrap().len() % 32, 0);
            prop_assert_eq!(open(&key(), &appid, &sealed), Ok(message));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,200}") {
            let _ = open(&key(), APPID, &text);
            let _ = open(&key(), APPID, &BASE64.encode(&bytes));
            let whole = bytes.len() / 16 * 16;
            let _ = open(&key(), APPID, &raw(bytes.get(..whole).unwrap()));
        }
    }
}
