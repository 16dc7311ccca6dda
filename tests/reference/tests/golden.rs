//! The slow passes against golden tensors of the published models; `BEDSIDE_FIXTURES` says where these are.

use bedside_reference::{Golden, assert_near, chatglm, chatglm1};

/// Prompt and one step.
#[test]
fn chatglm_6b() {
    for name in ["plain", "ptuning", "ptuning_proj"] {
        let Some(golden) = Golden::chatglm_6b(name) else {
            return;
        };
        let config = chatglm1::Config {
            layers: 3,
            heads: 4,
            legacy_positions: false,
        };
        let context = golden.steps[0].0.len() - 1;
        let prefix = golden.prefix.as_ref();
        check(&golden, |tokens| {
            chatglm1::logits(config, &golden.tensors, tokens, context, prefix)
        });
    }
}

/// What is expected after each step is the last of all tokens so far.
fn check(golden: &Golden, pass: impl Fn(&[u32]) -> Vec<Vec<f32>>) {
    let tolerance = if golden.prefix.is_some() { 1e-3 } else { 1e-4 };
    let mut tokens = Vec::new();
    for (step, expect) in &golden.steps {
        tokens.extend(step);
        let found = pass(&tokens);
        assert_near(&found[tokens.len() - step.len()..].concat(), expect, tolerance);
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
