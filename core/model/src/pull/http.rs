//! Fetches one file over HTTP and goes on where an earlier try stopped.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use super::{Progress, PullError, put_in_place, verify, with_suffix};

const ATTEMPTS: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Why one attempt did not finish.
enum Stop {
    /// Another try may go on from here.
    Broken(String),
    /// The server will not give it.
    Refused(String),
    Failed(PullError),
}

pub(super) fn fetch(
    url: &str,
    path: &Path,
    wanted: Option<&str>,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    progress.phase("downloading");
    let part = with_suffix(path, ".part");
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(CONNECT_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let failed = |reason: String| PullError::Download {
        url: url.to_owned(),
        reason,
        path: path.to_owned(),
    };
    let mut attempt = 1;
    loop {
        match fetch_once(&agent, url, &part, progress) {
            Ok(()) => break,
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Refused(reason)) => return Err(failed(reason)),
            Err(Stop::Broken(reason)) if attempt == ATTEMPTS => return Err(failed(reason)),
            Err(Stop::Broken(_)) => {
                std::thread::sleep(Duration::from_millis(200 << attempt));
                attempt += 1;
            }
        }
    }
    progress.phase("checking");
    let found = verify::hash_file(&part, progress).map_err(|source| PullError::Io {
        path: part.clone(),
        source,
    })?;
    if let Some(wanted) = wanted
        && wanted != found
    {
        let _ = fs::remove_file(&part);
        return Err(PullError::WrongHash {
            path: path.to_owned(),
            wanted: wanted.to_owned(),
            found,
        });
    }
    if !starts_as_gguf(&part) {
        let _ = fs::remove_file(&part);
        return Err(failed("what came is no GGUF file".to_owned()));
    }
    put_in_place(&part, path, &found)
}

/// A proxy's login page comes with status 200, too.
fn starts_as_gguf(part: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(part)
        .and_then(|mut it| it.read_exact(&mut magic))
        .is_ok()
        && &magic == b"GGUF"
}

fn fetch_once(agent: &ureq::Agent, url: &str, part: &Path, progress: &dyn Progress) -> Result<(), Stop> {
    let io = |source| {
        Stop::Failed(PullError::Io {
            path: part.to_owned(),
            source,
        })
    };
    let have = fs::metadata(part).map_or(0, |it| it.len());
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|error| Stop::Broken(error.to_string()))?;
    let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok());
    let length = header("content-length").and_then(|it| it.parse::<u64>().ok());
    let (start, total) = match response.status().as_u16() {
        200 => (0, length),
        206 => match header("content-range").and_then(parse_content_range) {
            Some((start, total)) if start == have => (have, total),
            _ => return start_over(part, "the server sent another range than asked for"),
        },
        // The server has no bytes after ours: either ours is whole, or it is of another file.
        416 => match header("content-range")
            .and_then(|it| it.strip_prefix("bytes */"))
            .and_then(|it| it.parse::<u64>().ok())
        {
            Some(total) if have == total => return Ok(()),
            _ => return start_over(part, "the file on the server has changed"),
        },
        status @ (408 | 429 | 500..=599) => {
            return Err(Stop::Broken(format!("the server answered {status}")));
        }
        status => return Err(Stop::Refused(format!("the server answered {status}"))),
    };

    let mut output = OpenOptions::new()
        .create(true)
        .write(true)
        .append(start > 0)
        .truncate(start == 0)
        .open(part)
        .map_err(io)?;
    if let Some(total) = total {
        progress.total(total);
    }
    if start > 0 {
        progress.advance(start);
    }
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = start;
    loop {
        let read = body
            .read(&mut buffer)
            .map_err(|error| Stop::Broken(error.to_string()))?;
        let Some(data) = buffer.get(..read).filter(|it| !it.is_empty()) else {
            break;
        };
        output.write_all(data).map_err(io)?;
        bytes += read as u64;
        progress.advance(read as u64);
    }
    match total {
        Some(total) if bytes < total => Err(Stop::Broken(format!("{bytes} of {total} bytes came"))),
        Some(total) if bytes > total => Err(Stop::Failed(PullError::WrongSize {
            path: part.to_owned(),
            wanted: total,
            found: bytes,
        })),
        _ => Ok(()),
    }
}

/// What is there cannot be continued.
fn start_over(part: &Path, reason: &str) -> Result<(), Stop> {
    fs::remove_file(part).map_err(|source| {
        Stop::Failed(PullError::Io {
            path: part.to_owned(),
            source,
        })
    })?;
    Err(Stop::Broken(reason.to_owned()))
}

/// `bytes 10-99/100` → `(10, Some(100))`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}
