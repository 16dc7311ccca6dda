//! Bedside on Discord: private messages, slash commands and buttons, answers streamed by edits.
//!
//! [`DiscordConfig::build`] gives the connector. The one rule it keeps is that an event counts as received (in
//! heartbeats, in the session that is resumed after a restart) only after the intake has committed it.
//!
//! ```text
//! gateway ──▶ connection: frames, heartbeats ──▶ inbound: commit in order, acknowledge
//!                                                    │ open interactions
//! rest ◀── connector: preview, deliver ◀─────────────┘
//! ```
#![forbid(unsafe_code)]

mod acknowledge;
mod backfill;
mod commands;
mod config;
mod connection;
mod connector;
mod events;
mod failure;
mod forgotten;
mod format;
mod gateway;
mod groups;
mod inbound;
mod interactions;
mod outgoing;
mod rest;
mod session;

pub use config::DiscordConfig;
pub use connector::DiscordConnector;

/// The first word of this connector's conversation keys.
pub const PLATFORM: &str = "discord";
