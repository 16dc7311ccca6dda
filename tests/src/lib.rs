//! The black-box harness: it starts the real `bedside`, plays its patients and its platforms, and breaks
//! what lies between.
//!
//! Nothing here links a crate of the bot: what a test sees is what a hospital sees.
#![forbid(unsafe_code)]

pub mod bot;
mod cuttable;
pub mod discord_fake;
pub mod eventually;
pub mod fault_proxy;
pub mod hospital;
mod json_lines;
pub mod patients;
pub mod places;
pub mod shown;
pub mod staged_plugins;
pub mod telegram_fake;
pub mod web_client;
pub mod wechat_fake;

pub use bot::{Bot, BotOptions, run_bedside};
pub use discord_fake::{DiscordFake, DiscordUser};
pub use eventually::{eventually, holds_for};
pub use fault_proxy::{Fault, FaultProxy};
pub use hospital::Hospital;
pub use patients::{Heard, Patient};
pub use telegram_fake::{TelegramFake, TelegramUser};
pub use web_client::{Entry, WebClient};
pub use wechat_fake::{Replies, WechatFake, WechatUser};
