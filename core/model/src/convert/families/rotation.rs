//! How queries and keys are rotated.

use bedside_tensors::gguf::Entry;

use crate::convert::{
    config::{ConfigError, ModelConfig},
    plan::Plan,
};

/// Writes what `config.json` says of it into the plan.
pub(super) fn rotation(config: &ModelConfig, plan: &mut Plan, head_width: usize) -> Result<(), ConfigError> {
    let Parameters { global, local } = Parameters::read(config, plan.architecture)?;
    let global = global.as_ref();
    let is_gemma = plan.architecture == "gemma3";
    let without = config.float("rope_theta", if is_gemma { 1_000_000.0 } else { 10_000.0 })?;
    let base = match global {
        Some(it) => it.float("rope_theta", without)?,
        None => without,
    };
    plan.float("rope.freq_base", base);
    let part = rotated_part(config, global, plan.architecture)?;
    let width = (head_width as f32 * part).round() as usize;
    plan.number("rope.dimension_count", width);
    if is_gemma {
        let without = config.float("rope_local_base_freq", 10_000.0)?;
        let base = match &local {
            Some(it) => it.float("rope_theta", without)?,
            None => without,
        };
        plan.float("rope.local_freq_base", base);
    }
    let own = global.filter(|it| kind(it).is_some()).cloned();
    let Some(scaling) = own.or_else(|| config.within("rope_scaling")) else {
        return Ok(());
    };
    match kind(&scaling) {
        None | Some("default") => Ok(()),
        Some("linear") => {
            plan.entry("rope.scaling.type", Entry::Text("linear".to_owned()));
            plan.float("rope.scaling.factor", scaling.float("factor", 1.0)?);
            Ok(())
        }
        Some("llama3") => {
            let factors = llama3_factors(&scaling, base, width)?;
            plan.computed.push(("rope_freqs.weight".to_owned(), factors));
            Ok(())
        }
        Some(_) if config.has("rope_parameters") => {
            Err(config.unfit("rope_parameters", "rope_type `default`, `linear` or `llama3`"))
        }
        Some(_) => Err(config.unfit("rope_scaling", "none, `linear` or `llama3`")),
    }
}

/// What transformers 5 keeps in an object of its own, `rope_parameters`: one for all layers, or one for each kind.
struct Parameters {
    /// Of layers that see everything.
    global: Option<ModelConfig>,
    /// Of layers that see a window.
    local: Option<ModelConfig>,
}

impl Parameters {
    fn read(config: &ModelConfig, architecture: &str) -> Result<Self, ConfigError> {
        const KEY: &str = "rope_parameters";
        let Some(own) = config.within(KEY) else {
            if config.has(KEY) {
                return Err(config.unfit(KEY, "an object with rope_theta"));
            }
            return Ok(Self {
                global: None,
                local: None,
            });
        };
        let has_base = |it: &ModelConfig| it.has("rope_theta") || config.has("rope_theta");
        let (global, local) = match (own.within("full_attention"), own.within("sliding_attention")) {
            (None, None) => (own, None),
            (Some(global), Some(local)) if architecture == "gemma3" => (global, Some(local)),
            // Within its window a layer of other families is like any other.
            (Some(global), Some(local)) if global.is_same(&local) => (global, None),
            (Some(_), Some(_)) => {
                return Err(config.unfit(KEY, "the same for full_attention and sliding_attention"));
            }
            (Some(global), None) => (global, None),
            (None, Some(_)) if architecture == "gemma3" => {
                return Err(config.unfit(KEY, "an object with full_attention"));
            }
            (None, Some(local)) => (local, None),
        };
        if !has_base(&global) {
            return Err(config.unfit(KEY, "an object with rope_theta"));
        }
        if let Some(local) = &local {
            if !matches!(kind(local), None | Some("default")) {
                return Err(config.unfit(KEY, "rope_type `default` for sliding_attention"));
            }
            let part = |it: &ModelConfig| it.float(PART, 1.0);
            if part(local)? != part(&global)? {
                return Err(config.unfit(KEY, "one partial_rotary_factor for all layers"));
            }
        }
        Ok(Self {
            global: Some(global),
            local,
        })
    }
}

const PART: &str = "partial_rotary_factor";

/// The share of a head's numbers that is rotated.
fn rotated_part(
    config: &ModelConfig,
    own: Option<&ModelConfig>,
    architecture: &str,
) -> Result<f32, ConfigError> {
    let from = own.filter(|it| it.has(PART)).unwrap_or(config);
    let part = from.float(PART, if architecture == "glm4" { 0.5 } else { 1.0 })?;
    if part <= 0.0 || part > 1.0 {
        return Err(from.unfit(PART, "a number above 0, 1 at most"));
    }
    // Rows of queries and keys are put in another order for whole heads.
    if architecture == "llama" && part != 1.0 {
        return Err(from.unfit(PART, "1 (for this family)"));
    }
    Ok(part)
}

fn kind(scaling: &ModelConfig) -> Option<&str> {
    scaling.text("rope_type").or(scaling.text("type"))
}

/// What each frequency is divided by: Llama 3.1 stretches slow turns by the whole factor, fast ones not at all, and
/// passes from one to the other between (transformers, `_compute_llama3_parameters`).
fn llama3_factors(scaling: &ModelConfig, base: f32, width: usize) -> Result<Vec<f32>, ConfigError> {
    let factor = scaling.float("factor", 8.0)?;
    let (slow, fast) = (
        scaling.float("low_freq_factor", 1.0)?,
        scaling.float("high_freq_factor", 4.0)?,
    );
    let before = scaling.size("original_max_position_embeddings")? as f32;
    if !(factor >= 1.0 && slow > 0.0 && fast > slow) {
        return Err(scaling.unfit("factor", "at least 1, and low_freq_factor below high_freq_factor"));
    }
    let factors = (0..width / 2).map(|it| {
        let frequency = base.powf(-2.0 * it as f32 / width as f32);
        // How often it turns within the context of old.
        let turns = before * frequency / std::f32::consts::TAU;
        let share = ((turns - slow) / (fast - slow)).clamp(0.0, 1.0);
        1.0 / ((1.0 - share) / factor + share)
    });
    Ok(factors.collect())
}

#[cfg(test)]
mod tests {
    use bedside_tensors::gguf::Entry;
    use serde_json::{Value, json};

    use super::rotation;
    use crate::{
        convert::{
            config::{ConfigError, ModelConfig},
            plan::Plan,
        },
        quantize::Sizes,
    };

    fn read(architecture: &'static str, config: &Value) -> Result<Plan, ConfigError> {
        let mut plan = Plan {
            architecture,
            metadata: Vec::new(),
            tensors: Vec::new(),
            computed: Vec::new(),
            sizes: Sizes {
                layers: 1,
                heads_per_kv: 1,
            },
            prefix: String::new(),
            notes: Vec::new(),
        };
        let config = ModelConfig::parse("config.json".into(), config.to_string().as_bytes())?;
        rotation(&config, &mut plan, 32)?;
        Ok(plan)
    }

    #[track_caller]
    fn check(architecture: &'static str, config: &Value, expect: &[(&str, Entry)]) {
        let plan = read(architecture, config).unwrap();
        for (key, value) in expect {
            let key = format!("{architecture}.rope.{key}");
            let found = plan.metadata.iter().find(|it| it.0 == key).map(|it| &it.1);
            assert_eq!(found, Some(value), "{key}: {config}");
        }
    }

    #[test]
    fn bases_are_found_in_all_forms() {
        let both = |global: f32, local: f32| {
            [
                ("freq_base", Entry::F32(global)),
                ("local_freq_base", Entry::F32(local)),
            ]
        };
        let default = |base: f32| json!({ "rope_theta": base, "rope_type": "default" });
        let nested = json!({ "rope_parameters": { "sliding_attention": default(2e4), "full_attention": default(3e6) } });
        check("gemma3", &nested, &both(3e6, 2e4));
        check(
            "gemma3",
            &json!({ "rope_theta": 5e5, "rope_local_base_freq": 2e4 }),
            &both(5e5, 2e4),
        );
        check("gemma3", &json!({}), &both(1e6, 1e4));
        let half =
            json!({ "rope_parameters": { "full_attention": default(3e6) }, "rope_local_base_freq": 2e4 });
        check("gemma3", &half, &both(3e6, 2e4));
        let one = |base: f32| [("freq_base", Entry::F32(base))];
        for family in ["llama", "qwen2", "qwen3", "glm4"] {
            check(family, &json!({}), &one(1e4));
            check(family, &json!({ "rope_theta": 5e5 }), &one(5e5));
            check(
                family,
                &json!({ "rope_parameters": default(5e5), "rope_theta": 1e4 }),
                &one(5e5),
            );
            check(
                family,
                &json!({ "rope_parameters": { "rope_type": "default" }, "rope_theta": 5e5 }),
                &one(5e5),
            );
            for layers in [
                json!({ "full_attention": default(5e5) }),
                json!({ "sliding_attention": default(5e5) }),
                json!({ "full_attention": default(5e5), "sliding_attention": default(5e5) }),
            ] {
                check(family, &json!({ "rope_parameters": layers }), &one(5e5));
            }
        }
    }

    #[test]
    fn scaling_is_that_of_layers_that_see_everything() {
        let linear = json!({ "rope_theta": 1e6, "rope_type": "linear", "factor": 8.0 });
        let local = json!({ "rope_theta": 1e4, "rope_type": "default" });
        let expect = [
            ("scaling.type", Entry::Text("linear".to_owned())),
            ("scaling.factor", Entry::F32(8.0)),
        ];
        let nested = json!({ "rope_parameters": { "full_attention": linear, "sliding_attention": local } });
        check("gemma3", &nested, &expect);
        check("qwen2", &json!({ "rope_parameters": linear }), &expect);
        check(
            "qwen2",
            &json!({ "rope_theta": 1e6, "rope_scaling": { "type": "linear", "factor": 8.0 } }),
            &expect,
        );
        let apart = json!({ "rope_parameters": { "rope_theta": 1e6 }, "rope_scaling": linear });
        check("qwen2", &apart, &expect);
    }

    #[test]
    fn the_rotated_part_is_found_in_both_places() {
        let width = |width: u32| [("dimension_count", Entry::U32(width))];
        check("glm4", &json!({}), &width(16));
        check("llama", &json!({ "partial_rotary_factor": 1.0 }), &width(32));
        for family in ["glm4", "qwen2"] {
            check(family, &json!({ "partial_rotary_factor": 0.25 }), &width(8));
            let own = json!({ "rope_theta": 1e4, "partial_rotary_factor": 0.25 });
            check(family, &json!({ "rope_parameters": own }), &width(8));
            let nested = json!({ "rope_parameters": { "full_attention": own } });
            check(family, &nested, &width(8));
            let apart = json!({ "rope_parameters": { "rope_theta": 1e4 }, "partial_rotary_factor": 0.25 });
            check(family, &apart, &width(8));
        }
    }

    #[test]
    fn what_the_decoder_cannot_do_is_refused_by_its_key() {
        let with = |base: f32, kind: &str| json!({ "rope_theta": base, "rope_type": kind });
        let layers = |global: Value, local: Value| json!({ "rope_parameters": { "full_attention": global, "sliding_attention": local } });
        for (family, config, key) in [
            (
                "gemma3",
                layers(with(1e6, "yarn"), with(1e4, "default")),
                "rope_parameters",
            ),
            (
                "gemma3",
                layers(with(1e6, "default"), with(1e4, "linear")),
                "rope_parameters",
            ),
            (
                "gemma3",
                json!({ "rope_parameters": { "sliding_attention": with(1e4, "default") } }),
                "rope_parameters",
            ),
            (
                "gemma3",
                layers(
                    with(1e6, "default"),
                    json!({ "rope_theta": 1e4, "partial_rotary_factor": 0.5 }),
                ),
                "partial_rotary_factor",
            ),
            (
                "qwen2",
                layers(with(1e6, "default"), with(1e4, "default")),
                "rope_parameters",
            ),
            ("llama", json!({ "rope_parameters": {} }), "rope_parameters"),
            ("llama", json!({ "rope_parameters": [1] }), "rope_parameters"),
            (
                "llama",
                json!({ "partial_rotary_factor": 0.5 }),
                "partial_rotary_factor",
            ),
            (
                "glm4",
                json!({ "partial_rotary_factor": 1.5 }),
                "partial_rotary_factor",
            ),
            (
                "glm4",
                json!({ "partial_rotary_factor": 0 }),
                "partial_rotary_factor",
            ),
            (
                "llama",
                json!({ "rope_scaling": { "type": "dynamic", "factor": 2.0 } }),
                "rope_scaling",
            ),
        ] {
            let error = read(family, &config).unwrap_err().to_string();
            assert!(
                error.contains("config.json") && error.contains(key),
                "{config}: {error}"
            );
        }
    }
}
