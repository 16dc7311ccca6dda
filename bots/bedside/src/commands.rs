//! One module a subcommand.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use crate::{
    cli::{AdapterCommand, Cli, Command, ModelCommand, PluginCommand, SecondReaderCommand},
    config::Config,
    logging,
    output::complain,
};

mod adapter;
mod ask;
mod bench;
mod chat;
mod check_config;
mod control;
mod convert;
mod doctor;
mod model;
mod plugin;
mod quantize;
mod run;
mod sample_grid;
mod second_reader;
mod triage;

pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::Doctor(arguments)) = &cli.command {
        // A configuration that cannot be read is one of its findings.
        return doctor::run(cli.config.as_deref(), arguments);
    }
    let config = match Config::load(cli.config.as_deref()) {
        Ok(config) => config,
        // What is wrong in the file must keep nobody from the bot that runs.
        Err(error) => match (&cli.command, Config::data_dir_alone(cli.config.as_deref())) {
            (Some(Command::Control(command)), Some(data_dir)) => return control::run(&data_dir, command),
            _ => return Err(error.into()),
        },
    };
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
        Command::Run => run::run(config, cli.config),
        Command::Control(command) => control::run(&config.data_dir()?, &command),
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
        Command::Model(ModelCommand::Verify { sources, json }) => model::verify(&config, &sources, json),
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
        Command::CheckConfig => check_config::run(&config, cli.config.as_deref()),
        Command::Doctor(arguments) => doctor::run(cli.config.as_deref(), &arguments),
    }
}

/// The words of the command line, or standard input if there are none or only a `-`.
fn text_or_standard_input(text: Option<&str>) -> anyhow::Result<String> {
    let text = match text {
        Some(text) if text != "-" => text.to_owned(),
        _ => {
            if std::io::stdin().is_terminal() {
                complain("Write, then press Ctrl-D on a line of its own.");
            }
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
