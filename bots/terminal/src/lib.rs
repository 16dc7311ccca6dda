//! Bedside in a terminal: `bedside chat`.
//!
//! On a terminal there is a prompt with history, and the answer appears as it is written. In a pipe each line
//! of the input is a message, each answer is printed plain, and the end of the input is the end of the chat.
#![forbid(unsafe_code)]

mod config;
mod connector;
mod input;
mod ledger;
mod screen;
mod words;

pub use config::{Look, Terminal, TerminalConfig};
pub use connector::TerminalConnector;
pub use input::{Input, LineSource};
