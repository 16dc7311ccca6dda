//! Bedside on a WeChat Official Account: the encrypted callback, passive replies within WeChat's
//! 5 seconds × 3 tries, or customer-service messages.
//!
//! [`WechatConfig::build`] gives the connector. The one rule it keeps is that a callback is answered only
//! after the intake has committed its message: until then WeChat asks again.
#![forbid(unsafe_code)]

mod api;
mod config;
mod connector;
mod failure;
mod gate;
mod incoming;
mod outgoing;
mod server;
mod token;
mod windows;
mod words;

pub mod crypto;
pub mod signature;
pub mod xml;

pub use config::{Mode, Replies, WechatConfig, WechatContext};
pub use connector::WechatConnector;
pub use windows::Timing;

/// The first word of this connector's conversation keys.
pub const PLATFORM: &str = "wechat";
