//! Files of tensors. Whoever wrote one, it is checked before it is used: what it says of itself is never
//! believed, nothing is allocated on its word and nothing in it is run.

pub mod checkpoint;
pub mod gguf;
mod mapped;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use gguf::{GgufError, GgufFile};
pub use mapped::MappedFile;
