//! ChatGLM-6B (Du et al., "GLM", 2022; Zeng et al., "GLM-130B", 2023).
//!
//! The context, up to the token before `sop`, sees itself in both directions. Residuals are the normed inputs,
//! times √56 whatever the number of layers. Half of each head is turned by the position in the context, half by
//! the position behind it; rows of `query_key_value` lie head by head.

use crate::{Prefix, Tensors, math};

#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub layers: usize,
    pub heads: usize,
    /// The code of March 2023: as part of a prompt `sop` has its own index for a position.
    pub legacy_positions: bool,
}

const EPSILON: f32 = 1e-5;

/// Logits after each token; `context` is the index of `sop`.
#[must_use]
pub fn logits(
    config: Config,
    tensors: &Tensors,
    tokens: &[u32],
    context: usize,
    prefix: Option<&Prefix>,
) -> math::Rows {
    let hidden = hidden(config, tensors, tokens, context, prefix);
    let head = tensors.find("lm_head.weight");
    math::linear(
        &hidden,
        head.unwrap_or_else(|| tensors.get("transformer.word_embeddings.weight")),
        None,
    )
}

/// States after the last norm; `context` is the index of `sop`.
#[must_use]
pub fn hidden(
    config: Config,
    tensors: &Tensors,
    tokens: &[u32],
    context: usize,
    prefix: Option<&Prefix>,
) -> math::Rows {
    let alpha = 56.0_f32.sqrt();
    let mut x = math::embed(tokens, tensors.get("transformer.word_embeddings.weight"));
    for layer in 0..config.layers {
        let get = |name: &str| tensors.get(&format!("transformer.layers.{layer}.{name}"));
        let linear = |x: &math::Rows, name: &str| {
            math::linear(
                x,
                get(&format!("{name}.weight")),
                Some(get(&format!("{name}.bias"))),
            )
        };
        let norm = |x: &math::Rows, name: &str| {
            math::layer_norm(
                x,
                get(&format!("{name}.weight")),
                get(&format!("{name}.bias")),
                EPSILON,
            )
        };
        let a = norm(&x, "input_layernorm");
        let mixed = attention(
            config,
            &linear(&a, "attention.query_key_value"),
            context,
            layer,
            prefix,
        );
        let y = math::add(alpha, &a, &linear(&mixed, "attention.dense"));
        let m = norm(&y, "post_attention_layernorm");
        let feed = math::map(&linear(&m, "mlp.dense_h_to_4h"), math::gelu);
        x = math::add(alpha, &m, &linear(&feed, "mlp.dense_4h_to_h"));
    }
    let get = |name: &str| tensors.get(&format!("transformer.final_layernorm.{name}"));
    math::layer_norm(&x, get("weight"), get("bias"), EPSILON)
}

fn attention(
    config: Config,
    rows: &math::Rows,
    context: usize,
    layer: usize,
    prefix: Option<&Prefix>,
) -> math::Rows {
    let width = rows[0].len() / (3 * config.heads);
    let place = |token: usize, head: usize, part: usize| {
        let start = (3 * head + part) * width;
        &rows[token][start..start + width]
    };
    let rotated = |token: usize, head: usize, part: usize| {
        let mut numbers = place(token, head, part).to_vec();
        let (first, second) = numbers.split_at_mut(width / 2);
        let (position, block) = positions(config, token, context);
        math::rotate(first, position, 10_000.0, false);
        math::rotate(second, block, 10_000.0, false);
        numbers
    };
    let mut output = vec![Vec::new(); rows.len()];
    for head in 0..config.heads {
        let keys: Vec<_> = (0..rows.len()).map(|token| rotated(token, head, 1)).collect();
        for (token, output) in output.iter_mut().enumerate() {
            let seen = if token < context { context } else { token + 1 };
            let own = (0..seen).map(|it| (keys[it].as_slice(), place(it, head, 2)));
            let before = prefix.into_iter().flat_map(|it| it.head(layer, head));
            let query = rotated(token, head, 0);
            output.extend(math::attend(
                &query,
                1.0 / (width as f32).sqrt(),
                before.chain(own),
            ));
        }
    }
    output
}

/// In the context and behind it.
fn positions(config: Config, token: usize, context: usize) -> (usize, usize) {
    if token < context {
        (token, 0)
    } else if token == context && config.legacy_positions {
        (context, 1)
    } else {
        // That of [gMASK], the last of the context.
        (context - 1, token - context + 1)
    }
}
