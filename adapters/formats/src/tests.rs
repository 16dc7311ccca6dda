mod saved_elsewhere;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use half::f16;
use proptest::prelude::{ProptestConfig, any, proptest};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    BaseClaim, Format, ModulePaths, RowOrder, SavedAdapter, SavedLinear, SavedPrefix, SavedUpdate,
    write_gguf, write_peft_lora, write_peft_prefix, write_ptuning,
};

const MODULE: &str = "base_model.model.model.layers.1.self_attn.q_proj";

fn config() -> Value {
    json!({ "peft_type": "LORA", "r": 2, "lora_alpha": 3, "bias": "none", "base_model_name_or_path": "a/base" })
}

fn save(config: &Value, tensors: &[(&str, &[usize])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    let data: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, shape)| {
            let count = shape.iter().product::<usize>();
            let halves = (0..count).map(|it| f16::from_f32(it as f32 / 8.0));
            let bytes = halves.flat_map(f16::to_le_bytes).collect();
            ((*name).to_owned(), shape.to_vec(), bytes)
        })
        .collect();
    let views = data
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F16, shape.clone(), bytes).unwrap()));
    let path = folder.path().join("adapter_model.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
    folder
}

fn pair(module: &str) -> [(String, Vec<usize>); 2] {
    [
        (format!("{module}.lora_A.weight"), vec![2, 8]),
        (format!("{module}.lora_B.weight"), vec![6, 2]),
    ]
}

fn error(config: &Value, tensors: &[(String, Vec<usize>)]) -> String {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    let folder = save(config, &tensors);
    SavedAdapter::open(folder.path()).unwrap_err().to_string()
}

#[test]
fn peft_is_read_leniently() {
    let [a, b] = pair(MODULE);
    let mut config = config();
    config["something_of_next_year"] = json!({ "deep": [1] });
    config["bedside"] = json!({ "base_sha256": "ab" });
    let folder = save(&config, &[(&a.0, &a.1), (&b.0, &b.1)]);
    for path in [
        folder.path().to_owned(),
        folder.path().join("adapter_model.safetensors"),
    ] {
        let adapter = SavedAdapter::open(&path).unwrap();
        assert_eq!(
            (adapter.format, adapter.order),
            (Format::PeftLora, RowOrder::Checkpoint)
        );
        assert_eq!(adapter.base.name.as_deref(), Some("a/base"));
        assert_eq!(adapter.base.sha256.as_deref(), Some("ab"));
        let [update] = adapter.updates.as_slice() else {
            panic!("one update");
        };
        assert_eq!((update.layer, update.linear), (1, SavedLinear::Query));
        assert_eq!((update.rank, update.rows, update.columns), (2, 6, 8));
        assert_eq!((update.scale, update.b[3]), (1.5, 0.375));
        assert_eq!(adapter.parameters(), 2 * 8 + 6 * 2);
    }
}

#[test]
fn what_changes_the_maths_is_refused_by_its_key() {
    for (key, value) in [
        ("use_dora", json!(true)),
        ("modules_to_save", json!(["lm_head"])),
        ("lora_bias", json!(true)),
        ("bias", json!("all")),
        ("layer_replication", json!([[0, 2]])),
        ("target_parameters", json!(["mlp.experts"])),
        ("alora_invocation_tokens", json!([1, 2])),
        ("use_bdlora", json!({ "row_sharded_modules": ["q_proj"] })),
        ("trainable_token_indices", json!([5, 6])),
        ("peft_type", json!("IA3")),
    ] {
        let mut changed = config();
        changed[key] = value.clone();
        let error = error(&changed, &pair(MODULE));
        assert!(
            error.contains(key) && error.contains(&value.to_string()),
            "{error}"
        );
    }
    for (key, value) in [
        ("use_dora", json!(false)),
        ("modules_to_save", json!([])),
        ("layer_replication", Value::Null),
    ] {
        let mut same = config();
        same[key] = value;
        let tensors = pair(MODULE);
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()))
            .collect();
        SavedAdapter::open(save(&same, &tensors).path()).unwrap();
    }
}

#[test]
fn what_is_wrong_is_named() {
    let [a, b] = pair(MODULE);
    let with = |more: (String, Vec<usize>)| vec![a.clone(), b.clone(), more];
    let cases = [
        (
            error(&config(), std::slice::from_ref(&a)),
            vec!["q_proj", "one of lora_A and lora_B is missing"],
        ),
        (
            error(
                &config(),
                &with(("base_model.model.lm_head.weight".to_owned(), vec![4, 4])),
            ),
            vec!["lm_head.weight", "the whole head", "save_embedding_layers=False"],
        ),
        (
            error(
                &config(),
                &with((format!("{MODULE}.lora_magnitude_vector"), vec![6])),
            ),
            vec!["lora_magnitude_vector"],
        ),
        (
            error(&config(), &pair("base_model.model.model.embed_tokens")),
            vec!["embed_tokens", "only the linears of layers", "target_modules"],
        ),
        (
            error(&config(), &[a.clone(), (b.0.clone(), vec![6, 3])]),
            vec!["rank 2, lora_B 3", "should be 2"],
        ),
        (
            error(&config(), &[(a.0.clone(), vec![2, 8, 8]), b.clone()]),
            vec!["lora_A", "[2, 8, 8]"],
        ),
        (error(&config(), &[]), vec!["no tensors of an adapter"]),
        (
            error(&json!({ "peft_type": "LORA", "lora_alpha": 3 }), &pair(MODULE)),
            vec!["adapter_config.json", "r is no whole number"],
        ),
        (
            error(
                &json!({ "peft_type": "LORA", "r": 2, "lora_alpha": 3, "rank_pattern": { "q_proj(": 1 } }),
                &pair(MODULE),
            ),
            vec!["rank_pattern"],
        ),
        (
            error(
                &json!({ "peft_type": "LORA", "r": 8, "lora_alpha": 3, "enable_lora": [true, false, true] }),
                &pair("transformer.layers.0.attention.query_key_value"),
            ),
            vec!["query_key_value", "rank 8 with 2 parts"],
        ),
    ];
    for (error, parts) in cases {
        assert!(parts.iter().all(|it| error.contains(it)), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let found = SavedAdapter::open(folder.path()).unwrap_err().to_string();
    assert!(found.contains("safetensors"), "{found}");
    fs::write(folder.path().join("adapter_config.json"), "{\n nothing").unwrap();
    let found = SavedAdapter::open(folder.path()).unwrap_err().to_string();
    assert!(found.contains("line 2"), "{found}");
}

fn adapter(order: RowOrder, updates: Vec<SavedUpdate>, prefix: Option<SavedPrefix>) -> SavedAdapter {
    SavedAdapter {
        path: PathBuf::new(),
        format: Format::Gguf,
        base: BaseClaim {
            name: Some("a/base".to_owned()),
            architecture: None,
            sha256: Some("cd".to_owned()),
        },
        updates,
        prefix,
        order,
    }
}

fn update(linear: SavedLinear, rank: usize, scale: f32) -> SavedUpdate {
    SavedUpdate {
        name: String::new(),
        layer: 3,
        linear,
        rank,
        scale,
        columns: 4,
        rows: 5,
        a: (0..rank * 4).map(|it| it as f32).collect(),
        b: (0..5 * rank).map(|it| it as f32 + 0.5).collect(),
    }
}

/// What an update adds, whatever its scale is written as.
fn products(adapter: &SavedAdapter) -> HashMap<(usize, SavedLinear), Vec<f32>> {
    let product = |it: &SavedUpdate| -> Vec<f32> {
        let rows = it.b.chunks(it.rank);
        let rows = rows.flat_map(|b| {
            (0..it.columns).map(|column| {
                let pairs = b.iter().zip(it.a.iter().skip(column).step_by(it.columns));
                pairs.map(|(b, a)| a * b * it.scale).sum()
            })
        });
        rows.collect()
    };
    adapter
        .updates
        .iter()
        .map(|it| ((it.layer, it.linear), product(it)))
        .collect()
}

#[test]
fn lora_comes_back_from_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for updates in [
        vec![
            update(SavedLinear::Query, 2, 1.5),
            update(SavedLinear::Down, 2, 1.5),
        ],
        vec![
            update(SavedLinear::Query, 2, 1.5),
            update(SavedLinear::Up, 4, 0.25),
        ],
    ] {
        let path = folder.path().join("lora.gguf");
        let saved = adapter(RowOrder::Gguf, updates.clone(), None);
        write_gguf(&path, &saved, "llama").unwrap();
        let read = SavedAdapter::open(&path).unwrap();
        assert_eq!(read.base.architecture.as_deref(), Some("llama"));
        assert_eq!(read.base.sha256, saved.base.sha256);
        assert_eq!(products(&read), products(&saved));

        let saved = adapter(RowOrder::Checkpoint, updates, None);
        write_peft_lora(folder.path(), &saved, ModulePaths::SelfAttn).unwrap();
        let read = SavedAdapter::open(folder.path()).unwrap();
        assert_eq!(
            (&read.base.name, &read.base.sha256),
            (&saved.base.name, &saved.base.sha256)
        );
        assert_eq!(products(&read), products(&saved));
        assert!(
            write_gguf(&path, &saved, "llama")
                .unwrap_err()
                .to_string()
                .contains("order")
        );
    }
}

#[test]
fn prefixes_come_back_from_what_is_written() {
    for takes_positions in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let prefix = SavedPrefix {
            tokens: 3,
            width: 8,
            numbers: (0..24).map(|it| it as f32).collect(),
            takes_positions,
        };
        let path = folder.path().join("prefix.gguf");
        write_gguf(
            &path,
            &adapter(RowOrder::Gguf, vec![], Some(prefix.clone())),
            "chatglm1",
        )
        .unwrap();
        assert_eq!(SavedAdapter::open(&path).unwrap().prefix.as_ref(), Some(&prefix));
        let saved = adapter(RowOrder::Checkpoint, vec![], Some(prefix.clone()));
        let target = folder.path().join("folder");
        let (right, wrong) = if takes_positions {
            (
                write_peft_prefix(&target, &saved, 2, 1),
                write_ptuning(&target.join("x"), &saved),
            )
        } else {
            (
                write_ptuning(&target, &saved),
                write_peft_prefix(&target.join("x"), &saved, 2, 1),
            )
        };
        right.unwrap();
        assert!(wrong.unwrap_err().to_string().contains("places"));
        assert_eq!(SavedAdapter::open(&target).unwrap().prefix, Some(prefix));
    }
}

fn mutated(original: &Path, cut: usize, flips: &[(usize, u8)]) -> PathBuf {
    let mut bytes = fs::read(original).unwrap();
    bytes.truncate(cut % (bytes.len() + 1));
    for (place, bits) in flips {
        let length = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(place % length) {
            *byte ^= bits;
        }
    }
    let path = original.with_file_name(format!("mutated-{}", original.file_name().unwrap().display()));
    fs::write(&path, bytes).unwrap();
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn broken_files_never_panic(cut: usize, whole: bool, flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lora.gguf");
        let saved = adapter(RowOrder::Gguf, vec![update(SavedLinear::Query, 2, 1.5)], None);
        write_gguf(&path, &saved, "llama").unwrap();
        write_peft_lora(folder.path(), &adapter(RowOrder::Checkpoint, saved.updates, None), ModulePaths::SelfAttn).unwrap();
        let cut = if whole { usize::MAX - 1 } else { cut };
        for file in ["lora.gguf", "adapter_model.safetensors", "adapter_config.json"] {
            let original = folder.path().join(file);
            let broken = mutated(&original, cut, &flips);
            if file == "adapter_config.json" {
                fs::rename(&broken, &original).unwrap();
                let _ = SavedAdapter::open(folder.path());
            } else {
                let _ = SavedAdapter::open(&broken);
            }
        }
    }
}
