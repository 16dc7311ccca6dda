use std::{fs, path::PathBuf};

use bedside_tensors::gguf::GgufFile;
use candle_core::quantized::GgmlDType;
use tempfile::TempDir;

use super::{Quantization, quantize};
use crate::{
    decoder::{KvPrecision, Solo},
    model::Model,
    perplexity::perplexity,
    pull::NoProgress,
    testing::{TinyModel, split},
    threads::Threads,
};

fn tiny(model: TinyModel) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.F32.gguf");
    model.write(&path);
    (folder, path)
}

fn kind(name: &str) -> Quantization {
    name.parse().unwrap()
}

fn logits(model: &Model) -> Vec<f32> {
    let mut solo = Solo::new(&model.decoder, Threads::new(1).unwrap(), 64, KvPrecision::F32);
    solo.read(&[5, 6, 7, 8, 9], 1, None).unwrap().remove(0)
}

#[test]
fn all_but_the_matrices_stays_as_it_is() {
    let (folder, source) = tiny(TinyModel::default());
    let target = folder.path().join("tiny.Q8_0.gguf");
    let done = quantize(&source, &target, kind("q8_0"), &NoProgress).unwrap();
    let (before, after) = (GgufFile::open(&source).unwrap(), GgufFile::open(&target).unwrap());
    for key in before.keys() {
        assert_eq!(before.value(key), after.value(key), "{key}");
    }
    assert_eq!(after.unsigned("general.file_type").unwrap(), 7);
    assert_eq!(before.tensors().len(), after.tensors().len());
    for (name, tensor) in after.tensors() {
        let expect = if tensor.shape.len() == 1 {
            GgmlDType::F32
        } else {
            GgmlDType::Q8_0
        };
        assert_eq!(tensor.dtype, expect, "{name}");
    }
    assert!(done.bytes_after * 3 < done.bytes_before);
}

#[test]
fn parts_become_one_file() {
    let (folder, source) = tiny(TinyModel::default());
    let parts = split(&source, 3);
    let (from_whole, from_parts) = (folder.path().join("a.gguf"), folder.path().join("b.gguf"));
    quantize(&source, &from_whole, kind("Q8_0"), &NoProgress).unwrap();
    quantize(&parts[0], &from_parts, kind("Q8_0"), &NoProgress).unwrap();
    let (whole, joined) = (
        GgufFile::open(&from_whole).unwrap(),
        GgufFile::open(&from_parts).unwrap(),
    );
    assert_eq!(joined.parts(), 1);
    assert!(joined.keys().eq(whole.keys()));
    for (name, tensor) in whole.tensors() {
        let data = |gguf: &GgufFile| gguf.tensor_data(name, &tensor.shape).unwrap().1.to_vec();
        assert_eq!(data(&joined), data(&whole), "{name}");
    }
}

/// Rounding to eight bits moves a number by at most 1/254 of its block's largest; through two layers of random
/// weights the logits then differ by about a hundredth of their range. Four bits are sixteen times as coarse.
#[test]
fn logits_move_by_no_more_than_the_bits_allow() {
    let (folder, source) = tiny(TinyModel::default());
    let exact = logits(&Model::load(&source, &NoProgress).unwrap());
    let largest = exact.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    for (name, bound) in [
        ("F16", 2e-3),
        ("BF16", 2e-2),
        ("Q8_0", 3e-2),
        ("Q5_1", 0.25),
        ("Q4_0", 0.5),
    ] {
        let target = folder.path().join("other.gguf");
        quantize(&source, &target, kind(name), &NoProgress).unwrap();
        let found = logits(&Model::load(&target, &NoProgress).unwrap());
        let far = exact
            .iter()
            .zip(&found)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(far > 0.0 && far <= bound * largest, "{name}: {far} of {largest}");
    }
}

#[test]
fn mixtures_give_more_bits_where_they_count() {
    let check = |name: &str, tensor: &str, columns: usize, expect: GgmlDType| {
        let (_folder, source) = tiny(TinyModel {
            layers: 8,
            ..TinyModel::default()
        });
        let description = crate::decoder::Description::read(&GgufFile::open(&source).unwrap()).unwrap();
        let sizes = super::Sizes::from(&description);
        let found = kind(name).dtype(sizes, false, tensor, &[512, columns], GgmlDType::F16);
        assert_eq!(found, expect, "{name} {tensor}");
    };
    check("Q4_K_M", "blk.0.attn_v.weight", 512, GgmlDType::Q6K);
    check("Q4_K_M", "blk.1.attn_v.weight", 512, GgmlDType::Q4K);
    check("Q4_K_M", "blk.3.ffn_down.weight", 512, GgmlDType::Q6K);
    check("Q4_K_M", "blk.3.ffn_up.weight", 512, GgmlDType::Q4K);
    check("Q4_K_M", "output.weight", 512, GgmlDType::Q6K);
    check("Q4_K_M", "token_embd.weight", 512, GgmlDType::Q4K);
    // 576 = 2 × 256 + 64: blocks of 32 do.
    check("Q4_K_M", "blk.1.attn_q.weight", 576, GgmlDType::Q5_0);
    check("Q6_K", "output.weight", 576, GgmlDType::Q8_0);
    check("Q4_0", "blk.0.attn_q.weight", 40, GgmlDType::F16);
    check("Q2_K", "blk.0.attn_output.weight", 512, GgmlDType::Q3K);
    check("Q8_0", "output.weight", 512, GgmlDType::Q8_0);
    check("Q4_0", "blk.0.attn_q.bias", 512, GgmlDType::F16);
}

#[test]
fn perplexity_is_that_of_the_logits_and_grows_with_coarse_weights() {
    let (folder, source) = tiny(TinyModel::default());
    let text = "the fever is in the knee and the thing is being the theme ".repeat(20);
    let model = Model::load(&source, &NoProgress).unwrap();
    let exact = perplexity(&model, &text, 32, &NoProgress).unwrap();
    // By hand: every token from all before it in its window.
    let tokens = model.tokenizer.encode_text(&text).unwrap();
    let (mut sum, mut count) = (0.0, 0);
    for window in tokens.chunks_exact(32) {
        for place in 16..32 {
            let mut solo = Solo::new(&model.decoder, Threads::new(1).unwrap(), 64, KvPrecision::F16);
            let row = solo.read(&window[..place], 1, None).unwrap().remove(0);
            let total: f64 = row.iter().map(|it| f64::from(*it).exp()).sum();
            sum -= f64::from(row[window[place] as usize]) - total.ln();
            count += 1;
        }
    }
    assert_eq!(exact.tokens, count);
    let expect = (sum / count as f64).exp();
    assert!((expect / exact.value - 1.0).abs() < 1e-5, "{expect} {exact:?}");
    let target = folder.path().join("coarse.gguf");
    quantize(&source, &target, kind("Q2_K"), &NoProgress).unwrap();
    let coarse = perplexity(
        &Model::load(&target, &NoProgress).unwrap(),
        &text,
        32,
        &NoProgress,
    )
    .unwrap();
    assert!((coarse.value / exact.value - 1.0).abs() > 1e-4, "{coarse:?}");
    let error = perplexity(&model, "short", 32, &NoProgress)
        .unwrap_err()
        .to_string();
    assert!(error.contains("two windows of 32"), "{error}");
}

#[test]
fn wrong_wishes_are_told() {
    let (_folder, source) = tiny(TinyModel::default());
    let error = "q9".parse::<Quantization>().unwrap_err();
    assert!(error.contains("Q4_K_M"), "{error}");
    let bytes = fs::read(&source).unwrap();
    let error = quantize(&source, &source, kind("Q4_0"), &NoProgress)
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be the target"), "{error}");
    assert_eq!(fs::read(&source).unwrap(), bytes);
}
