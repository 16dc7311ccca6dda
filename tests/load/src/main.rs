//! `bedside-load`: how a chat server holds up when many patients ask at once.
#![forbid(unsafe_code)]

use std::{io::Write, time::Duration};

use anyhow::{Context, ensure};
use bedside_load::{Plan, run};
use clap::Parser;

/// Plays patients who chat all at once with a server that speaks OpenAI's protocol.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the server is, with the version.
    #[arg(long, default_value = "http://127.0.0.1:8080/v1")]
    base_url: String,
    #[arg(long)]
    api_key: Option<String>,
    /// Names of models, dealt round robin to the patients.
    #[arg(long, visible_alias = "model", value_delimiter = ',')]
    models: Vec<String>,
    /// Numbers of llama-server's LoRA adapters, dealt round robin.
    #[arg(long, value_delimiter = ',')]
    lora_ids: Vec<u32>,
    /// Ids of tokens that must not be generated: with the model's end tokens every answer has its full length.
    #[arg(long, value_delimiter = ',')]
    never: Vec<u32>,
    #[arg(long, default_value_t = 8)]
    patients: usize,
    /// Questions of one chat.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// Length of the system prompt, which all patients share.
    #[arg(long, default_value_t = 600)]
    system_tokens: usize,
    #[arg(long, default_value_t = 120)]
    question_tokens: usize,
    #[arg(long, default_value_t = 64)]
    answer_tokens: usize,
    /// So long every patient begins a new chat after the last one, e.g. 90s, 10m, 2h. Default: one chat each.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// How long one answer may take.
    #[arg(long, value_parser = duration, default_value = "5m")]
    timeout: Duration,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's process, to watch its memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let json = arguments.json;
    let report = run(arguments.plan(), |line| {
        let _closed_pipe = writeln!(std::io::stderr(), "{line}");
    })
    .await?;
    let text = if json {
        serde_json::to_string(&report)?
    } else {
        report.to_string()
    };
    writeln!(std::io::stdout(), "{text}")?;
    ensure!(report.answers > 0, "not one question was answered");
    Ok(())
}

impl Arguments {
    fn plan(self) -> Plan {
        Plan {
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            api_key: self.api_key,
            models: self.models,
            lora_ids: self.lora_ids,
            never: self.never,
            patients: self.patients,
            turns: self.turns,
            system_tokens: self.system_tokens,
            question_tokens: self.question_tokens,
            answer_tokens: self.answer_tokens,
            duration: self.duration,
            timeout: self.timeout,
            seed: self.seed,
            pid: self.pid,
        }
    }
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let (number, seconds) = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)))
        .context("needs a unit: s, m or h")?;
    let number: u64 = number.parse().context("needs a whole number")?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("10m").unwrap(), Duration::from_secs(600));
        assert_eq!(duration("2h").unwrap(), Duration::from_secs(7200));
        for wrong in ["", "10", "m", "1.5h", "-1s", "1分"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
