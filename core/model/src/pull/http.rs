//! Fetches one file over HTTP and goes on where an earlier try stopped.

use std::{
    fs::OpenOptions,
    io::{Read, Write},
    path::Path,
    time::Duration,
};

use super::{Progress, PullError, part::Part, verify};
use crate::source::without_secrets;

const ATTEMPTS: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) url: &'a str,
    /// As it is noted beside the file.
    pub(super) source: &'a str,
    pub(super) path: &'a Path,
    pub(super) sha256: Option<&'a str>,
    /// How such a file begins.
    pub(super) magic: Option<&'a [u8; 4]>,
    /// Neither the address nor one that it redirects to may be plain http.
    pub(super) https_only: bool,
}

/// Why one attempt did not finish.
enum Stop {
    /// Another try may go on from here.
    Broken(String),
    /// The server will not give it.
    Refused(String),
    Failed(PullError),
}

pub(super) fn fetch(wish: &Wish<'_>, progress: &dyn Progress) -> Result<(), PullError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(CONNECT_TIMEOUT))
        .http_status_as_error(false)
        .https_only(wish.https_only)
        .build()
        .into();
    let mut part = Part::open(wish.path, wish.url, wish.sha256.is_some())?;
    loop {
        progress.phase("downloading");
        download(&agent, wish, &mut part, progress)?;
        progress.phase("checking");
        let found = verify::hash_file(part.path(), progress).map_err(|error| part.io(error))?;
        let Some(refusal) = refusal(wish, &part, &found) else {
            return part.finish(wish.path, &found, wish.source);
        };
        let may_be_mixed = part.is_of_earlier_start();
        part.discard()?;
        if !may_be_mixed {
            return Err(refusal);
        }
    }
}

/// Why what came is not the file that is wanted. A proxy's login page comes with status 200, too.
fn refusal(wish: &Wish<'_>, part: &Part, found: &str) -> Option<PullError> {
    if wish.magic.is_some_and(|it| !part.begins_with(it)) {
        return Some(failed(wish, "what came is no GGUF file".to_owned()));
    }
    let wanted = wish.sha256.filter(|it| *it != found)?;
    Some(PullError::WrongDownload {
        url: without_secrets(wish.url),
        wanted: wanted.to_owned(),
        found: found.to_owned(),
    })
}

fn failed(wish: &Wish<'_>, reason: String) -> PullError {
    PullError::Download {
        url: without_secrets(wish.url),
        reason,
        path: wish.path.to_owned(),
    }
}

fn download(
    agent: &ureq::Agent,
    wish: &Wish<'_>,
    part: &mut Part,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    let mut attempt = 1;
    loop {
        match download_once(agent, wish.url, part, progress) {
            Ok(()) => return Ok(()),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Refused(reason)) => return Err(failed(wish, reason)),
            Err(Stop::Broken(reason)) if attempt == ATTEMPTS => return Err(failed(wish, reason)),
            Err(Stop::Broken(_)) => {
                std::thread::sleep(Duration::from_millis(200 << attempt));
                attempt += 1;
            }
        }
    }
}

fn download_once(
    agent: &ureq::Agent,
    url: &str,
    part: &mut Part,
    progress: &dyn Progress,
) -> Result<(), Stop> {
    let have = part.length();
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
        if let Some(version) = part.version() {
            // Of another version the server sends all.
            request = request.header("If-Range", version);
        }
    }
    let mut response = request.call().map_err(|error| match error {
        ureq::Error::RequireHttpsOnly(_) => Stop::Refused(
            "it leads to a plain http address, and without `#sha256=HEX` nothing tells what comes from there"
                .to_owned(),
        ),
        error => Stop::Broken(error.to_string()),
    })?;
    let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok());
    let length = header("content-length").and_then(|it| it.parse::<u64>().ok());
    let version = version(header("etag"), header("last-modified"));
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
    let versions = part.version().zip(version.as_deref());
    if start > 0 && versions.is_some_and(|(noted, now)| noted != now) {
        return start_over(part, "the file on the server has changed");
    }
    if start == 0 {
        part.begin(version).map_err(Stop::Failed)?;
    }
    let mut output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(part.path())
        .map_err(|error| Stop::Failed(part.io(error)))?;
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
        output
            .write_all(data)
            .map_err(|error| Stop::Failed(part.io(error)))?;
        bytes += read as u64;
        progress.advance(read as u64);
    }
    match total {
        Some(total) if bytes < total => Err(Stop::Broken(format!("{bytes} of {total} bytes came"))),
        Some(total) if bytes > total => Err(Stop::Failed(PullError::WrongSize {
            path: part.path().to_owned(),
            wanted: total,
            found: bytes,
        })),
        _ => Ok(()),
    }
}

/// What tells one state of a file from another (RFC 9110, 13.1.5): weak entity tags do not.
fn version(tag: Option<&str>, modified: Option<&str>) -> Option<String> {
    tag.filter(|it| it.starts_with('"'))
        .or(modified)
        .map(str::to_owned)
}

/// What is there cannot be continued.
fn start_over(part: &mut Part, reason: &str) -> Result<(), Stop> {
    part.discard().map_err(Stop::Failed)?;
    Err(Stop::Broken(reason.to_owned()))
}

/// `bytes 10-99/100` → `(10, Some(100))`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::{parse_content_range, version};

    #[test]
    fn only_strong_tags_and_dates_name_a_version() {
        let check = |tag, modified, expect: Option<&str>| {
            assert_eq!(version(tag, modified).as_deref(), expect, "{tag:?} {modified:?}");
        };
        check(Some("\"a\""), Some("Mon"), Some("\"a\""));
        check(Some("W/\"a\""), Some("Mon"), Some("Mon"));
        check(Some("W/\"a\""), None, None);
        check(None, None, None);
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_content_range("bytes 10-99/100"), Some((10, Some(100))));
        assert_eq!(parse_content_range("bytes 10-99/*"), Some((10, None)));
        assert_eq!(parse_content_range("lines 1-2/3"), None);
    }
}
