use bedside_contract::{ChatMessage, ChatRole, Sampling};
use serde_json::Value;

use super::{ApiError, fields::Fields, sampling::sampling, unsupported::refuse_unsupported};

/// Bytes of one request: a prompt of 1 MiB, with room for what JSON adds to it.
pub(crate) const MAX_BODY: usize = 2 * 1024 * 1024;
const MAX_MESSAGES: usize = 4_096;
const MAX_NAME_CHARS: usize = 256;

/// One `POST /v1/chat/completions`. Holds what a patient may have said, so it has no `Debug`.
pub(super) struct ChatRequest {
    pub(super) model: Option<String>,
    pub(super) messages: Vec<ChatMessage>,
    pub(super) sampling: Sampling,
    pub(super) max_tokens: Option<usize>,
    pub(super) delivery: Delivery,
    pub(super) user: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Streamed { with_usage: bool },
}

impl ChatRequest {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        // Only the place is told: serde_json's words may repeat what stands there.
        let value: Value = serde_json::from_slice(bytes).map_err(|error| ApiError::Unreadable {
            line: error.line(),
            column: error.column(),
        })?;
        let fields = Fields::new(&value, "")?;
        refuse_unsupported(&fields)?;
        let text =
            |name| -> Result<_, ApiError> { Ok(fields.text(name, MAX_NAME_CHARS)?.map(ToOwned::to_owned)) };
        Ok(Self {
            model: text("model")?,
            messages: messages(&fields)?,
            sampling: sampling(&fields)?,
            max_tokens: max_tokens(&fields)?,
            delivery: delivery(&fields)?,
            user: text("user")?,
        })
    }
}

/// The newer name goes before the older one.
fn max_tokens(fields: &Fields<'_>) -> Result<Option<usize>, ApiError> {
    let newer = fields.limit("max_completion_tokens")?;
    let older = fields.limit("max_tokens")?;
    Ok(newer.or(older))
}

fn delivery(fields: &Fields<'_>) -> Result<Delivery, ApiError> {
    let streamed = fields.flag("stream")?;
    let options = fields.get("stream_options");
    let with_usage = match options {
        Some(options) => Fields::new(options, "stream_options")?.flag("include_usage")?,
        None => false,
    };
    match (streamed, options) {
        (true, _) => Ok(Delivery::Streamed { with_usage }),
        (false, None) => Ok(Delivery::Whole),
        (false, Some(_)) => Err(fields.wrong("stream_options", "goes with stream = true only")),
    }
}

fn messages(fields: &Fields<'_>) -> Result<Vec<ChatMessage>, ApiError> {
    let list = match fields.get("messages") {
        Some(Value::Array(list)) if (1..=MAX_MESSAGES).contains(&list.len()) => list,
        _ => {
            let reason = format!("must be a list of 1 to {MAX_MESSAGES} messages");
            return Err(fields.wrong("messages", &reason));
        }
    };
    list.iter()
        .enumerate()
        .map(|(place, value)| message(&Fields::new(value, &format!("messages[{place}]"))?))
        .collect()
}

fn message(fields: &Fields<'_>) -> Result<ChatMessage, ApiError> {
    let role = match fields.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => ChatRole::System,
        Some("user") => ChatRole::User,
        Some("assistant") => ChatRole::Assistant,
        _ => return Err(fields.wrong("role", "must be system, developer, user or assistant")),
    };
    for name in ["tool_calls", "function_call", "audio"] {
        if fields.get(name).is_some_and(|it| *it != Value::Array(Vec::new())) {
            return Err(ApiError::Unsupported {
                param: fields.place(name),
                reason: "messages are text here",
            });
        }
    }
    let content = content(fields, role)?;
    let refusal = match role {
        ChatRole::Assistant if content.is_empty() => fields.get("refusal").and_then(Value::as_str),
        _ => None,
    };
    Ok(ChatMessage {
        role,
        content: refusal.map_or(content, ToOwned::to_owned),
    })
}

/// Parts are joined by line breaks, as vLLM does. A turn of the model may be empty: clients keep those that were stopped,
/// or that refused.
fn content(fields: &Fields<'_>, role: ChatRole) -> Result<String, ApiError> {
    let may_be_empty = role == ChatRole::Assistant;
    let parts = match fields.get("content") {
        Some(Value::String(text)) => return Ok(text.clone()),
        Some(Value::Array(parts)) if may_be_empty || !parts.is_empty() => parts,
        None if may_be_empty => return Ok(String::new()),
        _ => return Err(fields.wrong("content", "must be a string, or a list of text parts")),
    };
    let texts: Result<Vec<&str>, ApiError> = parts
        .iter()
        .enumerate()
        .map(|(place, value)| {
            let place = fields.place(&format!("content[{place}]"));
            part(&Fields::new(value, &place)?, role)
        })
        .collect();
    Ok(texts?.join("\n"))
}

fn part<'a>(fields: &Fields<'a>, role: ChatRole) -> Result<&'a str, ApiError> {
    let name = match fields.get("type").and_then(Value::as_str) {
        Some("text") => "text",
        Some("refusal") if role == ChatRole::Assistant => "refusal",
        _ => {
            return Err(ApiError::Unsupported {
                param: fields.place("type"),
                reason: "only parts of the type \"text\" are read here, no images, sounds or files",
            });
        }
    };
    let text = fields.get(name).and_then(Value::as_str);
    text.ok_or_else(|| fields.wrong(name, "must be a string"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ChatRequest, ChatRole, Delivery};
    use crate::openai::ApiError;

    const SECRET: &str = "Hush";

    fn parse(request: &Value) -> Result<ChatRequest, ApiError> {
        ChatRequest::parse(request.to_string().as_bytes())
    }

    fn with(more: Value) -> Value {
        let mut request = json!({"messages": [{"role": "user", "content": SECRET}]});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        request
    }

    #[test]
    fn roles_and_parts_become_messages() {
        let request = parse(&json!({"messages": [
            {"role": "developer", "content": "be kind"},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "我"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "", "tool_calls": [], "refusal": null},
            {"role": "system", "content": "short"},
        ]}));
        let read: Vec<_> = request
            .ok()
            .unwrap()
            .messages
            .into_iter()
            .map(|it| (it.role, it.content))
            .collect();
        let expect = [
            (ChatRole::System, "be kind"),
            (ChatRole::User, "我\nb"),
            (ChatRole::Assistant, ""),
            (ChatRole::System, "short"),
        ];
        assert_eq!(read, expect.map(|(role, text)| (role, text.to_owned())));
    }

    #[test]
    fn turns_of_the_model_may_be_empty_and_of_nobody_else() {
        let read = |message: &Value| {
            let messages =
                json!([{"role": "user", "content": "a"}, message, {"role": "user", "content": "b"}]);
            let read = parse(&json!({ "messages": messages })).map(|it| it.messages);
            read.map(|it| it.into_iter().nth(1).unwrap().content)
        };
        let text = json!({"type": "text", "text": "No."});
        let refusal = json!({"type": "refusal", "refusal": "I cannot."});
        let cases = [
            (json!({"content": ""}), ""),
            (json!({"content": null}), ""),
            (json!({"content": []}), ""),
            (json!({}), ""),
            (json!({"content": null, "refusal": null, "tool_calls": null}), ""),
            (json!({"content": null, "refusal": "I cannot."}), "I cannot."),
            (json!({"content": [], "refusal": "I cannot."}), "I cannot."),
            (json!({"content": "No.", "refusal": "I cannot."}), "No."),
            (json!({"content": [refusal]}), "I cannot."),
            (json!({"content": [text, refusal]}), "No.\nI cannot."),
        ];
        for (mut message, expect) in cases {
            message["role"] = json!("assistant");
            assert_eq!(read(&message).ok().as_deref(), Some(expect), "{message}");
            let needs_the_model = message["content"].as_str().is_none();
            for role in ["user", "system", "developer"] {
                message["role"] = json!(role);
                assert_eq!(read(&message).is_err(), needs_the_model, "{message}");
            }
        }
    }

    #[test]
    fn limits_and_ways_of_delivery_are_read() {
        let read = |more: Value| {
            let request = parse(&with(more)).ok().unwrap();
            (request.max_tokens, request.delivery)
        };
        assert_eq!(read(json!({})), (None, Delivery::Whole));
        assert_eq!(
            read(json!({"max_tokens": 5, "stream": false})),
            (Some(5), Delivery::Whole)
        );
        assert_eq!(
            read(json!({"max_tokens": 5, "max_completion_tokens": 3, "stream": true, "stream_options": {}})),
            (Some(3), Delivery::Streamed { with_usage: false })
        );
        for no_limit in [
            json!({"max_tokens": -1}),
            json!({"max_completion_tokens": -1}),
            json!({"max_tokens": -1.0, "max_completion_tokens": null}),
            json!({"max_tokens": 5, "max_completion_tokens": -1}),
        ] {
            assert_eq!(
                read(no_limit.clone()),
                (Some(usize::MAX), Delivery::Whole),
                "{no_limit}"
            );
        }
        assert_eq!(
            read(json!({"stream": true, "stream_options": {"include_usage": true, "x": 1}})),
            (None, Delivery::Streamed { with_usage: true })
        );
    }

    #[test]
    fn errors_name_the_field_and_repeat_nothing() {
        let check = |request: Value, expect: &str| {
            let error = parse(&request)
                .err()
                .unwrap_or_else(|| panic!("{request}"))
                .body();
            assert_eq!(error["error"]["param"], expect, "{request}");
            assert_eq!(error["error"]["type"], "invalid_request_error");
            assert!(!error.to_string().contains(SECRET), "{error}");
        };
        check(json!([SECRET]), "body");
        check(json!({}), "messages");
        check(json!({"messages": []}), "messages");
        check(json!({"messages": SECRET}), "messages");
        check(json!({"messages": [SECRET]}), "messages[0]");
        let check_message = |message: Value, expect: &str| {
            let messages = json!([{"role": "user", "content": SECRET}, message]);
            check(json!({ "messages": messages }), &format!("messages[1].{expect}"));
        };
        check_message(json!({"content": SECRET}), "role");
        check_message(json!({"role": SECRET, "content": SECRET}), "role");
        check_message(
            json!({"role": "tool", "content": SECRET, "tool_call_id": "1"}),
            "role",
        );
        check_message(json!({"role": "user"}), "content");
        check_message(json!({"role": "user", "content": {"text": SECRET}}), "content");
        check_message(json!({"role": "user", "content": []}), "content");
        check_message(json!({"role": "user", "content": [SECRET]}), "content[0]");
        check_message(json!({"role": "assistant", "content": 7}), "content");
        let refusal = json!({"type": "refusal", "refusal": SECRET});
        check_message(json!({"role": "user", "content": [refusal]}), "content[0].type");
        check_message(
            json!({"role": "assistant", "content": [{"type": "refusal", "refusal": 7}]}),
            "content[0].refusal",
        );
        let image = json!({"type": "image_url", "image_url": {"url": SECRET}});
        check_message(json!({"role": "user", "content": [image]}), "content[0].type");
        check_message(
            json!({"role": "user", "content": [{"type": "text", "text": 7}]}),
            "content[0].text",
        );
        check_message(
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": SECRET}]}),
            "tool_calls",
        );
        check(with(json!({"stream": SECRET})), "stream");
        check(
            with(json!({"stream_options": {"include_usage": true}})),
            "stream_options",
        );
        check(
            with(json!({"stream": true, "stream_options": {"include_usage": 1}})),
            "stream_options.include_usage",
        );
        check(with(json!({"max_tokens": 0})), "max_tokens");
        check(
            with(json!({"max_completion_tokens": -2})),
            "max_completion_tokens",
        );
        check(with(json!({"max_tokens": -1.5})), "max_tokens");
        check(with(json!({"max_tokens": "-1"})), "max_tokens");
        check(with(json!({"model": 7})), "model");
        check(with(json!({"user": "x".repeat(257)})), "user");

        for broken in [r#"{"messages": [{"content": "Hush"#, r#"{"Hush": Hush}"#] {
            let error = ChatRequest::parse(broken.as_bytes()).err().unwrap();
            assert!(matches!(error, ApiError::Unreadable { line: 1, .. }), "{error}");
            assert!(!error.to_string().contains(SECRET), "{error}");
        }
    }
}
