use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bedside_contract::{
    AdapterChangeError, AnswerMode, AuditLog, BotHealth, ChatMessage, GenerateError, GenerateRequest,
    Generation, Generator, ModelInfo, PluginStatus, StoreError,
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::{AdminConfig, AdminContext, Figures, Metrics, Snapshot};

const KEY: &str = "Hush-0123456789abcdef";

/// A bot with a model and one plugin.
#[derive(Default)]
struct Bot {
    is_broken: AtomicBool,
    cannot_audit: AtomicBool,
    changes: Mutex<Vec<String>>,
    audited: Mutex<Vec<String>>,
}

fn model() -> ModelInfo {
    ModelInfo {
        name: "tiny".to_owned(),
        architecture: "llama".to_owned(),
        parameters: None,
        context_length: 64,
        sha256: None,
        languages: Vec::new(),
        answer_mode: AnswerMode::Grounded,
    }
}

#[async_trait]
impl Figures for Bot {
    fn is_alive(&self) -> bool {
        !self.is_broken.load(Ordering::SeqCst)
    }

    async fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: "9.8.7".to_owned(),
            model: Some(model()),
            health: BotHealth {
                room: bedside_contract::Room::Enough,
                store: self.is_alive(),
                connectors: vec![("page".to_owned(), true), ("pager".to_owned(), false)],
            },
            plugins: vec![PluginStatus {
                id: "a.b".to_owned(),
                version: "1.0.0".to_owned(),
                state: "ready".to_owned(),
                place: String::new(),
                sandbox: String::new(),
                restarts: 0,
                last_problem: None,
            }],
            ..Snapshot::default()
        }
    }
}

#[async_trait]
impl Generator for Bot {
    fn model(&self) -> Option<ModelInfo> {
        Some(model())
    }

    async fn load_adapter(&self, name: &str, path: &str) -> Result<(), AdapterChangeError> {
        if path == "unfit" {
            let problem = "48 × 256".to_owned();
            return Err(AdapterChangeError::Refused { problem });
        }
        self.changes.lock().unwrap().push(format!("+{name}"));
        Ok(())
    }

    async fn unload_adapter(&self, name: &str) -> Result<(), AdapterChangeError> {
        self.changes.lock().unwrap().push(format!("-{name}"));
        Ok(())
    }

    fn count_tokens(&self, _: &[ChatMessage]) -> Result<usize, GenerateError> {
        Err(GenerateError::NotReady)
    }

    async fn generate(&self, _: GenerateRequest) -> Result<Box<dyn Generation>, GenerateError> {
        Err(GenerateError::NotReady)
    }
}

#[async_trait]
impl AuditLog for Bot {
    async fn audit(&self, actor: &str, action: &str, target: &str, detail: &str) -> Result<(), StoreError> {
        if self.cannot_audit.load(Ordering::SeqCst) {
            return Err(StoreError::Failed("disk full".to_owned()));
        }
        let line = format!("{actor}: {action} {target} {detail}");
        self.audited.lock().unwrap().push(line);
        Ok(())
    }
}

struct Operator {
    bot: Arc<Bot>,
    address: SocketAddr,
    client: Client,
    running: AbortHandle,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Operator {
    fn new(config: &Value) -> Self {
        let mut config: AdminConfig = serde_json::from_value(config.clone()).unwrap();
        config.listen = Some("127.0.0.1:0".to_owned());
        let bot = Arc::new(Bot::default());
        let context = AdminContext {
            metrics: Arc::new(Metrics::default()),
            figures: Arc::clone(&bot) as Arc<dyn Figures>,
            generator: Arc::clone(&bot) as Arc<dyn Generator>,
            audit: Arc::clone(&bot) as Arc<dyn AuditLog>,
        };
        let admin = config.build(context).unwrap().unwrap();
        let address = admin.local_address();
        Self {
            bot,
            address,
            client: Client::builder().no_proxy().build().unwrap(),
            running: tokio::spawn(admin.serve()).abort_handle(),
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.post(url).json(body)
    }

    async fn load(&self, name: &str, path: &str) -> (u16, Value) {
        let body = json!({"lora_name": name, "lora_path": path});
        answer(self.post("/v1/load_lora_adapter", &body).bearer_auth(KEY)).await
    }

    async fn unload(&self, name: &str) -> (u16, Value) {
        let body = json!({ "lora_name": name });
        answer(self.post("/v1/unload_lora_adapter", &body).bearer_auth(KEY)).await
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

async fn text(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let operator = Operator::new(&json!({}));
    let response = operator.get("/metrics").send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let plain = response.text().await.unwrap();
    assert!(
        plain.contains("# TYPE bedside_dedupe_hits_total counter"),
        "{plain}"
    );
    assert!(plain.contains("process_open_fds "), "{plain}");
    let open = operator.get("/metrics").header(
        "accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    );
    let (_, open) = text(open).await;
    assert!(open.contains("# TYPE bedside_dedupe_hits counter"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
}

#[tokio::test]
async fn a_key_is_asked_for_where_there_is_one() {
    let operator = Operator::new(&json!({"key": KEY}));
    assert_eq!(text(operator.get("/metrics")).await.0, 401);
    assert_eq!(text(operator.get("/metrics").bearer_auth(KEY)).await.0, 200);
    assert_eq!(text(operator.get("/healthz")).await.0, 200);
    let (status, body) = answer(operator.get("/readyz")).await;
    assert_eq!((status, body), (200, json!({"ready": true})));
    let (_, body) = answer(operator.get("/readyz").bearer_auth(KEY)).await;
    assert_eq!(
        (&body["version"], &body["model"]["name"]),
        (&json!("9.8.7"), &json!("tiny"))
    );
    assert_eq!(body["connectors"], json!({"page": "ok", "pager": "out"}));
    assert_eq!(body["plugins"][0]["version"], "1.0.0");

    let open = Operator::new(&json!({"key": KEY, "metrics_open": true}));
    assert_eq!(text(open.get("/metrics")).await.0, 200);
    let change = open.post(
        "/v1/load_lora_adapter",
        &json!({"lora_name": "a", "lora_path": "b"}),
    );
    assert_eq!(answer(change).await.0, 401);
}

#[tokio::test]
async fn wrong_keys_are_counted_and_slowed() {
    let operator = Operator::new(&json!({"key": KEY, "metrics_open": true}));
    let guess = operator.post("/v1/unload_lora_adapter", &json!({"lora_name": "a"}));
    let (status, body) = answer(guess.bearer_auth("Hush-0123456789abcdeg")).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("wrong_key")));
    let (status, body) = operator.unload("a").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (429, &json!("too_many_wrong_keys"))
    );
    let (_, metrics) = text(operator.get("/metrics")).await;
    assert!(
        metrics.contains("bedside_auth_fail_total{place=\"admin\"} 1\n"),
        "a key that is not looked at is not counted: {metrics}"
    );
    let later = async {
        while operator.unload("a").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), later)
        .await
        .expect("the pause ends");
}

#[tokio::test]
async fn without_a_key_nothing_is_changed_and_no_foreign_name_is_served() {
    let operator = Operator::new(&json!({}));
    let (status, body) = operator.load("a", "b").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (403, &json!("key_not_configured"))
    );
    assert!(operator.bot.changes.lock().unwrap().is_empty());
    let (status, body) = answer(operator.get("/readyz")).await;
    assert_eq!((status, &body["version"]), (200, &json!("9.8.7")));
    let rebound = operator.get("/metrics").header("host", "evil.example");
    assert_eq!(answer(rebound).await.0, 421);
    assert_eq!(answer(operator.get("/nothing")).await.0, 404);
}

#[tokio::test]
async fn every_change_of_adapters_is_audited_and_their_number_bounded() {
    let operator = Operator::new(&json!({"key": KEY, "max_adapters": 2}));
    assert_eq!(operator.load("a", "one").await.0, 200);
    assert_eq!(operator.load("a", "again").await.0, 200, "it is replaced");
    assert_eq!(operator.load("b", "unfit").await.0, 400);
    assert_eq!(operator.load("b", "two").await.0, 200);
    let (status, body) = operator.load("c", "three").await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (409, &json!("too_many_adapters"))
    );
    assert_eq!(operator.unload("a").await.0, 200);
    assert_eq!(operator.load("c", "three").await.0, 200);
    assert_eq!(operator.load("d", &"x".repeat(501)).await.0, 400);
    assert_eq!(
        *operator.bot.audited.lock().unwrap(),
        [
            "admin: adapter load a one",
            "admin: adapter load a again",
            "admin: adapter load b unfit",
            "admin: adapter load failed b 48 × 256",
            "admin: adapter load b two",
            "admin: adapter unload a ",
            "admin: adapter load c three",
        ]
    );
    assert_eq!(
        *operator.bot.changes.lock().unwrap(),
        ["+a", "+a", "+b", "-a", "+c"]
    );
}

#[tokio::test]
async fn what_cannot_be_audited_is_not_done() {
    let operator = Operator::new(&json!({"key": KEY}));
    operator.bot.cannot_audit.store(true, Ordering::SeqCst);
    let (status, body) = operator.load("a", "one").await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("not_audited")));
    assert_eq!(operator.unload("a").await.0, 503);
    assert!(operator.bot.changes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_store_that_cannot_write_is_neither_alive_nor_ready() {
    let operator = Operator::new(&json!({}));
    assert_eq!(answer(operator.get("/healthz")).await.0, 200);
    operator.bot.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(answer(operator.get("/healthz")).await.0, 503);
    let (status, body) = answer(operator.get("/readyz")).await;
    assert_eq!((status, &body["store"]), (503, &json!("failed")));
    let (_, metrics) = text(operator.get("/metrics")).await;
    assert!(metrics.contains("bedside_store_poisoned 1.0"), "{metrics}");
}

#[test]
fn without_an_address_nothing_is_served() {
    let bot = Arc::new(Bot::default());
    let context = AdminContext {
        metrics: Arc::new(Metrics::default()),
        figures: Arc::clone(&bot) as Arc<dyn Figures>,
        generator: Arc::clone(&bot) as Arc<dyn Generator>,
        audit: bot,
    };
    assert!(AdminConfig::default().build(context).unwrap().is_none());
}
