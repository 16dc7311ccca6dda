//! Checkpoints as GGUF files.

use std::path::PathBuf;

use bedside_reference::{Tensor, Tensors, chatglm, chatglm1};
use candle_core::{
    Device,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{self, Value},
    },
};
use tempfile::TempDir;

/// A file of such a family. Vectors stay f32.
pub(super) struct File {
    metadata: Vec<(String, Value)>,
    tensors: Tensors,
}

impl File {
    pub(super) fn new(architecture: &str, sizes: &[(&str, usize)], numbers: &[(&str, f32)]) -> Self {
        let own = |name: &str| format!("{architecture}.{name}");
        let mut metadata = vec![(
            "general.architecture".to_owned(),
            Value::String(architecture.to_owned()),
        )];
        metadata.push((own("context_length"), Value::U32(128)));
        metadata.extend(
            sizes
                .iter()
                .map(|(name, size)| (own(name), Value::U32(*size as u32))),
        );
        metadata.extend(
            numbers
                .iter()
                .map(|(name, number)| (own(name), Value::F32(*number))),
        );
        Self {
            metadata,
            tensors: Tensors::default(),
        }
    }

    pub(super) fn put(&mut self, name: String, tensor: &Tensor) {
        self.tensors.put(name, &tensor.shape, tensor.numbers.clone());
    }

    pub(super) fn write(&self, weights: GgmlDType) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let quantized = |tensor: &Tensor| {
            let kind = if tensor.shape.len() == 2 {
                weights
            } else {
                GgmlDType::F32
            };
            let tensor =
                candle_core::Tensor::from_slice(&tensor.numbers, tensor.shape.as_slice(), &Device::Cpu);
            QTensor::quantize(&tensor.unwrap(), kind).unwrap()
        };
        let tensors: Vec<_> = self
            .tensors
            .0
            .iter()
            .map(|(name, it)| (name, quantized(it)))
            .collect();
        let tensors: Vec<_> = tensors.iter().map(|(name, it)| (name.as_str(), it)).collect();
        let metadata: Vec<_> = self
            .metadata
            .iter()
            .map(|(name, it)| (name.as_str(), it))
            .collect();
        gguf_file::write(&mut std::fs::File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        (folder, path)
    }
}

/// The file for a ChatGLM-6B checkpoint: rows of `query_key_value` lie head by head there.
pub(super) fn chatglm1_file(tensors: &Tensors, config: chatglm1::Config) -> File {
    let embedding = tensors.get("transformer.word_embeddings.weight");
    let up = tensors.get("transformer.layers.0.mlp.dense_h_to_4h.weight");
    let width = embedding.shape[1];
    let head_width = width / config.heads;
    let sizes = [
        ("block_count", config.layers),
        ("embedding_length", width),
        ("feed_forward_length", up.rows()),
        ("attention.head_count", config.heads),
        ("rope.dimension_count", head_width / 2),
    ];
    let mut file = File::new("chatglm1", &sizes, &[("attention.layer_norm_epsilon", 1e-5)]);
    file.metadata.push((
        "chatglm1.legacy_positions".to_owned(),
        Value::Bool(config.legacy_positions),
    ));
    file.put("token_embd.weight".to_owned(), embedding);
    if let Some(head) = tensors.find("lm_head.weight") {
        file.put("output.weight".to_owned(), head);
    }
    for end in ["weight", "bias"] {
        let norm = tensors.get(&format!("transformer.final_layernorm.{end}"));
        file.put(format!("output_norm.{end}"), norm);
        for layer in 0..config.layers {
            let get = |name: &str| tensors.get(&format!("transformer.layers.{layer}.{name}.{end}"));
            for (from, to) in [
                ("input_layernorm", "attn_norm"),
                ("attention.dense", "attn_output"),
                ("post_attention_layernorm", "ffn_norm"),
                ("mlp.dense_h_to_4h", "ffn_up"),
                ("mlp.dense_4h_to_h", "ffn_down"),
            ] {
                file.put(format!("blk.{layer}.{to}.{end}"), get(from));
            }
            let all = get("attention.query_key_value");
            for (part, to) in ["attn_q", "attn_k", "attn_v"].into_iter().enumerate() {
                let rows = (0..config.heads).flat_map(|head| {
                    let first = (3 * head + part) * head_width;
                    (first..first + head_width).flat_map(|row| all.row(row))
                });
                let mut shape = all.shape.clone();
                shape[0] = width;
                let numbers = rows.copied().collect();
                file.tensors
                    .put(format!("blk.{layer}.{to}.{end}"), &shape, numbers);
            }
        }
    }
    file
}

/// The file for a checkpoint of ChatGLM2, ChatGLM3 or GLM-4-9B.
pub(super) fn chatglm_file(tensors: &Tensors, config: chatglm::Config) -> File {
    let embedding = tensors.get("transformer.embedding.word_embeddings.weight");
    let down = tensors.get("transformer.encoder.layers.0.mlp.dense_4h_to_h.weight");
    let width = embedding.shape[1];
    let sizes = [
        ("block_count", config.layers),
        ("embedding_length", width),
        ("feed_forward_length", down.shape[1]),
        ("attention.head_count", config.heads),
        ("attention.head_count_kv", config.kv_heads),
        ("rope.dimension_count", width / config.heads / 2),
    ];
    let numbers = [
        ("attention.layer_norm_rms_epsilon", config.epsilon),
        ("rope.freq_base", config.rotary_base),
    ];
    let mut file = File::new("chatglm", &sizes, &numbers);
    file.put("token_embd.weight".to_owned(), embedding);
    file.put(
        "output_norm.weight".to_owned(),
        tensors.get("transformer.encoder.final_layernorm.weight"),
    );
    if let Some(head) = tensors.find("transformer.output_layer.weight") {
        file.put("output.weight".to_owned(), head);
    }
    for layer in 0..config.layers {
        for (from, to) in [
            ("input_layernorm.weight", "attn_norm.weight"),
            ("self_attention.query_key_value.weight", "attn_qkv.weight"),
            ("self_attention.query_key_value.bias", "attn_qkv.bias"),
            ("self_attention.dense.weight", "attn_output.weight"),
            ("post_attention_layernorm.weight", "ffn_norm.weight"),
            ("mlp.dense_h_to_4h.weight", "ffn_up.weight"),
            ("mlp.dense_4h_to_h.weight", "ffn_down.weight"),
        ] {
            let tensor = tensors.get(&format!("transformer.encoder.layers.{layer}.{from}"));
            file.put(format!("blk.{layer}.{to}"), tensor);
        }
    }
    file
}
