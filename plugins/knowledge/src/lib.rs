//! Finds passages on common conditions, cites them, and says nothing where it knows nothing.
//!
//! A question's names and signs lead (a dictionary of what the articles call their condition and how patients
//! speak of it), BM25 comes second; both together must be sure enough, or there is no passage. Nothing here
//! decides how urgent a message is.
#![forbid(unsafe_code)]

pub mod article;
mod bm25;
mod command;
mod front_matter;
pub mod index;
pub mod library;
mod linker;
pub mod lint;
mod negation;
pub mod passage;
mod phrases;
pub mod placeholders;
mod plugin;
pub mod search;
pub mod section;
mod units;
mod vocabulary;

pub use plugin::{Config, Knowledge};

bedside_plugin_api::export_plugin!(Knowledge);
