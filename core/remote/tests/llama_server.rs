//! Against a real llama-server: `target/llama.cpp/bin/llama-server` (from `scripts/llama-cpp.sh`) or
//! `BEDSIDE_LLAMA_SERVER`, with the default model or `BEDSIDE_TEST_MODEL`.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use bedside_contract::{
    ChatMessage, ChatRole, ConversationKey, FinishReason, GenerateError, GenerateRequest, GenerationEvent,
    Generator, Priority, Sampling,
};
use bedside_remote::{RemoteConfig, RemoteGenerator};
use serde_json::Value;
use tokio::process::{Child, Command};

const KEY: &str = "sk-only-for-this-test";
const MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

struct LlamaServer {
    _child: Child,
    address: String,
    adapter: Option<String>,
}

impl LlamaServer {
    fn start(program: &Path, model: &Path, adapter: Option<&Path>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(program);
        command
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--api-key",
                KEY,
            ])
            .args([
                "--ctx-size",
                "1024",
                "--parallel",
                "1",
                "--threads",
                "1",
                "--slots",
                "--model",
            ])
            .arg(model);
        if let Some(adapter) = adapter {
            command
                .arg("--lora-init-without-apply")
                .arg("--lora")
                .arg(adapter);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            _child: child,
            address: format!("http://127.0.0.1:{port}"),
            adapter: adapter.map(|it| it.file_stem().unwrap().to_str().unwrap().to_owned()),
        }
    }

    fn config(&self) -> RemoteConfig {
        RemoteConfig {
            base_url: Some(format!("{}/v1", self.address)),
            api_key: Some(KEY.into()),
            adapters: self.adapter.iter().cloned().collect(),
            // A machine that compiles beside it may be slow.
            first_token_timeout_seconds: 120,
            token_timeout_seconds: 120,
            // Answers are streamed from the first on.
            thinks_aloud: Some(false),
            ..RemoteConfig::default()
        }
    }

    async fn is_busy(&self) -> bool {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let slots = client.get(format!("{}/slots", self.address)).bearer_auth(KEY);
        let slots: Value = slots.send().await.unwrap().json().await.unwrap();
        slots
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["is_processing"] == true)
    }

    async fn until_busy(&self, wanted: bool) {
        let turns = async {
            while self.is_busy().await != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), turns)
            .await
            .expect("the slot changes");
    }
}

fn request(text: &str, max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        conversation: ConversationKey::new("test", "bot", "chat"),
        messages: vec![ChatMessage {
            role: ChatRole::User,
            content: text.to_owned(),
        }],
        adapter: None,
        sampling: Sampling::default(),
        max_tokens,
        priority: Priority::Patient,
        deadline: Duration::from_secs(120),
    }
}

struct Outcome {
    pieces: Vec<String>,
    reason: FinishReason,
    prompt: usize,
    reused: usize,
    generated: usize,
}

impl Outcome {
    fn text(&self) -> String {
        self.pieces.concat()
    }
}

async fn answer(remote: &RemoteGenerator, request: GenerateRequest) -> Result<Outcome, GenerateError> {
    let mut generation = remote.generate(request).await?;
    let mut pieces = Vec::new();
    loop {
        match generation.next().await.expect("an end comes first")? {
            GenerationEvent::Text(piece) => pieces.push(piece),
            GenerationEvent::Queued { .. } | GenerationEvent::Started => {}
            GenerationEvent::Finished {
                reason,
                prompt_tokens,
                reused_tokens,
                generated_tokens,
                ..
            } => {
                return Ok(Outcome {
                    pieces,
                    reason,
                    prompt: prompt_tokens,
                    reused: reused_tokens,
                    generated: generated_tokens,
                });
            }
        }
    }
}

#[tokio::test]
async fn a_real_server_answers() {
    let (Some(program), Some(model)) = (program(), model()) else {
        eprintln!(
            "SKIPPED: no llama-server (scripts/llama-cpp.sh builds it) or no model (bedside model pull)"
        );
        return;
    };
    let adapter = Some(repository().join("target/bench-models/adapter-0.gguf")).filter(|it| it.exists());
    let server = LlamaServer::start(&program, &model, adapter.as_deref());
    let remote = server.config().build().unwrap();
    let loaded = async {
        while remote.model().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), loaded)
        .await
        .expect("the model is loaded");
    let info = remote.model().unwrap();
    assert_eq!(
        (info.name.as_str(), info.context_length),
        (MODEL.trim_end_matches(".gguf"), 1024)
    );
    assert!(info.parameters.is_some_and(|it| it > 100_000_000), "{info:?}");
    streams_counts_and_repeats(&remote).await;
    draws_by_its_seed(&remote).await;
    stops(&remote).await;
    frees_its_slot(&server, &remote).await;
    says_what_is_too_long(&remote).await;
    refuses_a_wrong_key(&server).await;
    match &server.adapter {
        Some(name) => chooses_an_adapter(&remote, name).await,
        None => eprintln!("SKIPPED: choosing an adapter, target/bench-models/adapter-0.gguf is not there"),
    }
}

async fn streams_counts_and_repeats(remote: &Arc<RemoteGenerator>) {
    let asked = request("What helps against a cold?", 24);
    let first = answer(remote, asked.clone()).await.unwrap();
    assert!(first.pieces.len() > 5, "{:?}", first.pieces);
    assert_eq!((first.reason, first.generated), (FinishReason::Length, 24));
    let estimated = remote.count_tokens(&asked.messages).unwrap();
    assert!(first.prompt > 5, "{}", first.prompt);
    assert!(estimated > 5, "{estimated}");
    let second = answer(remote, asked).await.unwrap();
    assert_eq!(first.text(), second.text());
    assert!(
        second.reused > 0 && second.reused <= second.prompt,
        "{}",
        second.reused
    );
}

async fn draws_by_its_seed(remote: &Arc<RemoteGenerator>) {
    let with = |seed| {
        let sampling = Sampling {
            temperature: 1.2,
            top_k: 0,
            top_p: 1.0,
            repetition_penalty: 1.1,
            presence_penalty: 0.1,
            seed: Some(seed),
            ..Sampling::default()
        };
        GenerateRequest {
            sampling,
            ..request("Tell me something about rest.", 24)
        }
    };
    let first = answer(remote, with(7)).await.unwrap().text();
    assert_eq!(answer(remote, with(7)).await.unwrap().text(), first);
    assert_ne!(answer(remote, with(8)).await.unwrap().text(), first);
}

async fn stops(remote: &Arc<RemoteGenerator>) {
    let whole = answer(remote, request("Count: one, two, three", 24))
        .await
        .unwrap()
        .text();
    let middle: Vec<char> = whole.chars().collect();
    let stop: String = middle[10..14].iter().collect();
    let mut asked = request("Count: one, two, three", 24);
    asked.sampling.stop = vec![stop.clone()];
    let stopped = answer(remote, asked).await.unwrap();
    assert_eq!(stopped.reason, FinishReason::Stop);
    assert_eq!(stopped.text(), whole.split(&stop).next().unwrap());
}

async fn frees_its_slot(server: &LlamaServer, remote: &Arc<RemoteGenerator>) {
    let mut generation = remote
        .generate(request("Write a very long story about a hospital.", 900))
        .await
        .unwrap();
    while !matches!(generation.next().await, Some(Ok(GenerationEvent::Text(_)))) {}
    server.until_busy(true).await;
    drop(generation);
    server.until_busy(false).await;
}

async fn says_what_is_too_long(remote: &Arc<RemoteGenerator>) {
    let error = answer(remote, request(&"word ".repeat(2000), 8)).await.err();
    assert!(
        matches!(error, Some(GenerateError::PromptTooLong { tokens, limit: 1024 }) if tokens > 2000),
        "{error:?}"
    );
}

async fn refuses_a_wrong_key(server: &LlamaServer) {
    let config = RemoteConfig {
        api_key: Some("sk-wrong".into()),
        ..server.config()
    };
    let remote = config.build().unwrap();
    // llama-server names its models to everybody.
    let problem = match remote.wait_ready().await {
        Ok(_) => answer(&remote, request("hello", 4)).await.err().unwrap(),
        Err(error) => error,
    };
    assert!(problem.to_string().contains("remote.api_key"), "{problem}");
}

async fn chooses_an_adapter(remote: &Arc<RemoteGenerator>, name: &str) {
    assert_eq!(remote.adapters(), [name]);
    let base = || request("What helps against a cold?", 16);
    let adapted = GenerateRequest {
        adapter: Some(name.to_owned()),
        ..base()
    };
    let plain = answer(remote, base()).await.unwrap().text();
    assert_ne!(answer(remote, adapted).await.unwrap().text(), plain);
    assert_eq!(answer(remote, base()).await.unwrap().text(), plain);
}

fn program() -> Option<PathBuf> {
    let set = env::var_os("BEDSIDE_LLAMA_SERVER").map(PathBuf::from);
    set.or_else(|| Some(repository().join("target/llama.cpp/bin/llama-server")))
        .filter(|it| it.exists())
}

fn model() -> Option<PathBuf> {
    let home = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|it| Path::new(&it).join(".local/share")));
    let pulled = home.map(|it| it.join("bedside/models").join(MODEL));
    let named = env::var_os("BEDSIDE_TEST_MODEL").map(PathBuf::from);
    let benchmarked = repository().join("target/bench-models").join(MODEL);
    [named, pulled, Some(benchmarked)]
        .into_iter()
        .flatten()
        .find(|it| fs::metadata(it).is_ok())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
