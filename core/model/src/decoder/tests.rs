use std::{
    fs::File,
    path::{Path, PathBuf},
};

use bedside_reference::assert_near;
use candle_core::{Device, Tensor, quantized::GgmlDType, quantized::gguf_file};
use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};
use tempfile::TempDir;

use super::{
    Adapter, AdapterError, Decoder, DecoderError, KvCache, KvPrecision, LinearKind, LowRankUpdate,
    PrefixTensors, Slice, Solo,
};
use crate::{gguf::GgufFile, testing::TinyModel, threads::Threads};

mod crafted;
mod gemma3;
mod reference;

const PROMPT: [u32; 21] = [
    1, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

fn written(model: &TinyModel) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    model.write(&path);
    (folder, path)
}

fn load(path: &Path) -> Decoder {
    Decoder::load(&GgufFile::open(path).unwrap(), &threads(), &|_| {}).unwrap()
}

fn threads() -> Threads {
    Threads::new(2).unwrap()
}

fn solo(decoder: &Decoder) -> Solo<'_> {
    Solo::new(decoder, threads(), 512, KvPrecision::F16)
}

/// Logits after the last of these tokens.
fn read(solo: &mut Solo<'_>, tokens: &[u32]) -> Vec<f32> {
    solo.read(tokens, 1, None).unwrap().remove(0)
}

/// Within that part of the largest.
fn close(found: &[f32], expect: &[f32], tolerance: f32) {
    let largest = expect.iter().fold(0.0_f32, |largest, it| largest.max(it.abs()));
    assert_near(found, expect, tolerance * largest);
}

/// All tokens at once, then three single ones: logits after each.
fn ours(path: &Path) -> Vec<Vec<f32>> {
    let decoder = load(path);
    let mut solo = solo(&decoder);
    let mut all = vec![read(&mut solo, &PROMPT)];
    all.extend([13_u32, 200, 14].map(|it| read(&mut solo, &[it])));
    all
}

/// The same by candle-transformers.
fn theirs(
    path: &Path,
    mut forward: impl FnMut(&Tensor, usize) -> candle_core::Result<Tensor>,
) -> Vec<Vec<f32>> {
    assert!(path.is_file());
    let mut run = |tokens: &[u32], start: usize| {
        let input = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        forward(&input, start)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    let mut all = vec![run(&PROMPT, 0)];
    all.extend(
        [13_u32, 200, 14]
            .iter()
            .enumerate()
            .map(|(number, it)| run(&[*it], PROMPT.len() + number)),
    );
    all
}

fn same_as_candle(model: &TinyModel, tolerance: f32) {
    let (_folder, path) = written(model);
    let mut file = File::open(&path).unwrap();
    let content = gguf_file::Content::read(&mut file).unwrap();
    let expect = match model.architecture {
        "llama" => {
            let mut oracle =
                quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
            theirs(&path, |tokens, start| oracle.forward(tokens, start))
        }
        "qwen2" => {
            let mut oracle =
                quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
            theirs(&path, |tokens, start| oracle.forward(tokens, start))
        }
        "qwen3" => {
            let mut oracle =
                quantized_qwen3::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).unwrap();
            theirs(&path, |tokens, start| oracle.forward(tokens, start))
        }
        other => panic!("candle is no oracle for {other}"),
    };
    for (found, expect) in ours(&path).iter().zip(&expect) {
        close(found, expect, tolerance);
    }
}

#[test]
fn logits_are_those_of_candle_transformers() {
    for architecture in ["llama", "qwen2", "qwen3"] {
        for own_head in [false, true] {
            // Candle keeps keys and values in f32, we in f16: eleven bits.
            let model = TinyModel {
                architecture,
                own_head,
                ..TinyModel::default()
            };
            same_as_candle(&model, 2e-3);
        }
    }
}

#[test]
fn quantized_weights_give_nearly_the_same_logits() {
    // Both round the activations, each in its own way.
    for weights in [GgmlDType::Q8_0, GgmlDType::Q5_0, GgmlDType::Q4_1, GgmlDType::Q4_0] {
        let model = TinyModel {
            weights,
            ..TinyModel::default()
        };
        same_as_candle(&model, 0.03);
    }
}

#[test]
fn logits_do_not_depend_on_how_a_prompt_is_cut() {
    for architecture in ["llama", "qwen2", "qwen3", "gemma3"] {
        let (_folder, path) = written(&TinyModel {
            architecture,
            layers: 7,
            weights: GgmlDType::Q8_0,
            ..TinyModel::default()
        });
        let decoder = load(&path);
        let expect = read(&mut solo(&decoder), &PROMPT);
        for cut in [1, 5, 16, 20] {
            let mut solo = solo(&decoder);
            assert!(solo.read(&PROMPT[..cut], 0, None).unwrap().is_empty());
            assert_eq!(
                read(&mut solo, &PROMPT[cut..]),
                expect,
                "{architecture}, cut at {cut}"
            );
        }
        let mut single = solo(&decoder);
        let last = PROMPT.iter().map(|it| read(&mut single, &[*it])).last();
        assert_eq!(last.as_ref(), Some(&expect), "{architecture}, token by token");
        let all = solo(&decoder).read(&PROMPT, PROMPT.len(), None).unwrap();
        assert_eq!((all.len(), all.last()), (PROMPT.len(), Some(&expect)));
    }
}

#[test]
fn a_window_hides_what_is_far() {
    // One layer with a window of 8: the first tokens cannot matter to the last.
    let (_folder, path) = written(&TinyModel {
        architecture: "gemma3",
        layers: 1,
        ..TinyModel::default()
    });
    let decoder = load(&path);
    let logits = |tokens: &[u32]| read(&mut solo(&decoder), tokens);
    let mut changed = PROMPT;
    changed[..PROMPT.len() - 8].fill(77);
    assert_eq!(logits(&PROMPT), logits(&changed));
    changed[PROMPT.len() - 8] = 77;
    assert_ne!(logits(&PROMPT), logits(&changed));
}

#[test]
fn sequences_share_blocks_and_go_on_alone() {
    let (_folder, path) = written(&TinyModel::default());
    let decoder = load(&path);
    let (mut executor, mut cache) = (decoder.executor(threads()), decoder.cache(8, KvPrecision::F16));
    let mut run = |tokens: &[u32], start: usize, blocks: &[u32]| {
        let slice = Slice {
            tokens,
            start,
            blocks,
            logits: 1,
            adapter: None,
            context: 0,
        };
        let logits = decoder.forward(&mut executor, &mut cache, &[slice]).unwrap();
        logits.rows().next().unwrap().to_vec()
    };
    run(&PROMPT[..16], 0, &[5]);
    let first = run(&PROMPT[16..], 16, &[5, 2]);
    run(&[100, 101], 16, &[5, 7]);
    assert_eq!(first, read(&mut solo(&decoder), &PROMPT));
    let last = run(&[50], PROMPT.len(), &[5, 2]);
    let mut expect = PROMPT.to_vec();
    expect.push(50);
    assert_eq!(last, read(&mut solo(&decoder), &expect));
}

/// Small random numbers that depend on the seed alone.
fn numbers(count: usize, seed: u64, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0) * size
        })
        .collect()
}

fn random_updates(decoder: &Decoder, rank: usize, seed: u64) -> Vec<LowRankUpdate> {
    let description = decoder.description();
    let places = (0..description.layers).flat_map(|layer| LinearKind::ALL.map(|linear| (layer, linear)));
    let updates = places
        .enumerate()
        .filter(|(number, _)| !(*number as u64 + seed).is_multiple_of(4));
    updates
        .map(|(number, (layer, linear))| {
            let (rows, columns) = linear.shape(description);
            let seed = seed * 1000 + number as u64;
            LowRankUpdate {
                layer,
                linear,
                rank,
                a: numbers(rank * columns, seed, 0.5),
                b: numbers(rows * rank, seed + 500, 0.1),
            }
        })
        .collect()
}

fn random_prefix(decoder: &Decoder, tokens: usize, seed: u64) -> PrefixTensors {
    let description = decoder.description();
    let count = description.layers * tokens * description.kv_heads * description.head_width;
    PrefixTensors {
        tokens,
        keys: numbers(count, seed, 1.0),
        values: numbers(count, seed + 1, 1.0),
        first_position: 0,
    }
}

#[test]
fn a_batch_of_eight_with_four_adapters_equals_eight_alone() {
    for weights in [GgmlDType::F32, GgmlDType::Q4_1, GgmlDType::Q8_0] {
        let (_folder, path) = written(&TinyModel {
            weights,
            ..TinyModel::default()
        });
        let decoder = load(&path);
        let description = decoder.description();
        let new = |rank, seed, prefix| {
            let prefix = (prefix > 0).then(|| random_prefix(&decoder, prefix, seed));
            Adapter::new(description, random_updates(&decoder, rank, seed), prefix).unwrap()
        };
        let adapters = [new(129, 1, 0), new(5, 2, 0), new(256, 3, 20), new(1, 4, 140)];
        let prompts: Vec<Vec<u32>> = (0..8_u32)
            .map(|it| {
                PROMPT[..10 + it as usize]
                    .iter()
                    .map(|token| token + it)
                    .collect()
            })
            .collect();
        let adapter = |it: usize| if it < 6 { adapters.get(it % 4) } else { None };
        let (mut executor, mut cache) = (decoder.executor(threads()), decoder.cache(16, KvPrecision::F16));
        let blocks: Vec<[u32; 2]> = (0..8).map(|it| [2 * it, 2 * it + 1]).collect();
        // Prompts in one pass, then a few tokens of each in further ones.
        let mut found = vec![Vec::new(); 8];
        let steps = [None, Some(30_u32), Some(40), Some(50)];
        let mut lengths = [0; 8];
        for step in steps {
            let tokens: Vec<Vec<u32>> = prompts
                .iter()
                .map(|it| step.map_or(it.clone(), |token| vec![token]))
                .collect();
            let batch: Vec<Slice<'_>> = (0..8)
                .map(|it| Slice {
                    tokens: &tokens[it],
                    start: lengths[it],
                    blocks: &blocks[it],
                    logits: 1,
                    adapter: adapter(it),
                    context: 0,
                })
                .collect();
            let logits = decoder.forward(&mut executor, &mut cache, &batch).unwrap();
            for (found, row) in found.iter_mut().zip(logits.rows()) {
                found.push(row.to_vec());
            }
            for (length, tokens) in lengths.iter_mut().zip(&tokens) {
                *length += tokens.len();
            }
        }
        let mut firsts = Vec::new();
        for (number, (found, prompt)) in found.iter().zip(&prompts).enumerate() {
            let mut alone = solo(&decoder);
            for (step, found) in steps.iter().zip(found) {
                let tokens = step.map_or(prompt.clone(), |token| vec![token]);
                let expect = alone.read(&tokens, 1, adapter(number)).unwrap().remove(0);
                assert_eq!(*found, expect, "{weights:?}: sequence {number}");
            }
            firsts.push(
                solo(&decoder)
                    .read(&PROMPT, 1, adapter(number))
                    .unwrap()
                    .remove(0),
            );
        }
        // The adapters do something, each something else.
        for number in 0..4 {
            assert_ne!(firsts[number], firsts[7]);
            assert_ne!(firsts[number], firsts[(number + 1) % 4]);
        }
    }
}

#[test]
fn a_low_rank_update_equals_merged_weights() {
    for rank in [8, 100, 256] {
        equals_merged_weights(rank);
    }
}

fn equals_merged_weights(rank: usize) {
    let plain = TinyModel::default();
    let (_folder, path) = written(&plain);
    let decoder = load(&path);
    let mut updates = random_updates(&decoder, rank, 9);
    // Sums of more products are larger; these are of one size.
    let numbers = updates.iter_mut().flat_map(|it| &mut it.b);
    numbers.for_each(|it| *it *= (8.0 / rank as f32).sqrt());
    let merged = TinyModel {
        merged: updates.clone(),
        ..plain
    };
    let adapter = Adapter::new(decoder.description(), updates, None).unwrap();
    let (_folder, path) = written(&merged);
    let merged = load(&path);
    let found = solo(&decoder).read(&PROMPT, 3, Some(&adapter)).unwrap();
    let expect = solo(&merged).read(&PROMPT, 3, None).unwrap();
    for (found, expect) in found.iter().zip(&expect) {
        // The same sums in another order, over keys and values in f16.
        close(found, expect, 2e-3);
    }
    let without = solo(&decoder).read(&PROMPT, 1, None).unwrap();
    assert!(
        without[0]
            .iter()
            .zip(&expect[2])
            .any(|(a, b)| (a - b).abs() > 0.1)
    );
}

#[test]
fn a_prefix_of_a_prompts_own_keys_and_values_equals_the_prompt() {
    for (architecture, count) in [("llama", 3), ("qwen3", 17), ("llama", 20)] {
        let (_folder, path) = written(&TinyModel {
            architecture,
            ..TinyModel::default()
        });
        let decoder = load(&path);
        let description = decoder.description();
        let (mut executor, mut cache) = (decoder.executor(threads()), decoder.cache(4, KvPrecision::F16));
        let mut run = |tokens: &[u32], blocks: &[u32], adapter: Option<&Adapter>, cache: &mut KvCache| {
            let slice = Slice {
                tokens,
                start: 0,
                blocks,
                logits: 1,
                adapter,
                context: 0,
            };
            decoder
                .forward(&mut executor, cache, &[slice])
                .unwrap()
                .rows()
                .next()
                .unwrap()
                .to_vec()
        };
        let whole = run(&PROMPT, &[0, 1], None, &mut cache);
        let mut prefix = PrefixTensors {
            tokens: count,
            keys: Vec::new(),
            values: Vec::new(),
            first_position: count,
        };
        for layer in 0..description.layers {
            for token in 0..count {
                for head in 0..description.kv_heads {
                    let (keys, values) = cache.shape().head(cache.bytes(), token / 16, layer, head);
                    let half = |bytes: &[u8], at: usize| {
                        half::f16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]).to_f32()
                    };
                    let width = description.head_width;
                    prefix
                        .keys
                        .extend((0..width).map(|it| half(keys, it * 16 + token % 16)));
                    prefix
                        .values
                        .extend((0..width).map(|it| half(values, token % 16 * width + it)));
                }
            }
        }
        let adapter = Adapter::new(description, Vec::new(), Some(prefix)).unwrap();
        let found = run(&PROMPT[count..], &[2, 3], Some(&adapter), &mut cache);
        // The same numbers, added up in other chunks.
        close(&found, &whole, 1e-5);
        assert_ne!(found, run(&PROMPT[count..], &[2, 3], None, &mut cache));
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused_with_the_place() {
    let (_folder, path) = written(&TinyModel::default());
    let decoder = load(&path);
    let new = |update: LowRankUpdate| Adapter::new(decoder.description(), vec![update], None).unwrap_err();
    let good = random_updates(&decoder, 8, 1).remove(0);
    assert!(matches!(
        new(LowRankUpdate {
            layer: 9,
            ..good.clone()
        }),
        AdapterError::Layer { layer: 9, layers: 2 }
    ));
    assert!(matches!(
        new(LowRankUpdate {
            rank: 257,
            ..good.clone()
        }),
        AdapterError::Rank { rank: 257, .. }
    ));
    let error = new(LowRankUpdate {
        b: vec![0.0; 3],
        ..good.clone()
    });
    assert!(error.to_string().contains("3 numbers in B"), "{error}");
    let twice = Adapter::new(decoder.description(), vec![good.clone(), good], None).unwrap_err();
    assert!(matches!(twice, AdapterError::Twice { .. }));
    let prefix = PrefixTensors {
        tokens: 2,
        ..random_prefix(&decoder, 1, 1)
    };
    let error = Adapter::new(decoder.description(), Vec::new(), Some(prefix)).unwrap_err();
    assert!(matches!(error, AdapterError::Prefix { tokens: 2, .. }));
}

#[test]
fn eight_bit_keys_and_values_are_nearly_as_good() {
    let (_folder, path) = written(&TinyModel::default());
    let decoder = load(&path);
    let expect = read(&mut solo(&decoder), &PROMPT);
    let mut small = Solo::new(&decoder, threads(), 64, KvPrecision::Q8);
    // Seven bits and a sign of each number.
    close(&read(&mut small, &PROMPT), &expect, 0.05);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let (_folder, path) = written(&TinyModel {
        context_length: 24,
        ..TinyModel::default()
    });
    let decoder = load(&path);
    let mut solo = solo(&decoder);
    solo.read(&PROMPT, 0, None).unwrap();
    let error = solo.read(&[1; 4], 1, None).unwrap_err();
    assert!(matches!(
        error,
        DecoderError::ContextFull {
            tokens: 4,
            used: 21,
            context_length: 24
        }
    ));
    let error = solo.read(&[9999], 1, None).unwrap_err();
    assert!(matches!(error, DecoderError::UnknownToken { token: 9999, .. }));
    assert_eq!(solo.len(), 21);
    assert_eq!(read(&mut solo, &[1; 3]).len(), TinyModel::vocabulary().len());

    let (mut executor, mut cache) = (decoder.executor(threads()), decoder.cache(4, KvPrecision::F16));
    let mut error = |batch: &[(&'static [u32], &'static [u32])]| {
        let slice = |it: &(&'static [u32], &'static [u32])| Slice {
            tokens: it.0,
            start: 0,
            blocks: it.1,
            logits: 1,
            adapter: None,
            context: 0,
        };
        let batch: Vec<_> = batch.iter().map(slice).collect();
        decoder.forward(&mut executor, &mut cache, &batch).unwrap_err()
    };
    assert!(matches!(
        error(&[(&[1; 17], &[0])]),
        DecoderError::Blocks {
            needed: 2,
            given: 1,
            ..
        }
    ));
    assert!(matches!(error(&[(&[1], &[4])]), DecoderError::Block(4)));
    assert!(matches!(
        error(&[(&[1], &[3]), (&[2], &[3])]),
        DecoderError::Block(3)
    ));
}

#[test]
fn an_unknown_family_is_named() {
    let (_folder, path) = written(&TinyModel {
        architecture: "mamba",
        ..TinyModel::default()
    });
    let error = Decoder::load(&GgufFile::open(&path).unwrap(), &threads(), &|_| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`mamba` is not supported; supported are llama, qwen2, qwen3, gemma3, chatglm"),
        "{error}"
    );
}
