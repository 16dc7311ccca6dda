use std::{fs, path::Path};

use bedside_reference::{Tensor, Tensors};
use bedside_tensors::gguf::GgufFile;
use half::f16;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Conversion, convert, convert_weights};
use crate::{
    model::Model,
    pull::NoProgress,
    testing::{TinyModel, WIDTH},
};

const VOCABULARY: usize = 64;

fn config() -> Value {
    json!({
        "model_type": "chatglm", "position_encoding_2d": true, "num_layers": 1, "hidden_size": 64,
        "inner_hidden_size": 128, "num_attention_heads": 4, "vocab_size": VOCABULARY, "max_sequence_length": 128,
    })
}

/// A ChatGLM-6B of one layer.
fn chatglm1() -> Tensors {
    let mut tensors = Tensors::default();
    let mut number = 0_u32;
    let layer = |name: &str| format!("transformer.layers.0.{name}");
    for (name, shape) in [
        (
            "transformer.word_embeddings.weight".to_owned(),
            vec![VOCABULARY, 64],
        ),
        (layer("input_layernorm.weight"), vec![64]),
        (layer("input_layernorm.bias"), vec![64]),
        (layer("attention.query_key_value.weight"), vec![192, 64]),
        (layer("attention.query_key_value.bias"), vec![192]),
        (layer("attention.dense.weight"), vec![64, 64]),
        (layer("attention.dense.bias"), vec![64]),
        (layer("post_attention_layernorm.weight"), vec![64]),
        (layer("post_attention_layernorm.bias"), vec![64]),
        (layer("mlp.dense_h_to_4h.weight"), vec![128, 64]),
        (layer("mlp.dense_h_to_4h.bias"), vec![128]),
        (layer("mlp.dense_4h_to_h.weight"), vec![64, 128]),
        (layer("mlp.dense_4h_to_h.bias"), vec![64]),
        ("transformer.final_layernorm.weight".to_owned(), vec![64]),
        ("transformer.final_layernorm.bias".to_owned(), vec![64]),
    ] {
        let numbers = (0..shape.iter().product()).map(|_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (number >> 8) as f32 / (1_u32 << 24) as f32 - 0.5
        });
        tensors.put(name, &shape, numbers.collect());
    }
    tensors
}

fn folder(config: &Value, tensors: &Tensors) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    tensors.write_safetensors(&folder.path().join("model.safetensors"));
    folder
}

fn check_error(config: &Value, tensors: &Tensors, expect: &[&str]) {
    let folder = folder(config, tensors);
    let target = folder.path().join("model.gguf");
    let error = convert_weights(folder.path(), &target, &Conversion::default()).unwrap_err();
    let error = error.to_string();
    assert!(expect.iter().all(|it| error.contains(it)), "{error}");
    assert!(!target.exists());
}

#[test]
fn a_tensor_that_is_missing_misshapen_or_unknown_is_named() {
    let without = |name: &str| {
        let mut tensors = chatglm1();
        tensors.0.remove(name);
        tensors
    };
    let name = "transformer.layers.0.mlp.dense_4h_to_h.bias";
    check_error(&config(), &without(name), &[name, "is missing"]);
    check_error(
        &config(),
        &without("transformer.word_embeddings.weight"),
        &["transformer.word_embeddings.weight is missing"],
    );
    let mut other = config();
    other["inner_hidden_size"] = json!(256);
    check_error(&other, &chatglm1(), &["dense_h_to_4h", "[128, 64]", "[256, 64]"]);
    let mut more = chatglm1();
    more.put("transformer.layers.0.attention.gate.weight", &[2], vec![1.0; 2]);
    check_error(
        &config(),
        &more,
        &["1 tensors have no place", "attention.gate.weight"],
    );
}

#[test]
fn what_cannot_be_converted_is_told() {
    let check = |key: &str, value: Value, expect: &[&str]| {
        let mut changed = config();
        changed[key] = value;
        check_error(&changed, &chatglm1(), expect);
    };
    check(
        "model_type",
        json!("bloom"),
        &["`bloom` is not supported", "qwen2", "chatglm"],
    );
    check("num_layers", json!(0), &["config.json", "num_layers is 0"]);
    check("num_layers", json!("many"), &["num_layers is \"many\""]);
    check("vocab_size", Value::Null, &["vocab_size is missing"]);
    check(
        "position_encoding_2d",
        json!(false),
        &["position_encoding_2d is false, true is needed"],
    );
}

#[test]
fn other_maths_are_refused() {
    let check = |family: &str, key: &str, value: Value| {
        let mut config = json!({
            "model_type": family, "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96,
            "num_attention_heads": 4, "head_dim": 16, "vocab_size": VOCABULARY, "max_position_embeddings": 512,
        });
        config[key] = value.clone();
        check_error(
            &config,
            &Tensors::default(),
            &["config.json", &format!("{key} is {value}")],
        );
    };
    check("qwen2", "hidden_act", json!("gelu"));
    check("gemma3_text", "hidden_activation", json!("silu"));
    check("gemma3_text", "query_pre_attn_scalar", json!(256));
}

/// What is learned is the same, whatever stands before the names and however the head is kept.
#[test]
fn wrappers_of_names_and_a_second_embedding_make_no_difference() {
    let convert_all = |tensors: &Tensors| {
        let folder = folder(&config(), tensors);
        let target = folder.path().join("model.gguf");
        convert_weights(folder.path(), &target, &Conversion::default()).unwrap();
        let gguf = GgufFile::open(&target).unwrap();
        let numbers = gguf.tensors().iter().map(|(name, it)| {
            (
                name.clone(),
                gguf.tensor_data(name, &it.shape).unwrap().1.to_vec(),
            )
        });
        numbers.collect::<Vec<_>>()
    };
    let plain = convert_all(&chatglm1());
    let mut wrapped = Tensors::default();
    for (name, it) in chatglm1().0 {
        wrapped.put(format!("module._forward_module.{name}"), &it.shape, it.numbers);
    }
    assert!(convert_all(&wrapped) == plain);
    let mut twice = chatglm1();
    let embedding = twice.get("transformer.word_embeddings.weight").clone();
    twice.put("lm_head.weight", &embedding.shape, embedding.numbers.clone());
    assert!(convert_all(&twice) == plain);
    let head = embedding.numbers.iter().map(|it| it + 1.0).collect();
    twice.put("lm_head.weight", &embedding.shape, head);
    assert_eq!(convert_all(&twice).len(), plain.len() + 1);
}

/// Rounds a matrix as the published files do: of each row the largest number is 127, or 7.
fn rounded(tensor: &Tensor, most: f32) -> (Vec<i8>, Vec<f16>) {
    let rows = tensor.numbers.chunks(tensor.shape[1]).map(|row| {
        let scale = f16::from_f32(row.iter().fold(0.0_f32, |most, it| most.max(it.abs())) / most);
        let numbers: Vec<i8> = row
            .iter()
            .map(|it| (it / scale.to_f32()).round().clamp(-most, most) as i8)
            .collect();
        (numbers, scale)
    });
    let (numbers, scales): (Vec<_>, Vec<_>) = rows.unzip();
    (numbers.concat(), scales)
}

/// A safetensors file of kinds, shapes and bytes.
fn write_mixed(path: &Path, tensors: &[(String, &str, Vec<usize>, Vec<u8>)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, kind, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            name.clone(),
            json!({ "dtype": kind, "shape": shape, "data_offsets": offsets }),
        );
        data.extend(bytes);
    }
    let header = Value::from(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length, header.as_bytes(), &data].concat()).unwrap();
}

#[test]
fn published_int8_and_int4_weights_are_read() {
    for bits in [8, 4] {
        let (mut tensors, mut expect) = (Vec::new(), Vec::new());
        for (name, it) in &chatglm1().0 {
            let is_linear = it.shape.len() == 2 && name.contains("layers");
            if !is_linear {
                let bytes = it.numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
                tensors.push((name.clone(), "F32", it.shape.clone(), bytes));
                continue;
            }
            let (numbers, scales) = rounded(it, if bits == 8 { 127.0 } else { 7.0 });
            let meant = numbers
                .iter()
                .enumerate()
                .map(|(place, number)| f32::from(*number) * scales[place / it.shape[1]].to_f32());
            expect.push((name.clone(), meant.collect::<Vec<f32>>()));
            let mut shape = it.shape.clone();
            let bytes: Vec<u8> = if bits == 8 {
                numbers.iter().map(|it| it.cast_unsigned()).collect()
            } else {
                shape[1] /= 2;
                // The even column above, the odd one below.
                let pairs = numbers.as_chunks::<2>().0.iter();
                pairs
                    .map(|[even, odd]| (even.cast_unsigned() << 4) | (odd.cast_unsigned() & 15))
                    .collect()
            };
            tensors.push((name.clone(), "I8", shape, bytes));
            let bytes = scales.iter().flat_map(|it| it.to_le_bytes()).collect();
            tensors.push((format!("{name}_scale"), "F16", vec![it.shape[0]], bytes));
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config().to_string()).unwrap();
        write_mixed(&folder.path().join("model.safetensors"), &tensors);
        let target = folder.path().join("model.gguf");
        let conversion = Conversion {
            quantization: Some("F32".parse().unwrap()),
            ..Conversion::default()
        };
        convert_weights(folder.path(), &target, &conversion).unwrap();
        let gguf = GgufFile::open(&target).unwrap();
        let find = |name: &str| &expect.iter().find(|it| it.0.contains(name)).unwrap().1;
        assert_eq!(
            &gguf.matrix("blk.0.attn_output.weight", 64, 64).unwrap(),
            find("attention.dense")
        );
        assert_eq!(
            &gguf.matrix("blk.0.ffn_up.weight", 128, 64).unwrap(),
            find("dense_h_to_4h")
        );
        // Head 1 of the keys: behind three parts of head 0 and the queries of head 1.
        let keys = gguf.matrix("blk.0.attn_k.weight", 64, 64).unwrap();
        let all = find("query_key_value");
        assert_eq!(keys[16 * 64..32 * 64], all[(3 + 1) * 16 * 64..(3 + 2) * 16 * 64]);
    }
}

#[test]
fn a_checkpoint_that_is_quantized_already_is_told_by_its_method() {
    let linear = |end: &str| format!("transformer.layers.0.mlp.dense_4h_to_h.{end}");
    let check = |quantization: Value, tensors: &[(&str, &str, usize)], method: &str| {
        let mut config = config();
        if !quantization.is_null() {
            config["quantization_config"] = quantization;
        }
        let mut mixed = Vec::new();
        for (name, it) in &chatglm1().0 {
            if *name != linear("weight") {
                let bytes: Vec<u8> = it.numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
                mixed.push((name.clone(), "F32", it.shape.clone(), bytes));
            }
        }
        for &(end, kind, bytes) in tensors {
            mixed.push((linear(end), kind, vec![64], vec![0; 64 * bytes]));
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        write_mixed(&folder.path().join("model.safetensors"), &mixed);
        let target = folder.path().join("model.gguf");
        let error = convert_weights(folder.path(), &target, &Conversion::default()).unwrap_err();
        let error = error.to_string();
        let told = format!("quantized by {method} (tensor transformer.layers.0.mlp.dense_4h_to_h.");
        assert!(error.contains(&told), "{told}: {error}");
        assert!(error.contains("convert the 16-bit checkpoint"), "{error}");
        assert!(!target.exists());
    };
    let gptq = [("g_idx", "I32", 4), ("qweight", "I32", 4), ("scales", "F16", 2)];
    check(json!({ "quant_method": "gptq", "bits": 4 }), &gptq, "gptq");
    check(Value::Null, &gptq, "GPTQ");
    let awq = [("qweight", "I32", 4), ("qzeros", "I32", 4), ("scales", "F16", 2)];
    check(json!({ "quant_method": "awq" }), &awq, "awq");
    check(Value::Null, &awq, "GPTQ or AWQ");
    let bitsandbytes = [("weight", "U8", 1), ("weight.absmax", "F32", 4)];
    check(
        json!({ "quant_method": "bitsandbytes" }),
        &bitsandbytes,
        "bitsandbytes",
    );
    check(json!({ "load_in_4bit": true }), &bitsandbytes, "bitsandbytes");
    check(json!({}), &bitsandbytes, "bitsandbytes");
    let fp8 = [("weight", "F8_E4M3", 1), ("weight_scale_inv", "F32", 4)];
    check(json!({ "quant_method": "fp8" }), &fp8, "fp8");
    check(
        json!({ "bits": 3 }),
        &[("weight", "U8", 1)],
        "a method that config.json does not name",
    );
    check(json!({ "quant_method": "hqq" }), &[], "hqq");
}

/// Weights that were merged in 16 bits often lie beside the config of the quantized base that was trained.
#[test]
fn a_config_alone_makes_no_quantized_checkpoint() {
    let mut quantized = config();
    quantized["quantization_config"] = json!({ "quant_method": "bitsandbytes", "load_in_4bit": true });
    let folder = folder(&quantized, &chatglm1());
    let target = folder.path().join("model.gguf");
    convert_weights(folder.path(), &target, &Conversion::default()).unwrap();
    assert!(
        GgufFile::open(&target)
            .unwrap()
            .tensors()
            .contains_key("blk.0.ffn_down.weight")
    );
}

#[test]
fn a_converted_model_loads_with_the_tokenizer_of_its_base() {
    let tensors_of = |tiny: &GgufFile| {
        let mut tensors = Tensors::default();
        for (name, info) in tiny.tensors() {
            let numbers = match info.shape.as_slice() {
                [rows, columns] => tiny.matrix(name, *rows, *columns).unwrap(),
                shape => tiny.floats(name, shape[0]).unwrap(),
            };
            let name = [
                ("blk.", "model.layers."),
                ("token_embd", "model.embed_tokens"),
                ("output_norm", "model.norm"),
                ("attn_norm", "input_layernorm"),
                ("ffn_norm", "post_attention_layernorm"),
                ("attn_output", "self_attn.o_proj"),
                ("attn_q", "self_attn.q_proj"),
                ("attn_k", "self_attn.k_proj"),
                ("attn_v", "self_attn.v_proj"),
                ("ffn_gate", "mlp.gate_proj"),
                ("ffn_up", "mlp.up_proj"),
                ("ffn_down", "mlp.down_proj"),
            ]
            .iter()
            .fold(name.clone(), |name, (from, to)| name.replace(from, to));
            tensors.put(name, &info.shape, numbers);
        }
        tensors
    };
    let base = tempfile::tempdir().unwrap();
    let base = base.path().join("base.gguf");
    fs::create_dir_all(base.parent().unwrap()).unwrap();
    TinyModel {
        architecture: "qwen2",
        ..TinyModel::default()
    }
    .write(&base);
    let gguf = GgufFile::open(&base).unwrap();
    let rows = TinyModel::vocabulary().len();
    let config = |rows: usize| {
        json!({
            "model_type": "qwen2", "num_hidden_layers": 2, "hidden_size": WIDTH, "intermediate_size": 96,
            "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": rows,
            "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 1e4, "tie_word_embeddings": true,
        })
    };
    let folder = folder(&config(rows), &tensors_of(&gguf));
    let target = folder.path().join("tuned.gguf");
    let conversion = Conversion {
        tokenizer_from: Some(base.clone()),
        ..Conversion::default()
    };
    convert(folder.path(), &target, &conversion, &NoProgress).unwrap();
    let (before, after) = (
        Model::load(&base, &NoProgress).unwrap(),
        Model::load(&target, &NoProgress).unwrap(),
    );
    let text = "the fever";
    assert_eq!(
        after.tokenizer.encode_text(text).unwrap(),
        before.tokenizer.encode_text(text).unwrap()
    );
    let converted = GgufFile::open(&target).unwrap();
    for name in gguf.tensors().keys() {
        let shape = &gguf.tensors()[name].shape;
        assert_eq!(
            converted.tensor_data(name, shape).unwrap(),
            gguf.tensor_data(name, shape).unwrap(),
            "{name}"
        );
    }
    assert_eq!(
        converted.text("tokenizer.chat_template").unwrap(),
        gguf.text("tokenizer.chat_template").unwrap()
    );

    // A tokenizer with more tokens than there are rows is another model's.
    let error = super::tokenizer_of(&base, rows - 1).unwrap_err().to_string();
    assert!(error.contains("another model's tokenizer"), "{error}");
}
