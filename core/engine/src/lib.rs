//! Serves a model to many conversations: a bounded queue with priorities, a thread that generates, a cache
//! of common prompt beginnings, and streams of text.
//!
//! ```text
//! generate() → queue ─┐                      ┌→ events → Generation::next()
//!                     └→ engine's own thread ┘
//! ```
#![forbid(unsafe_code)]

mod config;
mod engine;
mod generation;
mod loaded;
mod prefix;
mod queue;
mod run;
mod worker;

pub use config::{EngineConfig, ModelConfig};
pub use engine::{Engine, EngineStats};
