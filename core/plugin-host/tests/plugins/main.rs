//! The plugin system as a whole: real libraries in real processes.
#![expect(clippy::unwrap_used, reason = "a test")]

mod evil;
mod flow;
mod forgetting;
mod rights;
mod support;
