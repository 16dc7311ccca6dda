//! A trusted plugin on a thread of the bot's own process.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use bedside_plugin_api::abi::{Hook, Op, Status};
use bedside_plugin_runner::{
    Frame, FrameKind, HostCalls, Instance, LoadedLibrary, RunnerHello, RunnerSetup, SandboxReport,
};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{calls::Services, child::FRAMES};

/// What overflows in a plugin overflows late.
const STACK: usize = 8 << 20;

pub(crate) struct Thread {
    pub(crate) to: mpsc::Sender<Frame>,
    pub(crate) from: mpsc::Receiver<Result<Frame, String>>,
}

/// Starts the thread; it speaks the same frames as a runner, and ends when `to` is dropped.
pub(crate) fn launch(id: &str, services: Arc<Services>) -> io::Result<Thread> {
    let (to, requests) = mpsc::channel(FRAMES);
    let (frames, from) = mpsc::channel(FRAMES);
    let calls = Arc::new(LocalCalls {
        services,
        runtime: Handle::current(),
        in_hand: AtomicU32::new(0),
    });
    thread::Builder::new()
        .name(format!("plugin-{id}"))
        .stack_size(STACK)
        .spawn(move || {
            // An error only says that nobody listens any more.
            let _ = serve(requests, &frames, &calls);
        })?;
    Ok(Thread { to, from })
}

fn serve(
    mut requests: mpsc::Receiver<Frame>,
    frames: &mpsc::Sender<Result<Frame, String>>,
    calls: &Arc<LocalCalls>,
) -> Result<(), mpsc::error::SendError<Result<Frame, String>>> {
    let send = |kind, id, status: Status, body| {
        frames.blocking_send(Ok(Frame::new(kind, id, status.0.unsigned_abs(), body)))
    };
    let Some(first) = requests.blocking_recv() else {
        return Ok(());
    };
    let missing = vec!["it runs inside the bot's own process (plugins.trusted)".to_owned()];
    let hello = RunnerHello {
        sandbox: SandboxReport {
            state: "none".to_owned(),
            missing,
        },
    };
    send(
        FrameKind::Hello,
        0,
        Status::OK,
        serde_json::to_vec(&hello).unwrap_or_default(),
    )?;
    let mut instance = match create(&first.body, calls.clone()) {
        Ok(instance) => instance,
        Err((status, words)) => return send(FrameKind::Created, 0, status, words),
    };
    send(FrameKind::Created, 0, Status::OK, Vec::new())?;
    while let Some(request) = requests.blocking_recv() {
        if request.kind == FrameKind::Destroy {
            drop(instance);
            return send(FrameKind::Destroyed, 0, Status::OK, Vec::new());
        }
        calls.in_hand.store(request.code, Ordering::Relaxed);
        let outcome = instance.invoke(request.code, &request.body);
        calls.in_hand.store(0, Ordering::Relaxed);
        send(FrameKind::Response, request.id, outcome.status, outcome.body)?;
    }
    Ok(())
}

fn create(setup: &[u8], calls: Arc<LocalCalls>) -> Result<Instance, (Status, Vec<u8>)> {
    let failed = |words: String| (Status::FAILED, words.into_bytes());
    let setup: RunnerSetup = serde_json::from_slice(setup).map_err(|error| failed(error.to_string()))?;
    let library = LoadedLibrary::open(&setup.library).map_err(|error| failed(error.to_string()))?;
    let body = serde_json::to_vec(&setup.setup).map_err(|error| failed(error.to_string()))?;
    library
        .create(calls, &body)
        .map_err(|outcome| (outcome.status, outcome.body))
}

struct LocalCalls {
    services: Arc<Services>,
    runtime: Handle,
    /// The hook that runs, 0 if none.
    in_hand: AtomicU32,
}

impl HostCalls for LocalCalls {
    fn call(&self, op: Op, body: &[u8]) -> (Status, Vec<u8>) {
        let during = Hook::from_number(self.in_hand.load(Ordering::Relaxed));
        self.runtime
            .block_on(self.services.call(op.number(), body, during))
    }

    fn log(&self, level: u32, text: &[u8]) {
        self.services.log(level, text);
    }
}
