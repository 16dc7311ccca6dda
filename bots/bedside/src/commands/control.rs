//! What is asked of the running bot: `status`, `reload`, `notices-only`.

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    cli::{ControlCommand, NoticesOnlyState},
    control::{CallError, NoticesOnly, Reloaded, Request, Status, call},
    output::{complain, say},
};

/// No bot runs, as init scripts say it.
const NOT_RUNNING: u8 = 3;

pub(crate) fn run(data_dir: &Path, command: &ControlCommand) -> anyhow::Result<ExitCode> {
    let request = match command {
        ControlCommand::Status { .. }
        | ControlCommand::NoticesOnly {
            state: NoticesOnlyState::Show,
            ..
        } => Request::Status,
        ControlCommand::Reload { .. } => Request::Reload,
        ControlCommand::NoticesOnly { state, .. } => Request::NoticesOnly {
            on: *state == NoticesOnlyState::On,
        },
    };
    let answer = match call(data_dir, &request, |words| complain(&format!("  {words}"))) {
        Ok(answer) => answer,
        Err(error) => {
            complain(&format!("bedside: {error}"));
            return Ok(match error {
                CallError::NotRunning(_) => ExitCode::from(NOT_RUNNING),
                CallError::Failed(_) => ExitCode::FAILURE,
            });
        }
    };
    match command {
        ControlCommand::Status { json } => {
            let status: Status = read(&answer)?;
            tell(*json, &answer, || status_lines(&status));
            Ok(if status.problems.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        ControlCommand::Reload { json } => {
            let reloaded: Reloaded = read(&answer)?;
            tell(*json, &answer, || reload_lines(&reloaded));
            Ok(ExitCode::SUCCESS)
        }
        ControlCommand::NoticesOnly { state, json } => {
            let answer = match state {
                NoticesOnlyState::Show => answer.get("notices_only").cloned().unwrap_or_default(),
                NoticesOnlyState::On | NoticesOnlyState::Off => answer,
            };
            let switch: NoticesOnly = read(&answer)?;
            tell(*json, &answer, || vec![switch_line(&switch)]);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn read<T: DeserializeOwned>(answer: &Value) -> anyhow::Result<T> {
    serde_json::from_value(answer.clone())
        .context("the bot's answer cannot be read, it may be of another version")
}

fn tell(json: bool, answer: &Value, lines: impl FnOnce() -> Vec<String>) {
    if json {
        say(&answer.to_string());
    } else {
        lines().iter().for_each(|line| say(line));
    }
}

fn status_lines(status: &Status) -> Vec<String> {
    let Status {
        model,
        questions,
        store,
        configuration,
        ..
    } = status;
    let mut lines = vec![format!(
        "Bedside {} runs as process {} for {}.",
        status.version,
        status.process,
        length(status.up_seconds)
    )];
    lines.extend(status.problems.iter().map(|it| format!("  PROBLEM:     {it}")));
    lines.push(format!("  answers:     {}", switch_line(&status.notices_only)));
    let at_work = match (model.running, model.queued) {
        (Some(running), Some(queued)) => format!("; {running} requests running, {queued} queued"),
        _ => String::new(),
    };
    let name = model.name.as_deref().unwrap_or(&model.state);
    lines.push(format!("  model:       {name}{at_work}"));
    lines.push(format!(
        "  questions:   {} in work, {} waiting",
        questions.in_work, questions.waiting
    ));
    let oldest = match store.oldest_open_seconds {
        Some(seconds) => format!(", the oldest for {}", length(seconds)),
        None => String::new(),
    };
    lines.push(format!(
        "  open:        {} messages{oldest}; {} parts to deliver",
        store.open_messages, store.waiting_parts
    ));
    lines.push(format!(
        "  given up:    {} messages, {} parts",
        store.dead_messages, store.dead_parts
    ));
    let connectors = status.connectors.iter().map(|it| {
        let state = if it.receives { "ok" } else { "out" };
        format!("{} {state}", it.platform)
    });
    lines.push(format!("  platforms:   {}", listed(connectors)));
    let plugins = status
        .plugins
        .iter()
        .map(|it| format!("{} {} {}", it.id, it.version, it.state));
    lines.push(format!("  plugins:     {}", listed(plugins)));
    let file = configuration.file.as_deref().unwrap_or("none, the defaults");
    lines.push(format!("  config file: {file}"));
    if !configuration.needs_restart.is_empty() {
        let keys = configuration.needs_restart.join(", ");
        lines.push(format!(
            "               changed, and read at the next start: {keys}"
        ));
    }
    lines
}

fn reload_lines(reloaded: &Reloaded) -> Vec<String> {
    let mut lines = vec![if reloaded.took_effect.is_empty() {
        "The configuration is in order; nothing changed that takes effect now.".to_owned()
    } else {
        format!(
            "The configuration is in order. In effect: {}",
            reloaded.took_effect.join(", ")
        )
    }];
    if !reloaded.needs_restart.is_empty() {
        lines.push(format!("Needs a restart: {}", reloaded.needs_restart.join(", ")));
    }
    lines
}

fn switch_line(switch: &NoticesOnly) -> String {
    let why = match (switch.by_operator, switch.by_configuration) {
        (true, true) => "by `bedside notices-only on` and by bot.notices_only",
        (true, false) => "by `bedside notices-only on`",
        (false, true) => "by bot.notices_only",
        (false, false) => "",
    };
    if switch.on {
        format!("SWITCHED OFF {why}: emergency notices only")
    } else {
        "on".to_owned()
    }
}

fn listed(words: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = words.collect();
    if all.is_empty() {
        return "none".to_owned();
    }
    all.join(", ")
}

fn length(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours / 24, hours % 24, minutes % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::{length, reload_lines, status_lines, switch_line};
    use crate::control::{NoticesOnly, Reloaded, Status};

    #[test]
    fn lengths_are_told_in_two_units_at_most() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h 0 min"),
            (86_399, "23 h 59 min"),
            (200_000, "2 d 7 h"),
        ] {
            assert_eq!(length(seconds), expected);
        }
    }

    #[test]
    fn what_is_wrong_stands_first_and_a_switch_that_is_on_cannot_be_overlooked() {
        let status = Status {
            problems: vec!["telegram is out".to_owned()],
            notices_only: NoticesOnly {
                on: true,
                by_operator: true,
                by_configuration: false,
            },
            ..Status::default()
        };
        let lines = status_lines(&status);
        assert!(lines[1].contains("PROBLEM:     telegram is out"), "{lines:?}");
        assert!(
            lines[2].contains("SWITCHED OFF by `bedside notices-only on`"),
            "{lines:?}"
        );
        assert_eq!(switch_line(&NoticesOnly::default()), "on");
    }

    #[test]
    fn a_reload_tells_what_it_did_not_do() {
        let said = reload_lines(&Reloaded {
            took_effect: vec!["bot.hospital".to_owned()],
            needs_restart: vec!["web.listen".to_owned()],
        });
        assert_eq!(
            said,
            [
                "The configuration is in order. In effect: bot.hospital",
                "Needs a restart: web.listen"
            ]
        );
        assert!(reload_lines(&Reloaded::default())[0].contains("nothing changed"));
    }
}
