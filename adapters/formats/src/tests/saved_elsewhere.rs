//! What other people's trainings leave behind: starts that change the base, names in tensors, whole matrices, prefixes
//! without their place.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{MODULE, config, error, pair, save};
use crate::{Format, FormatError, SavedAdapter};

fn open(config: &Value, tensors: &[(String, Vec<usize>)]) -> Result<SavedAdapter, FormatError> {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    SavedAdapter::open(save(config, &tensors).path())
}

#[test]
fn a_start_that_changes_the_base_is_refused_with_what_to_do() {
    let merge = "merge it into the base that it was trained on";
    let convert = "path_initial_model_for_weight_conversion";
    for (start, advice) in [
        (json!("pissa"), convert),
        (json!("pissa_niter_16"), convert),
        (json!("PiSSA"), convert),
        (json!("olora"), convert),
        (json!("corda"), convert),
        (json!("lora_ga"), convert),
        (json!("loftq"), merge),
        (json!("of_next_year"), "is not known"),
        (json!({ "of": "next year" }), "is not known"),
    ] {
        let mut changed = config();
        changed["init_lora_weights"] = start.clone();
        let error = error(&changed, &pair(MODULE));
        for part in [
            "adapter_config.json",
            &format!("init_lora_weights is {start}"),
            advice,
            merge,
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(error.contains(convert), advice == convert, "{error}");
    }
    for start in [
        json!(true),
        json!(false),
        Value::Null,
        json!("gaussian"),
        json!("orthogonal"),
        json!("eva"),
    ] {
        let mut same = config();
        same["init_lora_weights"] = start;
        assert_eq!(open(&same, &pair(MODULE)).unwrap().updates.len(), 1);
    }
}

#[test]
fn one_name_in_all_tensors_is_read_and_several_are_listed() {
    let named = |module: &str, name: &str| {
        [
            (format!("{module}.lora_A{name}.weight"), vec![2, 8]),
            (format!("{module}.lora_B{name}.weight"), vec![6, 2]),
        ]
    };
    let other = "base_model.model.model.layers.0.mlp.up_proj";
    let plain = open(&config(), &[pair(MODULE), pair(other)].concat()).unwrap();
    for name in [".default", ".cardiology", ".weight", ".心内科"] {
        let found = open(&config(), &[named(MODULE, name), named(other, name)].concat()).unwrap();
        assert_eq!(found.updates, plain.updates, "{name}");
    }
    for (first, second, listed) in [
        (".cardiology", ".skin", "cardiology, skin"),
        ("", ".skin", "default, skin"),
    ] {
        for module in [MODULE, other] {
            let tensors = [named(MODULE, first), named(module, second)].concat();
            let error = error(&config(), &tensors);
            assert!(error.contains(&format!("several adapters: {listed}")), "{error}");
            assert!(error.contains("selected_adapters"), "{error}");
        }
    }
}

#[test]
fn an_adapter_in_a_folder_of_its_own_name_is_pointed_to() {
    let tensors = pair(MODULE);
    let tensors = tensors
        .each_ref()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()));
    let saved = save(&config(), &tensors);
    let folder = tempfile::tempdir().unwrap();
    let within = folder.path().join("cardiology");
    fs::create_dir(&within).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(saved.path().join(file), within.join(file)).unwrap();
    }
    let error = SavedAdapter::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("folders within: cardiology"), "{error}");
    SavedAdapter::open(&within).unwrap();
}

#[test]
fn what_is_no_update_of_a_linear_says_why_and_what_to_do() {
    let merge = "`bedside model convert`";
    let at = "base_model.model";
    for (tensor, expect) in [
        (
            format!("{at}.model.embed_tokens.weight"),
            ["the whole embedding", "save_embedding_layers=False"],
        ),
        (
            format!("{at}.transformer.embedding.word_embeddings.weight"),
            ["the whole embedding", merge],
        ),
        (
            format!("{at}.lm_head.weight"),
            ["the whole head", "save_embedding_layers=False"],
        ),
        (
            format!("{at}.lm_head.modules_to_save.default.weight"),
            ["the whole head", "modules_to_save"],
        ),
        (
            format!("{at}.transformer.output_layer.weight"),
            ["the whole head", merge],
        ),
        (
            format!("{at}.model.embed_tokens.lora_embedding_A"),
            ["the embedding has a LoRA", merge],
        ),
        (
            format!("{at}.model.embed_tokens.token_adapter.trainable_tokens_delta"),
            ["single tokens", merge],
        ),
        (
            format!("{at}.model.embed_tokens.trainable_tokens_delta"),
            ["single tokens", merge],
        ),
        (format!("{at}.model.norm.weight"), ["a whole matrix", merge]),
        (format!("{MODULE}.bias"), ["biases", merge]),
        (format!("{MODULE}.lora_B.bias"), ["biases", merge]),
        (
            format!("{MODULE}.lora_magnitude_vector.default.weight"),
            ["DoRA", merge],
        ),
        (
            format!("{MODULE}.base_layer.weight"),
            ["the base's own", "save_pretrained"],
        ),
    ] {
        let [a, b] = pair(MODULE);
        let error = error(&config(), &[a, b, (tensor.clone(), vec![2, 2])]);
        for part in expect.into_iter().chain([tensor.as_str()]) {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    for (module, part) in [
        ("base_model.model.lm_head", "not the head"),
        ("base_model.model.model.embed_tokens", "not the embedding"),
    ] {
        let error = error(&config(), &pair(module));
        for part in [part, "target_modules", merge] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    for (key, value, expect) in [
        (
            "modules_to_save",
            json!(["embed_tokens", "lm_head"]),
            "whole matrices",
        ),
        (
            "trainable_token_indices",
            json!({ "embed_tokens": [7] }),
            "rows of the embedding",
        ),
        ("use_dora", json!(true), "changes what the adapter computes"),
    ] {
        let mut changed = config();
        changed[key] = value.clone();
        let error = error(&changed, &pair(MODULE));
        for part in [expect, merge, &format!("{key} is {value}")] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

/// Tensors alone, without a config.
fn open_alone(tensors: &[(String, Vec<usize>)]) -> Result<SavedAdapter, FormatError> {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    let folder = save(&config(), &tensors);
    fs::remove_file(folder.path().join("adapter_config.json")).unwrap();
    let path: &Path = &folder.path().join("adapter_model.safetensors");
    SavedAdapter::open(path)
}

#[test]
fn a_prefix_is_read_wherever_its_names_begin() {
    let projected = [
        ("embedding.weight", vec![4, 3]),
        ("trans.0.weight", vec![5, 3]),
        ("trans.0.bias", vec![5]),
        ("trans.2.weight", vec![8, 5]),
        ("trans.2.bias", vec![8]),
    ];
    let plain = [("embedding.weight", vec![4, 8])];
    for tensors in [projected.as_slice(), plain.as_slice()] {
        let at = |place: &str| {
            let named = tensors
                .iter()
                .map(|(name, shape)| (format!("{place}{name}"), shape.clone()));
            open_alone(&named.collect::<Vec<_>>())
        };
        let whole = at("transformer.prefix_encoder.").unwrap();
        assert_eq!(whole.format, Format::PTuningV2);
        for place in [
            "",
            "module.",
            "transformer.",
            "prefix_encoder.",
            "module.transformer.prefix_encoder.",
        ] {
            let found = at(place).unwrap();
            assert_eq!(
                (found.format, &found.prefix),
                (whole.format, &whole.prefix),
                "{place}"
            );
        }
        // PEFT's own encoder counts the text's places in another way; its config tells.
        let error = at("prompt_encoder.default.").unwrap_err().to_string();
        assert!(error.contains("adapter_config.json"), "{error}");
    }
    // Another model's embedding is no prefix.
    for more in ["decoder.weight", "trans.weight.of_others"] {
        let tensors = [
            ("module.embedding.weight".to_owned(), vec![4, 8]),
            (more.to_owned(), vec![8, 8]),
        ];
        let error = open_alone(&tensors).unwrap_err().to_string();
        assert!(error.contains("prefix_encoder"), "{error}");
    }
}
