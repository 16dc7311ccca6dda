//! Against the slow passes of `tests/reference`, and where these are at hand against golden tensors of the
//! published models.

use std::path::Path;

use bedside_reference::{Golden, Prefix, Tensors, assert_near, chatglm, chatglm1, llama};
use candle_core::quantized::GgmlDType;
use serde_json::json;

use super::{
    Adapter, Decoder, DecoderError, KvPrecision, PROMPT, PrefixTensors, Slice, Solo, close, load, threads,
    written,
};
use crate::{
    gguf::GgufFile,
    testing::{HEAD_WIDTH, HEADS, KV_HEADS, TinyModel, WIDTH},
};
use files::{Published, chatglm_file, chatglm1_file};

mod adapters;
mod files;
mod llama3;

/// Sizes of a random model.
const LAYERS: usize = 3;
const VOCABULARY: usize = 64;
/// What other sequences of a batch read.
const OTHER: [u32; 18] = [3, 2, 4, 1, 3, 4, 2, 1, 3, 4, 0, 2, 4, 4, 1, 3, 2, 1];

/// Logits after all tokens of a prompt, then after each further one; alone, and in a batch with other sequences
/// the very same.
fn run(decoder: &Decoder, prompt: &[u32], further: &[u32], adapter: Option<&Adapter>) -> Vec<Vec<f32>> {
    let mut solo = Solo::new(decoder, threads(), 128, KvPrecision::F32);
    let mut alone = solo.read(prompt, prompt.len(), adapter).unwrap();
    for token in further {
        alone.extend(solo.read(&[*token], 1, adapter).unwrap());
    }
    let (mut executor, mut cache) = (decoder.executor(threads()), decoder.cache(8, KvPrecision::F32));
    let (mut start, mut together) = (0, Vec::new());
    for tokens in std::iter::once(prompt).chain(further.iter().map(std::slice::from_ref)) {
        let own = Slice {
            tokens,
            start,
            blocks: &[2, 3, 5],
            logits: tokens.len(),
            adapter,
            context: decoder.context(prompt.len()),
        };
        let beside = |tokens: &'static [u32], blocks: &'static [u32], adapter| Slice {
            tokens,
            start: 0,
            blocks,
            logits: tokens.len(),
            adapter,
            context: decoder.context(tokens.len()),
        };
        let batch = [
            beside(&OTHER, &[0, 1], None),
            own,
            beside(&OTHER[3..], &[4], adapter),
        ];
        let logits = decoder.forward(&mut executor, &mut cache, &batch).unwrap();
        together.extend(
            logits
                .rows()
                .skip(OTHER.len())
                .take(tokens.len())
                .map(|it| it.to_vec()),
        );
        start += tokens.len();
    }
    assert!(alone == together, "another result in a batch");
    alone
}

fn adapter(decoder: &Decoder, prefix: &Prefix, first_position: usize) -> Adapter {
    let flat = |parts: &[Vec<Vec<Vec<f32>>>]| parts.concat().concat().concat();
    let tensors = PrefixTensors {
        tokens: prefix.keys[0].len(),
        keys: flat(&prefix.keys),
        values: flat(&prefix.values),
        first_position,
    };
    Adapter::new(decoder.description(), Vec::new(), Some(tensors)).unwrap()
}

/// Prompt and one step of each.
fn golden_numbers(golden: &Golden, file: &Published<'_>, weights: GgmlDType, tolerance: f32) {
    let (_folder, path) = file.write(weights);
    let decoder = load(&path);
    let adapter = golden.prefix.as_ref().map(|it| adapter(&decoder, it, 0));
    let (prompt, further) = golden.steps.split_first().unwrap();
    let further: Vec<u32> = further.iter().flat_map(|it| it.0.clone()).collect();
    let found = run(&decoder, &prompt.0, &further, adapter.as_ref());
    let expect: Vec<f32> = golden.steps.iter().flat_map(|it| it.1.clone()).collect();
    assert_near(&found.concat(), &expect, tolerance);
}

/// Of f32; a prefix is kept in halves.
fn tolerance(golden: &Golden) -> f32 {
    if golden.prefix.is_some() { 1e-3 } else { 1e-4 }
}

#[test]
fn golden_chatglm_6b() {
    for name in ["plain", "ptuning", "ptuning_proj"] {
        let Some(golden) = Golden::chatglm_6b(name) else {
            return;
        };
        let config = chatglm1::Config {
            layers: 3,
            heads: 4,
            legacy_positions: false,
        };
        let file = chatglm1_file(&golden.tensors, config);
        golden_numbers(&golden, &file, GgmlDType::F32, tolerance(&golden));
        if let Some(prefix) = &golden.prefix {
            adapters::check_ptuning(&golden.tensors, prefix, &file);
        }
        // Eight bits round each weight by up to 1/254 of the largest beside it: 2 % of the largest logit.
        let logits = golden.steps.iter().flat_map(|it| &it.1);
        let largest = logits.fold(0.0_f32, |largest, it| largest.max(it.abs()));
        golden_numbers(&golden, &file, GgmlDType::Q8_0, 0.02 * largest);
    }
}

/// As many tokens as the model is wide, and a head that lets the states through.
fn with_states_as_logits(tensors: &Tensors, embedding: &str, head: &str) -> Tensors {
    let mut all = tensors.clone();
    let mut rows = tensors.get(embedding).numbers.clone();
    rows.resize(32 * 32, 0.0);
    all.put(embedding, &[32, 32], rows);
    let identity = (0..32 * 32).map(|it| if it % 33 == 0 { 1.0 } else { 0.0 });
    all.put(head, &[32, 32], identity.collect());
    all
}

#[test]
fn golden_states_of_one_layer() {
    for with_prefix in [false, true] {
        let Some(golden) = Golden::chatglm1(with_prefix) else {
            return;
        };
        let config = chatglm1::Config {
            layers: 1,
            heads: 8,
            legacy_positions: false,
        };
        let embedding = "transformer.word_embeddings.weight";
        let tensors = with_states_as_logits(&golden.tensors, embedding, "lm_head.weight");
        golden_numbers(
            &golden,
            &chatglm1_file(&tensors, config),
            GgmlDType::F32,
            tolerance(&golden),
        );
    }
    for (name, epsilon) in [
        ("glm2", 1e-5),
        ("glm3", 1e-5),
        ("glm3_ptuning_v2", 1e-5),
        ("glm4", 1.5625e-7),
    ] {
        let Some(golden) = Golden::chatglm(name) else {
            return;
        };
        let config = chatglm::Config {
            layers: 1,
            heads: 8,
            kv_heads: 2,
            epsilon,
            rotary_base: 1e4,
        };
        let (embedding, head) = (
            "transformer.embedding.word_embeddings.weight",
            "transformer.output_layer.weight",
        );
        let tensors = with_states_as_logits(&golden.tensors, embedding, head);
        golden_numbers(
            &golden,
            &chatglm_file(&tensors, config),
            GgmlDType::F32,
            tolerance(&golden),
        );
    }
}

/// Random tensors of these shapes; norms near one.
fn random(shapes: &[(String, Vec<usize>)], seed: u64) -> Tensors {
    let mut state = seed.wrapping_mul(2) | 1;
    let mut number = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0
    };
    let mut tensors = Tensors::default();
    for (name, shape) in shapes {
        let (size, centre) = match name {
            name if name.contains("norm") && name.ends_with("weight") => (0.2, 1.0),
            name if name.contains("embed") || shape.len() == 1 => (1.0, 0.0),
            _ => (0.25, 0.0),
        };
        let count = shape.iter().product();
        tensors.put(
            name,
            shape,
            (0..count).map(|_| number() * size + centre).collect(),
        );
    }
    tensors
}

fn named(prefix: &str, parts: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    let layers = (0..LAYERS).flat_map(|layer| {
        parts
            .iter()
            .map(move |(name, shape)| (format!("{prefix}.{layer}.{name}"), shape.to_vec()))
    });
    layers.collect()
}

/// Both passes over the same file, with weights in f32 and in eight bits.
fn compare(file: &Published<'_>, reference: impl Fn(&[u32], usize) -> Vec<Vec<f32>>) {
    let (prompt, further): (Vec<u32>, _) = ((0..37).map(|it| it * 7 % 61).collect(), [5, 60, 0]);
    let all = [prompt.as_slice(), &further].concat();
    let expect = reference(&all, prompt.len());
    for (weights, tolerance) in [(GgmlDType::F32, 2e-5), (GgmlDType::Q8_0, 0.03)] {
        let (_folder, path) = file.write(weights);
        let found = run(&load(&path), &prompt, &further, None);
        close(&found.concat(), &expect.concat(), tolerance);
    }
}

fn chatglm_6b_shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = named(
        "transformer.layers",
        &[
            ("input_layernorm.weight", &[64]),
            ("input_layernorm.bias", &[64]),
            ("attention.query_key_value.weight", &[192, 64]),
            ("attention.query_key_value.bias", &[192]),
            ("attention.dense.weight", &[64, 64]),
            ("attention.dense.bias", &[64]),
            ("post_attention_layernorm.weight", &[64]),
            ("post_attention_layernorm.bias", &[64]),
            ("mlp.dense_h_to_4h.weight", &[256, 64]),
            ("mlp.dense_h_to_4h.bias", &[256]),
            ("mlp.dense_4h_to_h.weight", &[64, 256]),
            ("mlp.dense_4h_to_h.bias", &[64]),
        ],
    );
    shapes.extend([
        (
            "transformer.word_embeddings.weight".to_owned(),
            vec![VOCABULARY, 64],
        ),
        ("transformer.final_layernorm.weight".to_owned(), vec![64]),
        ("transformer.final_layernorm.bias".to_owned(), vec![64]),
    ]);
    shapes
}

#[test]
fn chatglm_6b_of_both_ages() {
    let shapes = chatglm_6b_shapes();
    for legacy_positions in [false, true] {
        let tensors = random(&shapes, 3);
        let config = chatglm1::Config {
            layers: LAYERS,
            heads: 4,
            legacy_positions,
        };
        // The head is the embedding's in the release.
        compare(&chatglm1_file(&tensors, config), |tokens, prompt| {
            chatglm1::logits(config, &tensors, tokens, prompt - 1, None)
        });
    }
}

fn chatglm3_shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = named(
        "transformer.encoder.layers",
        &[
            ("input_layernorm.weight", &[64]),
            ("self_attention.query_key_value.weight", &[128, 64]),
            ("self_attention.query_key_value.bias", &[128]),
            ("self_attention.dense.weight", &[64, 64]),
            ("post_attention_layernorm.weight", &[64]),
            ("mlp.dense_h_to_4h.weight", &[192, 64]),
            ("mlp.dense_4h_to_h.weight", &[64, 96]),
        ],
    );
    shapes.extend([
        (
            "transformer.embedding.word_embeddings.weight".to_owned(),
            vec![VOCABULARY, 64],
        ),
        ("transformer.encoder.final_layernorm.weight".to_owned(), vec![64]),
        ("transformer.output_layer.weight".to_owned(), vec![VOCABULARY, 64]),
    ]);
    shapes
}

#[test]
fn chatglm2_chatglm3_and_glm4_9b() {
    let shapes = chatglm3_shapes();
    for (epsilon, rotary_base) in [(1e-5, 1e4), (1.5625e-7, 5e6)] {
        let tensors = random(&shapes, 4);
        let config = chatglm::Config {
            layers: LAYERS,
            heads: 4,
            kv_heads: 2,
            epsilon,
            rotary_base,
        };
        compare(&chatglm_file(&tensors, config), |tokens, _| {
            chatglm::logits(config, &tensors, tokens, None)
        });
    }
}

#[test]
fn glm4_0414() {
    let mut shapes = named(
        "model.layers",
        &[
            ("input_layernorm.weight", &[64]),
            ("self_attn.q_proj.weight", &[64, 64]),
            ("self_attn.q_proj.bias", &[64]),
            ("self_attn.k_proj.weight", &[32, 64]),
            ("self_attn.k_proj.bias", &[32]),
            ("self_attn.v_proj.weight", &[32, 64]),
            ("self_attn.v_proj.bias", &[32]),
            ("self_attn.o_proj.weight", &[64, 64]),
            ("post_self_attn_layernorm.weight", &[64]),
            ("post_attention_layernorm.weight", &[64]),
            ("mlp.gate_up_proj.weight", &[192, 64]),
            ("mlp.down_proj.weight", &[64, 96]),
            ("post_mlp_layernorm.weight", &[64]),
        ],
    );
    shapes.extend([
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, 64]),
        ("model.norm.weight".to_owned(), vec![64]),
        ("lm_head.weight".to_owned(), vec![VOCABULARY, 64]),
    ]);
    let tensors = random(&shapes, 5);
    let json = json!({
        "model_type": "glm4", "num_hidden_layers": LAYERS, "hidden_size": 64, "intermediate_size": 96,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": VOCABULARY,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
    });
    let file = Published::new(json, &tensors);
    let config = llama::Config {
        layers: LAYERS,
        heads: 4,
        kv_heads: 2,
        epsilon: 1e-5,
        rotary_base: 1e4,
        kind: llama::Kind::Glm4,
        local: None,
        first_position: 0,
    };
    compare(&file, |tokens, _| llama::logits(config, &tensors, tokens, None));
}

/// Names that llama and what descends from it have in common, Hugging Face's first.
const NAMES: [(&str, &str); 14] = [
    ("model.layers", "blk"),
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
];

/// The checkpoint of a tiny file: names, and rows of llama's queries and keys in the order of halves.
fn checkpoint(path: &Path, architecture: &str) -> Tensors {
    let gguf = GgufFile::open(path).unwrap();
    let mut tensors = Tensors::default();
    for (name, info) in gguf.tensors() {
        let mut numbers = match info.shape.as_slice() {
            [rows, columns] => gguf.matrix(name, *rows, *columns).unwrap(),
            shape => gguf.floats(name, shape[0]).unwrap(),
        };
        if architecture == "gemma3" && name.contains("norm") {
            numbers.iter_mut().for_each(|it| *it -= 1.0);
        }
        if architecture == "llama" && (name.contains("attn_q.") || name.contains("attn_k.")) {
            let heads = if name.contains("attn_q.") { HEADS } else { KV_HEADS };
            let head = numbers.len() / heads;
            let half = head / WIDTH / 2;
            let rows = numbers.chunks(head).flat_map(|head| {
                let row = move |it: usize| &head[it * WIDTH..(it + 1) * WIDTH];
                (0..2).flat_map(move |side| (0..half).flat_map(move |pair| row(2 * pair + side)))
            });
            numbers = rows.copied().collect();
        }
        let norms: &[(&str, &str)] = if architecture == "gemma3" {
            &[
                ("ffn_norm", "pre_feedforward_layernorm"),
                ("post_attention_norm", "post_attention_layernorm"),
                ("post_ffw_norm", "post_feedforward_layernorm"),
            ]
        } else {
            &[("ffn_norm", "post_attention_layernorm")]
        };
        let parts: Vec<&str> = name.split('.').collect();
        let part = |it: &str| -> String {
            let names = NAMES.iter().map(|(to, from)| (*from, *to));
            let found = norms.iter().copied().chain(names).find(|(from, _)| *from == it);
            found.map_or(it.to_owned(), |(_, to)| to.to_owned())
        };
        let name = parts.iter().map(|it| part(it)).collect::<Vec<_>>().join(".");
        tensors.put(name, &info.shape, numbers);
    }
    tensors
}

#[test]
fn llama_qwen2_qwen3_and_gemma3() {
    for (architecture, kind) in [
        ("llama", llama::Kind::Llama),
        ("qwen2", llama::Kind::Qwen2),
        ("qwen3", llama::Kind::Qwen3),
        ("gemma3", llama::Kind::Gemma3),
    ] {
        let model = TinyModel {
            architecture,
            layers: 7,
            ..TinyModel::default()
        };
        let (_folder, path) = written(&model);
        let tensors = checkpoint(&path, architecture);
        let config = llama::Config {
            layers: model.layers,
            heads: HEADS,
            kv_heads: KV_HEADS,
            epsilon: 1e-5,
            rotary_base: 1e4,
            kind,
            local: (architecture == "gemma3").then_some((model.window, 6, 1e4)),
            first_position: 0,
        };
        let all = [&PROMPT[..], &[13, 200, 14]].concat();
        let expect = llama::logits(config, &tensors, &all, None);
        let decoder = load(&path);
        let found = run(&decoder, &PROMPT, &[13, 200, 14], None);
        close(&found.concat(), &expect.concat(), 2e-5);
        // From the checkpoint the very same file comes back.
        let json = json!({
            "model_type": if architecture == "gemma3" { "gemma3_text" } else { architecture },
            "num_hidden_layers": model.layers, "hidden_size": WIDTH, "intermediate_size": 96,
            "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_WIDTH,
            "vocab_size": tensors.get("model.embed_tokens.weight").rows(), "max_position_embeddings": 512,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
            "sliding_window": (architecture == "gemma3").then_some(model.window), "rope_local_base_freq": 10000.0,
        });
        let (_converted, path) = Published::new(json, &tensors).write(GgmlDType::F32);
        let again = run(&load(&path), &PROMPT, &[13, 200, 14], None);
        if architecture == "gemma3" {
            // One is taken from its norms and added again.
            close(&again.concat(), &found.concat(), 1e-5);
        } else {
            assert_eq!(again, found, "{architecture}");
        }

        // Of five tokens, as PEFT trains them: the text begins behind. Local layers see all of it.
        let shape = vec![5, 2 * model.layers * KV_HEADS * HEAD_WIDTH];
        let embedding = "transformer.prefix_encoder.embedding.weight".to_owned();
        let prefix = random(&[(embedding, shape)], 6);
        let prefix = Prefix::of_checkpoint(&prefix, model.layers, KV_HEADS, HEAD_WIDTH);
        let config = llama::Config {
            first_position: 5,
            ..config
        };
        let expect = llama::logits(config, &tensors, &all, Some(&prefix));
        let mut own = prefix.clone();
        if architecture == "llama" {
            // In such files neighbours are turned together, so keys lie in that order.
            for key in own.keys.iter_mut().flatten().flatten() {
                let (first, second) = key.split_at(HEAD_WIDTH / 2);
                *key = first.iter().zip(second).flat_map(|(a, b)| [*a, *b]).collect();
            }
        }
        let adapter = adapter(&decoder, &own, 5);
        let found = run(&decoder, &PROMPT, &[13, 200, 14], Some(&adapter));
        close(&found.concat(), &expect.concat(), 1e-3);
    }
}

#[test]
fn a_context_is_read_whole() {
    let (_folder, path) = written(&TinyModel {
        architecture: "chatglm1",
        ..TinyModel::default()
    });
    let decoder = load(&path);
    let (mut executor, mut cache) = (decoder.executor(threads()), decoder.cache(2, KvPrecision::F16));
    let mut read = |tokens: &[u32], start| {
        let slice = Slice {
            tokens,
            start,
            blocks: &[0, 1],
            logits: 1,
            adapter: None,
            context: decoder.context(20),
        };
        let logits = decoder.forward(&mut executor, &mut cache, &[slice]);
        logits.map(|it| it.rows().next().unwrap().to_vec())
    };
    for part in [1, 16, 19] {
        let error = read(&PROMPT[..part], 0).unwrap_err();
        assert!(
            matches!(error, DecoderError::Context { context: 19, .. }),
            "{error}"
        );
    }
    let whole = read(&PROMPT[..20], 0).unwrap();
    // The same context's first block may be there already.
    assert!(read(&PROMPT[16..20], 16).unwrap() == whole);
    let one = Solo::new(&decoder, threads(), 16, KvPrecision::F16).read(&[5], 1, None);
    assert!(one.unwrap()[0].iter().all(|it| it.is_finite()));
}
