//! A download that is not finished, and what its bytes are a beginning of.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PullError, put_in_place, verify::hex, with_suffix};

/// What came so far, in `FILE.part`; where from, in `FILE.part.origin`.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    origin_path: PathBuf,
    origin: Origin,
    is_of_earlier_start: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    /// Of the address, which may hold secrets.
    url_sha256: String,
    /// What the server calls this state of the file: an entity tag, or when it was changed.
    version: Option<String>,
}

impl Part {
    /// What is there of an earlier start is kept if it can be continued: it came from the same address, which named
    /// its version, or a checksum will tell in the end. All else is deleted.
    pub(super) fn open(file: &Path, url: &str, has_checksum: bool) -> Result<Self, PullError> {
        let path = with_suffix(file, ".part");
        let origin_path = with_suffix(&path, ".origin");
        let url_sha256 = hex(&Sha256::digest(url.as_bytes()));
        let noted: Option<Origin> = fs::read_to_string(&origin_path)
            .ok()
            .and_then(|it| serde_json::from_str(&it).ok());
        let version = noted
            .filter(|it| it.url_sha256 == url_sha256)
            .and_then(|it| it.version);
        let can_be_continued = version.is_some() || has_checksum;
        let mut part = Self {
            path,
            origin_path,
            origin: Origin { url_sha256, version },
            is_of_earlier_start: false,
        };
        if !can_be_continued {
            part.discard()?;
        } else if part.version().is_none() {
            // It is not known of what those bytes are: only the checksum may tell, not a version noted before.
            let _ = fs::remove_file(&part.origin_path);
        }
        part.is_of_earlier_start = part.length() > 0;
        Ok(part)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |it| it.len())
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.origin.version.as_deref()
    }

    /// Whether its first bytes were fetched by an earlier start.
    pub(super) fn is_of_earlier_start(&self) -> bool {
        self.is_of_earlier_start
    }

    /// Forgets what is there; what comes now is this version.
    pub(super) fn begin(&mut self, version: Option<String>) -> Result<(), PullError> {
        self.discard()?;
        self.origin.version = version;
        let text = serde_json::to_string(&self.origin).map_err(|error| self.io(error.into()))?;
        fs::write(&self.origin_path, text).map_err(|error| self.io(error))
    }

    pub(super) fn discard(&mut self) -> Result<(), PullError> {
        for path in [&self.path, &self.origin_path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.io(error)),
                _ => {}
            }
        }
        self.origin.version = None;
        self.is_of_earlier_start = false;
        Ok(())
    }

    pub(super) fn begins_with(&self, magic: &[u8; 4]) -> bool {
        let mut found = [0; 4];
        let read = fs::File::open(&self.path).and_then(|mut it| it.read_exact(&mut found));
        read.is_ok() && &found == magic
    }

    /// Gives it its real name, with its checksum and source beside it.
    pub(super) fn finish(self, file: &Path, sha256: &str, source: &str) -> Result<(), PullError> {
        put_in_place(&self.path, file, sha256, source)?;
        // Left behind, it tells of a part that is not there.
        let _ = fs::remove_file(&self.origin_path);
        Ok(())
    }

    pub(super) fn io(&self, source: io::Error) -> PullError {
        PullError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Part;

    #[test]
    fn only_what_is_surely_of_the_same_file_is_continued() {
        let check = |version: Option<&str>, url: &str, has_checksum: bool, expect: bool| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("a.gguf");
            let mut part = Part::open(&file, "https://one/a.gguf", false).unwrap();
            part.begin(version.map(str::to_owned)).unwrap();
            fs::write(part.path(), b"GGUF").unwrap();
            let part = Part::open(&file, url, has_checksum).unwrap();
            let case = format!("{version:?} {url} {has_checksum}");
            assert_eq!(part.length() > 0, expect, "{case}");
            assert_eq!(part.is_of_earlier_start(), expect, "{case}");
        };
        check(Some("\"1\""), "https://one/a.gguf", false, true);
        check(Some("\"1\""), "https://two/a.gguf", false, false);
        check(None, "https://one/a.gguf", false, false);
        check(Some("\"1\""), "https://two/a.gguf", true, true);
        check(None, "https://one/a.gguf", true, true);
    }

    #[test]
    fn a_version_is_asked_for_only_where_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.gguf");
        let mut part = Part::open(&file, "https://one/a.gguf", true).unwrap();
        part.begin(Some("\"1\"".to_owned())).unwrap();
        fs::write(part.path(), b"GGUF").unwrap();
        let version = |url: &str| {
            let part = Part::open(&file, url, true).unwrap();
            part.version().map(str::to_owned)
        };
        assert_eq!(version("https://one/a.gguf").as_deref(), Some("\"1\""));
        assert_eq!(version("https://two/a.gguf"), None);
    }
}
