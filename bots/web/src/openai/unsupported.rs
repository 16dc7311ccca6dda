use serde_json::Value;

use super::{ApiError, fields::Fields};

const NO_TOOLS: &str = "the model has no tools here";
const TEXT_ONLY: &str = "answers are plain text here";
const ONE_ANSWER: &str = "there is one answer to a request; send it again with another seed for more";
const NO_LOGPROBS: &str = "probabilities of tokens are not given here";
const NO_THOUGHTS: &str = "answers hold no thoughts here: leave it out, or send {\"enable_thinking\": false}";
const NOT_HERE: &str = "this server cannot do it, and the answer would not be what was asked for";

/// Unknown fields are passed over, since clients send many; those that would change the answer are not.
///
/// # Errors
/// The first field that asks for something that is not done here.
pub(super) fn refuse_unsupported(fields: &Fields<'_>) -> Result<(), ApiError> {
    let asked = fields
        .iter()
        .find_map(|(name, value)| Some((name, reason(name, value)?)));
    match asked {
        None => Ok(()),
        Some((name, reason)) => Err(ApiError::Unsupported {
            param: fields.place(name),
            reason,
        }),
    }
}

fn reason(name: &str, value: &Value) -> Option<&'static str> {
    let (asks, reason) = match name {
        "tools" | "functions" => (!is_empty(value), NO_TOOLS),
        "tool_choice" | "function_call" => (value != "none" && value != "auto", NO_TOOLS),
        "response_format" => (
            value.get("type").is_none_or(|it| it != "text"),
            "only the type \"text\" is known here",
        ),
        "modalities" => (*value != serde_json::json!(["text"]), TEXT_ONLY),
        "audio" => (true, TEXT_ONLY),
        "n" | "best_of" => (value.as_f64() != Some(1.0), ONE_ANSWER),
        "logprobs" => (*value != Value::Bool(false), NO_LOGPROBS),
        "top_logprobs" | "prompt_logprobs" => (value.as_f64() != Some(0.0), NO_LOGPROBS),
        "min_tokens" => (value.as_f64() != Some(0.0), NOT_HERE),
        "echo" | "ignore_eos" | "use_beam_search" | "continue_final_message" => {
            (*value != Value::Bool(false), NOT_HERE)
        }
        "add_generation_prompt" => (*value != Value::Bool(true), NOT_HERE),
        "stop_token_ids" | "bad_words" | "documents" => (!is_empty(value), NOT_HERE),
        "chat_template_kwargs" => (!asks_for_no_thoughts(value), NO_THOUGHTS),
        "web_search_options" | "chat_template" | "structured_outputs" | "guided_json" | "guided_regex"
        | "guided_choice" | "guided_grammar" | "grammar" => (true, NOT_HERE),
        _ => (false, NOT_HERE),
    };
    asks.then_some(reason)
}

/// What happens anyway. Some templates call it `thinking`.
fn asks_for_no_thoughts(arguments: &Value) -> bool {
    arguments.as_object().is_some_and(|it| {
        it.iter().all(|(name, value)| {
            matches!(name.as_str(), "enable_thinking" | "thinking")
                && matches!(value, Value::Null | Value::Bool(false))
        })
    })
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Fields, refuse_unsupported};

    #[test]
    fn what_changes_the_answer_is_refused_by_name() {
        let check = |request: Value, expect: Option<&str>| {
            let refused = refuse_unsupported(&Fields::new(&request, "").unwrap())
                .map_err(|it| it.body()["error"]["param"].as_str().unwrap().to_owned());
            assert_eq!(refused.err().as_deref(), expect, "{request}");
        };
        check(
            json!({"tools": [{"type": "function"}], "tool_choice": "auto"}),
            Some("tools"),
        );
        check(
            json!({"tools": [], "tool_choice": "none", "functions": null}),
            None,
        );
        check(json!({"tool_choice": "required"}), Some("tool_choice"));
        check(json!({"response_format": {"type": "text"}}), None);
        check(
            json!({"response_format": {"type": "json_object"}}),
            Some("response_format"),
        );
        check(json!({"response_format": "text"}), Some("response_format"));
        check(json!({"logprobs": false, "top_logprobs": 0}), None);
        check(json!({"logprobs": true}), Some("logprobs"));
        check(json!({"top_logprobs": 2}), Some("top_logprobs"));
        check(json!({"n": 1}), None);
        check(json!({"n": 2}), Some("n"));
        check(json!({"n": "1"}), Some("n"));
        check(json!({"modalities": ["text"], "audio": null}), None);
        check(json!({"modalities": ["text", "audio"]}), Some("modalities"));
        check(json!({"audio": {"voice": "alloy"}}), Some("audio"));
        check(json!({"guided_json": {}}), Some("guided_json"));
        for arguments in [json!(null), json!({}), json!({"enable_thinking": false})] {
            check(json!({ "chat_template_kwargs": arguments }), None);
        }
        for arguments in [
            json!({"enable_thinking": true}),
            json!({"enable_thinking": 0}),
            json!({"enable_thinking": false, "date": "2026-01-01"}),
            json!([]),
            json!("enable_thinking"),
        ] {
            check(
                json!({ "chat_template_kwargs": arguments }),
                Some("chat_template_kwargs"),
            );
        }
        check(
            json!({"store": true, "metadata": {"a": "b"}, "service_tier": "auto", "anything": [1]}),
            None,
        );
    }
}
