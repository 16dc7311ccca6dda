//! A message's way through the bot: intake, gates, lanes, hooks, prompt, commands, consent, delivery.
//!
//! Floors, each of which knows only those below it (tests/tests/architecture.rs):
//! `bot` → `dispatcher` → `turn` → `answer` → `delivery` → `context`. What stands behind store, generator, plugins and
//! connectors is wired by the binary. Nothing here knows a platform by name.
#![forbid(unsafe_code)]

mod answer;
mod bot;
mod context;
mod delivery;
mod dispatcher;
mod turn;

pub use answer::{AnswerReport, Timings, third_reader::THIRD_READER_PARAMETERS};
pub use bot::{Bot, BotParts, Question, QuestionCounts};
pub use context::{
    ModelPlace,
    config::{AiLabel, RuntimeConfig, ThirdReader},
    live_config::LiveConfig,
    red_flags::emergency_part,
    words::{Variable, say, say_with},
};
pub use delivery::{escalation::Escalations, split::split_text};
