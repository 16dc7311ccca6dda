//! Our encryption against three foreign implementations, both ways, for every length modulo the block.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bedside_wechat::{
    crypto::{AesKey, open, seal},
    signature::sign,
};
use serde_json::{Value, json};

const TOKEN: &str = "123456";
/// From wechatpy's own tests; its last character carries bits that some decoders refuse.
const AES_KEY: &str = "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR";
const APPID: &str = "wx49f0ab532d5d035a";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/oracles")
        .join(name)
}

fn needed(path: &Path) {
    assert!(path.exists(), "{} is missing: run `make test`", path.display());
}

fn node(package: &str) -> Command {
    let modules = root().join("tests/node/node_modules");
    needed(&modules.join(package));
    let mut command = Command::new("node");
    command
        .arg("--no-deprecation")
        .arg(script("crypto.cjs"))
        .arg(modules)
        .args([package, TOKEN, AES_KEY, APPID]);
    command
}

fn wechatpy() -> Command {
    let python = root().join("target/test-python/bin/python");
    needed(&python);
    let mut command = Command::new(python);
    command.arg(script("crypto.py")).args([TOKEN, AES_KEY, APPID]);
    command
}

/// Letters, Chinese, and both mixed, of 1 to 97 characters, and one as long as a reply may be.
fn messages() -> Vec<String> {
    let mut messages = vec!["好".repeat(682)];
    for length in 1..=97 {
        messages.push("m".repeat(length));
        messages.push("头".repeat(length));
        messages.push("a痛😀".chars().cycle().take(length).collect());
    }
    messages
}

fn check(mut oracle: Command) {
    let mut running = oracle
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = running.stdin.take().unwrap();
    let mut answers = BufReader::new(running.stdout.take().unwrap()).lines();
    let key = AesKey::parse(AES_KEY).unwrap();
    let messages = messages();
    let mut lengths = [false; 32];
    for (place, message) in messages.iter().enumerate() {
        lengths[message.len() % 32] = true;
        let ours = seal(&key, APPID, message, [u8::try_from(place % 256).unwrap(); 16]);
        let (timestamp, nonce) = (place.to_string(), "n1".to_owned());
        let asked = json!({"message": message, "encrypted": ours, "timestamp": timestamp, "nonce": nonce});
        writeln!(input, "{asked}").unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["opened"], message.as_str());
        assert_eq!(answer["appid"], APPID);
        assert_eq!(answer["signature"], sign(&[TOKEN, &timestamp, &nonce, &ours]));
        let theirs = answer["sealed"].as_str().unwrap();
        assert_eq!(open(&key, APPID, theirs).as_deref(), Ok(message.as_str()));
    }
    assert_eq!(lengths, [true; 32], "every length modulo 32");
    drop(input);
    assert!(running.wait().unwrap().success());
}

#[test]
fn npm_wechat_crypto() {
    check(node("wechat-crypto"));
}

#[test]
fn npm_wecom_crypto() {
    check(node("@wecom/crypto"));
}

#[test]
fn pypi_wechatpy() {
    check(wechatpy());
}
