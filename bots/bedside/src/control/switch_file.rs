//! Keeps the kill switch over restarts.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// A file in the data directory: while it is there, answers are switched off.
pub(super) struct SwitchFile {
    dir: PathBuf,
    path: PathBuf,
}

impl SwitchFile {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self {
            dir: data_dir.to_owned(),
            path: data_dir.join("notices-only"),
        }
    }

    /// Where nobody can tell, answers stay off.
    pub(super) fn is_on(&self) -> bool {
        !matches!(fs::symlink_metadata(&self.path), Err(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Durable when it returns.
    pub(super) fn set(&self, on: bool) -> io::Result<()> {
        if on {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&self.path)?;
            file.write_all(b"Answers are switched off: `bedside notices-only off` removes this file.\n")?;
            file.sync_all()?;
        } else {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(&self.dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::SwitchFile;

    #[test]
    fn it_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!SwitchFile::new(dir.path()).is_on());
        for on in [true, true, false, false, true] {
            SwitchFile::new(dir.path()).set(on).unwrap();
            assert_eq!(SwitchFile::new(dir.path()).is_on(), on);
        }
    }

    #[test]
    fn where_nobody_can_tell_answers_stay_off() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(SwitchFile::new(&file).is_on());
    }
}
