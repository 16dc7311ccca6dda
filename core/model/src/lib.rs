//! From a GGUF file to the next token: where a model comes from, its tokenizer and chat template, the
//! decoder and the sampler. Synchronous; `core/engine` serves it to many conversations.
//!
//! ```text
//! ModelSource → pull → GgufFile → Model { Tokenizer, ChatTemplate, Decoder } → Sampler → StopMatcher
//! ```

pub mod adapters;
pub mod bench;
pub mod convert;
pub mod decoder;
pub mod encoder;
pub mod inspect;
mod kernels;
pub mod memory;
pub mod model;
pub mod perplexity;
pub mod pull;
pub mod quantize;
pub mod response;
mod rows;
pub mod sampler;
pub mod source;
pub mod stop;
pub mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod threads;
pub mod tokenizer;

pub use bedside_tensors::{
    gguf,
    gguf::{GgufError, GgufFile},
};
pub use decoder::{Adapter, Decoder, DecoderError, Executor, KvCache, KvPrecision};
pub use model::{Model, ModelError, ModelFacts};
pub use pull::{NoProgress, Progress, PullError, pull};
pub use response::{ResponseFilter, ResponseRules};
pub use sampler::Sampler;
pub use source::{ModelSource, SourceError};
pub use stop::StopMatcher;
pub use template::{ChatTemplate, TemplateError};
pub use threads::Threads;
pub use tokenizer::{TextStream, Tokenizer, TokenizerError};

/// Cores of this machine that compute on their own; hyper-threads share one.
#[must_use]
pub fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    candle_core::utils::get_num_threads().clamp(1, allowed)
}
