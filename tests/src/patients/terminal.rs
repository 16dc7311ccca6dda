use std::{
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin},
};

use super::Heard;
use crate::{bot, places};

/// Somebody at `bedside chat`, in a pipe, with a bot and a data directory of their own.
pub struct TerminalPatient {
    directory: TempDir,
    config: String,
    running: Option<Running>,
    typed: Mutex<String>,
    /// What was printed after each line that was typed.
    printed: Arc<Mutex<Vec<String>>>,
}

struct Running {
    child: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
}

impl TerminalPatient {
    /// Starts the chat.
    ///
    /// # Errors
    /// When the binary or the model is missing.
    pub fn open(config: &str) -> Result<Self> {
        let mut patient = Self {
            directory: tempfile::Builder::new().prefix("bedside-test-").tempdir()?,
            config: config.to_owned(),
            running: None,
            typed: Mutex::default(),
            printed: Arc::new(Mutex::new(vec![String::new()])),
        };
        patient.start()?;
        Ok(patient)
    }

    /// Ends it as a power cut would, and starts it again on the same data.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill9_and_restart(&mut self) -> Result<()> {
        let mut running = self.running.take().context("the chat does not run")?;
        running.child.kill().await?;
        self.start()
    }

    fn start(&mut self) -> Result<()> {
        let config = self.directory.path().join("bedside.toml");
        let mut settings: toml::Table =
            format!("[model]\nsource = \"file:{}\"", places::model()?.display()).parse()?;
        bot::merge(&mut settings, self.config.parse()?);
        std::fs::write(&config, toml::to_string(&settings)?)?;
        let log = std::fs::File::create(self.directory.path().join("log"))?;
        let mut child = bot::command(&self.directory.path().join("data"))?
            .arg("--config")
            .arg(config)
            .arg("chat")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdin = tokio::sync::Mutex::new(child.stdin.take().context("standard input")?);
        let mut stdout = child.stdout.take().context("standard output")?;
        let printed = Arc::clone(&self.printed);
        tokio::spawn(async move {
            let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
            while let Ok(1..) = stdout.read(&mut chunk).await.inspect(|it| {
                bytes.extend_from_slice(chunk.get(..*it).unwrap_or_default());
            }) {
                // A character may be cut in two.
                let whole = bytes.utf8_chunks().next().map_or(0, |it| it.valid().len());
                let text: Vec<u8> = bytes.drain(..whole).collect();
                if let Some(last) = lock(&printed).last_mut() {
                    last.push_str(&String::from_utf8_lossy(&text));
                }
            }
        });
        self.running = Some(Running { child, stdin });
        Ok(())
    }

    pub(super) async fn say(&self, text: &str) -> Result<()> {
        let running = self.running.as_ref().context("the chat does not run")?;
        text.clone_into(&mut lock(&self.typed));
        lock(&self.printed).push(String::new());
        let mut stdin = running.stdin.lock().await;
        Ok(stdin.write_all(format!("{text}\n").as_bytes()).await?)
    }

    /// The line that was typed last is in the store: before, it stands in the pipe, which a power cut empties.
    pub(super) fn is_taken(&self) -> bool {
        let typed = lock(&self.typed);
        let holds = |path: &std::path::Path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.windows(typed.len().max(1)).any(|it| it == typed.as_bytes())
        };
        let data = self.directory.path().join("data");
        ["bedside.sqlite", "bedside.sqlite-wal"]
            .iter()
            .any(|it| holds(&data.join(it)))
    }

    pub(super) fn heard(&self) -> Vec<Heard> {
        let printed = lock(&self.printed);
        let said = printed.iter().filter(|it| !it.trim().is_empty());
        said.map(|it| Heard {
            text: it.clone(),
            buttons: Vec::new(),
        })
        .collect()
    }
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().expect("nothing panics while it holds the lock")
}
