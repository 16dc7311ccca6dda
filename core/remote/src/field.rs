//! Fields of a request without which an answer can be had, and which some servers refuse.

use serde_json::Value;

/// A field that is left out for a server that does not take it. What decides which answer is given (the temperature, an
/// adapter) is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    ChatTemplateKwargs,
    TopK,
    MinP,
    RepetitionPenalty,
    RepeatPenalty,
    RepeatLastN,
    StreamOptions,
    FrequencyPenalty,
    PresencePenalty,
    Seed,
    Stop,
    /// Sent under its newer name instead.
    MaxTokens,
}

/// What a refusal says of fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Refused {
    These(Vec<Field>),
    /// It names a field that no answer can be had without.
    Another,
    #[default]
    Unnamed,
}

impl Field {
    const ALL: [Self; 12] = [
        Self::ChatTemplateKwargs,
        Self::TopK,
        Self::MinP,
        Self::RepetitionPenalty,
        Self::RepeatPenalty,
        Self::RepeatLastN,
        Self::StreamOptions,
        Self::FrequencyPenalty,
        Self::PresencePenalty,
        Self::Seed,
        Self::Stop,
        Self::MaxTokens,
    ];

    /// Those that OpenAI's own protocol does not have.
    pub(crate) const EXTRAS: [Self; 6] = [
        Self::ChatTemplateKwargs,
        Self::TopK,
        Self::MinP,
        Self::RepetitionPenalty,
        Self::RepeatPenalty,
        Self::RepeatLastN,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ChatTemplateKwargs => "chat_template_kwargs",
            Self::TopK => "top_k",
            Self::MinP => "min_p",
            Self::RepetitionPenalty => "repetition_penalty",
            Self::RepeatPenalty => "repeat_penalty",
            Self::RepeatLastN => "repeat_last_n",
            Self::StreamOptions => "stream_options",
            Self::FrequencyPenalty => "frequency_penalty",
            Self::PresencePenalty => "presence_penalty",
            Self::Seed => "seed",
            Self::Stop => "stop",
            Self::MaxTokens => "max_tokens",
        }
    }

    fn is_named_in(self, text: &str) -> bool {
        let name = self.name();
        if self == Self::MaxTokens {
            // Otherwise it is the number that is refused.
            return holds_word(text, name) && holds_word(text, "max_completion_tokens");
        }
        // "stop" and "seed" may be words of the sentence.
        let quoted = |mark: char| text.contains(&format!("{mark}{name}{mark}"));
        text.trim() == name
            || (name.contains('_') && holds_word(text, name))
            || ['\'', '"', '`'].into_iter().any(quoted)
    }
}

impl Refused {
    /// From the body of a refusal, or the error in it. Nothing of its words is kept.
    pub(crate) fn read(body: &Value) -> Self {
        let mut texts = Vec::new();
        gather(body, &mut texts);
        // serde goes on with the names of all fields that it knows.
        let heads = texts
            .iter()
            .map(|it| it.split_once(", expected ").map_or(*it, |(head, _)| head));
        let heads: Vec<&str> = heads.collect();
        let is_named = |field: &Field| heads.iter().any(|it| field.is_named_in(it));
        let these: Vec<Field> = Field::ALL.into_iter().filter(is_named).collect();
        let param = body.get("param").and_then(Value::as_str);
        if !these.is_empty() {
            Self::These(these)
        } else if param.is_some_and(|it| !it.is_empty()) {
            Self::Another
        } else {
            Self::Unnamed
        }
    }
}

fn gather<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|it| gather(it, texts)),
        Value::Object(fields) => fields.values().for_each(|it| gather(it, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn holds_word(text: &str, word: &str) -> bool {
    text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_')
        .any(|it| it == word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Field, Refused};

    #[test]
    fn refusals_name_fields_in_many_ways() {
        let these = |fields: &[Field]| Refused::These(fields.to_vec());
        let cases = [
            (
                json!({"message": "Unrecognized request argument supplied: min_p", "param": null}),
                these(&[Field::MinP]),
            ),
            (
                json!({"message": "chat_template_kwargs is not supported", "param": "chat_template_kwargs"}),
                these(&[Field::ChatTemplateKwargs]),
            ),
            (
                json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"], "input": 40},
                    {"type": "extra_forbidden", "loc": ["body", "seed"], "input": 7}]}),
                these(&[Field::TopK, Field::Seed]),
            ),
            (
                json!("unknown field `repetition_penalty`, expected one of `model`, `top_k`, `stop`"),
                these(&[Field::RepetitionPenalty]),
            ),
            (
                json!({"message": "Unknown name \"seed\": Cannot find field."}),
                these(&[Field::Seed]),
            ),
            (
                json!({"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                    "param": "max_tokens"}),
                these(&[Field::MaxTokens]),
            ),
            (
                json!({"message": "max_tokens must be at most 8192", "param": "max_tokens"}),
                Refused::Another,
            ),
            (
                json!({"message": "too many messages", "param": "messages"}),
                Refused::Another,
            ),
            (
                json!({"message": "please stop: I ate a seed", "param": ""}),
                Refused::Unnamed,
            ),
            (json!({"message": "my_min_p is bad"}), Refused::Unnamed),
            (json!(null), Refused::Unnamed),
        ];
        for (body, expect) in cases {
            assert_eq!(Refused::read(&body), expect, "{body}");
        }
    }

    #[test]
    fn extras_are_fields() {
        for field in Field::EXTRAS {
            assert!(Field::ALL.contains(&field), "{field:?}");
        }
    }
}
