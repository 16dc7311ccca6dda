//! What a server is asked.

use std::collections::BTreeMap;

use bedside_contract::{ChatMessage, GenerateRequest, Sampling};
use serde::Serialize;

use crate::{estimate, field::Field, probe::Served};

#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    messages: &'a [ChatMessage],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<usize>,
    /// Its newer name, for servers that refuse the older one.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_template_kwargs: Option<TemplateArguments>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<Vec<Lora>>,
    #[serde(flatten)]
    sampling: WireSampling<'a>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct TemplateArguments {
    enable_thinking: bool,
}

/// llama-server's way to choose adapters.
#[derive(Serialize)]
struct Lora {
    id: u32,
    scale: f32,
}

/// Steps that are off are said to be off all the same: servers otherwise take defaults of their own or
/// those of the model's `generation_config.json`. Where the most likely token is taken anyway, steps that
/// choose among others are left out.
#[derive(Serialize)]
struct WireSampling<'a> {
    temperature: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f32>,
    /// vLLM's and SGLang's name; llama-server's is `repeat_penalty`, and off unless it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_penalty: Option<f32>,
    /// How far back llama-server looks: to the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_last_n: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logit_bias: Option<&'a BTreeMap<u32, f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u32>,
    #[serde(skip_serializing_if = "no_stops")]
    stop: &'a [String],
}

impl<'a> Body<'a> {
    pub(crate) fn new(request: &'a GenerateRequest, served: &'a Served, disable_thinking: bool) -> Self {
        let by_number = served.loras.as_ref();
        let adapter = request.adapter.as_deref();
        // Each is named with its scale: after an empty list llama-server goes on with the last one's adapters.
        let scale = |name: &str| if adapter == Some(name) { 1.0 } else { 0.0 };
        let lora = by_number.map(|numbers| {
            let all = numbers.iter();
            all.map(|(name, &id)| Lora {
                id,
                scale: scale(name),
            })
            .collect()
        });
        let name = if by_number.is_some() { None } else { adapter };
        Self {
            model: name.unwrap_or(&served.model),
            messages: &request.messages,
            stream: true,
            stream_options: Some(StreamOptions { include_usage: true }),
            max_tokens: Some(max_tokens(request, served.info.context_length)),
            max_completion_tokens: None,
            chat_template_kwargs: disable_thinking.then_some(TemplateArguments {
                enable_thinking: false,
            }),
            lora,
            sampling: WireSampling::new(&request.sampling, served.info.context_length),
        }
    }

    /// Whether the field was there.
    pub(crate) fn leave_out(&mut self, field: Field) -> bool {
        let sampling = &mut self.sampling;
        match field {
            Field::ChatTemplateKwargs => self.chat_template_kwargs.take().is_some(),
            Field::TopK => sampling.top_k.take().is_some(),
            Field::MinP => sampling.min_p.take().is_some(),
            Field::RepetitionPenalty => sampling.repetition_penalty.take().is_some(),
            Field::RepeatPenalty => sampling.repeat_penalty.take().is_some(),
            Field::RepeatLastN => sampling.repeat_last_n.take().is_some(),
            Field::StreamOptions => self.stream_options.take().is_some(),
            Field::FrequencyPenalty => sampling.frequency_penalty.take().is_some(),
            Field::PresencePenalty => sampling.presence_penalty.take().is_some(),
            Field::Seed => sampling.seed.take().is_some(),
            // Answers are cut at them here as well.
            Field::Stop => !std::mem::take(&mut sampling.stop).is_empty(),
            Field::MaxTokens => {
                let limit = self.max_tokens.take();
                self.max_completion_tokens = self.max_completion_tokens.or(limit);
                limit.is_some()
            }
        }
    }
}

/// vLLM refuses a request whose prompt and longest answer do not fit together.
fn max_tokens(request: &GenerateRequest, context_length: usize) -> usize {
    let room = context_length.saturating_sub(estimate::tokens(&request.messages));
    let limit = if room == 0 { context_length } else { room };
    request.max_tokens.clamp(1, limit.max(1))
}

impl<'a> WireSampling<'a> {
    fn new(sampling: &'a Sampling, context_length: usize) -> Self {
        let draws = sampling.temperature > 0.0;
        let repeats = sampling.repetition_penalty != 1.0;
        let counts = sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0;
        Self {
            temperature: sampling.temperature,
            top_p: draws.then_some(sampling.top_p),
            // 0 is "off" for llama-server only, -1 for all.
            top_k: draws.then_some(match i64::try_from(sampling.top_k) {
                Ok(0) | Err(_) => -1,
                Ok(top_k) => top_k,
            }),
            min_p: draws.then_some(sampling.min_p),
            repetition_penalty: Some(sampling.repetition_penalty),
            repeat_penalty: repeats.then_some(sampling.repetition_penalty),
            repeat_last_n: (repeats || counts).then_some(context_length),
            frequency_penalty: counts.then_some(sampling.frequency_penalty),
            presence_penalty: counts.then_some(sampling.presence_penalty),
            logit_bias: (!sampling.logit_bias.is_empty()).then_some(&sampling.logit_bias),
            seed: sampling.seed.map(seed),
            stop: &sampling.stop,
        }
    }
}

/// Servers take 31 bits without a sign; in llama-server all 32 bits set would draw a fresh one.
fn seed(seed: u64) -> u32 {
    let folded = seed ^ (seed >> 31) ^ (seed >> 62);
    u32::try_from(folded & 0x7fff_ffff).unwrap_or_default()
}

fn no_stops(stops: &&[String]) -> bool {
    stops.is_empty()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use bedside_contract::{
        AnswerMode, ChatMessage, ChatRole, ConversationKey, GenerateRequest, Language, ModelInfo, Priority,
        Sampling,
    };
    use serde_json::{Value, json};

    use super::{Body, seed};
    use crate::{config::RemoteConfig, field::Field, habits::Habits, probe::Served};

    fn request(sampling: Sampling) -> GenerateRequest {
        GenerateRequest {
            conversation: ConversationKey::new("test", "bot", "chat"),
            messages: vec![ChatMessage {
                role: ChatRole::User,
                content: "我发烧了".to_owned(),
            }],
            adapter: None,
            sampling,
            max_tokens: 100,
            priority: Priority::Patient,
            deadline: Duration::from_secs(60),
        }
    }

    fn served(loras: Option<BTreeMap<String, u32>>) -> Served {
        Served {
            model: "base".to_owned(),
            info: ModelInfo {
                name: "base".to_owned(),
                architecture: String::new(),
                parameters: None,
                context_length: 64,
                sha256: None,
                languages: vec![Language::En],
                answer_mode: AnswerMode::Grounded,
            },
            adapters: vec!["ward".to_owned()],
            loras,
            habits: Habits::new(&RemoteConfig::default(), "base"),
        }
    }

    fn body(request: &GenerateRequest, served: &Served) -> Value {
        serde_json::to_value(Body::new(request, served, true)).unwrap()
    }

    #[test]
    fn the_most_likely_token_needs_no_choice() {
        let body = body(&request(Sampling::default()), &served(None));
        let expect = json!({
            "model": "base", "messages": [{"role": "user", "content": "我发烧了"}], "stream": true,
            "stream_options": {"include_usage": true}, "max_tokens": 50, "temperature": 0.0,
            "repetition_penalty": 1.0, "chat_template_kwargs": {"enable_thinking": false},
        });
        assert_eq!(body, expect);
    }

    #[test]
    fn every_step_is_said() {
        let sampling = Sampling {
            temperature: 0.5,
            top_k: 0,
            top_p: 1.0,
            repetition_penalty: 1.25,
            presence_penalty: 0.5,
            logit_bias: BTreeMap::from([(7, -1.5)]),
            seed: Some(9),
            stop: vec!["病人：".to_owned()],
            ..Sampling::default()
        };
        let body = body(&request(sampling), &served(None));
        let expect = json!({
            "top_k": -1, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.25, "repeat_penalty": 1.25,
            "repeat_last_n": 64, "presence_penalty": 0.5, "frequency_penalty": 0.0,
            "logit_bias": {"7": -1.5}, "seed": 9, "stop": ["病人："],
        });
        for (key, value) in expect.as_object().unwrap() {
            assert_eq!(&body[key], value, "{key}");
        }
    }

    #[test]
    fn what_a_server_refuses_can_be_left_out() {
        let request = request(Sampling {
            temperature: 0.5,
            repetition_penalty: 1.25,
            presence_penalty: 0.5,
            seed: Some(9),
            stop: vec!["病人：".to_owned()],
            ..Sampling::default()
        });
        let served = served(None);
        for field in [
            Field::ChatTemplateKwargs,
            Field::TopK,
            Field::MinP,
            Field::RepetitionPenalty,
            Field::RepeatPenalty,
            Field::RepeatLastN,
            Field::StreamOptions,
            Field::FrequencyPenalty,
            Field::PresencePenalty,
            Field::Seed,
            Field::Stop,
            Field::MaxTokens,
        ] {
            let mut body = Body::new(&request, &served, true);
            let mut expect = serde_json::to_value(&body).unwrap();
            let taken = expect.as_object_mut().unwrap().remove(field.name()).unwrap();
            if field == Field::MaxTokens {
                expect["max_completion_tokens"] = taken;
            }
            assert!(body.leave_out(field), "{field:?}");
            assert!(!body.leave_out(field), "{field:?}");
            assert_eq!(serde_json::to_value(&body).unwrap(), expect, "{field:?}");
        }
    }

    #[test]
    fn adapters_go_by_name_or_by_llama_servers_number() {
        let mut asked = request(Sampling::default());
        let numbers = Some(BTreeMap::from([("other".to_owned(), 1), ("ward".to_owned(), 3)]));
        let off = json!([{"id": 1, "scale": 0.0}, {"id": 3, "scale": 0.0}]);
        assert_eq!(body(&asked, &served(numbers.clone()))["lora"], off);
        asked.adapter = Some("ward".to_owned());
        assert_eq!(body(&asked, &served(None))["model"], "ward");
        let by_number = body(&asked, &served(numbers));
        let on = json!([{"id": 1, "scale": 0.0}, {"id": 3, "scale": 1.0}]);
        assert_eq!((&by_number["model"], &by_number["lora"]), (&json!("base"), &on));
    }

    #[test]
    fn seeds_fit_everywhere() {
        assert_eq!(seed(7), 7);
        assert_ne!(seed(u64::MAX), seed(u64::MAX - 1));
        assert_ne!(seed(1 << 40), seed(0));
        assert!(seed(u64::from(u32::MAX)) < 1 << 31);
    }
}
