//! `bedside doctor`: what keeps the bot from running well, or will; each finding with what to do. Nothing of patients
//! and no secret is shown.
//!
//! Every check is a function of facts, which are gathered beside it, so that tests need no broken machine.

mod configuration;
mod cpu;
mod data_directory;
mod finding;
mod listening;
mod machine;
mod model;
mod online;
mod plugins;
mod store;

use std::{
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use bedside_store::{DataDirLock, Holder};

use crate::{cli::DoctorArguments, config::Config, output::say};
use finding::{Finding, Verdict};

pub(crate) fn run(file: Option<&Path>, arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let mut findings = match Config::load(file) {
        Ok(config) => of_configuration(&config, file, arguments.online)?,
        Err(error) => {
            let mut findings = vec![configuration::unreadable(&error.to_string())];
            findings.extend(machine::look(&Config::default(), None));
            findings
        }
    };
    findings.extend(cpu::look());
    tell(&findings, arguments.json)?;
    Ok(if findings.iter().any(|it| it.verdict == Verdict::Problem) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn of_configuration(config: &Config, file: Option<&Path>, online: bool) -> anyhow::Result<Vec<Finding>> {
    let data_dir = match config.data_dir() {
        Ok(data_dir) => data_dir,
        Err(error) => return Ok(vec![configuration::unreadable(&error.to_string())]),
    };
    let mut findings = configuration::look(config, file, &data_dir);
    findings.extend(data_directory::look(&data_dir, config.store.min_free()));
    let holder = match DataDirLock::holder(&data_dir) {
        Ok(holder) => holder,
        Err(error) => {
            findings.push(Finding::problem(
                "lock",
                error.to_string(),
                "run doctor as the bot's own user",
            ));
            None
        }
    };
    let is_running = holder.is_some();
    findings.extend(store::look(&data_dir, now_ms(), is_running));
    findings.extend(listening::look(config, holder));
    findings.extend(model::look(config, &data_dir, is_running));
    findings.extend(plugins::look(config)?);
    findings.extend(machine::look(config, holder.and_then(|Holder(process)| process)));
    if online {
        findings.extend(online::look(config)?);
    }
    Ok(findings)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn tell(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    let count = |verdict| findings.iter().filter(|it| it.verdict == verdict).count();
    let (problems, notes) = (count(Verdict::Problem), count(Verdict::Note));
    if json {
        let body = serde_json::json!({
            "ok": problems == 0, "problems": problems, "notes": notes, "checks": findings,
        });
        say(&serde_json::to_string(&body)?);
        return Ok(());
    }
    for finding in findings {
        finding.lines().iter().for_each(|it| say(it));
    }
    say(&format!("problems: {problems}, notes: {notes}"));
    Ok(())
}
