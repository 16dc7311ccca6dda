//! A model on another machine, behind the same trait as the engine: any OpenAI-compatible server (vLLM,
//! SGLang, llama-server).
//!
//! ```text
//! generate() → turns (positions, priorities) → attempts → events of the HTTP stream → Generation::next()
//! ```
#![forbid(unsafe_code)]

mod answer;
mod body;
mod config;
mod estimate;
mod failure;
mod field;
mod generator;
mod habits;
mod parameters;
mod piece;
mod probe;
mod server;
mod sse;
mod stop;
mod thought;
mod turns;

pub use config::{RemoteConfig, RemoteConfigError};
pub use generator::RemoteGenerator;
