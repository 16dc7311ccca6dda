//! Calls the running bot.

use std::{
    fmt,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{
    protocol::{Reply, Request},
    server::DONE_WITHIN,
    socket::path_in,
};

const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// A line more than the bot itself takes.
const ANSWERED_WITHIN: Duration = DONE_WITHIN.saturating_add(Duration::from_secs(10));
const LONGEST_ANSWER: u64 = 64 << 20;

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// No bot can be reached in the data directory.
    NotRunning(String),
    /// It did not do it, and says why.
    Failed(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning(words) | Self::Failed(words) => f.write_str(words),
        }
    }
}

/// Has the bot that owns this data directory do something. `progress` hears what it is doing meanwhile.
pub(crate) fn call(data_dir: &Path, request: &Request, progress: impl Fn(&str)) -> Result<Value, CallError> {
    let path = path_in(data_dir).map_err(|error| CallError::NotRunning(error.to_string()))?;
    let mut stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => CallError::NotRunning(format!(
            "no bot runs in {}: is it started, and with this configuration's data_dir?",
            data_dir.display()
        )),
        ErrorKind::PermissionDenied => CallError::Failed(format!(
            "{} may be called by the bot's own user and root only: try it with sudo",
            path.display()
        )),
        _ => CallError::Failed(format!("{} cannot be called: {error}", path.display())),
    })?;
    let broken = |error: std::io::Error| CallError::Failed(format!("the call to the bot broke off: {error}"));
    stream.set_write_timeout(Some(TAKEN_WITHIN)).map_err(broken)?;
    stream.set_read_timeout(Some(ANSWERED_WITHIN)).map_err(broken)?;
    let mut line = serde_json::to_vec(request).map_err(|error| CallError::Failed(error.to_string()))?;
    line.push(b'\n');
    // Who is refused is told so before the request is read: the answer counts.
    let written = stream.write_all(&line);
    for line in BufReader::new(stream.take(LONGEST_ANSWER)).lines() {
        let line = line.map_err(broken)?;
        match serde_json::from_str(&line) {
            Ok(Reply::Progress(words)) => progress(&words),
            Ok(Reply::Done(value)) => return Ok(value),
            Ok(Reply::Failed(words)) => return Err(CallError::Failed(words)),
            Err(error) => {
                return Err(CallError::Failed(format!(
                    "the bot's answer cannot be read, it may be of another version: {error}"
                )));
            }
        }
    }
    written.map_err(broken)?;
    Err(CallError::Failed(
        "the bot hung up without an answer: it is stopping or has too many calls; try again".to_owned(),
    ))
}
