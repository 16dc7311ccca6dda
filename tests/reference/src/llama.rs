//! Llama and what descends from it: Qwen2, Qwen3, Gemma 3 and GLM-4-0414, by the names of Hugging Face.

use crate::{Prefix, Tensors, math};

#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub epsilon: f32,
    pub rotary_base: f32,
    pub kind: Kind,
    /// Of Gemma 3: how far its local layers see, how often one sees all, and the base of their rotation.
    pub local: Option<(usize, usize, f32)>,
    /// What is added to a token's position behind a prefix.
    pub first_position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    Glm4,
}

/// Logits after each token.
#[must_use]
pub fn logits(config: Config, tensors: &Tensors, tokens: &[u32], prefix: Option<&Prefix>) -> math::Rows {
    let embedding = tensors.get("model.embed_tokens.weight");
    let mut x = math::embed(tokens, embedding);
    if config.kind == Kind::Gemma3 {
        let scale = (x[0].len() as f32).sqrt();
        x = math::map(&x, |it| it * scale);
    }
    let norm = |x: &math::Rows, name: &str| {
        let mut weight = tensors.get(name).clone();
        if config.kind == Kind::Gemma3 {
            weight.numbers.iter_mut().for_each(|it| *it += 1.0);
        }
        math::rms_norm(x, &weight, config.epsilon)
    };
    for layer in 0..config.layers {
        let name = |name: &str| format!("model.layers.{layer}.{name}");
        let linear = |x: &math::Rows, part: &str| {
            math::linear(
                x,
                tensors.get(&name(&format!("{part}.weight"))),
                tensors.find(&name(&format!("{part}.bias"))),
            )
        };
        let a = norm(&x, &name("input_layernorm.weight"));
        let [queries, keys, values] = ["q", "k", "v"].map(|it| linear(&a, &format!("self_attn.{it}_proj")));
        let mut heads = Heads {
            config,
            layer,
            queries,
            keys,
            values,
        };
        if matches!(config.kind, Kind::Qwen3 | Kind::Gemma3) {
            heads.norm(tensors);
        }
        let mut attended = linear(&heads.attend(prefix), "self_attn.o_proj");
        let (behind_attention, before_feed, behind_feed) = match config.kind {
            Kind::Gemma3 => (
                Some("post_attention_layernorm"),
                "pre_feedforward_layernorm",
                Some("post_feedforward_layernorm"),
            ),
            Kind::Glm4 => (
                Some("post_self_attn_layernorm"),
                "post_attention_layernorm",
                Some("post_mlp_layernorm"),
            ),
            _ => (None, "post_attention_layernorm", None),
        };
        if let Some(it) = behind_attention {
            attended = norm(&attended, &name(&format!("{it}.weight")));
        }
        x = math::add(1.0, &x, &attended);
        let m = norm(&x, &name(&format!("{before_feed}.weight")));
        let (gate, up) = if config.kind == Kind::Glm4 {
            let both = linear(&m, "mlp.gate_up_proj");
            let width = both[0].len() / 2;
            (math::columns(&both, 0, width), math::columns(&both, width, width))
        } else {
            (linear(&m, "mlp.gate_proj"), linear(&m, "mlp.up_proj"))
        };
        let activation = if config.kind == Kind::Gemma3 {
            math::gelu
        } else {
            math::silu
        };
        let mut feed = linear(
            &math::multiply(&math::map(&gate, activation), &up),
            "mlp.down_proj",
        );
        if let Some(it) = behind_feed {
            feed = norm(&feed, &name(&format!("{it}.weight")));
        }
        x = math::add(1.0, &x, &feed);
    }
    let x = norm(&x, "model.norm.weight");
    math::linear(&x, tensors.find("lm_head.weight").unwrap_or(embedding), None)
}

/// One layer's attention.
struct Heads {
    config: Config,
    layer: usize,
    queries: math::Rows,
    keys: math::Rows,
    values: math::Rows,
}

impl Heads {
    fn width(&self) -> usize {
        self.queries[0].len() / self.config.heads
    }

    /// Norms each head of queries and keys.
    fn norm(&mut self, tensors: &Tensors) {
        let width = self.width();
        for (rows, part) in [(&mut self.queries, "q"), (&mut self.keys, "k")] {
            let name = format!("model.layers.{}.self_attn.{part}_norm.weight", self.layer);
            let one = if self.config.kind == Kind::Gemma3 {
                1.0
            } else {
                0.0
            };
            let weight: Vec<f32> = tensors.get(&name).numbers.iter().map(|it| it + one).collect();
            for head in rows.iter_mut().flat_map(|row| row.chunks_mut(width)) {
                let normed = math::rms_norm_row(head, &weight, self.config.epsilon);
                head.copy_from_slice(&normed);
            }
        }
    }

    /// The window and the base of rotation of this layer.
    fn reach(&self) -> (usize, f32) {
        match self.config.local {
            Some((window, every, base)) if !(self.layer + 1).is_multiple_of(every) => (window, base),
            _ => (usize::MAX, self.config.rotary_base),
        }
    }

    fn rotated(&self, row: &[f32], token: usize, head: usize) -> Vec<f32> {
        let width = self.width();
        let mut numbers = row[head * width..(head + 1) * width].to_vec();
        let is_glm = self.config.kind == Kind::Glm4;
        let count = if is_glm { width / 2 } else { width };
        let position = token + self.config.first_position;
        math::rotate(&mut numbers[..count], position, self.reach().1, is_glm);
        numbers
    }

    fn attend(&self, prefix: Option<&Prefix>) -> math::Rows {
        let (width, tokens) = (self.width(), self.queries.len());
        let mut output = vec![Vec::new(); tokens];
        for head in 0..self.config.heads {
            let kv_head = head / (self.config.heads / self.config.kv_heads);
            let keys: Vec<_> = (0..tokens)
                .map(|it| self.rotated(&self.keys[it], it, kv_head))
                .collect();
            for (token, output) in output.iter_mut().enumerate() {
                let first = (token + 1).saturating_sub(self.reach().0);
                let values = |it: usize| &self.values[it][kv_head * width..(kv_head + 1) * width];
                let own = (first..=token).map(|it| (keys[it].as_slice(), values(it)));
                let before = prefix.into_iter().flat_map(|it| it.head(self.layer, kv_head));
                let query = self.rotated(&self.queries[token], token, head);
                output.extend(math::attend(
                    &query,
                    1.0 / (width as f32).sqrt(),
                    before.chain(own),
                ));
            }
        }
        output
    }
}
