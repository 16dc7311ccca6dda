//! Servers that take fewer fields than others.

use bedside_contract::{GenerateRequest, Sampling};
use serde_json::{Value, json};

use crate::{
    PATIENT, answer, config,
    errors::Log,
    ready, request,
    server::{FakeServer, Refuse, Reply},
};

/// What the server says to a body.
type Answer = fn(&str) -> Reply;

const OPENAIS: [&str; 11] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
];
const EXTRAS: [&str; 6] = [
    "chat_template_kwargs",
    "top_k",
    "min_p",
    "repetition_penalty",
    "repeat_penalty",
    "repeat_last_n",
];

fn drawn() -> GenerateRequest {
    GenerateRequest {
        sampling: Sampling {
            temperature: 0.5,
            repetition_penalty: 1.25,
            presence_penalty: 0.5,
            seed: Some(9),
            stop: vec!["病人：".to_owned()],
            ..Sampling::default()
        },
        ..request()
    }
}

/// Refuses the first field that is not among the known ones.
fn only(known: &[&'static str], tell: fn(&str) -> Reply) -> Refuse {
    let known = known.to_vec();
    Box::new(move |body: &Value| {
        let mut names = body.as_object().unwrap().keys();
        names
            .find(|it| !known.contains(&it.as_str()))
            .map(|it| tell(it.as_str()))
    })
}

fn text_of_serde(name: &str) -> Reply {
    let words = format!("unknown field `{name}`, expected one of `model`, `seed`, `stop`, `top_p`");
    let mut reply = Reply::json(422, &json!(words));
    reply.steps = vec![crate::server::Step::Send(words.into_bytes())];
    reply
}

#[tokio::test]
async fn what_a_server_refuses_is_left_out_from_then_on() {
    let ways: [(&str, Answer); 5] = [
        ("OpenAI", |name| {
            let message = format!("Unrecognized request argument supplied: {name}");
            Reply::json(
                400,
                &json!({"error": {"message": message, "param": null, "code": null}}),
            )
        }),
        ("Bedside", |name| {
            let message = format!("{name} is not supported: this server cannot do it");
            Reply::json(
                400,
                &json!({"error": {"message": message, "type": "invalid_request_error", "param": name,
                    "code": "unsupported_parameter"}}),
            )
        }),
        ("pydantic", |name| {
            Reply::json(
                422,
                &json!({"detail": [{"type": "extra_forbidden", "loc": ["body", name], "input": 1}]}),
            )
        }),
        ("serde", text_of_serde),
        ("no name", |_| {
            Reply::json(400, &json!({"error": {"message": "Bad Request"}}))
        }),
    ];
    for (way, tell) in ways {
        let server = FakeServer::start().await;
        server.refuse(only(&OPENAIS, tell));
        server.always(Reply::answer(&["Rest."]));
        let log = Log::default();
        let _guard = log.keep();
        let remote = ready(&config(&server)).await;
        let first = answer(&remote, drawn()).await;
        assert_eq!(first.text, "Rest.", "{way}: {first:?}");
        let requests = server.asked().len();
        assert!(requests > 1, "{way}");
        assert_eq!(answer(&remote, drawn()).await.text, "Rest.", "{way}");
        let asked = server.asked();
        assert_eq!(
            asked.len(),
            requests + 1,
            "{way}: the second question is asked once"
        );
        let last = asked.last().unwrap();
        for name in EXTRAS {
            assert_eq!(last.get(name), None, "{way}");
            let told = log
                .text()
                .lines()
                .filter(|it| it.contains(&format!("field=\"{name}\"")))
                .count();
            assert_eq!(told, 1, "{way} {name}: {}", log.text());
        }
        for name in OPENAIS {
            assert!(last.get(name).is_some(), "{way}: {name} is sent all the same");
        }
    }
}

#[tokio::test]
async fn only_what_is_named_is_left_out() {
    let named = |name: &'static str, message: &'static str| -> Refuse {
        Box::new(move |body: &Value| {
            let error = json!({"error": {"message": message, "param": name}});
            body.get(name).map(|_| Reply::json(400, &error))
        })
    };
    let cases = [
        ("chat_template_kwargs", "is not supported"),
        ("stream_options", "stream_options is unknown"),
        ("seed", "Unknown name \"seed\""),
        ("stop", "not with this model"),
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        ),
    ];
    for (name, message) in cases {
        let server = FakeServer::start().await;
        server.refuse(named(name, message));
        server.always(Reply::answer(&["Rest.病人：And?"]));
        let remote = ready(&config(&server)).await;
        assert_eq!(answer(&remote, drawn()).await.text, "Rest.", "{name}");
        let asked = server.asked();
        let [first, second] = asked.as_slice() else {
            panic!("{name}: {asked:?}");
        };
        let mut expect: Value = first.clone();
        let taken = expect.as_object_mut().unwrap().remove(name).unwrap();
        if name == "max_tokens" {
            expect["max_completion_tokens"] = taken;
        }
        assert_eq!(*second, expect, "{name}");
    }
}

#[tokio::test]
async fn what_no_answer_can_do_without_is_not_left_out() {
    let refusals = [
        (json!({"error": {"message": "bad", "param": "temperature"}}), 1),
        (json!({"error": {"message": PATIENT, "param": "messages"}}), 1),
        (json!({"error": {"message": PATIENT}}), 2),
    ];
    for (refusal, requests) in refusals {
        let server = FakeServer::start().await;
        for _ in 0..requests {
            server.then(Reply::json(400, &refusal));
        }
        server.always(Reply::answer(&["Rest."]));
        let remote = ready(&config(&server)).await;
        assert!(answer(&remote, drawn()).await.end.is_err(), "{refusal}");
        assert_eq!(server.asked().len(), requests, "{refusal}");
        // What did not help is not remembered.
        assert_eq!(answer(&remote, drawn()).await.text, "Rest.");
        let asked = server.asked();
        assert!(
            EXTRAS.iter().all(|it| asked.last().unwrap().get(it).is_some()),
            "{refusal}"
        );
    }
}
