//! Keeps one plugin alive, or gives it up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_plugin_api::abi::Hook;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    handle::{Call, Plugin, State},
    limiter::Failures,
    problem::Problem,
    session::{Launch, Place, Session},
};

const HEALTH_EVERY: Duration = Duration::from_secs(60);

/// Starts the plugin, serves its mailbox, starts it again after failures with growing pauses, and ends it
/// when `stop` is cancelled.
pub(crate) async fn supervise(
    plugin: Arc<Plugin>,
    launch: Launch,
    mut mailbox: mpsc::Receiver<Call>,
    stop: CancellationToken,
) {
    let mut failures = Failures::new();
    loop {
        let started = tokio::select! {
            started = Session::start(&launch, plugin.services.clone()) => started,
            () = stop.cancelled() => break,
        };
        let (problem, hung) = match started {
            Ok((mut session, sandbox)) => {
                tracing::info!(plugin = plugin.id(), sandbox = sandbox.state, "plugin is ready");
                plugin.started(sandbox);
                let Some(problem) = serve(&plugin, &mut session, &mut mailbox, &stop).await else {
                    session.end().await;
                    break;
                };
                let hung = session.abandon(&problem).await;
                (problem, hung)
            }
            Err(problem) => {
                // A thread that does not finish its start cannot be ended.
                let late = matches!(problem, Problem::StartDeadline { .. } | Problem::Deadline { .. });
                let hung = launch.place == Place::InProcess && late;
                (problem, hung)
            }
        };
        plugin.note(&problem);
        let pause = if hung {
            None
        } else {
            failures.another(Instant::now())
        };
        let Some(pause) = pause else {
            let state = if hung { State::Hung } else { State::Quarantined };
            tracing::error!(plugin = plugin.id(), %problem, ?state, "plugin is not called any more; see `bedside plugin list`");
            plugin.state.send_replace(state);
            refuse_until(&mut mailbox, stop.cancelled()).await;
            return;
        };
        tracing::warn!(plugin = plugin.id(), %problem, ?pause, "plugin failed and will be started again");
        plugin.state.send_replace(State::Failed);
        refuse_until(&mut mailbox, async {
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        })
        .await;
        if stop.is_cancelled() {
            break;
        }
        plugin.restarting();
    }
    plugin.state.send_replace(State::Stopped);
}

/// Returns the problem that ended the session, or `None` at the bot's end.
async fn serve(
    plugin: &Plugin,
    session: &mut Session,
    mailbox: &mut mpsc::Receiver<Call>,
    stop: &CancellationToken,
) -> Option<Problem> {
    let mut health = interval_at(tokio::time::Instant::now() + HEALTH_EVERY, HEALTH_EVERY);
    health.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            problem = session.idle() => return Some(problem),
            call = mailbox.recv() => {
                let problem = run(plugin, session, call?).await;
                if problem.is_some() {
                    return problem;
                }
            }
            _ = health.tick() => {
                if let Err(problem) = session.check_health().await {
                    return Some(problem);
                }
            }
        }
    }
}

async fn run(plugin: &Plugin, session: &mut Session, call: Call) -> Option<Problem> {
    // Whoever asked may have given up while the call waited.
    if call.reply.is_closed() {
        return None;
    }
    let answer = session.call(call.hook, call.body, call.limit).await;
    let problem = answer.as_ref().err().cloned();
    if let Some(problem) = &problem {
        plugin.note(problem);
        if let Problem::MissingHook { hook } = problem {
            report_missing(plugin, *hook);
        }
    }
    let _ = call.reply.send(answer);
    problem.filter(Problem::ends_the_session)
}

fn report_missing(plugin: &Plugin, hook: Hook) {
    let hook = hook.name();
    tracing::warn!(
        plugin = plugin.id(),
        hook,
        "plugin.toml lists a hook that the library does not have; remove it there"
    );
}

/// Answers calls that came before the plugin's state was known to have changed.
async fn refuse_until(mailbox: &mut mpsc::Receiver<Call>, end: impl Future<Output = ()>) {
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            call = mailbox.recv() => match call {
                Some(call) => drop(call.reply.send(Err(Problem::Unavailable("failed")))),
                None => return,
            }
        }
    }
}
