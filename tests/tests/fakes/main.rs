//! The fake platforms are only worth something if they behave: they are checked here without the bot.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod discord;
mod telegram;
mod wechat;
