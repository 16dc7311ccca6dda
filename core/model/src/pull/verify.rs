//! Checksums, kept beside the file so that gigabytes are not read again at each start.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Progress, PullError, with_suffix};

const SIDECAR: &str = ".sha256";

/// What `a.gguf.sha256` holds; it counts only while size and time of the file are the same.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sidecar {
    sha256: String,
    bytes: u64,
    modified_ns: u128,
}

/// The checksum of a file that was checked before and has not changed since.
#[must_use]
pub fn known_sha256(path: &Path) -> Option<String> {
    let text = fs::read_to_string(with_suffix(path, SIDECAR)).ok()?;
    let sidecar: Sidecar = serde_json::from_str(&text).ok()?;
    let (bytes, modified_ns) = size_and_time(path).ok()?;
    (sidecar.bytes == bytes && sidecar.modified_ns == modified_ns).then_some(sidecar.sha256)
}

/// The checksum of a file; it is read for that unless that was done before.
///
/// # Errors
/// If the file cannot be read.
pub fn sha256(path: &Path, progress: &dyn Progress) -> Result<String, PullError> {
    if let Some(known) = known_sha256(path) {
        return Ok(known);
    }
    progress.phase("checking");
    let found = hash_file(path, progress).map_err(|source| PullError::Io {
        path: path.to_owned(),
        source,
    })?;
    remember(path, &found);
    Ok(found)
}

/// Compares the file's checksum.
pub(super) fn check(path: &Path, wanted: Option<&str>, progress: &dyn Progress) -> Result<(), PullError> {
    let found = sha256(path, progress)?;
    match wanted {
        Some(wanted) if wanted != found => Err(PullError::WrongHash {
            path: path.to_owned(),
            wanted: wanted.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

/// Writes the sidecar. A folder that cannot be written to only costs the next start some time.
pub(super) fn remember(path: &Path, sha256: &str) {
    if let Ok((bytes, modified_ns)) = size_and_time(path)
        && let Ok(text) = serde_json::to_string(&Sidecar {
            sha256: sha256.to_owned(),
            bytes,
            modified_ns,
        })
    {
        let _ = fs::write(with_suffix(path, SIDECAR), text);
    }
}

pub(super) fn hash_file(path: &Path, progress: &dyn Progress) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    progress.total(file.metadata()?.len());
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
        progress.advance(read as u64);
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn size_and_time(path: &Path) -> io::Result<(u64, u128)> {
    let metadata = fs::metadata(path)?;
    let modified = metadata
        .modified()?
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    Ok((metadata.len(), modified.as_nanos()))
}
