//! Plugins that fail, lie and hang: the bot goes on answering.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{fs, path::Path, time::Duration};

use bedside_tests::{
    Bot, BotOptions, WebClient, places, run_bedside,
    staged_plugins::{add_evil, staged},
};
use serde_json::Value;

const QUESTION: &str = "How is gout treated?";

async fn start(plugins: &Path) -> Bot {
    start_with(plugins, "").await
}

async fn start_with(plugins: &Path, more: &str) -> Bot {
    let config = format!("[plugins]\ndir = {:?}\n{more}", plugins.display().to_string());
    Bot::start(BotOptions {
        config,
        ..BotOptions::default()
    })
    .await
    .unwrap()
}

/// Asks a question and checks that it is answered from the knowledge base.
async fn is_answered(page: &WebClient, question: &str) {
    let said = page.ask(question).await.unwrap();
    let part = said[0].part.as_ref().unwrap();
    assert_eq!(part.kind, "answer", "{question}: {part:?}");
    assert!(!part.citations.is_empty(), "{question}: {part:?}");
}

async fn list(bot: &Bot) -> Vec<Value> {
    let config = bot.config_file();
    let arguments = ["--config", config.to_str().unwrap(), "plugin", "list", "--json"];
    let output = run_bedside(&bot.data_directory(), &arguments, "").await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_staged_plugins_are_ready() {
    let plugins = staged().unwrap();
    let bot = start(plugins.path()).await;
    let found = list(&bot).await;
    for id in ["bedside.triage", "bedside.knowledge"] {
        let plugin = found
            .iter()
            .find(|it| it["id"] == id)
            .unwrap_or_else(|| panic!("{id} is not in {found:?}"));
        assert_eq!(plugin["state"], "ready", "{plugin}");
        assert_eq!(plugin["place"], "child process", "{plugin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_triage_command_names_the_configured_level_and_an_answer_does_not() {
    let plugins = staged().unwrap();
    let bot = start_with(plugins.path(), "[triage]\nlevels = \"five\"").await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let words = async |text: &str| {
        let said = page.ask(text).await.unwrap();
        said[0].part.as_ref().unwrap().text.clone()
    };
    let told = words("/triage 我流鼻涕两天了，没有发烧").await;
    assert!(told.contains("5级 非急（蓝色）"), "{told}");
    let answered = words("我流鼻涕两天了，没有发烧，怎么办").await;
    assert!(!answered.contains("5级"), "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evil_plugin_does_not_silence_the_bot() {
    let plugins = staged().unwrap();
    add_evil(plugins.path()).unwrap();
    let mut bot = start(plugins.path()).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    // After the fifth it is quarantined; what follows must be answered all the same.
    for deed in ["panic", "null", "abort", "loop", "exit", "allocate", "large"] {
        let said = page.ask(&format!("evil: {deed}")).await.unwrap();
        assert!(said[0].part.is_some(), "{deed} was not answered: {said:?}");
        is_answered(&page, QUESTION).await;
    }
    let emergency = page
        .ask("I have crushing chest pain and cannot breathe")
        .await
        .unwrap();
    assert_eq!(emergency[0].part.as_ref().unwrap().kind, "emergency");
    assert!(bot.is_running(), "{}", bot.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_gets_vectors_of_the_embedding_model() {
    let model = match places::embeddings() {
        Ok(model) => model,
        Err(problem) => return eprintln!("skipped: {problem}"),
    };
    let plugins = staged().unwrap();
    add_evil(plugins.path()).unwrap();
    let section = format!("[embeddings]\nsource = {:?}\n", model.display().to_string());
    let bot = start_with(plugins.path(), &section).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let questions = [
        (
            "my head hurts | I have a headache | the bill is too high",
            "The second is closer.",
        ),
        (
            "我头疼 | the bill is too high | I have a headache",
            "The third is closer.",
        ),
    ];
    for (texts, expect) in questions {
        let mut said = String::new();
        // Reading the model may take longer than the first hook may.
        for _ in 0..5 {
            let entries = page.ask(&format!("evil: closer {texts}")).await.unwrap();
            said.clone_from(&entries[0].part.as_ref().unwrap().text);
            if said.contains("is closer") {
                break;
            }
        }
        assert!(said.contains(expect), "{texts}: {said}");
    }
    // Without the model the plugin is told, and the bot answers.
    let bot = start_with(plugins.path(), "[embeddings]\nenabled = false\n").await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let entries = page.ask("evil: closer a | b | c").await.unwrap();
    let said = &entries[0].part.as_ref().unwrap().text;
    assert!(said.contains("embeddings.enabled is false"), "{said}");
    is_answered(&page, QUESTION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_library_and_a_broken_manifest_are_shown_and_left_out() {
    let plugins = staged().unwrap();
    let spoil = |id: &str, file: &str, text: &str| {
        let folder = plugins.path().join(id).join("0.1.0");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    };
    let manifest = |id: &str| {
        format!(
            "[plugin]\nid = \"{id}\"\nversion = \"0.1.0\"\nname = {{ en = \"x\", zh = \"x\" }}\nkind = \"native\"\n\
             abi = \"0.1\"\nlibrary = \"lib.so\"\nbot = \">=0.1, <1\"\n[hooks]\non_message = {{ priority = 1 }}\n"
        )
    };
    spoil(
        "org.example.no-elf",
        "plugin.toml",
        &manifest("org.example.no-elf"),
    );
    spoil("org.example.no-elf", "lib.so", "this is no library");
    spoil(
        "org.example.no-file",
        "plugin.toml",
        &manifest("org.example.no-file"),
    );
    spoil("org.example.no-toml", "plugin.toml", "[plugin");
    let bot = start(plugins.path()).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    is_answered(&page, QUESTION).await;
    let found = list(&bot).await;
    for id in ["org.example.no-elf", "org.example.no-file", "org.example.no-toml"] {
        let plugin = found
            .iter()
            .find(|it| it["id"] == id)
            .unwrap_or_else(|| panic!("{id} is not in {found:?}"));
        assert_ne!(plugin["state"], "ready", "{plugin}");
        assert!(
            plugin["last_problem"].as_str().is_some_and(|it| !it.is_empty()),
            "{plugin}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_plugin_emergencies_are_still_seen() {
    let empty = tempfile::tempdir().unwrap();
    let bot = start(empty.path()).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let said = page.ask("我胸口剧痛，喘不上气").await.unwrap();
    assert_eq!(said[0].part.as_ref().unwrap().kind, "emergency");
    let taken = page.say(QUESTION).await.unwrap();
    let said = page.answer_to(taken.seq, Duration::from_secs(60)).await;
    assert!(!said[0].part.as_ref().unwrap().text.is_empty());
}
