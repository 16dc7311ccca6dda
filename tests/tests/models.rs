//! A model's way from its checkpoint to a chat.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{path::Path, process::Output, time::Duration};

use bedside_tests::{Bot, BotOptions, places, run_bedside};
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
