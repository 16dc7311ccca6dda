//! A message's way through the bot: intake, gates, lanes, hooks, prompt, commands, consent, delivery.
//!
//! [`Bot`] owns the way; what stands behind store, generator, plugins and connectors is wired by the
//! binary. Nothing here knows a platform by name.
#![forbid(unsafe_code)]

mod admission;
mod answer;
mod bot;
mod commands;
mod config;
mod consent;
mod delivery;
mod escalation;
mod grounding;
mod lanes;
mod live;
mod pacing;
mod pieces;
mod prompt;
mod red_flags;
mod split;
mod third_reader;
mod turn;
mod urgent;
mod words;

pub use answer::{AnswerReport, Timings};
pub use bot::{Bot, BotParts, Question};
pub use config::{AiLabel, RuntimeConfig, ThirdReader};
pub use escalation::Escalations;
pub use red_flags::emergency_part;
pub use split::split_text;
pub use third_reader::THIRD_READER_PARAMETERS;
pub use words::{Variable, say, say_with};
