//! The connector against WeChat's servers on loopback: who is let in, passive replies, the API.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod bot_around;
mod customer_service;
mod entrance;
mod passive;
mod secrecy;
mod servers;
