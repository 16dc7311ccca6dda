//! WeChat's encryption: what is sealed opens, and nothing that is opened makes it panic or say what was not in it.
#![no_main]

use aes::{
    Aes256,
    cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use bedside_wechat::crypto::{AesKey, open, seal};
use libfuzzer_sys::fuzz_target;

/// 32 bytes 0xAA.
const KEY: [u8; 32] = [0xAA; 32];
const APPID: &str = "wx49f0ab532d5d035a";

fuzz_target!(|data: &[u8]| {
    let encoded = BASE64_STANDARD_NO_PAD.encode(KEY);
    let key = AesKey::parse(&encoded).expect("32 bytes are 43 characters");
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    match choice % 4 {
        0 => check_sealing(&key, bytes),
        1 => check_opening(&key, bytes),
        2 => drop(open(&key, APPID, &BASE64_STANDARD.encode(bytes))),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            drop(open(&key, APPID, &text));
            drop(AesKey::parse(&text));
        }
    }
});

fn check_sealing(key: &AesKey, bytes: &[u8]) {
    let (random, message) = match bytes.split_first_chunk::<16>() {
        Some((random, message)) => (*random, String::from_utf8_lossy(message)),
        None => ([0; 16], String::from_utf8_lossy(bytes)),
    };
    let sealed = seal(key, APPID, &message, random);
    assert!(
        open(key, APPID, &sealed).as_deref() == Ok(&*message),
        "opened is not what was sealed"
    );
    assert!(
        open(key, "wx49f0ab532d5d035b", &sealed).is_err(),
        "opened for another appid"
    );
}

/// These very bytes, encrypted: reaches the checks of padding, length and appid.
fn check_opening(key: &AesKey, bytes: &[u8]) {
    let plain = &bytes[..bytes.len() / 16 * 16];
    let encryptor = cbc::Encryptor::<Aes256>::new_from_slices(&KEY, &KEY[..16]).expect("the sizes are right");
    let sealed = BASE64_STANDARD.encode(encryptor.encrypt_padded_vec::<NoPadding>(plain));
    if let Ok(message) = open(key, APPID, &sealed) {
        let length = u32::try_from(message.len()).expect("shorter than the input");
        let inside = [&length.to_be_bytes(), message.as_bytes(), APPID.as_bytes()].concat();
        assert!(plain[16..].starts_with(&inside), "opened is not what was inside");
        assert!(
            plain.len() - 16 - inside.len() <= 32,
            "more padding than there may be"
        );
    }
}
