//! The web page's side of Bedside: one page, three endpoints, no build step, no external request.
//!
//! `POST /api/messages` takes what the patient writes, `GET /api/events` streams what is said. The store is
//! the mailbox: the stream replays its transcript from where the page left off, so a reload, a second tab or
//! a restart of the bot neither loses nor doubles a message. A conversation belongs to a random session cookie.
//!
//! On the same port programs ask the model itself, in OpenAI's protocol under `/v1`.
#![forbid(unsafe_code)]

mod body;
mod config;
mod connector;
mod events;
mod guard;
mod messages;
mod openai;
mod page;
mod refusal;
mod rooms;
mod server;
mod session;

pub use config::{WebConfig, WebContext};
pub use connector::WebConnector;
pub use openai::ApiConfig;
