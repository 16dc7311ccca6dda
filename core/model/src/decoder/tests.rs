use std::{
    fs::File,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor, quantized::GgmlDType, quantized::gguf_file};
use candle_transformers::models::{quantized_llama, quantized_qwen2, quantized_qwen3};
use tempfile::TempDir;

use super::{Decoder, DecoderError, Want};
use crate::{gguf::GgufFile, testing::TinyModel};

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
    Decoder::load(&GgufFile::open(path).unwrap(), &mut |_| {}).unwrap()
}

/// Within that part of the largest.
fn close(found: &[f32], expect: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expect.len());
    let worst = found
        .iter()
        .zip(expect)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let largest = expect.iter().fold(0.0_f32, |largest, it| largest.max(it.abs()));
    assert!(
        worst <= tolerance * largest,
        "off by {worst}, {largest} is the largest"
    );
}

/// All tokens at once, then three single ones: logits after each.
fn ours(path: &Path) -> Vec<Vec<f32>> {
    let decoder = load(path);
    let mut session = decoder.session();
    let mut all = vec![decoder.forward(&mut session, &PROMPT, Want::Logits).unwrap()];
    all.extend([13_u32, 200, 14].map(|it| decoder.forward(&mut session, &[it], Want::Logits).unwrap()));
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
            same_as_candle(
                &TinyModel {
                    architecture,
                    own_head,
                    ..TinyModel::default()
                },
                1e-5,
            );
        }
    }
}

#[test]
fn quantized_weights_give_nearly_the_same_logits() {
    // Both round the activations, each in its own way.
    for weights in [GgmlDType::Q8_0, GgmlDType::Q5_0, GgmlDType::Q4_1, GgmlDType::Q4_0] {
        same_as_candle(
            &TinyModel {
                weights,
                ..TinyModel::default()
            },
            0.03,
        );
    }
}

#[test]
fn pieces_of_a_prompt_give_the_same_logits() {
    for architecture in ["llama", "qwen2", "qwen3", "gemma3"] {
        let (_folder, path) = written(&TinyModel {
            architecture,
            layers: 7,
            ..TinyModel::default()
        });
        let decoder = load(&path);
        let mut whole = decoder.session();
        let expect = decoder.forward(&mut whole, &PROMPT, Want::Logits).unwrap();
        for cut in [1, 5, 20] {
            let mut session = decoder.session();
            assert!(
                decoder
                    .forward(&mut session, &PROMPT[..cut], Want::Nothing)
                    .unwrap()
                    .is_empty()
            );
            close(
                &decoder
                    .forward(&mut session, &PROMPT[cut..], Want::Logits)
                    .unwrap(),
                &expect,
                1e-5,
            );
        }
        let mut session = decoder.session();
        let mut last = Vec::new();
        PROMPT
            .iter()
            .for_each(|it| last = decoder.forward(&mut session, &[*it], Want::Logits).unwrap());
        close(&last, &expect, 1e-5);
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
    let logits = |tokens: &[u32]| {
        decoder
            .forward(&mut decoder.session(), tokens, Want::Logits)
            .unwrap()
    };
    let mut changed = PROMPT;
    changed[..PROMPT.len() - 8].fill(77);
    close(&logits(&PROMPT), &logits(&changed), 1e-6);
    changed[PROMPT.len() - 8] = 77;
    assert_ne!(logits(&PROMPT), logits(&changed));
}

#[test]
fn a_snapshot_goes_on_alone() {
    let (_folder, path) = written(&TinyModel::default());
    let decoder = load(&path);
    let mut first = decoder.session();
    decoder.forward(&mut first, &PROMPT, Want::Nothing).unwrap();
    let mut second = first.clone();
    decoder.forward(&mut second, &[100, 101], Want::Nothing).unwrap();
    second.truncate(PROMPT.len());
    let a = decoder.forward(&mut first, &[50], Want::Logits).unwrap();
    let b = decoder.forward(&mut second, &[50], Want::Logits).unwrap();
    assert_eq!(a, b);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let (_folder, path) = written(&TinyModel {
        context_length: 24,
        ..TinyModel::default()
    });
    let decoder = load(&path);
    let mut session = decoder.session();
    decoder.forward(&mut session, &PROMPT, Want::Nothing).unwrap();
    let error = decoder.forward(&mut session, &[1; 4], Want::Logits).unwrap_err();
    assert!(matches!(
        error,
        DecoderError::ContextFull {
            tokens: 4,
            used: 21,
            context_length: 24
        }
    ));
    let error = decoder.forward(&mut session, &[9999], Want::Logits).unwrap_err();
    assert!(matches!(error, DecoderError::UnknownToken { token: 9999, .. }));
    assert_eq!(session.len(), 21);
    assert_eq!(
        decoder
            .forward(&mut session, &[1; 3], Want::Logits)
            .unwrap()
            .len(),
        TinyModel::vocabulary().len()
    );
}

#[test]
fn an_unknown_family_is_named() {
    let (_folder, path) = written(&TinyModel {
        architecture: "mamba",
        ..TinyModel::default()
    });
    let error = Decoder::load(&GgufFile::open(&path).unwrap(), &mut |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("`mamba` is not supported; supported are llama, qwen2, qwen3, gemma3"),
        "{error}"
    );
}
