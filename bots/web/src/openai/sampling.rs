use std::{collections::BTreeMap, ops::RangeInclusive};

use bedside_contract::Sampling;
use serde_json::Value;

use super::{ApiError, fields::Fields};

const MAX_STOPS: usize = 16;
const MAX_STOP_CHARS: usize = 256;
const MAX_BIASES: usize = 1_024;
const BIAS: RangeInclusive<f32> = -100.0..=100.0;

/// What a request says of drawing tokens. What it leaves out is as OpenAI has it, not as patients are answered.
pub(super) fn sampling(fields: &Fields<'_>) -> Result<Sampling, ApiError> {
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(1.0),
        top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(1.0),
        top_k: top_k(fields)?,
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(0.0),
        repetition_penalty: fields.number("repetition_penalty", 0.01..=10.0)?.unwrap_or(1.0),
        frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?.unwrap_or(0.0),
        logit_bias: logit_bias(fields)?,
        seed: seed(fields)?,
        stop: stop(fields)?,
    })
}

/// -1 is vLLM's word for off.
fn top_k(fields: &Fields<'_>) -> Result<usize, ApiError> {
    let top_k = fields.whole("top_k", -1..=i64::from(i32::MAX))?.unwrap_or(0);
    Ok(usize::try_from(top_k).unwrap_or(0))
}

fn seed(fields: &Fields<'_>) -> Result<Option<u64>, ApiError> {
    let Some(value) = fields.get("seed") else {
        return Ok(None);
    };
    let seed = value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned));
    match seed {
        Some(seed) => Ok(Some(seed)),
        None => Err(fields.wrong("seed", "must be a whole number of 64 bits")),
    }
}

fn stop(fields: &Fields<'_>) -> Result<Vec<String>, ApiError> {
    let given = match fields.get("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    };
    if given.len() > MAX_STOPS {
        return Err(fields.wrong("stop", &format!("may hold at most {MAX_STOPS} strings")));
    }
    let word = |value: &Value| {
        let word = value.as_str().unwrap_or_default();
        let is_right = !word.is_empty() && word.chars().count() <= MAX_STOP_CHARS;
        is_right.then(|| word.to_owned())
    };
    given.into_iter().map(word).collect::<Option<_>>().ok_or_else(|| {
        let reason = format!("must be a string, or a list of strings, of 1 to {MAX_STOP_CHARS} characters");
        fields.wrong("stop", &reason)
    })
}

fn logit_bias(fields: &Fields<'_>) -> Result<BTreeMap<u32, f32>, ApiError> {
    let map = match fields.get("logit_bias") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(fields.wrong("logit_bias", "must be an object: token id to bias")),
    };
    if map.len() > MAX_BIASES {
        return Err(fields.wrong("logit_bias", &format!("may hold at most {MAX_BIASES} tokens")));
    }
    let bias = |(token, bias): (&String, &Value)| {
        let bias = bias.as_f64().map(|it| it as f32).filter(|it| BIAS.contains(it))?;
        Some((token.parse().ok()?, bias))
    };
    map.iter().map(bias).collect::<Option<_>>().ok_or_else(|| {
        let reason = "must map token ids, whole numbers in quotes, to numbers from -100 to 100";
        fields.wrong("logit_bias", reason)
    })
}

#[cfg(test)]
mod tests {
    use bedside_contract::Sampling;
    use serde_json::{Value, json};

    use super::{Fields, sampling};
    use crate::openai::ApiError;

    fn read(request: &Value) -> Result<Sampling, ApiError> {
        sampling(&Fields::new(request, "").unwrap())
    }

    #[test]
    fn what_is_left_out_is_as_openai_has_it() {
        let plain = Sampling {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: [].into(),
            seed: None,
            stop: Vec::new(),
        };
        assert_eq!(read(&json!({})).unwrap(), plain);
        assert_eq!(
            read(&json!({"temperature": null, "stop": null, "logit_bias": null, "top_k": -1})).unwrap(),
            plain
        );
    }

    #[test]
    fn all_is_taken_over() {
        let request = json!({
            "temperature": 0, "top_p": 0.5, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.2,
            "frequency_penalty": -2, "presence_penalty": 2, "logit_bias": {"50256": -100, "7": 1.5},
            "seed": -1, "stop": ["a", "。"],
        });
        let expect = Sampling {
            temperature: 0.0,
            top_p: 0.5,
            top_k: 7,
            min_p: 0.1,
            repetition_penalty: 1.2,
            frequency_penalty: -2.0,
            presence_penalty: 2.0,
            logit_bias: [(7, 1.5), (50_256, -100.0)].into(),
            seed: Some(u64::MAX),
            stop: vec!["a".to_owned(), "。".to_owned()],
        };
        assert_eq!(read(&request).unwrap(), expect);
        assert_eq!(read(&json!({"stop": "END"})).unwrap().stop, ["END"]);
        let seed = read(&json!({"seed": u64::MAX})).unwrap().seed;
        assert_eq!(seed, Some(u64::MAX));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let many: Vec<String> = (0..17).map(|it| it.to_string()).collect();
        for (name, value) in [
            ("temperature", json!(-0.1)),
            ("temperature", json!(2.1)),
            ("temperature", json!("hot")),
            ("top_p", json!(1.01)),
            ("top_k", json!(-2)),
            ("top_k", json!(1.5)),
            ("min_p", json!(2)),
            ("repetition_penalty", json!(0)),
            ("frequency_penalty", json!(2.5)),
            ("presence_penalty", json!(-3)),
            ("seed", json!(1.5)),
            ("seed", json!("7")),
            ("stop", json!("")),
            ("stop", json!(["a", 7])),
            ("stop", json!(["x".repeat(257)])),
            ("stop", json!(many)),
            ("logit_bias", json!([1])),
            ("logit_bias", json!({"one": 1})),
            ("logit_bias", json!({"-1": 1})),
            ("logit_bias", json!({"1": 101})),
            ("logit_bias", json!({"1": "1"})),
        ] {
            let request = json!({ name: value });
            let error = read(&request).expect_err(&request.to_string()).body();
            assert_eq!(error["error"]["param"], name, "{request}");
            assert_eq!(error["error"]["code"], "invalid_value");
        }
    }
}
