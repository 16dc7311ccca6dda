//! One module a subcommand.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use crate::{
    cli::{AdapterCommand, Cli, Command, ModelCommand, PluginCommand, SecondReaderCommand},
    config::Config,
    logging,
};

mod adapter;
mod ask;
mod bench;
mod chat;
mod check_config;
mod convert;
mod model;
mod plugin;
mod quantize;
mod run;
mod sample_grid;
mod second_reader;
mod triage;

pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = Config::load(cli.config.as_deref())?;
    let command = cli.command.unwrap_or(Command::Run);
    // Commands whose output is the point stay quiet unless something is wrong.
    let quiet = !matches!(command, Command::Run);
    let level = if quiet && config.log.level == "info" {
        "warn"
    } else {
        &config.log.level
    };
    logging::start(&config.log, level)?;
    match command {
        Command::Run => run::run(config),
        Command::Chat => chat::run(config),
        Command::Ask(arguments) => ask::run(config, &arguments),
        Command::Triage(arguments) => triage::run(&config, &arguments),
        Command::SecondReader(SecondReaderCommand::Train { out, files }) => {
            second_reader::train(&config, &out, &files)
        }
        Command::SecondReader(SecondReaderCommand::Explain { json, text }) => {
            second_reader::explain(&config, text.as_deref(), json)
        }
        Command::Model(ModelCommand::Pull { source }) => model::pull(&config, source.as_ref()),
        Command::Model(ModelCommand::List { json }) => model::list(&config, json),
        Command::Model(ModelCommand::Inspect { file, context, json }) => {
            model::inspect(&config, file.as_deref(), context, json)
        }
        Command::Model(ModelCommand::Convert(arguments)) => convert::run(arguments),
        Command::Model(ModelCommand::Quantize(arguments)) => quantize::run(&arguments),
        Command::Model(ModelCommand::SampleGrid(arguments)) => sample_grid::run(config, &arguments),
        Command::Model(ModelCommand::Bench(arguments)) => bench::run(&config, &arguments),
        Command::Adapter(AdapterCommand::Inspect { path, base, json }) => {
            adapter::inspect(&path, base.as_deref(), json)
        }
        Command::Adapter(AdapterCommand::Convert { source, target, base }) => {
            adapter::convert(&config, &source, target, base)
        }
        Command::Adapter(AdapterCommand::List { json }) => adapter::list(&config, json),
        Command::Knowledge(arguments) => {
            plugin::command(config, "bedside.knowledge", "knowledge", &arguments)
        }
        Command::Plugin(PluginCommand::List { json }) => plugin::list(config, json),
        Command::CheckConfig => check_config::run(config, cli.config.as_deref()),
    }
}

/// The words of the command line, or standard input.
fn text_or_standard_input(text: Option<&str>) -> anyhow::Result<String> {
    let text = match text {
        Some(text) => text.to_owned(),
        None => {
            std::io::read_to_string(std::io::stdin()).context("standard input cannot be read as UTF-8")?
        }
    };
    anyhow::ensure!(
        !text.trim().is_empty(),
        "there is no text: give it as an argument or on standard input"
    );
    Ok(text)
}

/// The data directory, made if it is not there, readable by its owner only.
fn make_data_dir(config: &Config) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;

    let dir = config.data_dir()?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|error| {
            anyhow::anyhow!(
                "data_dir: {} cannot be made: {error}; set data_dir or BEDSIDE_DATA_DIR",
                dir.display()
            )
        })?;
    Ok(dir)
}
