//! Finds plugins, starts them, keeps them apart and answers for those that fail.
//!
//! [`PluginHost`] is the bot's [`bedside_contract::Plugins`]. Behind it stands one task a plugin
//! (`supervisor`), which holds one `session` at a time with the plugin's child process (`child`) or, if the
//! operator trusts it, with a thread of this process (`inprocess`). What plugins ask of the bot goes through
//! one place (`calls`), which checks permissions.
//!
//! Whatever a plugin does, a hook ends within its deadline and the bot goes on.
#![forbid(unsafe_code)]

mod calls;
mod child;
pub mod config;
pub mod discovery;
mod forget;
mod handle;
mod hooks;
mod host;
mod inprocess;
mod job;
mod limiter;
pub mod manifest;
mod opaque;
mod problem;
mod session;
mod supervisor;

pub use bedside_plugin_api::msg::Contacts;
pub use bedside_plugin_runner::KernelFeatures;
pub use config::{PluginsConfig, SandboxPolicy};
pub use host::{Inspection, LibraryNote, PluginHost, PluginHostSetup};
pub use job::JobHandle;
pub use manifest::{Manifest, ManifestError};
