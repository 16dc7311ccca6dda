//! Slow, plain forward passes of all model families, written from their descriptions: in f32, all tokens at
//! once, without a cache. They are what the fast decoder is compared with, and are themselves compared with
//! golden tensors of the published models.
//!
//! Weights go by the names of the published checkpoints.
#![forbid(unsafe_code)]
#![expect(
    clippy::missing_panics_doc,
    reason = "a test may stop at what it did not expect"
)]

pub mod chatglm;
pub mod chatglm1;
mod fixtures;
mod golden;
pub mod llama;
mod math;
mod prefix;
mod tensors;

use fixtures::fixture;
pub use golden::{Golden, assert_near};
pub use prefix::Prefix;
pub use tensors::{Tensor, Tensors};
