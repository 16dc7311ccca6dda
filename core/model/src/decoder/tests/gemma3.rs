//! gemma3 beside candle's model of full precision: its quantized one has another activation than Gemma.

use std::{collections::HashMap, fs::File};

use candle_core::{DType, Device, Tensor, quantized::gguf_file};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::gemma3;

use super::{close, ours, theirs, written};
use crate::testing::{FEED_WIDTH, HEAD_WIDTH, HEADS, KV_HEADS, TinyModel, WIDTH};

/// Names in a GGUF file and in a Hugging Face folder.
const PARTS: [(&str, &str); 13] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

#[test]
fn gemma3s_logits_are_those_of_candle_transformers() {
    // Candle's window is wider by one than that of transformers and llama.cpp, so here it hides nothing; what a
    // window hides has a test of its own. Five layers, all of them local: candle's cache of layers that see all
    // takes no values as its own model gives them.
    let model = TinyModel {
        architecture: "gemma3",
        layers: 5,
        window: 256,
        ..TinyModel::default()
    };
    let (_folder, path) = written(&model);
    let mut file = File::open(&path).unwrap();
    let content = gguf_file::Content::read(&mut file).unwrap();
    let mut tensors = HashMap::new();
    let mut take = |from: &str, to: String| {
        let tensor = content
            .tensor(&mut file, &format!("{from}.weight"), &Device::Cpu)
            .unwrap();
        let tensor = tensor.dequantize(&Device::Cpu).unwrap();
        // Files hold the factors of norms, transformers what they are more than 1.
        let tensor = if from.ends_with("norm") {
            (tensor - 1.0).unwrap()
        } else {
            tensor
        };
        tensors.insert(format!("{to}.weight"), tensor);
    };
    take("token_embd", "model.embed_tokens".to_owned());
    take("output_norm", "model.norm".to_owned());
    for layer in 0..model.layers {
        for (from, to) in PARTS {
            take(
                &format!("blk.{layer}.{from}"),
                format!("model.layers.{layer}.{to}"),
            );
        }
    }
    let config = gemma3::Config {
        attention_bias: false,
        head_dim: HEAD_WIDTH,
        hidden_activation: Activation::GeluPytorchTanh,
        hidden_size: WIDTH,
        intermediate_size: FEED_WIDTH,
        num_attention_heads: HEADS,
        num_hidden_layers: model.layers,
        num_key_value_heads: KV_HEADS,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_local_base_freq: 10_000.0,
        vocab_size: TinyModel::vocabulary().len(),
        final_logit_softcapping: None,
        attn_logit_softcapping: None,
        query_pre_attn_scalar: HEAD_WIDTH,
        sliding_window: model.window,
        sliding_window_pattern: 6,
        max_position_embeddings: model.context_length,
    };
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let mut oracle = gemma3::Model::new(false, &config, weights).unwrap();
    let expect = theirs(&path, |tokens: &Tensor, start| oracle.forward(tokens, start));
    for (found, expect) in ours(&path).iter().zip(&expect) {
        // Keys and values in f16 here, in f32 there.
        close(found, expect, 2e-3);
    }
}
