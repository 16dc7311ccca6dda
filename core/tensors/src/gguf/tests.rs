use std::{fs, path::PathBuf};

use bedside_model::testing::TinyModel;
use tempfile::TempDir;

use super::{GgufError, GgufFile, Value};

struct Sample {
    _folder: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
}

fn sample() -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    TinyModel::default().write(&path);
    Sample {
        bytes: fs::read(&path).unwrap(),
        _folder: folder,
        path,
    }
}

impl Sample {
    /// What opening these bytes says.
    fn error(&self, bytes: &[u8]) -> String {
        fs::write(&self.path, bytes).unwrap();
        GgufFile::open(&self.path).unwrap_err().to_string()
    }

    fn place_of(&self, text: &str) -> usize {
        self.bytes
            .windows(text.len())
            .position(|it| it == text.as_bytes())
            .unwrap()
    }

    fn with(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut changed = self.bytes.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    }
}

/// A header of these counts and nothing behind it.
fn header(tensors: u64, entries: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\x00\x00\x00".to_vec();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(rest);
    bytes
}

#[test]
fn a_good_file_is_read() {
    let sample = sample();
    let gguf = GgufFile::open(&sample.path).unwrap();
    assert_eq!(gguf.text("general.architecture").unwrap(), "llama");
    assert_eq!(gguf.unsigned("llama.block_count").unwrap(), 2);
    assert_eq!(
        gguf.optional_bool("tokenizer.ggml.add_bos_token").unwrap(),
        Some(false)
    );
    assert_eq!(gguf.texts("tokenizer.ggml.tokens").unwrap()[1], "<|im_start|>");
    assert!(matches!(gguf.value("tokenizer.ggml.token_type"), Some(Value::Integers(it)) if it[0] == 3));
    assert_eq!(gguf.floats("output_norm.weight", 64).unwrap(), [1.0; 64]);
    let embedding = TinyModel::vocabulary().len() as u64 * 64;
    let layer = 64 * (64 + 32 + 32 + 64 + 3 * 96) + 2 * 64;
    assert_eq!(gguf.parameters(), embedding + 2 * layer + 64);
}

#[test]
fn missing_and_mistyped_values_are_named() {
    let sample = sample();
    let gguf = GgufFile::open(&sample.path).unwrap();
    let path = sample.path.display();
    let check = |error: GgufError, expect: &str| assert_eq!(error.to_string(), format!("{path}: {expect}"));
    check(gguf.text("no.such").unwrap_err(), "metadata no.such is missing");
    check(
        gguf.text("llama.block_count").unwrap_err(),
        "metadata llama.block_count should be a text",
    );
    check(gguf.floats("blk.9", 1).unwrap_err(), "tensor blk.9 is missing");
    check(
        gguf.floats("output_norm.weight", 65).unwrap_err(),
        "tensor output_norm.weight has shape [64], [65] is needed",
    );
}

#[test]
fn foreign_files_are_refused() {
    let sample = sample();
    let check = |bytes: &[u8], expect: &str| {
        let error = sample.error(bytes);
        assert!(error.contains(expect) && error.contains("tiny.gguf"), "{error}");
    };
    check(
        b"",
        "truncated: the magic number at byte 0 needs 4 bytes, 0 are left",
    );
    check(b"PK\x03\x04 a zip", "it begins with 50 4b 03 04");
    check(b"<!DOCTYPE html>", "no GGUF file");
    check(&sample.with(4, &[9]), "GGUF version 9 is not supported");
    check(b"GGUF\x00\x00\x00\x03", "GGUF version 50331648 is not supported");
}

#[test]
fn absurd_claims_cost_nothing() {
    let sample = sample();
    let check = |bytes: &[u8], expect: &str| {
        let error = sample.error(bytes);
        assert!(error.contains(expect), "{error}");
    };
    check(
        &header(u64::MAX, 0, &[]),
        "byte 8: the number of tensors is 18446744073709551615",
    );
    check(
        &header(0, 60_000, &[0; 64]),
        "truncated: the number of metadata entries",
    );
    // A key of 2^60 bytes.
    check(
        &header(0, 1, &(1_u64 << 60).to_le_bytes().repeat(3)),
        "a metadata key claims 1152921504606846976 bytes",
    );
    // An array of 2^40 numbers.
    let mut array = 1_u64.to_le_bytes().to_vec();
    array.extend(b"k\x09\x00\x00\x00\x04\x00\x00\x00");
    array.extend((1_u64 << 40).to_le_bytes());
    check(
        &header(0, 1, &array),
        "metadata k at byte 37: an array claims 1099511627776 elements",
    );
    // Arrays of arrays of arrays …
    let mut nested = 1_u64.to_le_bytes().to_vec();
    nested.extend(b"k\x09\x00\x00\x00");
    (0..9).for_each(|_| {
        nested.extend([9, 0, 0, 0]);
        nested.extend(1_u64.to_le_bytes());
    });
    check(&header(0, 1, &nested), "arrays are nested too deeply");
}

#[test]
fn tensors_must_lie_in_the_file() {
    let sample = sample();
    let check = |bytes: &[u8], expect: &str| {
        let error = sample.error(bytes);
        assert!(error.contains(expect), "{error}");
    };
    // name, dimension count (4), dimensions (8 each), type (4), offset (8)
    let norm = sample.place_of("output_norm.weight") + "output_norm.weight".len();
    check(
        &sample.with(norm, &9_u32.to_le_bytes()),
        "tensor output_norm.weight at byte",
    );
    check(
        &sample.with(norm + 4, &u64::MAX.to_le_bytes()),
        "a dimension is 0 or absurdly large",
    );
    check(
        &sample.with(norm + 4, &0_u64.to_le_bytes()),
        "a dimension is 0 or absurdly large",
    );
    check(
        &sample.with(norm + 4, &(1_u64 << 31).to_le_bytes()),
        "bytes end beyond the file",
    );
    check(
        &sample.with(norm + 12, &23_u32.to_le_bytes()),
        "weight type 23 is not supported",
    );
    check(
        &sample.with(norm + 16, &(u64::MAX - 31).to_le_bytes()),
        "bytes end beyond the file",
    );
    check(&sample.with(norm + 16, &5_u64.to_le_bytes()), "no multiple of 32");
    check(&sample.with(norm + 16, &0_u64.to_le_bytes()), "overlaps");
}

#[test]
fn a_file_cut_anywhere_is_told() {
    let sample = sample();
    let step = (sample.bytes.len() / 199).max(1);
    for length in (0..sample.bytes.len() - 64).step_by(step) {
        let error = sample.error(&sample.bytes[..length]);
        assert!(
            error.contains("truncated") || error.contains("beyond the file"),
            "{length}: {error}"
        );
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let sample = sample();
    let header_end = sample.place_of("output_norm.weight") + 40;
    for at in (0..header_end).step_by(17) {
        for value in [0, 1, 0x7f, 0xff] {
            fs::write(&sample.path, sample.with(at, &[value])).unwrap();
            // Either is right; what counts is that it comes back, and that tensors can be read or refused.
            if let Ok(gguf) = GgufFile::open(&sample.path) {
                for (name, info) in gguf.tensors() {
                    let read = gguf.tensor_data(name, &info.shape).map(|it| it.1.len() as u64);
                    assert!(read.is_err() || read.is_ok_and(|it| it == info.bytes));
                }
            }
        }
    }
}
