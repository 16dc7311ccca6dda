//! ChatGLM2-6B, ChatGLM3-6B and GLM-4-9B: pre-norm, grouped heads, queries, keys and values as one matrix, gate and
//! up as one; the first half of each head is rotated.

use crate::{Prefix, Tensors, math};

#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub epsilon: f32,
    pub rotary_base: f32,
}

/// Logits after each token.
#[must_use]
pub fn logits(config: Config, tensors: &Tensors, tokens: &[u32], prefix: Option<&Prefix>) -> math::Rows {
    let hidden = hidden(config, tensors, tokens, prefix);
    math::linear(&hidden, tensors.get("transformer.output_layer.weight"), None)
}

/// States after the last norm.
#[must_use]
pub fn hidden(config: Config, tensors: &Tensors, tokens: &[u32], prefix: Option<&Prefix>) -> math::Rows {
    let mut x = math::embed(
        tokens,
        tensors.get("transformer.embedding.word_embeddings.weight"),
    );
    for layer in 0..config.layers {
        let get = |name: &str| tensors.get(&format!("transformer.encoder.layers.{layer}.{name}"));
        let a = math::rms_norm(&x, get("input_layernorm.weight"), config.epsilon);
        let qkv = math::linear(
            &a,
            get("self_attention.query_key_value.weight"),
            Some(get("self_attention.query_key_value.bias")),
        );
        let mixed = attention(config, &qkv, layer, prefix);
        let y = math::add(
            1.0,
            &x,
            &math::linear(&mixed, get("self_attention.dense.weight"), None),
        );
        let m = math::rms_norm(&y, get("post_attention_layernorm.weight"), config.epsilon);
        let both = math::linear(&m, get("mlp.dense_h_to_4h.weight"), None);
        let feed_width = both[0].len() / 2;
        let gate = math::map(&math::columns(&both, 0, feed_width), math::silu);
        let feed = math::multiply(&gate, &math::columns(&both, feed_width, feed_width));
        x = math::add(
            1.0,
            &y,
            &math::linear(&feed, get("mlp.dense_4h_to_h.weight"), None),
        );
    }
    math::rms_norm(
        &x,
        tensors.get("transformer.encoder.final_layernorm.weight"),
        config.epsilon,
    )
}

fn attention(config: Config, rows: &math::Rows, layer: usize, prefix: Option<&Prefix>) -> math::Rows {
    let Config { heads, kv_heads, .. } = config;
    let width = rows[0].len() / (heads + 2 * kv_heads);
    let place = |token: usize, head: usize| &rows[token][head * width..(head + 1) * width];
    let rotated = |token: usize, head: usize| {
        let mut numbers = place(token, head).to_vec();
        math::rotate(&mut numbers[..width / 2], token, config.rotary_base, true);
        numbers
    };
    let mut output = vec![Vec::new(); rows.len()];
    for head in 0..heads {
        let kv_head = head / (heads / kv_heads);
        let keys: Vec<_> = (0..rows.len()).map(|it| rotated(it, heads + kv_head)).collect();
        for (token, output) in output.iter_mut().enumerate() {
            let own = (0..=token).map(|it| (keys[it].as_slice(), place(it, heads + kv_heads + kv_head)));
            let before = prefix.into_iter().flat_map(|it| it.head(layer, kv_head));
            let scale = 1.0 / (width as f32).sqrt();
            output.extend(math::attend(&rotated(token, head), scale, before.chain(own)));
        }
    }
    output
}
