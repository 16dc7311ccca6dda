//! The operator's listener: what it counts of real chats, and what Prometheus itself makes of it.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bedside_tests::{Bot, BotOptions, WebClient, bot::free_port, eventually, places::repository};
use regex::Regex;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

const KEY: &str = "admin-0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(60);
const EMERGENCY: &str = "My chest feels crushed and my left arm is numb";
const RULES: &str = "configs/prometheus/bedside.rules.yml";
const DASHBOARD: &str = "configs/grafana/bedside.json";

struct Operator {
    bot: Bot,
    address: String,
    client: Client,
}

impl Operator {
    async fn start(without_model: bool) -> Self {
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let bot = Bot::start(BotOptions {
            without_model,
            config: format!("[admin]\nlisten = {address:?}\nkey = {KEY:?}"),
            ..BotOptions::default()
        });
        Self {
            bot: bot.await.unwrap(),
            address,
            client: Client::builder().no_proxy().timeout(PATIENCE).build().unwrap(),
        }
    }

    async fn metrics(&self) -> String {
        let request = self.client.get(format!("http://{}/metrics", self.address));
        let response = request.bearer_auth(KEY).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    }

    /// Waits until this sample is as large.
    async fn wait_for(&self, sample: &str, least: f64) {
        let what = format!("{sample} of at least {least}");
        eventually(&what, PATIENCE, async || {
            let text = self.metrics().await;
            (value_of(&text, sample)? >= least).then_some(())
        })
        .await;
    }
}

fn value_of(metrics: &str, sample: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|it| it.strip_prefix(sample));
    line?.trim().parse().ok()
}

/// The names of the bot's own metrics in a text, without what histograms put behind them.
fn names_in(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\bbedside_[a-z_0-9]+").unwrap();
    name.find_iter(text)
        .map(|it| {
            let name = it.as_str();
            let suffixes = ["_bucket", "_count", "_sum"];
            let bare = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            bare.unwrap_or(name).to_owned()
        })
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_moves_the_counters_and_leaves_no_word_in_them() {
    let operator = Operator::start(false).await;
    let before = operator.metrics().await;
    assert_eq!(
        value_of(&before, "bedside_send_total{platform=\"web\",result=\"sent\"}"),
        Some(0.0)
    );
    operator
        .wait_for("bedside_plugin_up{plugin=\"bedside.knowledge\"}", 1.0)
        .await;
    let page = WebClient::open_with_consent(&operator.bot.url()).await.unwrap();
    page.ask("What helps against a common cold?").await.unwrap();
    page.ask(EMERGENCY).await.unwrap();
    for (sample, least) in [
        ("bedside_ingest_ack_seconds_count{platform=\"web\"}", 3.0),
        ("bedside_send_total{platform=\"web\",result=\"sent\"}", 3.0),
        ("bedside_turn_seconds_count{outcome=\"answered\"}", 2.0),
        ("bedside_turn_seconds_count{outcome=\"emergency\"}", 1.0),
        ("bedside_emergency_notices_total{platform=\"web\"}", 1.0),
        ("bedside_queue_seconds_count{stage=\"admission\"}", 1.0),
        ("bedside_ttft_seconds_count", 1.0),
        ("bedside_tokens_total{kind=\"generated\"}", 1.0),
        ("bedside_ready", 1.0),
        ("bedside_connector_up{platform=\"web\"}", 1.0),
        ("process_open_fds", 3.0),
    ] {
        operator.wait_for(sample, least).await;
    }

    let text = operator.metrics().await;
    let hex = Regex::new(r"\{[^}]*[0-9a-f]{16}").unwrap();
    for line in text.lines().filter(|it| !it.contains("model_info")) {
        assert!(!hex.is_match(line), "somebody may be known by this: {line}");
    }
    for word in ["crushed", "common cold", "web:page"] {
        assert!(!text.contains(word), "{word} is in {text}");
    }

    let documented = read("docs/operations.md");
    for name in names_in(&text) {
        assert!(
            documented.contains(&format!("`{name}`")),
            "{name} is not in docs/operations.md"
        );
    }
    for name in names_in(&read(RULES)) {
        assert!(
            text.contains(&format!("# TYPE {name} ")),
            "an alert looks for {name}, which is not there: {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_opens_details_and_the_page_has_none() {
    let operator = Operator::start(true).await;
    let get = async |url: String, key: &str| {
        let response = operator.client.get(url).bearer_auth(key).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap_or_default())
    };
    let (status, body) = get(format!("http://{}/readyz", operator.address), KEY).await;
    assert_eq!(status, 503, "there is no model");
    assert_eq!(
        (&body["store"], &body["connectors"]),
        (&json!("ok"), &json!({"web": "ok"}))
    );
    assert!(
        body["version"].is_string() && body["plugins"].is_array(),
        "{body}"
    );
    let (status, body) = get(format!("{}/readyz", operator.bot.url()), KEY).await;
    assert_eq!((status, body), (503, json!({"ready": false})));
    let (status, _) = get(format!("{}/metrics", operator.bot.url()), KEY).await;
    assert_eq!(status, 404, "the patients' port counts nothing aloud");
    let (status, body) = get(
        format!("http://{}/metrics", operator.address),
        "admin-0123456789abcdeg",
    )
    .await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("wrong_key")));
    let log = operator.bot.log();
    assert!(
        log.contains("Wrong keys were sent") && !log.contains("0123456789abcde"),
        "{log}"
    );
}

#[test]
fn every_alert_has_its_runbook_and_every_panel_its_metric() {
    let (rules, documented) = (read(RULES), read("docs/operations.md"));
    let alert = Regex::new(r"- alert: (\w+)").unwrap();
    let alerts: Vec<String> = alert.captures_iter(&rules).map(|it| it[1].to_owned()).collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    for name in &alerts {
        assert!(
            documented.lines().any(|it| it == format!("### {name}")),
            "{name} has no runbook"
        );
        let anchor = format!("runbook: docs/operations.md#{}\n", name.to_lowercase());
        assert!(rules.contains(&anchor), "{name} does not name its runbook");
    }
    let dashboard = read(DASHBOARD);
    let panels = serde_json::from_str::<Value>(&dashboard).unwrap();
    assert!(panels["panels"].as_array().unwrap().len() > 15);
    for name in names_in(&dashboard) {
        assert!(documented.contains(&format!("`{name}`")), "a panel shows {name}");
    }
}

fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|it| it.status.success())
}

fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_object_to() {
    if !is_installed("promtool") {
        eprintln!("skipped: promtool is not installed (apt-get install prometheus)");
        return;
    }
    let operator = Operator::start(true).await;
    let (is_right, said) = promtool(&["check", "metrics"], &operator.metrics().await);
    assert!(is_right, "{said}");
    let rules = repository().join(RULES);
    let (is_right, said) = promtool(&["check", "rules", rules.to_str().unwrap()], "");
    assert!(is_right && said.contains("SUCCESS"), "{said}");
}

fn prometheus_config(folder: &Path, target: &str) -> String {
    let key_file = folder.join("key");
    fs::write(&key_file, KEY).unwrap();
    format!(
        "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: [{rules:?}]\nscrape_configs:\n\
         - job_name: bedside\n  static_configs: [{{targets: [{target:?}]}}]\n\
         \x20 authorization: {{credentials_file: {key_file:?}}}\n",
        rules = repository().join(RULES),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_and_answers() {
    if !is_installed("prometheus") {
        eprintln!("skipped: prometheus is not installed (apt-get install prometheus)");
        return;
    }
    let operator = Operator::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    fs::write(&config, prometheus_config(folder.path(), &operator.address)).unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut prometheus = tokio::process::Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={listen}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ask = async |path: &str, query: &[(&str, &str)]| {
        let request = operator.client.get(format!("http://{listen}/api/v1/{path}"));
        let response = request.query(query).send().await.ok()?;
        response.json::<Value>().await.ok()
    };
    let sample = async |query: &str| {
        let answer = ask("query", &[("query", query)]).await?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        value.parse::<f64>().ok()
    };
    let what = "a scrape by Prometheus";
    let up = eventually(what, PATIENCE, async || {
        sample("up{job=\"bedside\"}").await.filter(|it| *it > 0.0)
    });
    assert_eq!(up.await, 1.0);
    for (query, expect) in [
        ("bedside_build_info", 1.0),
        ("bedside_store_poisoned", 0.0),
        ("bedside_dedupe_hits_total", 0.0),
        ("bedside_send_total{platform=\"web\",result=\"dead\"}", 0.0),
    ] {
        let found = eventually(query, PATIENCE, async || sample(query).await).await;
        assert_eq!(found, expect, "{query}");
    }
    eventually("all rules to be evaluated", PATIENCE, async || {
        let answer = ask("rules", &[]).await?;
        let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
        let are_well = rules.len() > 15 && rules.iter().all(|it| it["health"] == "ok");
        are_well.then_some(())
    })
    .await;
    prometheus.kill().await.unwrap();
}
