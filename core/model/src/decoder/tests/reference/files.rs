//! Checkpoints as GGUF files, by way of `bedside model convert`.

use std::{fs, path::PathBuf};

use bedside_reference::{Tensors, chatglm, chatglm1};
use candle_core::quantized::GgmlDType;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    convert::{Conversion, convert_weights},
    quantize::Quantization,
};

/// A folder as it is published, but for its tokenizer.
pub(super) struct Published<'a> {
    pub(super) config: Value,
    pub(super) tensors: &'a Tensors,
    pub(super) legacy_positions: bool,
}

impl<'a> Published<'a> {
    pub(super) fn new(config: Value, tensors: &'a Tensors) -> Self {
        Self {
            config,
            tensors,
            legacy_positions: false,
        }
    }

    /// Vectors stay f32.
    pub(super) fn write(&self, weights: GgmlDType) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let mut tensors = self.tensors.clone();
        tensors.0.retain(|name, _| !name.starts_with("__"));
        tensors.write_safetensors(&folder.path().join("model.safetensors"));
        fs::write(folder.path().join("config.json"), self.config.to_string()).unwrap();
        let path = folder.path().join("model.gguf");
        let quantization: Quantization = format!("{weights:?}").parse().unwrap();
        let conversion = Conversion {
            quantization: Some(quantization),
            legacy_positions: self.legacy_positions,
            ..Conversion::default()
        };
        convert_weights(folder.path(), &path, &conversion).unwrap();
        (folder, path)
    }
}

pub(super) fn chatglm1_file(tensors: &Tensors, config: chatglm1::Config) -> Published<'_> {
    let embedding = tensors.get("transformer.word_embeddings.weight");
    let up = tensors.get("transformer.layers.0.mlp.dense_h_to_4h.weight");
    let json = json!({
        "model_type": "chatglm", "position_encoding_2d": true, "layernorm_epsilon": 1e-5,
        "num_layers": config.layers, "hidden_size": embedding.shape[1], "inner_hidden_size": up.rows(),
        "num_attention_heads": config.heads, "vocab_size": embedding.rows(), "max_sequence_length": 128,
    });
    Published {
        legacy_positions: config.legacy_positions,
        ..Published::new(json, tensors)
    }
}

/// ChatGLM2, ChatGLM3 or GLM-4-9B.
pub(super) fn chatglm_file(tensors: &Tensors, config: chatglm::Config) -> Published<'_> {
    let embedding = tensors.get("transformer.embedding.word_embeddings.weight");
    let down = tensors.get("transformer.encoder.layers.0.mlp.dense_4h_to_h.weight");
    let json = json!({
        "model_type": "chatglm", "rmsnorm": true, "post_layer_norm": true, "add_bias_linear": false,
        "add_qkv_bias": true, "apply_residual_connection_post_layernorm": false, "multi_query_attention": true,
        "multi_query_group_num": config.kv_heads, "num_attention_heads": config.heads,
        "num_layers": config.layers, "hidden_size": embedding.shape[1], "ffn_hidden_size": down.shape[1],
        "kv_channels": embedding.shape[1] / config.heads, "padded_vocab_size": embedding.rows(),
        "seq_length": 128, "layernorm_epsilon": config.epsilon, "rope_ratio": config.rotary_base / 1e4,
    });
    Published::new(json, tensors)
}
