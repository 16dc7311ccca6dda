//! Bedside: reads the config, wires all parts, runs.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod config;
mod escalation;
mod language_model;
mod logging;
mod output;
mod service_manager;
mod wiring;

use std::process::ExitCode;

use bedside_contract::ConnectorError;
use clap::Parser;

use crate::{cli::Cli, config::ConfigError, output::complain};

/// 0 done, 1 failed, 2 wrong use (from clap), 64 bad config.
const BAD_CONFIG: u8 = 64;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("bedside: {error:#}"));
            let bad_config = error.downcast_ref::<ConfigError>().is_some()
                || matches!(error.downcast_ref(), Some(ConnectorError::Config { .. }));
            ExitCode::from(if bad_config { BAD_CONFIG } else { 1 })
        }
    }
}
