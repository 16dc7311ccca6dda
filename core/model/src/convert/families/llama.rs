//! llama, Mistral, Qwen2, Qwen3, Gemma 3 and GLM-4-0414, whose checkpoints name their tensors alike.

use bedside_tensors::checkpoint::Checkpoint;

use super::{put_head, rotation::rotation};
use crate::{
    convert::{
        ConvertError,
        config::{ConfigError, ModelConfig},
        plan::Plan,
    },
    quantize::Sizes,
    rows::Rows,
};

pub(super) fn plan(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    architecture: &'static str,
) -> Result<Plan, ConvertError> {
    let width = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.optional_size("num_key_value_heads")?.unwrap_or(heads);
    let head_width = config.optional_size("head_dim")?.unwrap_or(width / heads);
    let feed = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?;
    let vocabulary = config.size("vocab_size")?;
    check_maths(config, architecture, width / heads, head_width, layers)?;
    let sizes = Sizes {
        layers,
        heads_per_kv: heads / kv_heads.max(1),
    };
    let embedding = "model.embed_tokens.weight";
    let mut plan = Plan::new(architecture, config, checkpoint, embedding, sizes)?;
    plan.number("embedding_length", width);
    plan.number("feed_forward_length", feed);
    plan.number("attention.head_count", heads);
    plan.number("attention.head_count_kv", kv_heads);
    plan.number("attention.key_length", head_width);
    plan.number("attention.value_length", head_width);
    plan.number("vocab_size", vocabulary);
    plan.float(
        "attention.layer_norm_rms_epsilon",
        config.float("rms_norm_eps", 1e-6)?,
    );
    context(config, &mut plan)?;
    rotation(config, &mut plan, head_width)?;

    plan.put("token_embd.weight", embedding, &[vocabulary, width]);
    if !config.is("tie_word_embeddings", architecture == "gemma3")? {
        put_head(
            &mut plan,
            checkpoint,
            embedding,
            "lm_head.weight",
            &[vocabulary, width],
        )?;
    }
    plan.put("output_norm.weight", "model.norm.weight", &[width]);
    let halves = if architecture == "llama" {
        Rows::HalvesInTurn { head_width }
    } else {
        Rows::Same
    };
    for layer in 0..layers {
        let to = |name: &str| format!("blk.{layer}.{name}");
        let from = |name: &str| format!("model.layers.{layer}.{name}");
        for (name, source) in norms(architecture) {
            plan.put(
                to(&format!("{name}.weight")),
                from(&format!("{source}.weight")),
                &[width],
            );
        }
        let (query, key) = (heads * head_width, kv_heads * head_width);
        for (name, source, rows, columns, order) in [
            ("attn_q", "self_attn.q_proj", query, width, halves),
            ("attn_k", "self_attn.k_proj", key, width, halves),
            ("attn_v", "self_attn.v_proj", key, width, Rows::Same),
            ("attn_output", "self_attn.o_proj", width, query, Rows::Same),
        ] {
            let (weight, bias) = (format!("{source}.weight"), format!("{source}.bias"));
            plan.put_rows(
                to(&format!("{name}.weight")),
                from(&weight),
                &[rows, columns],
                order,
            );
            if plan.has(checkpoint, &from(&bias)) {
                plan.put_rows(to(&format!("{name}.bias")), from(&bias), &[rows], order);
            }
        }
        if plan.has(checkpoint, &from("self_attn.q_norm.weight")) {
            for (name, source) in [("attn_q_norm", "q_norm"), ("attn_k_norm", "k_norm")] {
                let source = from(&format!("self_attn.{source}.weight"));
                plan.put(to(&format!("{name}.weight")), source, &[head_width]);
            }
        }
        if architecture == "glm4" {
            plan.put(
                to("ffn_up.weight"),
                from("mlp.gate_up_proj.weight"),
                &[2 * feed, width],
            );
        } else {
            plan.put(
                to("ffn_gate.weight"),
                from("mlp.gate_proj.weight"),
                &[feed, width],
            );
            plan.put(to("ffn_up.weight"), from("mlp.up_proj.weight"), &[feed, width]);
        }
        plan.put(
            to("ffn_down.weight"),
            from("mlp.down_proj.weight"),
            &[width, feed],
        );
    }
    if architecture == "gemma3" {
        // Its norms multiply by one more than their weight.
        let norms = plan
            .tensors
            .iter_mut()
            .filter(|it| it.name.ends_with("norm.weight"));
        norms.for_each(|it| it.plus = 1.0);
    }
    Ok(plan)
}

/// Refuses what the decoder would compute in another way.
fn check_maths(
    config: &ModelConfig,
    architecture: &str,
    share: usize,
    head_width: usize,
    layers: usize,
) -> Result<(), ConfigError> {
    let (key, wanted) = if architecture == "gemma3" {
        ("hidden_activation", "gelu_pytorch_tanh")
    } else {
        ("hidden_act", "silu")
    };
    if config.has(key) && config.text(key) != Some(wanted) {
        return Err(config.unfit(key, wanted));
    }
    // As Description::read has it: Gemma 3 27B, with 62 layers, scales scores by another width.
    let scaled = if layers == 62 { share } else { head_width } as f32;
    if architecture == "gemma3" && config.float("query_pre_attn_scalar", scaled)? != scaled {
        return Err(config.unfit("query_pre_attn_scalar", "the width of a head"));
    }
    Ok(())
}

/// The norms of a layer: before attention and feed-forward, and in some families behind them, too.
fn norms(architecture: &str) -> Vec<(&'static str, &'static str)> {
    match architecture {
        "gemma3" => vec![
            ("attn_norm", "input_layernorm"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_norm", "pre_feedforward_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        "glm4" => vec![
            ("attn_norm", "input_layernorm"),
            ("post_attention_norm", "post_self_attn_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
            ("post_ffw_norm", "post_mlp_layernorm"),
        ],
        _ => vec![
            ("attn_norm", "input_layernorm"),
            ("ffn_norm", "post_attention_layernorm"),
        ],
    }
}

/// How many tokens it may see.
fn context(config: &ModelConfig, plan: &mut Plan) -> Result<(), ConfigError> {
    let trained = config.size("max_position_embeddings")?;
    let window = config.optional_size("sliding_window")?;
    let every = config.is(
        "use_sliding_window",
        plan.architecture != "qwen2" && plan.architecture != "qwen3",
    )?;
    let limit = match window.filter(|_| every) {
        Some(window) if plan.architecture == "gemma3" => {
            plan.number("attention.sliding_window", window);
            trained
        }
        // Within its window such a model is exact, and its layers see no further.
        Some(window) => window.min(trained),
        None => trained,
    };
    if limit < trained {
        plan.notes.push(format!(
            "its layers see {limit} tokens, so chats end there and not at {trained}"
        ));
    }
    plan.number("context_length", limit);
    Ok(())
}
