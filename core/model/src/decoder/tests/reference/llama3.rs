//! Llama 3.1's stretched rotation, by way of `bedside model convert`, beside candle's model.

use std::collections::HashMap;

use bedside_reference::llama;
use candle_core::{DType, Device, Tensor, quantized::GgmlDType};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use serde_json::{Value, json};

use super::{Published, adapters::llama_like, close, load, run};
use crate::gguf::GgufFile;

#[test]
fn a_stretched_rotation_is_that_of_candle() {
    let (tensors, mut json, config) = llama_like(llama::Kind::Llama);
    json["rope_scaling"] = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    });
    let tokens: Vec<u32> = (0..90).map(|it| it * 11 % 61).collect();
    let (_folder, path) = Published::new(json.clone(), &tensors).write(GgmlDType::F32);
    let factors = GgufFile::open(&path)
        .unwrap()
        .floats("rope_freqs.weight", 8)
        .unwrap();
    assert!(factors[0] == 1.0 && factors[7] == 8.0, "{factors:?}");
    assert!(factors.iter().any(|it| *it > 1.0 && *it < 8.0), "{factors:?}");

    let device = Device::Cpu;
    let weights = tensors.0.iter().map(|(name, it)| {
        let tensor = Tensor::from_vec(it.numbers.clone(), it.shape.as_slice(), &device).unwrap();
        (name.clone(), tensor)
    });
    let weights = VarBuilder::from_tensors(weights.collect::<HashMap<_, _>>(), DType::F32, &device);
    if let Value::Object(json) = &mut json {
        json.insert("torch_dtype".to_owned(), json!("float32"));
    }
    let candle: LlamaConfig = serde_json::from_value(json).unwrap();
    let candle = candle.into_config(false);
    let model = Llama::load(weights, &candle).unwrap();
    let mut cache = Cache::new(true, DType::F32, &candle, &device).unwrap();
    let mut expect = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let input = Tensor::new(&[[*token]], &device).unwrap();
        let logits = model.forward(&input, place, &mut cache).unwrap();
        expect.push(logits.squeeze(0).unwrap().to_vec1::<f32>().unwrap());
    }
    let found = run_all(&path, &tokens);
    close(&found.concat(), &expect.concat(), 2e-4);
    // Without it they are others.
    let plain = llama::logits(config, &tensors, &tokens, None).concat();
    let largest = plain.iter().fold(0.0_f32, |largest, it| largest.max(it.abs()));
    let change = plain
        .iter()
        .zip(expect.concat())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(change > 0.02 * largest, "{change} of {largest}");
}

fn run_all(path: &std::path::Path, tokens: &[u32]) -> Vec<Vec<f32>> {
    let decoder = load(path);
    // The helper's blocks hold 48 tokens.
    let mut all = run(&decoder, &tokens[..40], &[], None);
    let mut solo = super::Solo::new(&decoder, super::threads(), 96, super::KvPrecision::F32);
    let whole = solo.read(tokens, tokens.len(), None).unwrap();
    assert!(all == whole[..40]);
    all.extend(whole.into_iter().skip(40));
    all
}
