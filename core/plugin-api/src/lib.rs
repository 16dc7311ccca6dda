//! All that the author of a Bedside plugin sees.
//!
//! A plugin is a `cdylib` that implements [`Plugin`] and names itself once with [`export_plugin!`]. It reads
//! messages, adds knowledge to prompts, checks answers and offers chat commands; it needs no `unsafe`, no
//! async and no particular compiler version, since only bytes (JSON) cross its border.
//!
//! ```
//! use bedside_plugin_api::{Error, Host, Plugin, msg::{Message, Verdict}};
//!
//! struct Hours {
//!     text: String,
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     open: String,
//! }
//!
//! impl Plugin for Hours {
//!     type Config = Config;
//!
//!     fn new(_host: Host, config: Config) -> Result<Self, Error> {
//!         Ok(Self { text: format!("We are open {}.", config.open) })
//!     }
//!
//!     fn on_message(&mut self, message: &Message) -> Result<Verdict, Error> {
//!         Ok(match message.text.as_str() {
//!             "opening hours?" => Verdict::Reply(self.text.clone()),
//!             _ => Verdict::Continue,
//!         })
//!     }
//! }
//! # use bedside_plugin_api::testing::FakeHost;
//! # let mut hours: Hours = FakeHost::default().start(serde_json::json!({"open": "9 to 5"})).unwrap();
//! # let message = Message { text: "opening hours?".into(), ..Message::default() };
//! # assert_eq!(hours.on_message(&message).unwrap(), Verdict::Reply("We are open 9 to 5.".into()));
//! ```
//! and, outside of any function, `bedside_plugin_api::export_plugin!(Hours);`.
//!
//! Beside the library lies `plugin.toml`, which names the plugin, the hooks that shall be called and what the
//! plugin may ask of the bot. The bot calls no hook and grants no wish that is not in it.
//!
//! # What to rely on
//! - A plugin usually runs in a child process without network, without environment and with a file system of
//!   its package (to read) and its data folder (to write). A crash ends that process only.
//! - Hooks are called one at a time, always from the same thread. Threads of your own may use [`Host`].
//! - A panic drops the plugin; the bot makes a new one. State that must survive belongs in
//!   [`Host::storage_put`].
//! - A hook that takes longer than its deadline gets the process killed.
//! - **Never put a patient's words into errors or log lines.** Operators read them.
#![expect(
    unsafe_code,
    reason = "the C ABI is written here once, so that no plugin needs unsafe"
)]

pub mod abi;
mod error;
#[doc(hidden)]
pub mod export;
mod host;
pub mod msg;
pub mod note;
mod plugin;
pub mod testing;

pub use error::Error;
pub use host::Host;
pub use plugin::Plugin;
