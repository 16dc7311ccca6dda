//! What the engine makes of a model's chat template.

use bedside_contract::{ChatMessage, ChatRole, GenerateError, Generator};
use bedside_model::testing::TinyModel;

use super::request;
use crate::{
    Engine,
    config::{EngineConfig, ModelConfig},
};

const ALTERNATING: &str = "{% for m in messages %}\
    {% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}\
    [{{ m.content }}]{% endfor %}";

fn model(template: &'static str, prompt_format: Option<&str>) -> (tempfile::TempDir, ModelConfig) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    TinyModel {
        chat_template: Some(template),
        ..TinyModel::default()
    }
    .write(&path);
    let config = ModelConfig {
        source: path.display().to_string(),
        prompt_format: prompt_format.map(str::to_owned),
        ..ModelConfig::default()
    };
    (folder, config)
}

#[tokio::test]
async fn an_order_of_roles_that_the_template_refuses_is_the_callers_error() {
    let (_folder, model) = model(ALTERNATING, None);
    let engine = Engine::start(EngineConfig::default(), model);
    engine.wait_ready().await.unwrap();
    let mut asked = request("a");
    asked.messages = vec![ChatMessage {
        role: ChatRole::Assistant,
        content: "hello".to_owned(),
    }];
    let is_refused = |error: &GenerateError| matches!(error, GenerateError::Refused { problem } if problem == "must alternate");
    let counted = engine.count_tokens(&asked.messages).unwrap_err();
    assert!(is_refused(&counted), "{counted:?}");
    let error = engine.generate(asked).await.err().unwrap();
    assert!(is_refused(&error), "{error:?}");
    assert!(engine.count_tokens(&request("a").messages).is_ok(), "joined");
}

#[tokio::test]
async fn the_prompt_format_replaces_a_template_before_it_is_read() {
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    for (template, format, expect) in [
        ("{% for %}", None, None),
        ("{% for %}", Some("chatml"), None),
        (endless, Some("chatml"), None),
        (endless, None, Some("model.prompt_format")),
        (
            "{% for %}",
            Some("chatgml"),
            Some("model.prompt_format: `chatgml`"),
        ),
    ] {
        let (_folder, model) = model(template, format);
        let engine = Engine::start(EngineConfig::default(), model);
        let error = engine.wait_ready().await.err().map(|it| it.to_string());
        match (expect, &error) {
            (None, None) => {}
            (Some(expect), Some(error)) => assert!(error.contains(expect), "{error}"),
            _ => panic!("{template} {format:?}: {error:?}"),
        }
    }
}
