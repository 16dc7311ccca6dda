//! Files whose metadata claim what their weights do not hold: an error, before anything is allocated.

use std::path::{Path, PathBuf};

use bedside_tensors::gguf::{Entry, GgufFile, GgufWriter, PlannedTensor};

use super::{threads, written};
use crate::{decoder::Decoder, inspect::inspect, pull::NoProgress, testing::TinyModel};

/// The same file with other numbers in its metadata.
fn changed(path: &Path, changes: &[(&str, u32)]) -> PathBuf {
    let gguf = GgufFile::open(path).unwrap();
    let metadata: Vec<_> = gguf
        .keys()
        .map(|key| {
            let change = changes
                .iter()
                .find(|(name, _)| key.strip_prefix("llama.") == Some(*name));
            let entry = match change {
                Some((_, number)) => Entry::U32(*number),
                None => Entry::Raw(gguf.entry(key).unwrap().to_vec()),
            };
            (key.to_owned(), entry)
        })
        .collect();
    let planned = gguf.tensors().iter().map(|(name, it)| PlannedTensor {
        name: name.clone(),
        dtype: it.dtype,
        shape: it.shape.clone(),
    });
    let crafted = path.with_file_name("crafted.gguf");
    let mut writer = GgufWriter::create(&crafted, &metadata, planned.collect()).unwrap();
    for (name, it) in gguf.tensors() {
        writer
            .write(gguf.tensor_data(name, &it.shape).unwrap().1)
            .unwrap();
    }
    writer.finish().unwrap();
    crafted
}

#[test]
fn sizes_are_held_against_each_other_and_the_weights() {
    let (_folder, path) = written(&TinyModel::default());
    let wide = [
        ("attention.head_count", 1 << 12),
        ("attention.head_count_kv", 1 << 12),
        ("attention.key_length", 1 << 8),
        ("attention.value_length", 1 << 8),
    ];
    let longer_heads = [
        ("attention.key_length", 1 << 20),
        ("attention.value_length", 1 << 20),
    ];
    for (changes, expect) in [
        (&wide[..], "absurd for a width of 64"),
        (&longer_heads[..], "do not go together"),
        (&[("attention.head_count_kv", 4)][..], "blk.0.attn_k.weight"),
        (&[("attention.head_count_kv", 0)][..], "cannot share 0"),
        (
            &[("feed_forward_length", 1 << 20)][..],
            "absurd for a width of 64",
        ),
        (&[("feed_forward_length", 128)][..], "blk.0.ffn_gate.weight"),
        (&[("block_count", 3)][..], "blk.2.attn_norm.weight is missing"),
        (
            &[("block_count", 1 << 20)][..],
            "llama.block_count at byte 0: 1048576",
        ),
        (&[("context_length", 1 << 25)][..], "llama.context_length"),
    ] {
        let crafted = changed(&path, changes);
        let loaded = Decoder::load(&GgufFile::open(&crafted).unwrap(), &threads(), &|_| {});
        let inspected = inspect(&crafted, Some(16), &NoProgress);
        for error in [
            loaded.unwrap_err().to_string(),
            inspected.unwrap_err().to_string(),
        ] {
            assert!(error.contains(expect), "{error}");
        }
    }
    inspect(&changed(&path, &[]), None, &NoProgress).unwrap();
}
