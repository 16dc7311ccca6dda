//! The connector against a gateway and a REST API on loopback, with the real store.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod delivery;
mod gateway_fake;
mod interactions;
mod privacy;
mod rest_fake;
mod servers;
mod sessions;
mod world;
