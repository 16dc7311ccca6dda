//! Bedside on Telegram: long polling, answers streamed by edits, buttons.
//!
//! [`TelegramConfig::build`] gives the connector. It speaks the Bot API and nothing else; the one rule it
//! keeps is that an update is confirmed to Telegram (by polling with a higher offset) only after the intake
//! has committed it.
#![forbid(unsafe_code)]

mod chat;
mod config;
mod connector;
mod failure;
mod format;
mod groups;
mod polling;
mod updates;

pub use config::TelegramConfig;
pub use connector::TelegramConnector;

/// The first word of this connector's conversation keys.
pub const PLATFORM: &str = "telegram";
