//! One process owns a data directory.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const LOCK_FILE: &str = "bedside.lock";

/// Held as long as the process owns the directory; the system lets go of it when the process dies, however.
///
/// Take it before [`crate::SqliteStore::open`]: opening a store voids the leases of whoever had it open.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Creates the directory (0700) if need be and locks it.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that has it.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(LOCK_FILE);
        let failed = |error: std::io::Error| LockError::Io {
            path: path.clone(),
            reason: error.to_string(),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    dir: dir.to_owned(),
                    holder: Holder::read(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }

    /// Who holds the directory, without taking it: for a moment it cannot be acquired by others either.
    ///
    /// # Errors
    /// [`LockError::Io`] if the lock's file cannot be looked at.
    pub fn holder(dir: &Path) -> Result<Option<Holder>, LockError> {
        let path = dir.join(LOCK_FILE);
        let failed = |error: std::io::Error| LockError::Io {
            path: path.clone(),
            reason: error.to_string(),
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Holder::read(&mut file))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Why a directory cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error("{} is in use by {holder}: stop it, or set another data_dir", .dir.display())]
    Held { dir: PathBuf, holder: Holder },
    #[error("cannot lock {}: {reason}", .path.display())]
    Io { path: PathBuf, reason: String },
}

/// The process that holds a lock, if it wrote its id down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder(pub Option<u32>);

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        // Who holds it only makes the message better: without it the answer is the same.
        let _ = file.read_to_string(&mut text);
        Self(text.trim().parse().ok())
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{DataDirLock, Holder, LockError};

    #[test]
    fn the_second_is_told_who_has_it() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("new");
        let lock = DataDirLock::acquire(&dir).unwrap();
        assert_eq!(
            std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
            0o700
        );

        let refused = DataDirLock::acquire(&dir).unwrap_err();
        let me = std::process::id();
        assert_eq!(
            refused,
            LockError::Held {
                dir: dir.clone(),
                holder: Holder(Some(me))
            }
        );
        assert!(
            refused.to_string().contains(&format!("process {me}")),
            "{refused}"
        );

        assert_eq!(DataDirLock::holder(&dir).unwrap(), Some(Holder(Some(me))));

        drop(lock);
        assert_eq!(DataDirLock::holder(&dir).unwrap(), None);
        assert_eq!(
            DataDirLock::holder(parent.path()).unwrap(),
            None,
            "no lock was ever there"
        );
        DataDirLock::acquire(&dir).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDirLock::acquire(&file.join("below")).unwrap_err();
        assert!(matches!(&error, LockError::Io { .. }), "{error}");
        assert!(error.to_string().contains("file/below/bedside.lock"), "{error}");
    }
}
