//! Serves a model to many conversations at once: a bounded queue with priorities, a thread that makes one
//! pass after the other over all that runs, memory of what was read before, and streams of text.
//!
//! ```text
//! generate() → queue ─┐                                                 ┌→ events → Generation::next()
//!                     └→ engine's own thread: admit → plan → pass → draw ┘
//! ```
#![forbid(unsafe_code)]

mod batch;
mod blocks;
mod config;
mod engine;
mod generation;
mod job;
mod loaded;
mod lookup;
mod queue;
mod sequence;
mod worker;

pub use config::{EngineConfig, ModelConfig};
pub use engine::{Engine, EngineStats};
pub use loaded::memory_need;
