use std::path::Path;

use bedside_formats::{
    BaseClaim, Format, RowOrder, SavedAdapter, SavedLinear, SavedPrefix, SavedUpdate, write_gguf,
};

use super::{inspect, load};
use crate::{
    decoder::{KvPrecision, MAX_RANK, Solo},
    model::Model,
    pull::{NoProgress, sha256},
    quantize::quantize,
    testing::{HEAD_WIDTH, KV_HEADS, TinyModel, WIDTH},
    threads::Threads,
};

fn update(linear: SavedLinear, rank: usize, rows: usize, columns: usize) -> SavedUpdate {
    SavedUpdate {
        name: String::new(),
        layer: 1,
        linear,
        rank,
        scale: 2.0,
        rows,
        columns,
        a: vec![0.01; rank * columns],
        b: vec![1.0; rows * rank],
    }
}

fn write(path: &Path, architecture: &str, update: SavedUpdate, sha256: Option<String>) {
    let saved = SavedAdapter {
        path: path.to_owned(),
        format: Format::Gguf,
        base: BaseClaim {
            sha256,
            ..BaseClaim::default()
        },
        updates: vec![update],
        prefix: None,
        order: RowOrder::Gguf,
    };
    write_gguf(path, &saved, architecture).unwrap();
}

fn key() -> SavedUpdate {
    update(SavedLinear::Key, 2, KV_HEADS * HEAD_WIDTH, WIDTH)
}

#[test]
fn an_adapter_changes_the_answer_and_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (base, path) = (
        folder.path().join("tiny.gguf"),
        folder.path().join("adapter.gguf"),
    );
    TinyModel::default().write(&base);
    let model = Model::load(&base, &NoProgress).unwrap();
    write(&path, "llama", key(), None);
    let adapter = load(&path, &model, &NoProgress).unwrap();
    let run = |adapter| {
        let mut solo = Solo::new(&model.decoder, Threads::new(1).unwrap(), 64, KvPrecision::F16);
        solo.read(&[5, 6, 7, 8], 1, adapter).unwrap()
    };
    assert_ne!(run(Some(&adapter)), run(None));
    let told = inspect(&path, Some(&base), &NoProgress).unwrap();
    assert_eq!(
        (told.format, told.ranks, told.scales),
        (Format::Gguf, vec![2], vec![2.0])
    );
    assert_eq!((told.linears, told.layers), (vec![SavedLinear::Key], 1));
    assert_eq!(told.memory_bytes, Some(adapter.bytes()));
}

#[test]
fn an_adapter_for_another_base_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (base, path) = (
        folder.path().join("tiny.gguf"),
        folder.path().join("adapter.gguf"),
    );
    TinyModel::default().write(&base);
    let model = Model::load(&base, &NoProgress).unwrap();
    let refused = |expect: &[&str]| {
        let error = load(&path, &model, &NoProgress).unwrap_err().to_string();
        let expect = expect.iter().chain(&["adapter.gguf"]);
        assert!(expect.into_iter().all(|it| error.contains(it)), "{error}");
    };
    write(&path, "qwen2", key(), None);
    refused(&["architecture `qwen2`, the model is `llama`"]);
    write(&path, "llama", update(SavedLinear::Key, 2, 48, WIDTH), None);
    refused(&["48 × 64", "32 × 64", "llama", "blk.1.attn_k.weight"]);
    write(
        &path,
        "llama",
        update(SavedLinear::Key, MAX_RANK + 1, KV_HEADS * HEAD_WIDTH, WIDTH),
        None,
    );
    refused(&["rank 257", "between 1 and 256", "`bedside model convert`"]);
    write(
        &path,
        "llama",
        update(SavedLinear::Key, MAX_RANK, KV_HEADS * HEAD_WIDTH, WIDTH),
        None,
    );
    load(&path, &model, &NoProgress).unwrap();
    let own = sha256(&base, &NoProgress).unwrap();
    write(&path, "llama", key(), Some("0123".to_owned()));
    refused(&["0123", &own]);
    write(&path, "llama", key(), Some(own.clone()));
    load(&path, &model, &NoProgress).unwrap();

    let prefix = SavedAdapter {
        path: path.clone(),
        format: Format::Gguf,
        base: BaseClaim::default(),
        updates: vec![],
        prefix: Some(SavedPrefix {
            tokens: 1,
            width: 10,
            numbers: vec![1.0; 10],
            takes_positions: false,
        }),
        order: RowOrder::Gguf,
    };
    write_gguf(&path, &prefix, "llama").unwrap();
    refused(&["10 numbers", "2 layers of 32", "128"]);

    // What was quantized from the base takes the base's adapters.
    let quantized = folder.path().join("tiny.Q8_0.gguf");
    quantize(&base, &quantized, "Q8_0".parse().unwrap(), &NoProgress).unwrap();
    let model = Model::load(&quantized, &NoProgress).unwrap();
    write(&path, "llama", key(), Some(own));
    load(&path, &model, &NoProgress).unwrap();
}
