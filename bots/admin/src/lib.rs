//! The operator's side of Bedside, on a listener of its own: metrics for Prometheus, readiness in detail, and adapters,
//! which decide what patients hear and so have a key of their own.
//!
//! [`Metrics`] counts what the bot tells it of; [`Figures`] are read when somebody asks. No metric holds words of
//! patients or anything that tells one of them from another.
#![forbid(unsafe_code)]

mod access;
mod adapters;
mod config;
mod error;
mod exposition;
mod figures;
mod labels;
mod metrics;
mod plain;
mod process;
mod server;

pub use config::{AdminConfig, AdminContext};
pub use figures::{EngineFigures, Figures, Snapshot, StoreFigures};
pub use metrics::Metrics;
pub use server::Admin;
