//! The child process from its first frame to its last.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use bedside_plugin_api::{
    abi::{MAX_MESSAGE, Op, Status},
    msg::Setup,
};
use serde::{Deserialize, Serialize};

use crate::{
    frame::{Frame, FrameError, FrameKind},
    loader::{HostCalls, Instance, LoadedLibrary},
    sandbox::{self, Limits, SandboxReport},
};

/// The first frame to a runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunnerSetup {
    pub library: PathBuf,
    pub limits: Limits,
    /// Refuse to load the plugin unless the sandbox is full.
    pub sandbox_required: bool,
    /// What the plugin is made with; its folders are the ones that the sandbox opens.
    pub setup: Setup,
}

/// The first frame from a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerHello {
    pub sandbox: SandboxReport,
}

/// Serves one plugin over a pair of pipes, until told to end.
///
/// # Errors
/// [`FrameError`]; the host is gone or speaks another language.
pub fn serve(mut from_host: File, to_host: File) -> Result<(), FrameError> {
    let first = Frame::read(&mut from_host)?;
    let setup: RunnerSetup = serde_json::from_slice(&first.body).map_err(io::Error::from)?;
    let data = setup.setup.data_dir.as_ref().map(PathBuf::from);
    let package = PathBuf::from(&setup.setup.package_dir);
    let sandbox = sandbox::enter(&package, data.as_deref(), setup.limits);

    let link = Arc::new(Link {
        to_host: Mutex::new(to_host),
        waiting: Mutex::default(),
        next: AtomicU64::new(1),
    });
    let hello = RunnerHello {
        sandbox: sandbox.clone(),
    };
    link.send(&Frame::new(
        FrameKind::Hello,
        0,
        0,
        serde_json::to_vec(&hello).map_err(io::Error::from)?,
    ))?;
    let requests = link.clone().start_reading(from_host)?;

    let mut instance = match create(&setup, &sandbox, link.clone()) {
        Ok(instance) => instance,
        Err((status, words)) => {
            return Ok(link.send(&Frame::new(FrameKind::Created, 0, status.0.unsigned_abs(), words))?);
        }
    };
    link.send(&Frame::new(FrameKind::Created, 0, 0, Vec::new()))?;

    for request in requests {
        if request.kind == FrameKind::Destroy {
            break;
        }
        let outcome = instance.invoke(request.code, &request.body);
        link.send(&Frame::new(
            FrameKind::Response,
            request.id,
            outcome.status.0.unsigned_abs(),
            outcome.body,
        ))?;
    }
    drop(instance);
    Ok(link.send(&Frame::new(FrameKind::Destroyed, 0, 0, Vec::new()))?)
}

fn create(
    setup: &RunnerSetup,
    sandbox: &SandboxReport,
    link: Arc<Link>,
) -> Result<Instance, (Status, Vec<u8>)> {
    if setup.sandbox_required && !sandbox.is_full() {
        let reason = sandbox.missing.join("; ");
        let words = format!(
            "sandbox = \"required\", but here it is {} ({reason})",
            sandbox.state
        );
        return Err((Status::DENIED, words.into_bytes()));
    }
    let failed = |words: String| (Status::FAILED, words.into_bytes());
    let library = LoadedLibrary::open(&setup.library).map_err(|error| failed(error.to_string()))?;
    let body = serde_json::to_vec(&setup.setup).map_err(|error| failed(error.to_string()))?;
    library
        .create(link, &body)
        .map_err(|outcome| (outcome.status, outcome.body))
}

/// The pipes, shared by the plugin's threads.
struct Link {
    to_host: Mutex<File>,
    /// Calls of the host that have no answer yet.
    waiting: Mutex<HashMap<u64, mpsc::Sender<Frame>>>,
    next: AtomicU64,
}

impl Link {
    fn send(&self, frame: &Frame) -> io::Result<()> {
        let mut to_host = self.to_host.lock().unwrap_or_else(PoisonError::into_inner);
        frame.write(&mut *to_host)?;
        to_host.flush()
    }

    /// Answers of the host go to whoever waits for them, all else comes out of the channel. When the host is
    /// gone the process ends, whatever the plugin is doing.
    fn start_reading(self: Arc<Self>, mut from_host: File) -> io::Result<mpsc::Receiver<Frame>> {
        let (requests, out) = mpsc::channel();
        thread::Builder::new()
            .name("frames".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                while let Ok(frame) = Frame::read(&mut from_host) {
                    if frame.kind != FrameKind::SubResponse {
                        let _ = requests.send(frame);
                        continue;
                    }
                    let waiting = self
                        .waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&frame.id);
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(frame);
                    }
                }
                std::process::exit(0);
            })?;
        Ok(out)
    }
}

impl HostCalls for Link {
    fn call(&self, op: Op, body: &[u8]) -> (Status, Vec<u8>) {
        let words = |text: &str| text.as_bytes().to_vec();
        if body.len() > MAX_MESSAGE {
            return (Status::TOO_LARGE, words("the call is longer than 8 MiB"));
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answers) = mpsc::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, answer);
        if self
            .send(&Frame::new(FrameKind::SubRequest, id, op.number(), body.to_vec()))
            .is_err()
        {
            return (Status::FAILED, words("the host is gone"));
        }
        match answers.recv() {
            Ok(frame) => (Status(i32::try_from(frame.code).unwrap_or(i32::MAX)), frame.body),
            Err(_) => (Status::FAILED, words("the host is gone")),
        }
    }

    fn log(&self, level: u32, text: &[u8]) {
        // Far more than the host shows; it cuts by characters.
        let text = text.get(..2048).unwrap_or(text).to_vec();
        let _ = self.send(&Frame::new(FrameKind::Log, 0, level, text));
    }
}
