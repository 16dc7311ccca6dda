//! The seam behind which texts become vectors.

/// Turns texts into vectors whose angle tells how close their meanings are. Implemented by `core/embeddings`.
pub trait Embedder: Send + Sync {
    /// What makes the vectors; `None` before it is first used and where there is none.
    fn model(&self) -> Option<EmbeddingModel>;

    /// One vector for each text: [`EmbeddingModel::dimensions`] numbers of length 1, so that the cosine of two is
    /// their dot product. It computes in the caller's thread, about 30 ms for a message: async code calls it on a
    /// thread that may block.
    /// The first call also reads the model, a fifth of a second; of no texts it does only that.
    ///
    /// # Errors
    /// [`EmbedError`]; the caller goes on without vectors.
    fn embed(&self, texts: &[&str], purpose: EmbeddingPurpose) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// Vectors of different models must not be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingModel {
    /// The same for the same weights, e.g. `e5-small-q4-1571fc98`: kept beside vectors that are kept.
    pub id: String,
    /// Numbers in a vector.
    pub dimensions: usize,
}

/// Which side of a comparison a text stands on; the model reads it in another way on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmbeddingPurpose {
    /// What is asked or said; also both sides where two messages are compared.
    Query,
    /// What is searched through.
    Passage,
}

/// Why there are no vectors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    #[error("there is no embedding model: {0}")]
    Unavailable(String),
}
