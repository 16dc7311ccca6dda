//! Bedside: reads the config, wires all parts, runs.
#![forbid(unsafe_code)]

mod admin;
mod cli;
mod commands;
mod config;
mod control;
mod escalation;
mod language_model;
mod logging;
mod output;
mod reload_state;
mod service_manager;
mod switched_generator;
mod whole_config;
mod wiring;

use std::process::ExitCode;

use bedside_contract::{ConnectorError, StoreError};
use clap::Parser;

use crate::{cli::Cli, config::ConfigError, output::complain};

/// 0 done, 1 failed, 2 wrong use (from clap), 3 no bot runs (commands/control.rs), 64 bad config, 65 a damaged store.
const BAD_CONFIG: u8 = 64;
const DAMAGED_STORE: u8 = 65;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("bedside: {error:#}"));
            let bad_config = error.downcast_ref::<ConfigError>().is_some()
                || matches!(error.downcast_ref(), Some(ConnectorError::Config { .. }));
            let is_damaged = matches!(error.downcast_ref(), Some(StoreError::Damaged { .. }));
            ExitCode::from(match (bad_config, is_damaged) {
                (true, _) => BAD_CONFIG,
                (_, true) => DAMAGED_STORE,
                _ => 1,
            })
        }
    }
}
