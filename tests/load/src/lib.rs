//! Plays patients who chat all at once with a server that speaks OpenAI's protocol, and measures what they wait for.
//!
//! Closed loop: a patient sends the next question when the answer to the last one has ended.
//! [`run()`] plays a [`Plan`] and returns a [`Report`].
#![forbid(unsafe_code)]

mod memory;
mod patient;
mod plan;
mod report;
mod request;
mod run;
mod sse;
mod words;

pub use crate::{
    memory::{MemoryReport, Trend},
    plan::Plan,
    report::{Report, Spread},
    run::run,
};
