//! A plugin in a process of its own.

use std::{io, path::Path, process::Stdio, sync::mpsc as std_mpsc, thread};

use bedside_plugin_runner::frame::{Frame, FrameError, HEADER};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use crate::problem::cut;

/// Frames that may wait in each direction: with 8 MiB each, this bounds memory.
pub(crate) const FRAMES: usize = 4;

/// Starts processes from one thread that stays: the kernel ends a runner when the *thread* that started it
/// ends, and threads of an async runtime come and go.
#[derive(Clone)]
pub(crate) struct Spawner {
    requests: std_mpsc::Sender<Request>,
}

type Request = (Command, oneshot::Sender<io::Result<Child>>);

/// The pipes of a running runner.
pub(crate) struct Pipes {
    pub(crate) child: Child,
    pub(crate) to: mpsc::Sender<Frame>,
    pub(crate) from: mpsc::Receiver<Result<Frame, String>>,
}

impl Spawner {
    pub(crate) fn start(runtime: Handle) -> io::Result<Self> {
        let (requests, incoming) = std_mpsc::channel::<Request>();
        thread::Builder::new()
            .name("plugin-spawner".to_owned())
            .spawn(move || {
                let _runtime = runtime.enter();
                for (mut command, reply) in incoming {
                    let _ = reply.send(command.spawn());
                }
            })?;
        Ok(Self { requests })
    }

    async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, child) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts plugins is gone");
        self.requests.send((command, reply)).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}

/// Starts the runner with no environment; it is killed when [`Pipes::child`] is dropped.
pub(crate) async fn launch(spawner: &Spawner, runner: &Path, id: &str) -> Result<Pipes, String> {
    let mut command = Command::new(runner);
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the bot: it needs its plugins to finish what runs.
        .process_group(0)
        .kill_on_drop(true);
    let failed = |error| {
        format!(
            "{}: {error}; it belongs beside the bedside program",
            runner.display()
        )
    };
    let mut child = spawner.spawn(command).await.map_err(failed)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err("the runner has no pipes".to_owned());
    };
    let (to, outgoing) = mpsc::channel(FRAMES);
    let (incoming, from) = mpsc::channel(FRAMES);
    // All three end by themselves when the process ends or the session is dropped.
    tokio::spawn(write_frames(stdin, outgoing));
    tokio::spawn(read_frames(stdout, incoming));
    tokio::spawn(mirror_stderr(stderr, id.to_owned()));
    Ok(Pipes { child, to, from })
}

async fn write_frames(mut stdin: ChildStdin, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        let bytes = [&frame.header()[..], &frame.body].concat();
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read_frames(stdout: ChildStdout, frames: mpsc::Sender<Result<Frame, String>>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let frame = match read_frame(&mut stdout).await {
            Ok(frame) => Ok(frame),
            Err(FrameError::Io(_) | FrameError::Closed) => return,
            Err(error) => Err(error.to_string()),
        };
        let malformed = frame.is_err();
        if frames.send(frame).await.is_err() || malformed {
            return;
        }
    }
}

async fn read_frame(stdout: &mut BufReader<ChildStdout>) -> Result<Frame, FrameError> {
    let mut header = [0; HEADER];
    stdout.read_exact(&mut header).await?;
    let mut frame = Frame::from_header(&header)?;
    stdout.read_exact(&mut frame.body).await?;
    Ok(frame)
}

/// Whatever a plugin prints may be a patient's words: it goes where [`crate::calls::Services::log`] goes.
async fn mirror_stderr(stderr: ChildStderr, id: String) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end must not fill the memory.
        match (&mut stderr).take(4096).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = cut(String::from_utf8_lossy(&line).trim_end(), 300);
                tracing::debug!(target: "plugin", plugin = id, level = "stderr", "{text}");
            }
        }
    }
}
