//! A model that is read when it is first needed, and does without where it cannot be.

use std::{path::PathBuf, sync::OnceLock};

use bedside_contract::{EmbedError, Embedder, EmbeddingModel, EmbeddingPurpose};
use bedside_model::{NoProgress, pull::DEFAULT_ENDPOINT};

use crate::{Embeddings, EmbeddingsConfig, pull_embeddings};

/// The configured model. Nothing is fetched: a file that is not there is a reason to do without.
#[derive(Debug)]
pub struct LazyEmbeddings {
    config: EmbeddingsConfig,
    models_dir: PathBuf,
    model: OnceLock<Result<Embeddings, EmbedError>>,
}

impl LazyEmbeddings {
    #[must_use]
    pub fn new(config: EmbeddingsConfig, models_dir: PathBuf) -> Self {
        Self {
            config,
            models_dir,
            model: OnceLock::new(),
        }
    }

    /// What an operator should know: the file is wanted and not there.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let file = self.config.file(&self.models_dir).ok()?;
        (self.config.enabled && !file.is_file()).then(|| {
            let file = file.display();
            format!("{file} is not there, so texts are not compared by meaning; fetch it with `bedside model pull`")
        })
    }

    /// Reads the file, if that was not done yet: a fifth of a second.
    ///
    /// # Errors
    /// [`EmbedError::Unavailable`], with what to do.
    pub fn load(&self) -> Result<&Embeddings, EmbedError> {
        self.model
            .get_or_init(|| self.open())
            .as_ref()
            .map_err(Clone::clone)
    }

    fn open(&self) -> Result<Embeddings, EmbedError> {
        let because = |error: &dyn std::fmt::Display| EmbedError::Unavailable(error.to_string());
        if !self.config.enabled {
            return Err(because(&"embeddings.enabled is false"));
        }
        let bad_source = |error| because(&format!("embeddings.source: {error}"));
        let source = self.config.source().map_err(bad_source)?;
        if let Some(warning) = self.warning() {
            return Err(because(&warning));
        }
        let path = pull_embeddings(&source, &self.models_dir, DEFAULT_ENDPOINT, &NoProgress);
        let path = path.map_err(|error| because(&error))?;
        Embeddings::open(&path).map_err(|error| because(&error))
    }
}

impl Embedder for LazyEmbeddings {
    fn model(&self) -> Option<EmbeddingModel> {
        let model = self.model.get()?.as_ref().ok()?;
        Some(model.info().clone())
    }

    fn embed(&self, texts: &[&str], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.load()?.embed(texts, purpose)
    }
}

#[cfg(test)]
mod tests {
    use bedside_contract::{EmbedError, Embedder, EmbeddingPurpose};

    use super::LazyEmbeddings;
    use crate::EmbeddingsConfig;

    fn problem(enabled: bool, source: &str, folder: &std::path::Path) -> String {
        let config = EmbeddingsConfig {
            enabled,
            source: source.to_owned(),
        };
        let lazy = LazyEmbeddings::new(config, folder.to_owned());
        let EmbedError::Unavailable(problem) = lazy.embed(&["a"], EmbeddingPurpose::Query).unwrap_err();
        assert_eq!(lazy.model(), None);
        problem
    }

    #[test]
    fn without_a_file_the_reason_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let told = problem(true, "default", folder.path());
        assert!(
            told.contains("e5-small-q4.bin is not there") && told.contains("bedside model pull"),
            "{told}"
        );
        let disabled = EmbeddingsConfig {
            enabled: false,
            ..EmbeddingsConfig::default()
        };
        let disabled = LazyEmbeddings::new(disabled, folder.path().to_owned());
        assert_eq!(disabled.warning(), None);
        assert!(
            std::fs::read_dir(folder.path()).unwrap().next().is_none(),
            "nothing is fetched"
        );
        assert!(problem(false, "default", folder.path()).contains("embeddings.enabled is false"));
        assert!(problem(true, "", folder.path()).contains("embeddings.source"));
        std::fs::write(folder.path().join("e5-small-q4.bin"), "another").unwrap();
        assert!(problem(true, "default", folder.path()).contains("sha256"));
        let mine = folder.path().join("mine.bin");
        std::fs::write(&mine, "another").unwrap();
        assert!(problem(true, &mine.display().to_string(), folder.path()).contains("at byte 0"));
    }

    #[test]
    fn a_file_of_ones_own_is_read_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.bin");
        std::fs::write(&path, crate::tests::files::Tiny::new(1).bytes()).unwrap();
        let config = EmbeddingsConfig {
            source: path.display().to_string(),
            ..EmbeddingsConfig::default()
        };
        let lazy = LazyEmbeddings::new(config, folder.path().to_owned());
        assert_eq!(lazy.model(), None);
        let vectors = lazy.embed(&["ab", "ba"], EmbeddingPurpose::Passage).unwrap();
        let model = lazy.model().unwrap();
        assert!(vectors.len() == 2 && vectors.iter().all(|it| it.len() == model.dimensions));
        assert!(
            model.id.starts_with("tiny-") && model.id.len() == "tiny-".len() + 8,
            "{}",
            model.id
        );
    }
}
