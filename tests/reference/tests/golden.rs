//! The slow passes against golden tensors of the published models; `BEDSIDE_FIXTURES` says where these are.

use bedside_reference::{Golden, Prefix, Tensors, chatglm, chatglm1, fixture};

fn near(found: &[f32], expect: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expect.len());
    let worst = found
        .iter()
        .zip(expect)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst <= tolerance, "off by {worst}");
}

/// Prompt and one step of ChatGLM-6B with three layers, made by the published code.
#[test]
fn chatglm_6b() {
    for name in ["plain", "ptuning", "ptuning_proj"] {
        let Some(path) = fixture(&format!("chatglm1/chatglm1_tiny_{name}.safetensors")) else {
            return;
        };
        let tensors = Tensors::read_safetensors(&path);
        let config = chatglm1::Config {
            layers: 3,
            heads: 4,
            legacy_positions: false,
        };
        let prefix = (name != "plain").then(|| Prefix::of_checkpoint(&tensors, 3, 4, 16));
        let ids = |name: &str| {
            tensors
                .get(name)
                .numbers
                .iter()
                .map(|it| *it as u32)
                .collect::<Vec<_>>()
        };
        let mut tokens = ids("__ids");
        let context = tokens.len() - 1;
        assert_eq!(tokens[context], 60, "sop is the last");
        let logits = |tokens: &[u32]| chatglm1::logits(config, &tensors, tokens, context, prefix.as_ref());
        let found = logits(&tokens).concat();
        near(&found, &tensors.get("__l1").numbers, 1e-4);
        tokens.extend(ids("__n"));
        near(
            logits(&tokens).last().unwrap(),
            &tensors.get("__l2").numbers,
            1e-4,
        );
    }
}

/// Each step's states are the last of all tokens so far.
fn check(golden: &Golden, hidden: impl Fn(&[u32]) -> Vec<Vec<f32>>) {
    let tolerance = if golden.prefix.is_some() { 1e-3 } else { 1e-4 };
    let mut tokens = Vec::new();
    for (step, expect) in &golden.steps {
        tokens.extend(step);
        let found = hidden(&tokens);
        near(&found[tokens.len() - step.len()..].concat(), expect, tolerance);
    }
}

#[test]
fn glm_of_one_layer() {
    for with_prefix in [false, true] {
        let Some(golden) = Golden::chatglm1(with_prefix) else {
            return;
        };
        let config = chatglm1::Config {
            layers: 1,
            heads: 8,
            legacy_positions: false,
        };
        let prefix = golden.prefix.as_ref();
        check(&golden, |tokens| {
            chatglm1::hidden(config, &golden.tensors, tokens, 2, prefix)
        });
    }
}

#[test]
fn chatglm2_chatglm3_and_glm4_of_one_layer() {
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
            rotary_base: 10_000.0,
        };
        let prefix = golden.prefix.as_ref();
        check(&golden, |tokens| {
            chatglm::hidden(config, &golden.tensors, tokens, prefix)
        });
    }
}
