use candle_core::quantized::GgmlDType;

use super::{Advice, Bound, Free, Need, Serving, TooLarge, chat_blocks, packed_bytes};
use crate::{
    Decoder, GgufFile, KvPrecision, Threads,
    decoder::{BLOCK_TOKENS, Description},
    kernels::{arena::Arena, packed::Packed},
    testing::TinyModel,
};

const MIB: u64 = 1 << 20;

/// Weights of 1000 MiB, 100 beside them; blocks of 1 MiB, 64 to a chat.
const NEED: Need = Need {
    weights: 1000 * MIB,
    work: 100 * MIB,
    block: MIB,
    chat_blocks: 64,
    blocks: 256,
    may_have_fewer: true,
};

fn found(need: Need, free_mib: u64) -> Result<u64, TooLarge> {
    need.blocks_that_fit(Some(Free {
        bytes: free_mib * MIB,
        bound: Bound::Machine,
    }))
}

#[test]
fn the_cache_is_as_large_as_wanted_or_as_it_can_be() {
    assert_eq!(NEED.blocks_that_fit(None).unwrap(), 256);
    let check = |free_mib: u64, expect: u64| assert_eq!(found(NEED, free_mib).unwrap(), expect);
    check(100_000, 256);
    check(1356, 256);
    check(1355, 255);
    check(1164, 64);
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let check = |need: Need, free_mib: u64, expect: Advice| {
        let error = found(need, free_mib).unwrap_err();
        assert_eq!(error.advice, expect, "{error}");
    };
    // Wanted by whoever runs the bot: not made smaller in silence.
    let set = Need {
        may_have_fewer: false,
        ..NEED
    };
    check(set, 1355, Advice::CacheSize { mib_at_most: 255 });
    check(set, 1164, Advice::CacheSize { mib_at_most: 64 });
    check(set, 1163, Advice::ContextLength { at_most: 62 * 16 });
    check(NEED, 1163, Advice::ContextLength { at_most: 62 * 16 });
    check(NEED, 1133, Advice::ContextLength { at_most: 512 });
    check(NEED, 1132, Advice::Smaller);
    check(NEED, 1099, Advice::Smaller);
    check(NEED, 0, Advice::Smaller);
    // What a crafted file asks for is refused like anything else.
    let crafted = Need {
        weights: u64::MAX - 1,
        block: 1 << 60,
        ..NEED
    };
    check(crafted, 1 << 20, Advice::Smaller);
    check(
        Need {
            block: 1 << 60,
            ..NEED
        },
        1 << 20,
        Advice::Smaller,
    );
}

#[test]
fn the_numbers_are_in_mib_and_the_settings_named() {
    let set = Need {
        may_have_fewer: false,
        ..NEED
    };
    let check = |need: Need, free_mib: u64, words: &[&str]| {
        let error = found(need, free_mib).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
    };
    check(
        set,
        1200,
        &[
            "needs 1356 MiB",
            "1000 of weights",
            "256 of keys and values",
            "100 beside them",
            "1200 MiB are free on this machine",
            "engine.kv_cache_mib to at most 100",
        ],
    );
    check(NEED, 1150, &["64 of keys", "model.context_length to at most 784"]);
    check(NEED, 900, &["needs 1164 MiB", "bedside model quantize"]);
}

#[test]
fn packed_tensors_are_as_large_as_foretold() {
    let kinds = [
        GgmlDType::F32,
        GgmlDType::F16,
        GgmlDType::BF16,
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q2K,
        GgmlDType::Q3K,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
    ];
    for (kind, rows) in kinds.into_iter().flat_map(|it| [(it, 16), (it, 13)]) {
        let columns = 512;
        let data = vec![0; rows * columns / kind.block_size() * kind.type_size()];
        let packed = Packed::pack(kind, &data, rows, columns, &Arena::new(0)).unwrap();
        let foretold = packed_bytes(kind, &[rows, columns]);
        assert_eq!(foretold, packed.bytes() as u64, "{kind:?}, {rows} rows");
    }
    // Without a kernel, and vectors.
    assert_eq!(packed_bytes(GgmlDType::Q8K, &[8, 512]), 8 * 512 * 4);
    assert_eq!(packed_bytes(GgmlDType::F16, &[100]), 400);
    assert_eq!(packed_bytes(GgmlDType::F32, &[usize::MAX / 8, 1 << 40]), u64::MAX);
}

#[test]
fn a_file_tells_what_its_model_will_need() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for weights in [GgmlDType::F32, GgmlDType::F16, GgmlDType::Q8_0, GgmlDType::Q4_0] {
        TinyModel {
            weights,
            own_head: true,
            ..TinyModel::default()
        }
        .write(&path);
        let gguf = GgufFile::open(&path).unwrap();
        let description = Description::read(&gguf).unwrap();
        let serving = Serving {
            context_length: 512,
            precision: KvPrecision::F16,
            blocks: 0,
            may_have_fewer: false,
            sequences: 4,
            rows: 256,
        };
        let need = Need::of(&gguf, &description, &serving);
        let decoder = Decoder::load(&gguf, &Threads::new(1).unwrap(), &|_| {}).unwrap();
        let taken = decoder.weight_bytes();
        assert!(
            need.weights >= taken && need.weights < taken + taken / 10,
            "{weights:?}: {} foretold, {taken} taken",
            need.weights
        );
        let cache = decoder.cache(1, KvPrecision::F16);
        assert_eq!(need.block, cache.block_bytes() as u64);
        assert_eq!((need.chat_blocks, need.blocks), (33, 33));
        let long = Serving {
            context_length: 5120,
            blocks: 1000,
            ..serving
        };
        let longer = Need::of(&gguf, &description, &long);
        assert_eq!((longer.chat_blocks, longer.blocks), (321, 1000));
        assert_eq!(chat_blocks(BLOCK_TOKENS), 2);
    }
}
