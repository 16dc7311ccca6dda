//! What a module's path says: which linear of which layer.

use crate::{SavedLinear, config::MERGE};

/// The ends of paths, in all families.
const ENDS: [(&str, SavedLinear); 14] = [
    ("self_attn.q_proj", SavedLinear::Query),
    ("self_attn.k_proj", SavedLinear::Key),
    ("self_attn.v_proj", SavedLinear::Value),
    ("self_attn.o_proj", SavedLinear::Output),
    ("mlp.gate_proj", SavedLinear::Gate),
    ("mlp.up_proj", SavedLinear::Up),
    ("mlp.gate_up_proj", SavedLinear::GateUp),
    ("mlp.down_proj", SavedLinear::Down),
    ("attention.query_key_value", SavedLinear::QueryKeyValue),
    ("self_attention.query_key_value", SavedLinear::QueryKeyValue),
    ("attention.dense", SavedLinear::Output),
    ("self_attention.dense", SavedLinear::Output),
    ("mlp.dense_h_to_4h", SavedLinear::Up),
    ("mlp.dense_4h_to_h", SavedLinear::Down),
];

/// In GGUF files.
const GGUF: [(SavedLinear, &str); 8] = [
    (SavedLinear::Query, "attn_q"),
    (SavedLinear::Key, "attn_k"),
    (SavedLinear::Value, "attn_v"),
    (SavedLinear::QueryKeyValue, "attn_qkv"),
    (SavedLinear::Output, "attn_output"),
    (SavedLinear::Gate, "ffn_gate"),
    (SavedLinear::Up, "ffn_up"),
    (SavedLinear::Down, "ffn_down"),
];

/// What the matrices before and behind the layers are called, in all families and in GGUF files.
const EMBEDDINGS: [&str; 5] = [
    "embed_tokens",
    "word_embeddings",
    "tok_embeddings",
    "wte",
    "token_embd",
];
const HEADS: [&str; 3] = ["lm_head", "output_layer", "embed_out"];

/// `model.layers.3.self_attn.q_proj` → layer 3, query.
pub(crate) fn of_module(path: &str) -> Option<(usize, SavedLinear)> {
    let (before, after) = path.split_once("layers.")?;
    let (layer, end) = after.split_once('.')?;
    let linear = ENDS.iter().find(|(name, _)| *name == end)?.1;
    // ChatGLM2 and later keep the gate in it; they alone have an encoder.
    let linear = match linear {
        SavedLinear::Up if end == "mlp.dense_h_to_4h" && before.ends_with("encoder.") => SavedLinear::GateUp,
        other => other,
    };
    Some((layer.parse().ok()?, linear))
}

/// `blk.3.attn_q.weight` → layer 3, query.
pub(crate) fn of_gguf(tensor: &str, architecture: &str) -> Option<(usize, SavedLinear)> {
    let rest = tensor.strip_prefix("blk.")?.strip_suffix(".weight")?;
    let (layer, part) = rest.split_once('.')?;
    let linear = GGUF.iter().find(|(_, name)| *name == part)?.0;
    let linear = match linear {
        SavedLinear::Up if keeps_gate_in_up(architecture) => SavedLinear::GateUp,
        other => other,
    };
    Some((layer.parse().ok()?, linear))
}

pub(crate) fn to_gguf(layer: usize, linear: SavedLinear) -> String {
    let linear = if linear == SavedLinear::GateUp {
        SavedLinear::Up
    } else {
        linear
    };
    let name = GGUF.iter().find(|(own, _)| *own == linear).map_or("", |it| it.1);
    format!("blk.{layer}.{name}.weight")
}

/// Whether a path belongs to the matrix before the layers or to that behind them.
pub(crate) fn outside_layers(path: &str) -> Option<&'static str> {
    if path == "output.weight" {
        return Some("head");
    }
    path.split('.').find_map(|part| {
        if EMBEDDINGS.contains(&part) {
            Some("embedding")
        } else if HEADS.contains(&part) {
            Some("head")
        } else {
            None
        }
    })
}

/// Why an update of a module that is no linear of a layer is refused, and what to do.
pub(crate) fn not_adapted(path: &str) -> String {
    match outside_layers(path) {
        Some(part) => format!(
            "only the linears of layers can be adapted, not the {part}; train without it in target_modules, or {MERGE}"
        ),
        None => "only the linears of layers can be adapted".to_owned(),
    }
}

fn keeps_gate_in_up(architecture: &str) -> bool {
    matches!(architecture, "chatglm" | "glm4")
}

#[cfg(test)]
mod tests {
    use super::{GGUF, of_gguf, of_module, to_gguf};
    use crate::SavedLinear;

    #[test]
    fn paths_of_all_families_are_known() {
        for (path, layer, linear) in [
            ("model.layers.3.self_attn.q_proj", 3, SavedLinear::Query),
            ("model.layers.0.mlp.gate_up_proj", 0, SavedLinear::GateUp),
            (
                "transformer.layers.27.attention.query_key_value",
                27,
                SavedLinear::QueryKeyValue,
            ),
            ("transformer.layers.1.mlp.dense_h_to_4h", 1, SavedLinear::Up),
            (
                "transformer.encoder.layers.1.mlp.dense_h_to_4h",
                1,
                SavedLinear::GateUp,
            ),
        ] {
            assert_eq!(of_module(path), Some((layer, linear)), "{path}");
        }
        for path in [
            "model.embed_tokens",
            "lm_head",
            "model.layers.x.mlp.up_proj",
            "model.layers.1.norm",
        ] {
            assert_eq!(of_module(path), None, "{path}");
        }
    }

    #[test]
    fn names_in_gguf_files_come_back() {
        let linears = GGUF.iter().map(|it| it.0).chain([SavedLinear::GateUp]);
        for linear in linears {
            let architecture = if linear == SavedLinear::GateUp {
                "chatglm"
            } else {
                "llama"
            };
            let name = to_gguf(5, linear);
            assert_eq!(of_gguf(&name, architecture), Some((5, linear)), "{name}");
        }
        assert_eq!(of_gguf("token_embd.weight", "llama"), None);
    }
}
