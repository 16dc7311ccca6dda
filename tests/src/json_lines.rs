//! A program in another language that plays a part in a test: one JSON line asks, one JSON line answers.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::oneshot,
};

const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

pub(crate) struct JsonLines {
    stdin: tokio::sync::Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
    /// Killed when dropped.
    _child: Child,
}

impl JsonLines {
    /// Starts the program and returns the line that it begins with. Lines that answer nothing go to `heard`.
    pub(crate) async fn start(
        command: &mut Command,
        heard: impl Fn(Value) + Send + 'static,
    ) -> Result<(Self, Value)> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot be started: {:?}", command.as_std().get_program()))?;
        let stdin = child.stdin.take().context("standard input")?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
        let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await;
        let first = first.context("it says nothing")??.context("it ended at once")?;
        let first = serde_json::from_str(&first).with_context(|| format!("no JSON: {first}"))?;
        let waiting = Waiting::default();
        let waiting_here = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(line) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let asked = line["id"].as_u64().and_then(|id| lock(&waiting_here).remove(&id));
                match asked {
                    Some(asked) => drop(asked.send(line)),
                    None => heard(line),
                }
            }
            // Whoever still waits is told so.
            lock(&waiting_here).clear();
        });
        let stdin = tokio::sync::Mutex::new(stdin);
        let next = AtomicU64::new(1);
        Ok((
            Self {
                stdin,
                waiting,
                next,
                _child: child,
            },
            first,
        ))
    }

    /// Asks for something and waits for the answer.
    pub(crate) async fn ask(&self, mut ask: Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        ask["id"] = id.into();
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let line = format!("{ask}\n");
        self.stdin.lock().await.write_all(line.as_bytes()).await?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        let answer = answer
            .with_context(|| format!("no answer to {ask}"))?
            .with_context(|| format!("it ended instead of answering {ask}"))?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{ask}: {error}");
        }
        Ok(answer)
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Value>>> {
    waiting.lock().expect("nothing panics while it holds the lock")
}
