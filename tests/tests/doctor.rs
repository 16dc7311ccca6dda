//! `bedside doctor` on sound and on broken installations, and a bot whose disk is nearly full.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    fs::{self, File, Permissions},
    net::TcpListener,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bedside_tests::{Bot, BotOptions, WebClient, bot::free_port, places, run_bedside};
use serde_json::Value;

/// A folder with a configuration and a data directory that only its owner may enter.
struct Installation {
    folder: tempfile::TempDir,
}

impl Installation {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let installation = Self { folder };
        fs::create_dir(installation.data()).unwrap();
        allow(&installation.data(), 0o700);
        fs::write(installation.config(), config).unwrap();
        allow(&installation.config(), 0o600);
        installation
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("bedside.toml")
    }
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn without_model(listen: &str) -> String {
    // One that is not there yet is only worth a note.
    format!("[web]\nlisten = \"{listen}\"\n[model]\nsource = \"default\"\n")
}

/// The exit code and what `--json` says.
async fn doctor(data: &Path, config: &Path) -> (i32, Value) {
    let arguments = ["--config", config.to_str().unwrap(), "doctor", "--json"];
    let output = run_bedside(data, &arguments, "").await.unwrap();
    let body = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), body)
}

/// The texts and advice of those findings that are problems, by check.
fn problems(body: &Value) -> Vec<(String, String)> {
    let checks = body["checks"].as_array().unwrap().iter();
    let problems = checks.filter(|it| it["verdict"] == "problem");
    problems
        .map(|it| (it["check"].as_str().unwrap().to_owned(), it.to_string()))
        .collect()
}

/// There is this problem and no other.
fn check_problem((code, body): &(i32, Value), check: &str, words: &[&str]) {
    let found = problems(body);
    assert!(*code == 1 && body["ok"] == false, "{body:#}");
    assert!(
        !found.is_empty() && found.iter().all(|it| it.0 == check),
        "{found:?}"
    );
    for word in words {
        assert!(found.iter().any(|it| it.1.contains(word)), "{word}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_has_no_problem_while_it_runs_and_when_it_does_not() {
    let mut bot = Bot::start(BotOptions::default()).await.unwrap();
    let (data, config) = (bot.data_directory(), bot.config_file());
    allow(&data, 0o700);
    let page = WebClient::open(&bot.url()).await.unwrap();
    page.ask("I have crushing chest pain and cannot breathe")
        .await
        .unwrap();
    let (code, body) = doctor(&data, &config).await;
    assert!(code == 0 && body["ok"] == true, "{body:#}");
    let text = body.to_string();
    assert!(
        text.contains(&format!("process {}", bot.pid().unwrap())) && text.contains("\"ready\""),
        "{body:#}"
    );
    assert!(!text.contains("chest"), "no word of a patient: {body:#}");
    drop(page);
    bot.stop().await.unwrap();

    let (code, body) = doctor(&data, &config).await;
    assert!(code == 0 && body["ok"] == true, "{body:#}");
    assert!(body.to_string().contains("is free"), "{body:#}");
    let arguments = ["--config", config.to_str().unwrap(), "doctor"];
    let output = run_bedside(&data, &arguments, "").await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("ok       store: ") && said.contains("problems: 0"),
        "{said}"
    );
}

#[tokio::test]
async fn wrong_modes_are_named_and_no_secret_is_shown() {
    let installation = Installation::new("");
    let key = installation.folder.path().join("api-key");
    fs::write(&key, "sk-hush-0123456789").unwrap();
    allow(&key, 0o600);
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let config = without_model(&listen) + &format!("[web.api]\nkey_file = \"{}\"\n", key.display());
    fs::write(installation.config(), &config).unwrap();
    let look = async || doctor(&installation.data(), &installation.config()).await;

    let sound = look().await;
    assert!(sound.0 == 0, "{:#}", sound.1);
    for (path, mode, check, words) in [
        (installation.data(), 0o755, "data directory", "chmod 700"),
        (key.clone(), 0o644, "secrets", "web.api.key_file"),
        (key.clone(), 0o622, "secrets", "changed by others"),
    ] {
        let before = fs::metadata(&path).unwrap().permissions();
        allow(&path, mode);
        let found = look().await;
        check_problem(&found, check, &[words]);
        assert!(!found.1.to_string().contains("hush"), "{:#}", found.1);
        fs::set_permissions(&path, before).unwrap();
    }

    let inline = without_model(&listen) + "[web.api]\nkey = \"sk-hush-0123456789\"\n";
    fs::write(installation.config(), inline).unwrap();
    allow(&installation.config(), 0o644);
    let found = look().await;
    check_problem(&found, "secrets", &["web.api.key", "bedside.toml"]);
    assert!(!found.1.to_string().contains("hush"), "{:#}", found.1);
}

#[tokio::test]
async fn a_taken_port_a_wrong_key_and_a_model_that_is_too_large_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = Installation::new(&without_model(&address));
    let found = doctor(&port.data(), &port.config()).await;
    check_problem(&found, "ports", &[&address, "web.listen"]);

    let key = Installation::new("[web]\nlisen = \"127.0.0.1:0\"\n");
    let found = doctor(&key.data(), &key.config()).await;
    check_problem(&found, "configuration", &["bedside.toml:2", "listen"]);

    let model = places::model().unwrap();
    let large = Installation::new(&format!(
        "[web]\nlisten = \"127.0.0.1:0\"\n[model]\nsource = \"file:{}\"\n[engine]\nkv_cache_mib = 1000000000\n",
        model.display()
    ));
    let found = doctor(&large.data(), &large.config()).await;
    check_problem(&found, "memory", &["does not fit", "engine.kv_cache_mib"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_found_and_the_bot_does_not_start_on_it() {
    let mut bot = Bot::start(BotOptions::default()).await.unwrap();
    let (data, config) = (bot.data_directory(), bot.config_file());
    allow(&data, 0o700);
    let page = WebClient::open(&bot.url()).await.unwrap();
    page.ask("I have crushing chest pain and cannot breathe")
        .await
        .unwrap();
    drop(page);
    bot.stop().await.unwrap();
    let store = data.join("bedside.sqlite");
    let file = File::options().write(true).open(&store).unwrap();
    // The beginning of the second page, the first after the schema's.
    file.write_all_at(&[0xa5; 100], 4096).unwrap();
    drop(file);

    let found = doctor(&data, &config).await;
    check_problem(&found, "store", &["damaged", "backup", "bedside.sqlite"]);
    assert!(!found.1.to_string().contains("chest"), "{:#}", found.1);

    let before = fs::read(&store).unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "run"];
    let output = run_bedside(&data, &arguments, "").await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(
        said.contains("bedside.sqlite") && said.contains("damaged") && said.contains("backup"),
        "{said}"
    );
    assert_eq!(fs::read(&store).unwrap(), before, "nothing was written to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_is_told_and_emergencies_are_answered() {
    let options = BotOptions {
        without_model: true,
        config: "[store]\nmin_free_mib = 1000000000000".to_owned(),
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}/readyz", bot.url())).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let answer = client.get(format!("{}/healthz", bot.url())).send().await.unwrap();
    assert_eq!(answer.status(), 200, "a restart would help nobody");
    assert_eq!(bot.log().matches("nearly full").count(), 1, "{}", bot.log());

    let page = WebClient::open(&bot.url()).await.unwrap();
    let said = page.ask("what helps against a cold?").await.unwrap();
    let text = said[0].part.as_ref().unwrap().shown();
    assert!(text.contains("cannot begin new conversations"), "{text}");
    let said = page
        .ask("I have crushing chest pain and cannot breathe")
        .await
        .unwrap();
    assert_eq!(said[0].part.as_ref().unwrap().kind, "emergency", "{said:?}");

    allow(&bot.data_directory(), 0o700);
    let (code, body) = doctor(&bot.data_directory(), &bot.config_file()).await;
    let found = problems(&body);
    assert!(
        code == 1
            && found.iter().any(|it| it.0 == "disk")
            && found.iter().any(|it| it.1.contains("bedside status")),
        "{body:#}"
    );
}
