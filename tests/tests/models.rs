//! A model's way from its checkpoint to a chat.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{path::Path, process::Output, time::Duration};

use bedside_tests::{Bot, BotOptions, bot::free_port, places, run_bedside};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(240);

async fn bedside(folder: &Path, arguments: &[&str]) -> Output {
    run_bedside(&folder.join("data"), arguments, "").await.unwrap()
}

/// A small ChatGLM-6B, as scripts/make-chatglm.py writes the large one.
async fn make_chatglm(folder: &Path) {
    let run = Command::new(places::python().unwrap())
        .arg(places::repository().join("scripts/make-chatglm.py"))
        .arg(folder)
        .args([
            "--layers",
            "2",
            "--hidden",
            "64",
            "--heads",
            "4",
            "--vocabulary",
            "512",
        ])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chatglm_comes_from_its_checkpoint_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (
        folder.path().join("chatglm"),
        folder.path().join("chatglm.Q8_0.gguf"),
    );
    make_chatglm(&source).await;
    let (source, target) = (source.to_str().unwrap(), target.to_str().unwrap());
    let arguments = ["model", "convert", source, target, "--to", "Q8_0"];
    let output = bedside(folder.path(), &arguments).await;
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("prompt format `chatglm`"), "{said}");
    let output = bedside(folder.path(), &["model", "inspect", target, "--json"]).await;
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["architecture"], "chatglm1");
    assert_eq!(
        (&found["tokenizer"]["model"], &found["tokenizer"]["pre"]),
        (&json!("t5"), &json!("chatglm1"))
    );

    let config = |format: &str| BotOptions {
        config: format!("[model]\nsource = {target:?}\nlanguages = [\"zh\"]\n{format}"),
        ..BotOptions::default()
    };
    let question = json!({
        "messages": [{"role": "user", "content": "头疼两天"}], "max_tokens": 12, "temperature": 0,
    });
    let (mut prompt_tokens, mut answer_tokens) = (Vec::new(), 0);
    for format in ["", "prompt_format = \"bianque\""] {
        let bot = Bot::start(config(format)).await.unwrap();
        let ask = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let ask = ask
            .post(format!("{}/v1/chat/completions", bot.url()))
            .json(&question);
        let answer: Value = ask.send().await.unwrap().json().await.unwrap();
        let usage = &answer["usage"];
        answer_tokens += usage["completion_tokens"].as_u64().unwrap();
        prompt_tokens.push(usage["prompt_tokens"].as_u64().unwrap());
    }
    assert!(answer_tokens > 0, "it says something, whatever that is");
    // `病人：` and `医生：` are written around the question.
    assert!(prompt_tokens[1] > prompt_tokens[0] + 4, "{prompt_tokens:?}");
}

/// One linear's LoRA as PEFT saves it, for the first layer of [`make_chatglm`].
fn make_lora(folder: &Path, rows: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let config = json!({
        "peft_type": "LORA", "r": 2, "lora_alpha": 64, "bias": "none", "base_model_name_or_path": "tiny",
    });
    std::fs::write(folder.join("adapter_config.json"), config.to_string()).unwrap();
    let module = "base_model.model.transformer.layers.0.mlp.dense_4h_to_h";
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (half, shape) in [("lora_A", [2, 256]), ("lora_B", [rows, 2])] {
        let start = data.len();
        for number in 0..shape[0] * shape[1] {
            let value = (number * 37 % 19) as f32 / 19.0 - 0.5;
            data.extend(value.to_le_bytes());
        }
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(format!("{module}.{half}.weight"), entry);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    std::fs::write(folder.join("adapter_model.safetensors"), file).unwrap();
}

async fn made_model(folder: &Path) -> String {
    let (source, target) = (folder.join("chatglm"), folder.join("chatglm.F16.gguf"));
    make_chatglm(&source).await;
    let arguments = [
        "model",
        "convert",
        source.to_str().unwrap(),
        target.to_str().unwrap(),
    ];
    let output = bedside(folder, &arguments).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn adapters_are_inspected_converted_and_loaded_while_the_bot_runs() {
    const KEY: &str = "sk-0123456789abcdef";
    const ADMIN_KEY: &str = "admin-0123456789abcdef";
    let folder = tempfile::tempdir().unwrap();
    let model = made_model(folder.path()).await;
    let adapters = folder.path().join("adapters");
    make_lora(&adapters.join("ward"), 64);
    make_lora(&adapters.join("other-base"), 48);
    let (ward, gguf) = (adapters.join("ward"), adapters.join("ward.gguf"));
    let (ward, gguf) = (ward.to_str().unwrap(), gguf.to_str().unwrap());
    let arguments = ["adapter", "convert", ward, gguf, "--base", &model];
    let output = bedside(folder.path(), &arguments).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let inspect = async |path: &str| {
        let arguments = ["adapter", "inspect", path, "--base", &model, "--json"];
        bedside(folder.path(), &arguments).await
    };
    for (path, format) in [(ward, "peft_lora"), (gguf, "gguf")] {
        let found: Value = serde_json::from_slice(&inspect(path).await.stdout).unwrap();
        assert_eq!((&found["format"], &found["ranks"]), (&json!(format), &json!([2])));
        assert_eq!(found["parameters"], 2 * 256 + 64 * 2);
    }
    let output = inspect(adapters.join("other-base").to_str().unwrap()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("48 × 256") && said.contains("64 × 256"), "{said}");

    let admin = format!("127.0.0.1:{}", free_port().unwrap());
    let bot = Bot::start(BotOptions {
        config: format!(
            "[model]\nsource = {model:?}\nlanguages = [\"zh\"]\nadapters_dir = {adapters:?}\n[model.adapters]\n\
             first = {ward:?}\n[web.api]\nkey = {KEY:?}\n[admin]\nlisten = {admin:?}\nkey = {ADMIN_KEY:?}"
        ),
        ..BotOptions::default()
    })
    .await
    .unwrap();
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let send = async |url: String, key: &str, body: Value| {
        let request = client.post(url).bearer_auth(key);
        let response = request.json(&body).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    let post = async |path: &str, body: Value| send(format!("{}/v1/{path}", bot.url()), KEY, body).await;
    let change =
        async |path: &str, body: Value| send(format!("http://{admin}/v1/{path}"), ADMIN_KEY, body).await;
    let ask = async |model: &str| {
        let messages = json!([{"role": "user", "content": "头疼两天"}]);
        let body = json!({ "model": model, "messages": messages, "max_tokens": 16, "temperature": 0 });
        let (status, answer) = post("chat/completions", body).await;
        (status, answer["choices"][0]["message"]["content"].clone())
    };
    let plain = ask("default").await;
    let adapted = ask("first").await;
    assert!(
        plain.0 == 200 && adapted.0 == 200 && plain != adapted,
        "{plain:?} {adapted:?}"
    );
    assert_eq!(ask("second").await.0, 404);
    let load = |path: &str| json!({ "lora_name": "second", "lora_path": path });
    for (path, status, part) in [
        ("../chatglm", 400, "does not lie in"),
        ("nowhere", 400, "no such file"),
        ("other-base", 400, "48 × 256"),
        ("ward.gguf", 200, "second"),
    ] {
        let (found, body) = change("load_lora_adapter", load(path)).await;
        assert!(
            found == status && body.to_string().contains(part),
            "{found} {body}"
        );
    }
    assert_eq!(ask("second").await, adapted);
    let (status, _) = change("unload_lora_adapter", json!({ "lora_name": "second" })).await;
    assert_eq!((status, ask("second").await.0), (200, 404));
    let without_key = client.post(format!("http://{admin}/v1/load_lora_adapter"));
    let response = without_key.json(&load("ward")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 401);
    let (status, body) = post("load_lora_adapter", load("ward")).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("adapters_moved")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampling_study_prints_and_draws_its_grid() {
    let folder = tempfile::tempdir().unwrap();
    let (questions, picture) = (
        folder.path().join("questions.txt"),
        folder.path().join("grid.svg"),
    );
    std::fs::write(
        &questions,
        "What helps against a cough?\n\nHow do I sleep better?\n",
    )
    .unwrap();
    let model = places::model().unwrap();
    let arguments = [
        "model",
        "sample-grid",
        "--model",
        model.to_str().unwrap(),
        "--questions",
        questions.to_str().unwrap(),
        "--top-p",
        "0.5,1",
        "--temperature",
        "0,1.5",
        "--samples",
        "2",
        "--max-tokens",
        "24",
        "--json",
        "--plot",
        picture.to_str().unwrap(),
    ];
    let mut all = Vec::new();
    for _ in 0..2 {
        let output = bedside(folder.path(), &arguments).await;
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        all.push(serde_json::from_slice::<Value>(&output.stdout).unwrap());
    }
    assert_eq!(all[0], all[1], "the same seed gives the same figures");
    let cells = all[0]["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    let distinct = |top_p: f64, temperature: f64| {
        let own = cells
            .iter()
            .find(|it| it["top_p"] == top_p && it["temperature"] == temperature);
        own.unwrap()["distinct_2"].as_f64().unwrap()
    };
    // Without chance both answers to a question are the same.
    assert!(distinct(1.0, 0.0) <= 0.5 && distinct(1.0, 1.5) > 0.8, "{cells:?}");
    let drawn = std::fs::read_to_string(&picture).unwrap();
    assert!(drawn.contains("<svg") && drawn.contains("distinct-2") && drawn.contains("temperature"));

    let mut nowhere = arguments;
    *nowhere.last_mut().unwrap() = "/nowhere/grid.svg";
    let output = bedside(folder.path(), &nowhere).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("--plot: there is no folder /nowhere"),
        "{said}"
    );
    std::fs::write(&questions, "\n\n").unwrap();
    let output = bedside(folder.path(), &arguments).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("no question"),
        "{said}"
    );
}
