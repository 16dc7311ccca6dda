//! ChatGLM-6B, and ChatGLM2, ChatGLM3 and GLM-4-9B behind it.

use bedside_tensors::{checkpoint::Checkpoint, gguf::Entry};

use super::put_head;
use crate::{
    convert::{ConvertError, config::ModelConfig, plan::Plan},
    quantize::Sizes,
    rows::Rows,
};

/// ChatGLM-6B: rows of `query_key_value` lie head by head.
pub(super) fn first(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    legacy_positions: bool,
) -> Result<Plan, ConvertError> {
    config.must_be("position_encoding_2d", true)?;
    let width = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let feed = config.size("inner_hidden_size")?;
    let layers = config.size("num_layers")?;
    let vocabulary = config.size("vocab_size")?;
    let head_width = width / heads;
    let sizes = Sizes {
        layers,
        heads_per_kv: 1,
    };
    let embedding = "transformer.word_embeddings.weight";
    let mut plan = Plan::new("chatglm1", config, checkpoint, embedding, sizes)?;
    plan.number("context_length", config.size("max_sequence_length")?);
    plan.number("embedding_length", width);
    plan.number("feed_forward_length", feed);
    plan.number("attention.head_count", heads);
    plan.number("vocab_size", vocabulary);
    plan.number("rope.dimension_count", head_width / 2);
    plan.float(
        "attention.layer_norm_epsilon",
        config.float("layernorm_epsilon", 1e-5)?,
    );
    plan.entry("legacy_positions", Entry::Bool(legacy_positions));

    plan.put("token_embd.weight", embedding, &[vocabulary, width]);
    put_head(
        &mut plan,
        checkpoint,
        embedding,
        "lm_head.weight",
        &[vocabulary, width],
    )?;
    for end in ["weight", "bias"] {
        let shape = |rows: usize, columns: usize| {
            if end == "weight" {
                vec![rows, columns]
            } else {
                vec![rows]
            }
        };
        plan.put(
            format!("output_norm.{end}"),
            format!("transformer.final_layernorm.{end}"),
            &[width],
        );
        for layer in 0..layers {
            let to = |name: &str| format!("blk.{layer}.{name}.{end}");
            let from = |name: &str| format!("transformer.layers.{layer}.{name}.{end}");
            plan.put(to("attn_norm"), from("input_layernorm"), &[width]);
            for (part, name) in ["attn_q", "attn_k", "attn_v"].into_iter().enumerate() {
                let rows = Rows::PartOfHeads { head_width, part };
                plan.put_rows(
                    to(name),
                    from("attention.query_key_value"),
                    &shape(width, width),
                    rows,
                );
            }
            plan.put(to("attn_output"), from("attention.dense"), &shape(width, width));
            plan.put(to("ffn_norm"), from("post_attention_layernorm"), &[width]);
            plan.put(to("ffn_up"), from("mlp.dense_h_to_4h"), &shape(feed, width));
            plan.put(to("ffn_down"), from("mlp.dense_4h_to_h"), &shape(width, feed));
        }
    }
    Ok(plan)
}

/// ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B.
pub(super) fn later(config: &ModelConfig, checkpoint: &Checkpoint) -> Result<Plan, ConvertError> {
    config.must_be("rmsnorm", true)?;
    config.must_be("post_layer_norm", true)?;
    config.must_be("apply_residual_connection_post_layernorm", false)?;
    config.must_be("add_bias_linear", false)?;
    let width = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let kv_heads = if config.is("multi_query_attention", true)? {
        config.size("multi_query_group_num")?
    } else {
        heads
    };
    let head_width = config.optional_size("kv_channels")?.unwrap_or(width / heads);
    let feed = config.size("ffn_hidden_size")?;
    let layers = config.size("num_layers")?;
    let vocabulary = config.size("padded_vocab_size")?;
    let sizes = Sizes {
        layers,
        heads_per_kv: heads / kv_heads,
    };
    let embedding = "transformer.embedding.word_embeddings.weight";
    let mut plan = Plan::new("chatglm", config, checkpoint, embedding, sizes)?;
    plan.number("context_length", config.size("seq_length")?);
    plan.number("embedding_length", width);
    plan.number("feed_forward_length", feed);
    plan.number("attention.head_count", heads);
    plan.number("attention.head_count_kv", kv_heads);
    plan.number("attention.key_length", head_width);
    plan.number("attention.value_length", head_width);
    plan.number("vocab_size", vocabulary);
    plan.number("rope.dimension_count", head_width / 2);
    plan.float(
        "attention.layer_norm_rms_epsilon",
        config.float("layernorm_epsilon", 1e-5)?,
    );
    plan.float("rope.freq_base", 10_000.0 * config.float("rope_ratio", 1.0)?);

    plan.put("token_embd.weight", embedding, &[vocabulary, width]);
    put_head(
        &mut plan,
        checkpoint,
        embedding,
        "transformer.output_layer.weight",
        &[vocabulary, width],
    )?;
    plan.put(
        "output_norm.weight",
        "transformer.encoder.final_layernorm.weight",
        &[width],
    );
    let query = heads * head_width;
    let all = query + 2 * kv_heads * head_width;
    for layer in 0..layers {
        let mut put = |to: &str, from: &str, shape: &[usize]| {
            let from = format!("transformer.encoder.layers.{layer}.{from}");
            plan.put(format!("blk.{layer}.{to}"), from, shape);
        };
        put("attn_norm.weight", "input_layernorm.weight", &[width]);
        put(
            "attn_qkv.weight",
            "self_attention.query_key_value.weight",
            &[all, width],
        );
        if config.is("add_qkv_bias", true)? {
            put("attn_qkv.bias", "self_attention.query_key_value.bias", &[all]);
        }
        put(
            "attn_output.weight",
            "self_attention.dense.weight",
            &[width, query],
        );
        put("ffn_norm.weight", "post_attention_layernorm.weight", &[width]);
        put("ffn_up.weight", "mlp.dense_h_to_4h.weight", &[2 * feed, width]);
        put("ffn_down.weight", "mlp.dense_4h_to_h.weight", &[width, feed]);
    }
    Ok(plan)
}
