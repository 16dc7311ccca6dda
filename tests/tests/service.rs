//! Under a service manager: its sockets, its questions whether the bot lives, and restarts that nobody notices.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    net::TcpListener,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bedside_tests::{Bot, BotOptions, eventually, places};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

const LONG_WAIT: Duration = Duration::from_secs(60);

fn without_model(environment: Vec<(String, String)>) -> BotOptions {
    BotOptions {
        without_model: true,
        environment,
        ..BotOptions::default()
    }
}

async fn send(client: &Client, url: &str, id: Uuid) -> reqwest::Result<(StatusCode, Value)> {
    let response = client
        .post(format!("{url}/api/messages"))
        .json(&json!({"id": id.to_string(), "text": "I have a cold"}))
        .send()
        .await?;
    Ok((response.status(), response.json().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_of_start_life_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let heard = UnixDatagram::bind(&path).unwrap();
    heard.set_read_timeout(Some(LONG_WAIT)).unwrap();
    let environment = [
        ("NOTIFY_SOCKET", path.display().to_string()),
        ("WATCHDOG_USEC", "300000".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    let mut bot = Bot::start(without_model(environment.to_vec())).await.unwrap();
    let next = || {
        let mut buffer = [0; 256];
        let length = heard.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!([next(), next(), next()], ["WATCHDOG=1"; 3].map(str::to_owned));
    bot.stop().await.unwrap();
    let rest: Vec<String> = std::iter::repeat_with(next)
        .take_while(|it| it != "STOPPING=1")
        .collect();
    assert!(rest.iter().all(|it| it == "WATCHDOG=1"), "{rest:?}");
}

fn children_of(parent: u32) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|it| it.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|it| it == format!("PPid:\t{parent}"))
    };
    pids.filter(is_child).collect()
}

/// The kernel's name of a socket, the same in every process that holds it.
fn socket_of(pid: u32, descriptor: i32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap()
}

fn sockets_of(pid: u32) -> Vec<PathBuf> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    descriptors
        .filter_map(|it| std::fs::read_link(it.ok()?.path()).ok())
        .collect()
}

/// However often the answer is cut off; but no connection may be refused.
async fn taken_at_last(client: &Client, url: &str, id: Uuid) -> (StatusCode, Value) {
    for _ in 0..600 {
        match send(client, url, id).await {
            Ok(answer) => return answer,
            Err(error) => assert!(!error.is_connect(), "turned away: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the message is never taken");
}

/// A socket that this test holds, as systemd does, over restarts of the bot.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_turned_away_while_the_bot_restarts() {
    let restarts = if std::env::var_os("BEDSIDE_SOAK").is_some() {
        50
    } else {
        4
    };
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bedside.toml");
    let text = format!(
        "[web]\nlisten = \"{address}\"\nmessages_per_minute = 100000\n[model]\nsource = \"file:/nowhere/model.gguf\"\n"
    );
    std::fs::write(&config, text).unwrap();
    fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let start = || {
        let program = places::bedside().unwrap();
        // The protocol counts descriptors from 3.
        let script = format!(
            "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" run --config \"$1\" 3<&{}",
            held.as_raw_fd()
        );
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(program)
            .arg(&config)
            .env("BEDSIDE_DATA_DIR", folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut bot = start();
    let client = Client::builder().no_proxy().timeout(LONG_WAIT).build().unwrap();
    let url = format!("http://{address}");
    let done = Arc::new(AtomicBool::new(false));
    let writing = {
        let (client, url, done) = (client.clone(), url.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                // One connection each, as WeChat makes; an answer that was cut off is asked for again under the same id.
                let id = Uuid::new_v4();
                let taken = taken_at_last(&client, &url, id).await;
                if taken.0 == StatusCode::SERVICE_UNAVAILABLE {
                    // Told that it was not taken; the second if the store closed under a request in flight.
                    let code = taken.1["code"].as_str().unwrap();
                    assert!(["stopping", "not-stored"].contains(&code), "{code}");
                    continue;
                }
                assert_eq!(taken.0, StatusCode::ACCEPTED, "{}", taken.1);
                sent += 1;
            }
            sent
        })
    };
    let healthy = async || {
        let answer = client.get(format!("{url}/healthz")).send().await;
        answer.is_ok_and(|it| it.status().is_success()).then_some(())
    };
    for round in 0..restarts {
        eventually("the bot takes messages", LONG_WAIT, healthy).await;
        if round == 0 {
            let plugins = eventually("the plugins run", LONG_WAIT, async || {
                Some(children_of(bot.id())).filter(|it| !it.is_empty())
            })
            .await;
            let port = socket_of(std::process::id(), held.as_raw_fd());
            for plugin in plugins {
                assert!(!sockets_of(plugin).contains(&port), "a plugin holds the port");
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(bot.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || bot.wait().unwrap())
            .await
            .unwrap();
        assert!(ended.success(), "{ended}");
        bot = start();
    }
    done.store(true, Ordering::Relaxed);
    let sent = writing.await.unwrap();
    bot.kill().unwrap();
    bot.wait().unwrap();
    assert!(sent > restarts, "{sent}");
}

/// systemd's own tool passes the socket; skipped where it is not installed.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_systemd_is_taken_over() {
    let tool = "systemd-socket-activate";
    if Command::new(tool).arg("--version").output().is_err() {
        eprintln!("skipped: {tool} is not installed");
        return;
    }
    let port = bedside_tests::bot::free_port().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bedside.toml");
    let text =
        format!("[web]\nlisten = \"127.0.0.1:{port}\"\n[model]\nsource = \"file:/nowhere/model.gguf\"\n");
    std::fs::write(&config, text).unwrap();
    let mut activating = Command::new(tool)
        .arg("-l")
        .arg(format!("127.0.0.1:{port}"))
        .arg("-E")
        .arg(format!(
            "BEDSIDE_DATA_DIR={}",
            folder.path().join("data").display()
        ))
        .arg(places::bedside().unwrap())
        .arg("run")
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let client = Client::builder().no_proxy().timeout(LONG_WAIT).build().unwrap();
    // The first connection starts the bot, which then answers it.
    let answer = eventually("an answer", LONG_WAIT, async || {
        send(&client, &format!("http://127.0.0.1:{port}"), Uuid::new_v4())
            .await
            .ok()
    })
    .await;
    activating.kill().unwrap();
    activating.wait().unwrap();
    assert_eq!(answer.0, StatusCode::ACCEPTED, "{}", answer.1);
}

/// As systemd reads them; skipped where it is not installed.
#[test]
fn the_unit_files_are_understood_by_systemd() {
    let tool = "systemd-analyze";
    if Command::new(tool).arg("--version").output().is_err() {
        eprintln!("skipped: {tool} is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = places::bedside().unwrap().display().to_string();
    for file in ["bedside.service", "bedside.socket"] {
        let text = std::fs::read_to_string(places::repository().join("configs").join(file)).unwrap();
        // Neither the program nor its user need to be installed here.
        let text = text
            .replace("/opt/bedside/bedside", &program)
            .replace("User=bedside", "User=root");
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let unit = |it: &str| folder.path().join(it);
    let output = Command::new(tool)
        .arg("verify")
        .arg("--man=no")
        .args([unit("bedside.service"), unit("bedside.socket")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let about_us: Vec<&str> = said.lines().filter(|it| it.contains("bedside")).collect();
    assert!(about_us.is_empty() && output.status.success(), "{said}");
}
