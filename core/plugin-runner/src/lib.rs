//! Loads a plugin's library and speaks with the bot about it.
//!
//! The library half ([`loader`], [`frame`]) is used by `core/plugin-host` too, for plugins that run in its
//! own process. The binary half is the child process: it locks itself in ([`sandbox`]), loads one plugin
//! and serves frames until the bot ends it ([`serve`]).
#![expect(unsafe_code, reason = "the C ABI is called here, and libraries are opened")]

pub mod frame;
pub mod loader;
pub mod sandbox;
pub mod serve;

pub use frame::{Frame, FrameError, FrameKind};
pub use loader::{HostCalls, Instance, LoadError, LoadedLibrary, Outcome, read_note};
pub use sandbox::{KernelFeatures, Limits, SandboxReport};
pub use serve::{RunnerHello, RunnerSetup};
