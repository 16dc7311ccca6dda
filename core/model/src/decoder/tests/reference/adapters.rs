//! Adapters as they are saved, against the slow passes with weights that they are merged into.

use std::{fs, path::Path};

use bedside_formats::SavedAdapter;
use bedside_reference::{Prefix, Tensors, chatglm, chatglm1, llama};
use candle_core::quantized::GgmlDType;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    LAYERS, Published, VOCABULARY, chatglm_6b_shapes, chatglm_file, chatglm1_file, chatglm3_shapes, close,
    load, named, random, run,
};
use crate::{
    adapters::{Target, fit, save},
    decoder::{Adapter, Decoder},
};

/// A folder as PEFT saves it.
struct Saved {
    folder: TempDir,
}

impl Saved {
    fn new(config: &Value, tensors: &Tensors) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
        tensors.write_safetensors(&folder.path().join("adapter_model.safetensors"));
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Ready for the decoder: as it was saved, and after each of the ways through another format.
fn in_every_format(path: &Path, decoder: &Decoder) -> Vec<(&'static str, Adapter)> {
    let description = decoder.description();
    let room = tempfile::tempdir().unwrap();
    let read = |path: &Path| {
        let saved = SavedAdapter::open(path).unwrap();
        fit(&saved, description).unwrap()
    };
    let fitted = read(path);
    let mut all = Vec::new();
    for (name, target) in [
        ("GGUF", Target::Gguf(room.path().join("adapter.gguf"))),
        ("folder", Target::Folder(room.path().join("adapter"))),
    ] {
        let base = SavedAdapter::open(path).unwrap().base;
        save(&fitted, description, &base, &target).unwrap();
        let (Target::Gguf(at) | Target::Folder(at)) = &target;
        all.push((name, read(at).adapter(at, description).unwrap()));
    }
    all.push(("as saved", fitted.adapter(path, description).unwrap()));
    all
}

/// Random updates of these modules as PEFT saves them, and the checkpoint with them merged in.
fn lora(tensors: &Tensors, modules: &[&str], scale_of: impl Fn(&str) -> (usize, f32)) -> (Tensors, Tensors) {
    let mut shapes = Vec::new();
    for module in modules {
        let shape = &tensors.get(&format!("{module}.weight")).shape;
        let (rank, _) = scale_of(module);
        let name = |half: &str| format!("base_model.model.{module}.{half}.weight");
        shapes.push((name("lora_A"), vec![rank, shape[1]]));
        shapes.push((name("lora_B"), vec![shape[0], rank]));
    }
    let halves = random(&shapes, 11);
    let mut merged = tensors.clone();
    for module in modules {
        let half = |half: &str| halves.get(&format!("base_model.model.{module}.{half}.weight"));
        add_product(
            &mut merged,
            module,
            half("lora_A"),
            half("lora_B"),
            scale_of(module).1,
            0,
        );
    }
    (halves, merged)
}

/// `W += scale · B A`, for the rows of W from `first` on.
fn add_product(
    merged: &mut Tensors,
    module: &str,
    a: &bedside_reference::Tensor,
    b: &bedside_reference::Tensor,
    scale: f32,
    first: usize,
) {
    let weight = merged.0.get_mut(&format!("{module}.weight")).unwrap();
    let columns = weight.shape[1];
    for row in 0..b.rows() {
        for column in 0..columns {
            let product: f32 = (0..a.rows()).map(|it| b.row(row)[it] * a.row(it)[column]).sum();
            weight.numbers[(first + row) * columns + column] += scale * product;
        }
    }
}

const PROMPT: [u32; 37] = {
    let mut prompt = [0; 37];
    let mut place = 0;
    while place < 37 {
        prompt[place] = (place as u32 * 7) % 61;
        place += 1;
    }
    prompt
};
const FURTHER: [u32; 3] = [5, 60, 0];

/// The engine's batch with the adapter on some of its sequences, against the reference.
fn check(
    path: &Path,
    file: &Published<'_>,
    expect: impl Fn(&[u32], usize) -> Vec<Vec<f32>>,
    without: impl Fn(&[u32], usize) -> Vec<Vec<f32>>,
) {
    let (_folder, model) = file.write(GgmlDType::F32);
    let decoder = load(&model);
    let all = [&PROMPT[..], &FURTHER].concat();
    let (expect, without) = (
        expect(&all, PROMPT.len()).concat(),
        without(&all, PROMPT.len()).concat(),
    );
    let largest = without.iter().fold(0.0_f32, |largest, it| largest.max(it.abs()));
    let change = expect
        .iter()
        .zip(&without)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    // Ten times the tolerance below.
    assert!(
        change > 0.02 * largest,
        "the adapter changes too little: {change} of {largest}"
    );
    for (format, adapter) in in_every_format(path, &decoder) {
        let found = run(&decoder, &PROMPT, &FURTHER, Some(&adapter)).concat();
        // Its matrices are kept in halves.
        let far = found
            .iter()
            .zip(&expect)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(far <= 2e-3 * largest, "{format}: {far} of {largest}");
    }
    close(&run(&decoder, &PROMPT, &FURTHER, None).concat(), &without, 2e-5);
}

pub(super) fn llama_like(kind: llama::Kind) -> (Tensors, Value, llama::Config) {
    let glm4 = kind == llama::Kind::Glm4;
    let mut parts: Vec<(&str, &[usize])> = vec![
        ("input_layernorm.weight", &[64]),
        ("self_attn.q_proj.weight", &[64, 64]),
        ("self_attn.k_proj.weight", &[32, 64]),
        ("self_attn.v_proj.weight", &[32, 64]),
        ("self_attn.o_proj.weight", &[64, 64]),
        ("post_attention_layernorm.weight", &[64]),
        ("mlp.down_proj.weight", &[64, 96]),
    ];
    if glm4 {
        parts.extend::<[(&str, &[usize]); 6]>([
            ("mlp.gate_up_proj.weight", &[192, 64]),
            ("post_self_attn_layernorm.weight", &[64]),
            ("post_mlp_layernorm.weight", &[64]),
            ("self_attn.q_proj.bias", &[64]),
            ("self_attn.k_proj.bias", &[32]),
            ("self_attn.v_proj.bias", &[32]),
        ]);
    } else {
        parts.extend::<[(&str, &[usize]); 2]>([
            ("mlp.gate_proj.weight", &[96, 64]),
            ("mlp.up_proj.weight", &[96, 64]),
        ]);
    }
    let mut shapes = named("model.layers", &parts);
    shapes.extend([
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, 64]),
        ("model.norm.weight".to_owned(), vec![64]),
        ("lm_head.weight".to_owned(), vec![VOCABULARY, 64]),
    ]);
    let json = json!({
        "model_type": if glm4 { "glm4" } else { "llama" }, "num_hidden_layers": LAYERS, "hidden_size": 64,
        "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "vocab_size": VOCABULARY, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "tie_word_embeddings": false,
    });
    let config = llama::Config {
        layers: LAYERS,
        heads: 4,
        kv_heads: 2,
        epsilon: 1e-5,
        rotary_base: 1e4,
        kind,
        local: None,
        first_position: 0,
    };
    (random(&shapes, 21), json, config)
}

fn config_of(more: Value) -> Value {
    let mut config = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 6, "bias": "none", "use_dora": false,
        "modules_to_save": null, "base_model_name_or_path": "some/base", "a_later_key": { "of": "no concern" },
    });
    let (Value::Object(config), Value::Object(more)) = (&mut config, more) else {
        unreachable!("both are objects");
    };
    config.extend(more);
    Value::Object(config.clone())
}

#[test]
fn lora_of_peft_on_llama() {
    let (tensors, json, config) = llama_like(llama::Kind::Llama);
    let modules = [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.k_proj",
        "model.layers.1.self_attn.v_proj",
        "model.layers.1.self_attn.o_proj",
        "model.layers.2.mlp.gate_proj",
        "model.layers.2.mlp.up_proj",
        "model.layers.2.mlp.down_proj",
    ];
    let plain = |_: &str| (4, 6.0 / 4.0);
    let stable = |_: &str| (4, 6.0 / 2.0);
    let patterns = |module: &str| match module {
        it if it.ends_with("0.self_attn.q_proj") => (2, 1.0 / 2.0),
        it if it.ends_with("mlp.up_proj") => (4, 9.0 / 4.0),
        _ => (4, 6.0 / 4.0),
    };
    type Scale<'a> = &'a dyn Fn(&str) -> (usize, f32);
    let cases: [(Value, Scale<'_>); 3] = [
        (json!({}), &plain),
        (json!({ "use_rslora": true }), &stable),
        (
            json!({
                "rank_pattern": { "0.self_attn.q_proj": 2 },
                "alpha_pattern": { r"layers\.0\.self_attn\.q_proj": 1, "up_proj": 9 },
            }),
            &patterns,
        ),
    ];
    for (more, scale) in cases {
        let (halves, merged) = lora(&tensors, &modules, scale);
        let saved = Saved::new(&config_of(more), &halves);
        check(
            saved.path(),
            &Published::new(json.clone(), &tensors),
            |tokens, _| llama::logits(config, &merged, tokens, None),
            |tokens, _| llama::logits(config, &tensors, tokens, None),
        );
    }
}

#[test]
fn lora_of_peft_on_glm4_and_chatglm3() {
    let (tensors, json, config) = llama_like(llama::Kind::Glm4);
    let modules = [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.mlp.gate_up_proj",
        "model.layers.2.mlp.down_proj",
    ];
    let (halves, merged) = lora(&tensors, &modules, |_| (4, 1.5));
    check(
        Saved::new(&config_of(json!({})), &halves).path(),
        &Published::new(json, &tensors),
        |tokens, _| llama::logits(config, &merged, tokens, None),
        |tokens, _| llama::logits(config, &tensors, tokens, None),
    );

    let tensors = random(&chatglm3_shapes(), 22);
    let config = chatglm::Config {
        layers: LAYERS,
        heads: 4,
        kv_heads: 2,
        epsilon: 1e-5,
        rotary_base: 1e4,
    };
    let modules = [
        "transformer.encoder.layers.0.self_attention.query_key_value",
        "transformer.encoder.layers.1.self_attention.dense",
        "transformer.encoder.layers.1.mlp.dense_h_to_4h",
        "transformer.encoder.layers.2.mlp.dense_4h_to_h",
    ];
    let (halves, merged) = lora(&tensors, &modules, |_| (4, 1.5));
    check(
        Saved::new(&config_of(json!({})), &halves).path(),
        &chatglm_file(&tensors, config),
        |tokens, _| chatglm::logits(config, &merged, tokens, None),
        |tokens, _| chatglm::logits(config, &tensors, tokens, None),
    );
}

fn chatglm_6b() -> (Tensors, chatglm1::Config) {
    let config = chatglm1::Config {
        layers: LAYERS,
        heads: 4,
        legacy_positions: false,
    };
    (random(&chatglm_6b_shapes(), 23), config)
}

#[test]
fn lora_of_peft_on_chatglm_6b() {
    let (tensors, config) = chatglm_6b();
    let modules = [
        "transformer.layers.0.attention.query_key_value",
        "transformer.layers.1.attention.dense",
        "transformer.layers.1.mlp.dense_h_to_4h",
        "transformer.layers.2.mlp.dense_4h_to_h",
    ];
    let (halves, merged) = lora(&tensors, &modules, |_| (4, 1.5));
    check(
        Saved::new(&config_of(json!({})), &halves).path(),
        &chatglm1_file(&tensors, config),
        |tokens, prompt| chatglm1::logits(config, &merged, tokens, prompt - 1, None),
        |tokens, prompt| chatglm1::logits(config, &tensors, tokens, prompt - 1, None),
    );
}

/// DoctorGLM's released LoRA: the first and the last third of rows that lie head by head.
#[test]
fn merged_linear_on_chatglm_6b() {
    let (tensors, config) = chatglm_6b();
    let (rank, third) = (4, 64);
    let module = |layer: usize| format!("transformer.layers.{layer}.attention.query_key_value");
    for suffix in ["", ".weight"] {
        let mut shapes = Vec::new();
        for layer in 0..LAYERS {
            let name = |half: &str| format!("base_model.model.{}.{half}{suffix}", module(layer));
            shapes.push((name("lora_A"), vec![2 * rank, 64]));
            // As the weight of a convolution.
            shapes.push((name("lora_B"), vec![2 * third, rank, 1]));
        }
        let halves = random(&shapes, 12);
        let mut merged = tensors.clone();
        for layer in 0..LAYERS {
            let half = |half: &str| halves.get(&format!("base_model.model.{}.{half}{suffix}", module(layer)));
            for (group, first) in [(0, 0), (1, 2 * third)] {
                let part = |tensor: &bedside_reference::Tensor, rows: usize, width: usize| {
                    let numbers = &tensor.numbers[group * rows * width..(group + 1) * rows * width];
                    bedside_reference::Tensor {
                        shape: vec![rows, width],
                        numbers: numbers.to_vec(),
                    }
                };
                let (a, b) = (part(half("lora_A"), rank, 64), part(half("lora_B"), third, rank));
                add_product(&mut merged, &module(layer), &a, &b, 2.0 / 4.0, first);
            }
        }
        let saved = Saved::new(
            &json!({
                "peft_type": "LORA", "r": rank, "lora_alpha": 2, "target_modules": ["query_key_value"],
                "enable_lora": [true, false, true], "fan_in_fan_out": true, "bias": "none", "merge_weights": false,
            }),
            &halves,
        );
        check(
            saved.path(),
            &chatglm1_file(&tensors, config),
            |tokens, prompt| chatglm1::logits(config, &merged, tokens, prompt - 1, None),
            |tokens, prompt| chatglm1::logits(config, &tensors, tokens, prompt - 1, None),
        );
    }
}

#[test]
fn ptuning_with_and_without_projection_on_chatglm_6b() {
    let (tensors, config) = chatglm_6b();
    let width = 2 * LAYERS * 64;
    let name = |part: &str| format!("transformer.prefix_encoder.{part}");
    for shapes in [
        vec![(name("embedding.weight"), vec![5, width])],
        vec![
            (name("embedding.weight"), vec![5, 64]),
            (name("trans.0.weight"), vec![64, 64]),
            (name("trans.0.bias"), vec![64]),
            (name("trans.2.weight"), vec![width, 64]),
            (name("trans.2.bias"), vec![width]),
        ],
    ] {
        let saved = random(&shapes, 13);
        let folder = tempfile::tempdir().unwrap();
        // Old checkpoints hold the whole model, too.
        let mut all = saved.clone();
        all.0.extend(tensors.0.clone());
        all.write_safetensors(&folder.path().join("model.safetensors"));
        let prefix = Prefix::of_checkpoint(&saved, LAYERS, 4, 16);
        check(
            folder.path(),
            &chatglm1_file(&tensors, config),
            |tokens, prompt| chatglm1::logits(config, &tensors, tokens, prompt - 1, Some(&prefix)),
            |tokens, prompt| chatglm1::logits(config, &tensors, tokens, prompt - 1, None),
        );
    }
}

#[test]
fn prefix_tuning_of_peft_on_llama() {
    let (tensors, json, config) = llama_like(llama::Kind::Llama);
    let width = 2 * LAYERS * 32;
    let embedding = "transformer.prefix_encoder.embedding.weight".to_owned();
    let random = random(&[(embedding.clone(), vec![5, width])], 14);
    let prefix = Prefix::of_checkpoint(&random, LAYERS, 2, 16);
    let mut saved = Tensors::default();
    saved.put(
        "prompt_embeddings",
        &[5, width],
        random.get(&embedding).numbers.clone(),
    );
    let folder = Saved::new(
        &json!({
            "peft_type": "PREFIX_TUNING", "num_virtual_tokens": 5, "token_dim": 32, "num_layers": LAYERS,
            "num_attention_heads": 2, "num_transformer_submodules": 1, "prefix_projection": true,
        }),
        &saved,
    );
    let behind = llama::Config {
        first_position: 5,
        ..config
    };
    check(
        folder.path(),
        &Published::new(json, &tensors),
        |tokens, _| llama::logits(behind, &tensors, tokens, Some(&prefix)),
        |tokens, _| llama::logits(config, &tensors, tokens, None),
    );
}

/// The prefix of a checkpoint, as the product reads it, is that of the slow pass.
pub(super) fn check_ptuning(tensors: &Tensors, expect: &Prefix, file: &Published<'_>) {
    let folder = tempfile::tempdir().unwrap();
    tensors.write_safetensors(&folder.path().join("model.safetensors"));
    let saved = SavedAdapter::open(folder.path()).unwrap();
    let (_folder, model) = file.write(GgmlDType::F32);
    let found = fit(&saved, load(&model).description()).unwrap().prefix.unwrap();
    for (found, expect) in [(&found.keys, &expect.keys), (&found.values, &expect.values)] {
        close(found, &expect.concat().concat().concat(), 1e-6);
    }
    assert_eq!(found.first_position, 0);
}
