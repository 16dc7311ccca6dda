use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Context;
use reqwest::Client;
use tokio::{task::JoinSet, time::interval};

use crate::{
    memory::{MemoryReport, Sample},
    patient::{Progress, Tally, play},
    plan::Plan,
    report::Report,
};

/// Plays all patients to their end; `tell` gets a line of progress each second.
///
/// # Errors
/// If the process whose memory is to be watched is not there.
pub async fn run(plan: Plan, tell: impl Fn(&str)) -> anyhow::Result<Report> {
    // A proxy of the surroundings would be measured too; and a connection that waited may just be closed by the
    // server as the next question is sent, which would count as an error.
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
    let plan = Arc::new(plan);
    let progress = Arc::new(Progress::default());
    let begun = Instant::now();
    let mut samples = Vec::new();
    if let Some(pid) = plan.pid {
        samples.push(Sample::of(pid, 0.0).with_context(|| format!("process {pid}"))?);
    }
    let mut patients = JoinSet::new();
    for patient in 0..plan.patients {
        let (client, plan, progress) = (client.clone(), plan.clone(), progress.clone());
        patients.spawn(async move { play(&client, &plan, patient, &progress).await });
    }
    let mut tally = Tally::default();
    let mut second = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            played = patients.join_next() => match played {
                Some(played) => tally.add(played?),
                None => break,
            },
            _ = second.tick() => {
                let seconds = begun.elapsed().as_secs_f64();
                samples.extend(plan.pid.and_then(|pid| Sample::of(pid, seconds).ok()));
                tell(&line(&progress, seconds));
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    samples.extend(plan.pid.and_then(|pid| Sample::of(pid, seconds).ok()));
    Ok(Report::new(
        plan.patients,
        seconds,
        tally,
        MemoryReport::new(&samples),
    ))
}

fn line(progress: &Progress, seconds: f64) -> String {
    format!(
        "{seconds:.0} s: {} answers, {} tokens, busy {}, errors {}",
        progress.answers.load(Relaxed),
        progress.tokens.load(Relaxed),
        progress.busy.load(Relaxed),
        progress.errors.load(Relaxed),
    )
}
