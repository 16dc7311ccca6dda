//! The real binary in a directory and on a port of its own.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::{sys::signal::Signal, unistd::Pid};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use toml::{Table, Value};

use crate::{
    discord_fake::DiscordAccess,
    places,
    wechat_fake::{self, Replies, WechatAccess},
};

/// How a bot is started.
#[derive(Debug, Clone, Default)]
pub struct BotOptions {
    /// Bot API address and token; Telegram is off without them.
    pub telegram: Option<(String, String)>,
    pub discord: Option<DiscordAccess>,
    pub wechat: Option<WechatAccess>,
    /// Start without a model file: what must work without one is tested so.
    pub without_model: bool,
    /// More configuration, merged over what the harness writes.
    pub config: String,
    /// Environment variables on top.
    pub environment: Vec<(String, String)>,
}

/// A running `bedside`. Killed when dropped; its directory goes too.
pub struct Bot {
    child: Option<Child>,
    options: BotOptions,
    directory: TempDir,
    web_port: u16,
}

const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(45);

impl Bot {
    /// Writes a configuration, starts the binary and waits until it is ready (alive, if it has no model).
    ///
    /// # Errors
    /// With the end of its log when it does not get there.
    pub async fn start(options: BotOptions) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("bedside-test-").tempdir()?;
        let web_port = free_port()?;
        let mut bot = Self {
            child: None,
            options,
            directory,
            web_port,
        };
        bot.restart().await?;
        Ok(bot)
    }

    /// Starts again on the same data and the same port, after [`Bot::kill9`] or [`Bot::stop`].
    ///
    /// # Errors
    /// As [`Bot::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_until_ready().await
    }

    /// Starts without waiting for anything.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the bot runs already");
        std::fs::write(self.config_file(), self.config()?)?;
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut command = command(&self.data_directory())?;
        command
            .arg("--config")
            .arg(self.config_file())
            .envs(self.options.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(command.spawn().context("the bot could not be started")?);
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let path = if self.options.without_model {
            "healthz"
        } else {
            "readyz"
        };
        let url = format!("{}/{path}", self.url());
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()?;
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.as_mut().and_then(|it| it.try_wait().ok().flatten()) {
                bail!(
                    "the bot ended with {status} while starting; its log:\n{}",
                    self.log()
                );
            }
            if client
                .get(&url)
                .send()
                .await
                .is_ok_and(|it| it.status().is_success())
            {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "{url} was not ready within {READY_WITHIN:?}; the bot's log:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As a power cut would end it.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill9(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the bot does not run")?;
        child.kill().await.context("SIGKILL")
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the bot does not run")?;
        let pid = child.id().context("the bot has ended already")?;
        nix::sys::signal::kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(STOPPED_WITHIN, child.wait()).await;
        Ok(ended.with_context(|| format!("no end after SIGTERM; its log:\n{}", self.log()))??)
    }

    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|it| matches!(it.try_wait(), Ok(None)))
    }

    /// Process id, for tests that look at memory or children.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.web_port)
    }

    #[must_use]
    pub fn web_port(&self) -> u16 {
        self.web_port
    }

    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("bedside.toml")
    }

    /// All that it wrote to standard output and standard error, over restarts.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("bedside.log")
    }

    fn config(&self) -> Result<String> {
        let mut config = Table::new();
        let mut set = |section: &str, key: &str, value: Value| {
            let table = config
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(table) = table {
                table.insert(key.to_owned(), value);
            }
        };
        set("web", "listen", format!("127.0.0.1:{}", self.web_port).into());
        let model = if self.options.without_model {
            self.directory.path().join("no-such-model.gguf")
        } else {
            places::model()?
        };
        set("model", "source", format!("file:{}", model.display()).into());
        if let Some((api_url, token)) = &self.options.telegram {
            set("telegram", "enabled", true.into());
            set("telegram", "api_url", api_url.clone().into());
            set("telegram", "token", token.clone().into());
            // Short, so that a stopped bot leaves no poll behind.
            set("telegram", "poll_timeout", 2.into());
        }
        if let Some(discord) = &self.options.discord {
            set("discord", "enabled", true.into());
            set("discord", "api_url", discord.api_url.clone().into());
            set("discord", "gateway_url", discord.gateway_url.clone().into());
            set("discord", "token", discord.token.clone().into());
        }
        if let Some(wechat) = &self.options.wechat {
            set("wechat", "enabled", true.into());
            set("wechat", "listen", wechat.listen.clone().into());
            set("wechat", "appid", wechat_fake::APPID.into());
            set("wechat", "token", wechat_fake::TOKEN.into());
            set("wechat", "encoding_aes_key", wechat_fake::AES_KEY.into());
            set("wechat", "api_url", wechat.api_url.clone().into());
            let replies = match wechat.replies {
                Replies::Passive => "passive",
                Replies::CustomerService => "customer-service",
            };
            set("wechat", "replies", replies.into());
            if wechat.replies == Replies::CustomerService {
                set("wechat", "secret", wechat_fake::SECRET.into());
            }
        }
        merge(
            &mut config,
            self.options
                .config
                .parse()
                .context("the test's own configuration")?,
        );
        Ok(toml::to_string(&config)?)
    }
}

pub(crate) fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Runs a subcommand to its end, with an environment like that of [`Bot`].
///
/// # Errors
/// When the binary is missing or does not end within two minutes.
pub async fn run_bedside(data_directory: &Path, arguments: &[&str], input: &str) -> Result<Output> {
    use tokio::io::AsyncWriteExt;
    let mut command = command(data_directory)?;
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    let input = input.to_owned();
    let writing = tokio::spawn(async move {
        // A program that does not read its input is none of our business.
        let _closed = stdin.write_all(input.as_bytes()).await;
    });
    let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await;
    writing.await?;
    Ok(output.context("the command did not end")??)
}

/// The binary, with nothing of the caller's own settings.
pub(crate) fn command(data_directory: &Path) -> Result<Command> {
    std::fs::create_dir_all(data_directory)?;
    let mut command = Command::new(places::bedside()?);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("bedside_") || text.ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    command.env("BEDSIDE_DATA_DIR", data_directory).kill_on_drop(true);
    Ok(command)
}

/// A port that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
