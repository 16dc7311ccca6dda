//! Staff hear of emergency notices that do not reach their patient.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use bedside_tests::{Bot, BotOptions, Fault, TelegramFake, eventually, holds_for, places, run_bedside};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

const EMERGENCY: &str = "I have crushing chest pain that spreads to my left arm and I am sweating";
const PATIENCE: Duration = Duration::from_secs(60);

type Taken = Arc<Mutex<Vec<Value>>>;

/// A pager that is broken for its first call.
async fn pager() -> (String, Taken) {
    async fn take(State(taken): State<Taken>, headers: HeaderMap, Json(alarm): Json<Value>) -> StatusCode {
        assert_eq!(headers["authorization"], "Bearer pager-key");
        let mut taken = taken.lock().unwrap();
        taken.push(alarm);
        match taken.len() {
            1 => StatusCode::BAD_GATEWAY,
            _ => StatusCode::NO_CONTENT,
        }
    }
    let taken = Taken::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/alarm", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/alarm", post(take))
        .with_state(Arc::clone(&taken));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, taken)
}

async fn mail_server() -> (String, Taken, Child) {
    let mut server = Command::new(places::python().unwrap())
        .arg(places::repository().join("tests/python/mail_server.py"))
        .args(["bedside", "mail-password"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().unwrap();
    let taken = Taken::default();
    let mails = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Some(line) = lines.next_line().await.unwrap() {
            mails.lock().unwrap().push(serde_json::from_str(&line).unwrap());
        }
    });
    (format!("smtp://127.0.0.1:{port}"), taken, server)
}

fn secret(folder: &tempfile::TempDir, name: &str, value: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, value).unwrap();
    path.display().to_string()
}

/// A bot whose Telegram refuses the first `refusals` messages.
async fn start(refusals: usize, escalation: &str) -> (TelegramFake, Bot) {
    let fake = TelegramFake::start().await.unwrap();
    for _ in 0..refusals {
        fake.proxy.inject("sendmessage", Fault::ResetBefore);
    }
    let options = BotOptions {
        telegram: fake.access(),
        config: format!("[escalation]\nafter_minutes = 0\n{escalation}"),
        ..BotOptions::default()
    };
    let bot = Bot::start(options).await.unwrap();
    (fake, bot)
}

fn is_about_an_unreached_patient(text: &str) {
    assert!(
        text.contains("telegram") && text.contains("42") && text.contains("急症"),
        "{text}"
    );
    assert!(
        !text.contains("chest") && !text.contains("sweating"),
        "the patient's words: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_until_it_takes_it_and_then_no_more() {
    let (webhook, alarms) = pager().await;
    let folder = tempfile::tempdir().unwrap();
    let key = secret(&folder, "key", "pager-key\n");
    let config = format!("webhook = {webhook:?}\nwebhook_key_file = {key:?}\n");
    let (fake, bot) = start(6, &config).await;
    let user = fake.user(42);
    user.say(EMERGENCY).await.unwrap();
    eventually("the second alarm", PATIENCE, async || {
        (alarms.lock().unwrap().len() == 2).then_some(())
    })
    .await;
    for alarm in &*alarms.lock().unwrap() {
        assert_eq!(alarm["event"], "undelivered-emergency-notice");
        assert_eq!(
            (&alarm["platform"], &alarm["given_up"]),
            (&"telegram".into(), &false.into())
        );
        is_about_an_unreached_patient(alarm["text"].as_str().unwrap());
    }
    let notice = user
        .message("the notice itself", |it| it.text.contains("120"))
        .await;
    assert!(notice.text.starts_with('🚨'), "{}", notice.text);
    holds_for("told no more", Duration::from_secs(12), || {
        alarms.lock().unwrap().len() == 2
    })
    .await;
    assert!(
        !bot.log().contains("pager-key") && !bot.log().contains("chest pain"),
        "{}",
        bot.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_of_another_make_gets_one_mail() {
    let (server, mails, _running) = mail_server().await;
    let folder = tempfile::tempdir().unwrap();
    let password = secret(&folder, "password", "mail-password\n");
    let config = format!(
        "mail_server = {server:?}\nmail_from = \"Bedside <bedside@hospital.example>\"\n\
         mail_to = [\"duty@hospital.example\", \"Nurse <nurse@hospital.example>\"]\n\
         mail_user = \"bedside\"\nmail_password_file = {password:?}\n"
    );
    let (fake, mut bot) = start(6, &config).await;
    fake.user(42).say(EMERGENCY).await.unwrap();
    let mail = eventually("a mail", PATIENCE, async || {
        mails.lock().unwrap().first().cloned()
    })
    .await;
    assert_eq!(mail["user"], "bedside");
    assert_eq!(mail["from"], "bedside@hospital.example");
    assert_eq!(
        mail["to"],
        serde_json::json!(["duty@hospital.example", "nurse@hospital.example"])
    );
    assert!(mail["subject"].as_str().unwrap().contains("未送达"), "{mail}");
    is_about_an_unreached_patient(mail["text"].as_str().unwrap());
    // That it was told is on disk.
    bot.kill9().await.unwrap();
    bot.restart().await.unwrap();
    holds_for("no second mail", Duration::from_secs(8), || {
        mails.lock().unwrap().len() == 1
    })
    .await;
    assert!(!bot.log().contains("mail-password"), "{}", bot.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_notice_that_arrives_or_of_an_answer_that_does_not() {
    let (webhook, alarms) = pager().await;
    let folder = tempfile::tempdir().unwrap();
    let key = secret(&folder, "key", "pager-key");
    let config = format!("webhook = {webhook:?}\nwebhook_key_file = {key:?}\n");
    let (fake, _bot) = start(0, &config).await;
    let user = fake.user(42);
    user.say(EMERGENCY).await.unwrap();
    user.message("the notice", |it| it.text.starts_with('🚨')).await;
    for _ in 0..4 {
        fake.proxy.inject("sendmessage", Fault::ResetBefore);
    }
    user.say("/help").await.unwrap();
    holds_for("silence", Duration::from_secs(12), || {
        alarms.lock().unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn check_config_names_what_is_missing_or_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let empty = secret(&folder, "empty", "\n");
    let mail = "mail_server = \"smtp://relay\"\nmail_from = \"a@b.example\"\nmail_to = [\"c@d.example\"]\n";
    let cases = [
        (
            "webhook = \"pager\"".to_owned(),
            "escalation.webhook: not an http",
        ),
        (
            format!("webhook_key_file = {empty:?}"),
            "escalation.webhook: missing",
        ),
        (
            format!("webhook = \"http://p.example\"\nwebhook_key_file = {empty:?}"),
            "is empty",
        ),
        (
            "webhook = \"http://p.example\"\nwebhook_key_file = \"/nowhere\"".to_owned(),
            "cannot read /nowhere",
        ),
        (
            "mail_to = [\"a@b.example\"]".to_owned(),
            "escalation.mail_server: missing",
        ),
        (
            "mail_server = \"smtp://u:geheim@relay\"".to_owned(),
            "mail_password_file",
        ),
        (
            "mail_server = \"http://relay\"".to_owned(),
            "escalation.mail_server: not an smtp",
        ),
        (
            "mail_server = \"smtp://relay\"\nmail_to = [\"a@b.example\"]".to_owned(),
            "escalation.mail_from: missing",
        ),
        (
            "mail_server = \"smtp://relay\"\nmail_from = \"a@b.example\"".to_owned(),
            "escalation.mail_to: missing",
        ),
        (
            "mail_server = \"smtp://relay\"\nmail_from = \"nobody\"".to_owned(),
            "\"nobody\" is no mail address",
        ),
        (
            format!("{mail}mail_user = \"bedside\""),
            "escalation.mail_password_file: missing",
        ),
        (format!("{mail}mail_password_file = {empty:?}"), "is empty"),
    ];
    for (keys, expect) in cases {
        let file = folder.path().join("bedside.toml");
        std::fs::write(&file, format!("[escalation]\n{keys}\n")).unwrap();
        let arguments = ["--config", file.to_str().unwrap(), "check-config"];
        let output = run_bedside(folder.path(), &arguments, "").await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{keys}: {said}");
        assert!(said.contains(expect), "{keys}: {said}");
        assert!(!said.contains("geheim"), "{said}");
    }
}
