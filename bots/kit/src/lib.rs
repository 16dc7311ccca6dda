//! What connectors to chat platforms have in common: configuration, HTTP both ways, limits and patience.
//!
//! `docs/connectors.md` tells how a connector is written with it. Nothing here knows a platform.
#![forbid(unsafe_code)]

mod access_key;
mod address;
mod backoff;
mod client;
mod limit;
mod listen;
mod secret;
mod serve;
mod wrong_keys;

pub use access_key::{AccessKey, bearer};
pub use address::TrustedProxies;
pub use backoff::Backoff;
pub use client::{Scheme, checked_url, http_client, is_loopback};
pub use limit::KeyedLimit;
pub use listen::bind;
pub use secret::{Secret, read_secret};
pub use serve::{ConnectionLimits, serve};
pub use wrong_keys::WrongKeys;

use bedside_contract::ConnectorError;

/// What is wrong with the configuration's `key`, whole (`telegram.token`).
#[must_use]
pub fn wrong(key: impl Into<String>, reason: impl Into<String>) -> ConnectorError {
    ConnectorError::Config {
        key: key.into(),
        reason: reason.into(),
    }
}
