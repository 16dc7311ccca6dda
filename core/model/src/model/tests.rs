use std::{env, fs, path::PathBuf};

use bedside_contract::{ChatMessage, ChatRole, Sampling};

use super::{Model, ModelError, display_name};
use crate::{
    decoder::{KvPrecision, Solo},
    pull::NoProgress,
    sampler::Sampler,
    testing::{TinyModel, split},
    threads::Threads,
};

fn check_name(file: &str, expect: &str) {
    assert_eq!(display_name(file.as_ref()), expect);
}

#[test]
fn names_are_for_people() {
    check_name("/m/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct Q4_1");
    check_name(
        "qwen2.5-0.5b-instruct-q4_k_m.gguf",
        "qwen2.5-0.5b-instruct Q4_K_M",
    );
    check_name("model-f16.gguf", "model F16");
    check_name("gemma-3-270m.gguf", "gemma-3-270m");
    check_name(
        "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf",
        "qwen2.5-7b-instruct Q4_K_M",
    );
}

#[test]
fn a_broken_file_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.gguf");
    TinyModel::default().write(&path);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = Model::load(&path, &NoProgress).unwrap_err();
    assert!(matches!(error, ModelError::Gguf(_)));
    assert!(error.to_string().contains("broken.gguf"), "{error}");
}

#[test]
fn a_model_in_parts_is_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    TinyModel::default().write(&path);
    let parts = split(&path, 2);
    let (whole, joined) = (
        Model::load(&path, &NoProgress).unwrap(),
        Model::load(&parts[0], &NoProgress).unwrap(),
    );
    assert_eq!(joined.facts.name, "tiny");
    assert_eq!(joined.facts.parameters, whole.facts.parameters);
    let logits = |model: &Model| {
        let mut solo = Solo::new(&model.decoder, Threads::new(1).unwrap(), 32, KvPrecision::F32);
        solo.read(&[5, 6, 7], 1, None).unwrap().remove(0)
    };
    assert_eq!(logits(&joined), logits(&whole));
    fs::remove_file(&parts[1]).unwrap();
    let error = Model::load(&parts[0], &NoProgress).unwrap_err().to_string();
    assert!(error.contains("tiny-00002-of-00002.gguf"), "{error}");
}

#[test]
fn a_template_that_cannot_be_used_is_replaced_and_noted() {
    const SAID: &str = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let load = |template: Option<&'static str>, format: Option<&str>| {
        TinyModel {
            chat_template: template,
            ..TinyModel::default()
        }
        .write(&path);
        Model::load_with_format(&path, format, &NoProgress)
    };
    let said = |model: &Model| -> String {
        let chat = [ChatMessage {
            role: ChatRole::User,
            content: "hi".to_owned(),
        }];
        let tokens = model.encode(&chat).unwrap();
        tokens.iter().map(|it| model.tokenizer.spelling(*it)).collect()
    };
    for template in [
        None,
        Some("{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"),
        Some("{% trans %}{{ messages }}{% endtrans %}"),
        Some("{{ messages | no_such_filter }}"),
        Some("{{ raise_exception('never') }}"),
        Some("a prompt without the message"),
    ] {
        let model = load(template, None).unwrap();
        let notes = &model.facts.notes;
        assert!(
            notes.iter().any(|it| it.contains("`chatml` is used")),
            "{template:?}: {notes:?}"
        );
        assert_eq!(said(&model), SAID, "{template:?}");
    }
    // Training adds marks, which say nothing.
    let marked = "{% for message in messages %}{%- if message.role == 'user' %}[{{ message.content }}]{%- else %}\
        {%- generation -%}{{ message.content }}{%- endgeneration -%}{%- endif %}{% endfor %}";
    let model = load(Some(marked), None).unwrap();
    assert!(model.facts.notes.is_empty(), "{:?}", model.facts.notes);
    assert_eq!(said(&model), "[hi]");
    // What the operator names is used, whatever is in the file.
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    for template in ["{% for %}", endless] {
        let model = load(Some(template), Some("chatml")).unwrap();
        assert!(model.facts.notes.is_empty(), "{:?}", model.facts.notes);
        assert_eq!(said(&model), SAID);
    }
    let error = load(Some(endless), None).unwrap_err().to_string();
    assert!(
        error.contains("steps") && error.contains("model.prompt_format"),
        "{error}"
    );
}

/// The default model where it is on this machine.
fn real_model() -> Option<PathBuf> {
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| env::var_os("HOME").map(|it| PathBuf::from(it).join(".local/share")));
    let default = data.map(|it| it.join("bedside/models").join(crate::source::DEFAULT_MODEL.file));
    let path = env::var_os("BEDSIDE_TEST_MODEL").map(PathBuf::from).or(default);
    let path = path.filter(|it| it.is_file());
    if path.is_none() {
        eprintln!("skipped: the default model is not here; set BEDSIDE_TEST_MODEL to its file");
    }
    path
}

#[test]
fn the_default_model_knows_a_capital() {
    let Some(path) = real_model() else { return };
    let model = Model::load(&path, &NoProgress).unwrap();
    assert_eq!(
        (model.facts.parameters, model.facts.context_length),
        (134_515_008, 8192)
    );
    assert!(model.facts.notes.is_empty());
    let chat = [
        ChatMessage {
            role: ChatRole::System,
            content: "Answer in one sentence.".into(),
        },
        ChatMessage {
            role: ChatRole::User,
            content: "What is the capital of France?".into(),
        },
    ];
    let prompt = model.encode(&chat).unwrap();
    // The ids that the model's published tokenizer gives for this chat.
    assert_eq!(prompt[..4], [1, 9690, 198, 21350]);
    let mut solo = Solo::new(&model.decoder, Threads::new(2).unwrap(), 256, KvPrecision::F16);
    let mut logits = solo.read(&prompt, 1, None).unwrap().remove(0);
    let sampling = Sampling {
        temperature: 0.0,
        repetition_penalty: 1.0,
        ..Sampling::default()
    };
    let mut sampler = Sampler::new(&sampling, &prompt);
    let mut stream = model.tokenizer.stream(&prompt);
    let mut text = String::new();
    for _ in 0..24 {
        let token = sampler.sample(&mut logits);
        if model.tokenizer.is_end(token) {
            break;
        }
        text.push_str(&stream.push(token));
        logits = solo.read(&[token], 1, None).unwrap().remove(0);
    }
    assert!(text.contains("Paris"), "{text}");
}
