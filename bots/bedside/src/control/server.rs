//! Takes calls on the control socket: each asks once and is then answered.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{UnixStream, unix::ReadHalf},
    sync::{Semaphore, mpsc},
    time::timeout,
};

use super::{
    Control,
    protocol::{LONGEST_REQUEST, Reply, Request},
    socket::{Socket, may_call},
};

/// Calls at once. Nobody who operates a bot needs more.
const MOST_CALLS: usize = 16;
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Until a caller has read a line.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// Until a request is done; plugins may take long over their articles.
pub(super) const DONE_WITHIN: Duration = Duration::from_secs(120);
const AFTER_FAILED_ACCEPT: Duration = Duration::from_secs(1);

/// Words about what is being done, for the caller.
#[derive(Clone)]
pub(super) struct Progress(mpsc::Sender<String>);

impl Progress {
    /// Where nobody listens.
    pub(super) fn silent() -> Self {
        Self(mpsc::channel(1).0)
    }

    pub(super) async fn say(&self, words: impl Into<String>) {
        // Who hung up needs no words.
        let _hung_up = self.0.send(words.into()).await;
    }
}

/// Never ends.
pub(super) async fn serve(socket: Socket, control: Arc<Control>) {
    let places = Arc::new(Semaphore::new(MOST_CALLS));
    loop {
        let stream = match socket.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "A call on the control socket could not be taken.");
                tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("Too many calls on the control socket at once; one was turned away.");
            continue;
        };
        let (control, owner) = (Arc::clone(&control), socket.owner);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = attend(stream, owner, &control).await {
                tracing::debug!(%error, "A caller on the control socket hung up.");
            }
        });
    }
}

async fn attend(mut stream: UnixStream, owner: u32, control: &Control) -> io::Result<()> {
    let caller = stream.peer_cred()?.uid();
    let (reading, mut writing) = stream.split();
    if !may_call(caller, owner) {
        tracing::warn!(
            caller,
            "A user who may not control the bot called its control socket and was refused."
        );
        let words = format!("user {caller} may not control this bot: its own user ({owner}) and root may");
        return write(&mut writing, &Reply::Failed(words)).await;
    }
    let request = match timeout(REQUEST_WITHIN, read(reading)).await {
        Ok(read) => read?,
        Err(_) => Err(format!("no request came within {REQUEST_WITHIN:?}")),
    };
    let request = match request {
        Ok(request) => request,
        Err(words) => return write(&mut writing, &Reply::Failed(words)).await,
    };
    let (progress, mut said) = mpsc::channel(16);
    let answering = timeout(DONE_WITHIN, control.answer(request, caller, Progress(progress)));
    tokio::pin!(answering);
    let end = loop {
        tokio::select! {
            biased;
            Some(words) = said.recv() => write(&mut writing, &Reply::Progress(words)).await?,
            end = &mut answering => break end,
        }
    };
    let end = match end {
        Ok(Ok(value)) => Reply::Done(value),
        Ok(Err(words)) => Reply::Failed(words),
        Err(_) => Reply::Failed(format!("it was not done within {DONE_WITHIN:?}; the bot goes on")),
    };
    write(&mut writing, &end).await
}

/// `Err` inside: words for the caller.
async fn read(reading: ReadHalf<'_>) -> io::Result<Result<Request, String>> {
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading.take(LONGEST_REQUEST));
    reading.read_until(b'\n', &mut line).await?;
    if line.len() as u64 >= LONGEST_REQUEST && !line.ends_with(b"\n") {
        return Ok(Err(format!(
            "a request has at most {} KiB",
            LONGEST_REQUEST / 1024
        )));
    }
    Ok(Request::parse(&line))
}

async fn write(writing: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(READ_WITHIN, writing.write_all(&line))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
