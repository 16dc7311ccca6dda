//! Checksums, kept beside the file so that gigabytes are not read again at each start.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use bedside_tensors::gguf::{PartName, part_paths};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Progress, PullError, with_suffix};

const SIDECAR: &str = ".sha256";

/// What is noted beside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    pub sha256: String,
    /// Where the file was fetched from, if it was.
    pub source: Option<String>,
    /// The file still has the size and time that it had then; else its checksum says nothing of what is there now.
    pub is_current: bool,
}

/// What [`verify`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Of the bytes that are there.
    pub sha256: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong {
        wanted: String,
    },
    /// There was nothing to compare with; the checksum is noted from now on.
    New,
}

/// What `a.gguf.sha256` holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sidecar {
    sha256: String,
    bytes: u64,
    modified_ns: u128,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// What was noted of a file when it was fetched or checked.
#[must_use]
pub fn noted(path: &Path) -> Option<Noted> {
    let sidecar = read(path)?;
    let now = size_and_time(path).ok();
    Some(Noted {
        is_current: now == Some((sidecar.bytes, sidecar.modified_ns)),
        sha256: sidecar.sha256,
        source: sidecar.source,
    })
}

/// The checksum of a file that was checked before and has not changed since.
#[must_use]
pub fn known_sha256(path: &Path) -> Option<String> {
    noted(path).filter(|it| it.is_current).map(|it| it.sha256)
}

/// The checksum of a file; it is read for that unless that was done before. Of a model in parts, it is that of all of
/// them one after the other, as `cat` puts them together.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: &Path, progress: &dyn Progress) -> Result<String, PullError> {
    let noted = noted(path);
    if let Some(noted) = noted.as_ref().filter(|it| it.is_current) {
        return Ok(noted.sha256.clone());
    }
    let found = read_all(path, progress)?;
    let source = noted.as_ref().and_then(|it| it.source.as_deref());
    // What was fetched is never taken for something else afterwards.
    if source.is_none() || noted.as_ref().is_some_and(|it| it.sha256 == found) {
        remember(path, &found, source);
    }
    Ok(found)
}

/// Reads every byte of a file, whatever was noted of it, and compares its checksum with the one that is given, else
/// with the one that was noted.
///
/// # Errors
/// If the file cannot be read.
pub fn verify(path: &Path, given: Option<&str>, progress: &dyn Progress) -> Result<Verified, PullError> {
    let noted = noted(path);
    let sha256 = read_all(path, progress)?;
    let source = noted.as_ref().and_then(|it| it.source.as_deref());
    let wanted = given.or(noted.as_ref().map(|it| it.sha256.as_str()));
    let verdict = match wanted {
        None => Verdict::New,
        Some(wanted) if wanted == sha256 => Verdict::Right,
        Some(wanted) => Verdict::Wrong {
            wanted: wanted.to_owned(),
        },
    };
    if !matches!(verdict, Verdict::Wrong { .. }) {
        remember(path, &sha256, source);
    } else if source.is_some() || given.is_some() {
        // The next start reads it, and refuses it.
        doubt(path);
    }
    Ok(Verified { sha256, verdict })
}

/// Compares the file's checksum with the one that it must have, else with the one that it had when it was fetched.
pub(super) fn check(path: &Path, wanted: Option<&str>, progress: &dyn Progress) -> Result<(), PullError> {
    let found = sha256(path, progress)?;
    let path = path.to_owned();
    if let Some(wanted) = wanted {
        let wanted = wanted.to_owned();
        return if wanted == found {
            Ok(())
        } else {
            Err(PullError::WrongHash { path, wanted, found })
        };
    }
    match noted(&path) {
        Some(noted) if noted.source.is_some() && noted.sha256 != found => Err(PullError::Changed {
            note: with_suffix(&path, SIDECAR),
            path,
            noted: noted.sha256,
            found,
        }),
        _ => Ok(()),
    }
}

/// Writes the sidecar. A folder that cannot be written to only costs the next start some time.
pub(super) fn remember(path: &Path, sha256: &str, source: Option<&str>) {
    if let Ok((bytes, modified_ns)) = size_and_time(path) {
        write(
            path,
            &Sidecar {
                sha256: sha256.to_owned(),
                bytes,
                modified_ns,
                source: source.map(str::to_owned),
            },
        );
    }
}

/// Keeps the checksum that was noted and has the file read before it is believed again.
fn doubt(path: &Path) {
    if let Some(sidecar) = read(path) {
        write(
            path,
            &Sidecar {
                modified_ns: 0,
                ..sidecar
            },
        );
    }
}

fn read(path: &Path) -> Option<Sidecar> {
    let text = fs::read_to_string(with_suffix(path, SIDECAR)).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(path: &Path, sidecar: &Sidecar) {
    if let Ok(text) = serde_json::to_string(sidecar) {
        let _ = fs::write(with_suffix(path, SIDECAR), text);
    }
}

fn read_all(path: &Path, progress: &dyn Progress) -> Result<String, PullError> {
    progress.phase("checking");
    hash_file(path, progress).map_err(|source| PullError::Io {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn hash_file(path: &Path, progress: &dyn Progress) -> io::Result<String> {
    let files = files_of(path);
    let mut bytes = 0;
    for file in &files {
        bytes += fs::metadata(file)?.len();
    }
    progress.total(bytes);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for file in &files {
        let mut file = fs::File::open(file)?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            progress.advance(read as u64);
        }
    }
    Ok(hex(&hasher.finalize()))
}

/// Whoever names the first of several parts means all of them.
fn files_of(path: &Path) -> Vec<PathBuf> {
    match PartName::of(path) {
        Some(name) if name.number == 1 => {
            let others = part_paths(path).into_iter().skip(1).filter(|it| it.is_file());
            std::iter::once(path.to_owned()).chain(others).collect()
        }
        _ => vec![path.to_owned()],
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn size_and_time(path: &Path) -> io::Result<(u64, u128)> {
    let (mut bytes, mut newest) = (0, SystemTime::UNIX_EPOCH);
    for file in files_of(path) {
        let metadata = fs::metadata(file)?;
        bytes += metadata.len();
        newest = newest.max(metadata.modified()?);
    }
    let modified = newest.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok((bytes, modified.as_nanos()))
}
