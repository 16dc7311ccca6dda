//! The running bot under its operator's hands: status, reload, the kill switch, commands of plugins.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use bedside_tests::{Bot, BotOptions, WebClient, eventually, places, run_bedside};
use nix::{sys::signal::Signal, unistd::Pid};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

const QUESTION: &str = "How is gout treated?";
const OFF: &str = "Answers are switched off for now";
const NOT_RUNNING: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(20);

async fn start(without_model: bool) -> Bot {
    Bot::start(BotOptions {
        without_model,
        ..BotOptions::default()
    })
    .await
    .unwrap()
}

async fn run(bot: &Bot, arguments: &[&str]) -> Output {
    let config = bot.config_file();
    let all = [&["--config", config.to_str().unwrap()], arguments].concat();
    run_bedside(&bot.data_directory(), &all, "").await.unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

async fn status(bot: &Bot) -> Value {
    let output = run(bot, &["status", "--json"]).await;
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
}

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

async fn page_text(bot: &Bot) -> String {
    client()
        .get(bot.url())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

/// Puts these lines behind the configuration that the bot was started with.
fn append(bot: &Bot, original: &str, lines: &str) {
    fs::write(bot.config_file(), format!("{original}\n{lines}")).unwrap();
}

fn hang_up(bot: &Bot) {
    let pid = i32::try_from(bot.pid().unwrap()).unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGHUP).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_well_says_so() {
    let bot = start(false).await;
    let output = run(&bot, &["status"]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in [
        "SmolLM2",
        "web ok",
        "bedside.knowledge",
        "answers:     on",
        "open:        0 messages",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let status = status(&bot).await;
    assert_eq!(status["process"], json!(bot.pid().unwrap()));
    assert_eq!(status["problems"], json!([]));
    assert_eq!(status["model"]["state"], "ready");
    assert_eq!(status["store"]["waiting_parts"], 0);
    let mode = fs::metadata(bot.data_directory().join("control.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_and_a_bot_that_does_not_run_have_exit_codes_of_their_own() {
    let mut bot = start(true).await;
    let output = eventually("the model's failure is known", PATIENCE, async || {
        let output = run(&bot, &["status"]).await;
        (output.status.code() == Some(1)).then_some(output)
    })
    .await;
    assert!(
        said(&output).contains("PROBLEM:     there is no model"),
        "{}",
        said(&output)
    );
    let commands: [&[&str]; 4] = [
        &["status"],
        &["reload"],
        &["notices-only", "on"],
        &["notices-only", "show"],
    ];
    for kill in [false, true] {
        if kill {
            // It leaves its socket behind.
            bot.restart().await.unwrap();
            bot.kill9().await.unwrap();
            assert!(bot.data_directory().join("control.sock").exists());
        } else {
            bot.stop().await.unwrap();
        }
        for command in commands {
            let output = run(&bot, command).await;
            assert_eq!(
                output.status.code(),
                Some(NOT_RUNNING),
                "{command:?}: {}",
                said(&output)
            );
            assert!(said(&output).contains("no bot runs in"), "{}", said(&output));
        }
    }
    // The next one takes the dead one's place.
    bot.restart().await.unwrap();
    assert_eq!(status(&bot).await["process"], json!(bot.pid().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_configuration_takes_effect_by_command_and_by_signal() {
    let bot = start(true).await;
    let original = fs::read_to_string(bot.config_file()).unwrap();
    append(
        &bot,
        &original,
        "[bot]\nhospital = \"St. Mary\"\nemergency_number = \"911\"\nanswers_at_once = 3\n[telegram]\npoll_timeout = 9\n",
    );
    let output = run(&bot, &["reload", "--json"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let reloaded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        reloaded["took_effect"],
        json!(["bot.emergency_number", "bot.hospital"])
    );
    assert_eq!(
        reloaded["needs_restart"],
        json!([
            "bot.answers_at_once",
            "telegram.poll_timeout",
            "bot.emergency_number (for plugins)"
        ])
    );
    let page = page_text(&bot).await;
    assert!(page.contains("St. Mary") && page.contains("911"), "{page}");
    let patient = WebClient::open(&bot.url()).await.unwrap();
    let answer = patient.ask("I have crushing chest pain").await.unwrap();
    assert!(
        answer[0].part.as_ref().unwrap().text.contains("911"),
        "{answer:?}"
    );

    append(&bot, &original, "[bot]\nhospital = \"St. Luke\"\n");
    hang_up(&bot);
    eventually("the name of the second reload", PATIENCE, async || {
        page_text(&bot).await.contains("St. Luke").then_some(())
    })
    .await;
    eventually("nothing needs a restart any more", PATIENCE, async || {
        let found = status(&bot).await;
        (found["configuration"]["needs_restart"] == json!([])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_wrong_configuration_the_last_good_one_stays() {
    let bot = start(true).await;
    let original = fs::read_to_string(bot.config_file()).unwrap();
    let lines = original.lines().count();
    append(
        &bot,
        &original,
        "[bot]\nhospital = \"St. Mary\"\nhospitl = \"x\"\n",
    );
    let output = run(&bot, &["reload"]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let place = format!("{}:{}: bot.hospitl", bot.config_file().display(), lines + 4);
    assert!(text.contains(&place), "{place}: {text}");
    assert!(!page_text(&bot).await.contains("St. Mary"));
    let problem = status(&bot).await["configuration"]["problem"].to_string();
    assert!(problem.contains("bot.hospitl"), "{problem}");
    assert!(bot.log().contains("the last good one stays"), "{}", bot.log());

    // The bot is reached for all that.
    let output = run(&bot, &["notices-only", "on"]).await;
    assert!(output.status.success(), "{}", said(&output));
    let output = run(&bot, &["notices-only", "off"]).await;
    assert!(output.status.success(), "{}", said(&output));

    append(&bot, &original, "[bot");
    let output = run(&bot, &["reload"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let problem = status(&bot).await["configuration"]["problem"].to_string();
    assert!(
        !problem.contains("hospitl") && problem.contains("bedside.toml"),
        "{problem}"
    );

    fs::write(bot.config_file(), &original).unwrap();
    assert!(run(&bot, &["reload"]).await.status.success());
    assert!(status(&bot).await["configuration"]["problem"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_leaves_emergency_notices_and_outlives_a_restart() {
    let mut bot = start(false).await;
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let program = async || {
        let request = client()
            .post(format!("{}/v1/chat/completions", bot.url()))
            .json(&json!({"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}));
        let response = request.send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(program().await.0, StatusCode::OK);

    let output = run(&bot, &["notices-only", "on"]).await;
    assert!(
        output.status.success() && said(&output).contains("SWITCHED OFF"),
        "{}",
        said(&output)
    );
    let answer = page.ask(QUESTION).await.unwrap();
    let part = answer[0].part.as_ref().unwrap();
    assert_eq!(part.kind, "notice");
    assert!(
        part.text.contains(OFF) && part.text.contains("120"),
        "{}",
        part.text
    );
    let (code, body) = program().await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert_eq!(body["error"]["code"], "answers_switched_off");
    assert_eq!(status(&bot).await["notices_only"]["on"], true);
    let status_before = run(&bot, &["status"]).await;
    assert_eq!(status_before.status.code(), Some(0), "{}", said(&status_before));

    bot.kill9().await.unwrap();
    bot.restart().await.unwrap();
    let answer = page.ask("What is influenza?").await.unwrap();
    assert!(answer[0].part.as_ref().unwrap().text.contains(OFF), "{answer:?}");
    let notice = page
        .ask("I have crushing chest pain and I cannot breathe")
        .await
        .unwrap();
    assert_eq!(notice[0].part.as_ref().unwrap().kind, "emergency");

    assert!(run(&bot, &["notices-only", "off"]).await.status.success());
    let show = run(&bot, &["notices-only", "show", "--json"]).await;
    let show: Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(
        show,
        json!({"on": false, "by_operator": false, "by_configuration": false})
    );
    let answer = page.ask(QUESTION).await.unwrap();
    assert_eq!(answer[0].part.as_ref().unwrap().kind, "answer", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_switches_off_the_command_does_not_switch_on() {
    let bot = Bot::start(BotOptions {
        without_model: true,
        config: "[bot]\nnotices_only = true".to_owned(),
        ..BotOptions::default()
    })
    .await
    .unwrap();
    let page = WebClient::open_with_consent(&bot.url()).await.unwrap();
    let answer = page.ask(QUESTION).await.unwrap();
    assert!(answer[0].part.as_ref().unwrap().text.contains(OFF), "{answer:?}");
    let output = run(&bot, &["notices-only", "off"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("bot.notices_only"), "{}", said(&output));

    let original = fs::read_to_string(bot.config_file()).unwrap();
    fs::write(
        bot.config_file(),
        original.replace("notices_only = true", "notices_only = false"),
    )
    .unwrap();
    assert!(run(&bot, &["reload"]).await.status.success());
    let answer = page.ask(QUESTION).await.unwrap();
    assert!(!answer[0].part.as_ref().unwrap().text.contains(OFF), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_bots_own_plugins_answer() {
    let bot = start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let starter = places::repository().join("plugins/knowledge/data/conditions");
    for name in ["acne.en.md", "acne.zh.md"] {
        fs::copy(starter.join(name), folder.path().join(name)).unwrap();
    }
    let place = folder.path().to_str().unwrap();
    let output = run(&bot, &["knowledge", "import", place]).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("2 articles imported"), "{}", said(&output));
    let data = bot.data_directory().join("plugins/bedside.knowledge");
    assert!(data.join("articles/acne.en.md").exists());
    let left: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .filter(|it| it.to_string_lossy().starts_with("handed-over"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // What the shell is told is what the bot has.
    let output = run(&bot, &["knowledge", "--json", "stats"]).await;
    assert!(said(&output).contains("articles"), "{}", said(&output));
    let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
    let folders = stats["folders"].as_array().unwrap();
    let ends_so = |it: &Value| it.as_str().unwrap().ends_with("bedside.knowledge/articles");
    assert!(folders.iter().any(ends_so), "{stats}");

    fs::write(folder.path().join("broken.en.md"), "no head\n").unwrap();
    let output = run(&bot, &["knowledge", "lint", place]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let named = format!("{place}/broken.en.md");
    assert!(said(&output).contains(&named), "{}", said(&output));

    let output = run(&bot, &["plugin", "list", "--json"]).await;
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows, status(&bot).await["plugins"]);
}

/// Writes bytes as they are and reads what comes.
fn call_raw(data_directory: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(data_directory.join("control.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Who is refused need not have read all of it.
    let _broken_pipe = stream.write_all(bytes);
    let mut answer = String::new();
    let _reset = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_with_what_would_be() {
    let bot = start(true).await;
    let long = format!("{{\"request\":\"{}\"", "x".repeat(70_000));
    let cases: [(&[u8], &str); 4] = [
        (
            b"{\"request\":\"backup\"}\n",
            "status, reload, notices-only, plugin-command",
        ),
        (b"hello\n", "one line of JSON"),
        (b"\n", "one line of JSON"),
        (long.as_bytes(), "at most 64 KiB"),
    ];
    for (bytes, expected) in cases {
        let (dir, bytes) = (bot.data_directory(), bytes.to_vec());
        let answer = tokio::task::spawn_blocking(move || call_raw(&dir, &bytes))
            .await
            .unwrap();
        assert!(
            answer.contains("\"failed\"") && answer.contains(expected),
            "{answer}"
        );
    }
    assert_eq!(status(&bot).await["process"], json!(bot.pid().unwrap()));
}

/// Even where the file's mode lets others through. Skipped where this test may not become another user.
#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused() {
    const NOBODY: u32 = 65_534;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let bot = start(true).await;
    let (data, open) = (bot.data_directory(), tempfile::tempdir().unwrap());
    let set = |path: &Path, mode: u32| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    set(data.parent().unwrap(), 0o755);
    set(&data, 0o755);
    set(&data.join("control.sock"), 0o666);
    set(open.path(), 0o755);
    // Where it was built others may not come.
    let program = open.path().join("bedside");
    fs::copy(places::bedside().unwrap(), &program).unwrap();
    set(&program, 0o755);
    let output = Command::new(&program)
        .args(["notices-only", "on"])
        .env_clear()
        .env("BEDSIDE_DATA_DIR", &data)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains(&format!("user {NOBODY} may not control this bot")),
        "{}",
        said(&output)
    );
    assert_eq!(status(&bot).await["notices_only"]["on"], false);
    assert!(bot.log().contains("was refused"), "{}", bot.log());
}
