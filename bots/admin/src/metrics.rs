//! What is counted while the bot works.

use std::time::Duration;

use bedside_contract::{
    EscalationResult, GivenUp, Observation, Observer, QueueStage, SendResult, TurnOutcome,
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::labels::Bounded;

/// Counts what it hears of. One for the whole process.
pub struct Metrics {
    pub(crate) registry: Registry,
    platforms: Bounded,
    plugins: Bounded,
    hooks: Bounded,
    places: Bounded,
    ingest_ack: Family<OneLabel, Histogram>,
    duplicates: Counter,
    rate_limits: Family<OneLabel, Counter>,
    queue: Family<OneLabel, Histogram>,
    first_words: Histogram,
    inter_token: Histogram,
    sentences: Family<OneLabel, Counter>,
    turns: Family<OneLabel, Histogram>,
    emergency_notices: Family<OneLabel, Counter>,
    sends: Family<TwoLabels, Counter>,
    unknown_sends: Counter,
    dead_letters: Family<TwoLabels, Counter>,
    escalations: Family<OneLabel, Counter>,
    plugin_problems: Family<TwoLabels, Counter>,
    wrong_keys: Family<OneLabel, Counter>,
}

pub(crate) type OneLabel = [(&'static str, String); 1];
pub(crate) type TwoLabels = [(&'static str, String); 2];

/// A commit takes a millisecond on a good disk, and seconds on one that dies.
const DURABLE: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];
/// Emergency notices in milliseconds, answers of large models in minutes.
const ANSWER: [f64; 13] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];
const TOKEN: [f64; 10] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0];

/// What becomes of a sentence.
const FATES: [&str; 3] = ["kept", "dropped", "withheld"];

fn durable() -> Histogram {
    Histogram::new(DURABLE)
}

fn answer() -> Histogram {
    Histogram::new(ANSWER)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bedside"),
            platforms: Bounded::default(),
            plugins: Bounded::default(),
            hooks: Bounded::default(),
            places: Bounded::default(),
            ingest_ack: Family::new_with_constructor(durable as fn() -> Histogram),
            duplicates: Counter::default(),
            rate_limits: Family::default(),
            queue: Family::new_with_constructor(answer as fn() -> Histogram),
            first_words: answer(),
            inter_token: Histogram::new(TOKEN),
            sentences: Family::default(),
            turns: Family::new_with_constructor(answer as fn() -> Histogram),
            emergency_notices: Family::default(),
            sends: Family::default(),
            unknown_sends: Counter::default(),
            dead_letters: Family::default(),
            escalations: Family::default(),
            plugin_problems: Family::default(),
            wrong_keys: Family::default(),
        };
        metrics.register();
        metrics.expect_all_else();
        metrics
    }
}

impl Metrics {
    /// Shows zeros for this platform from the start: an alert that looks for an increase misses the first one of a
    /// series that did not exist before.
    pub fn expect_platform(&self, name: &str) {
        let platform = || ("platform", self.platforms.value(name));
        drop(self.ingest_ack.get_or_create(&[platform()]));
        drop(self.rate_limits.get_or_create(&[platform()]));
        drop(self.emergency_notices.get_or_create(&[platform()]));
        for result in [
            SendResult::Sent,
            SendResult::Later,
            SendResult::Parked,
            SendResult::NotSent,
            SendResult::Unknown,
            SendResult::Dead,
        ] {
            let result = ("result", result.name().to_owned());
            drop(self.sends.get_or_create(&[platform(), result]));
        }
        for what in [GivenUp::Message, GivenUp::Part] {
            let what = ("what", what.name().to_owned());
            drop(self.dead_letters.get_or_create(&[platform(), what]));
        }
    }

    fn expect_all_else(&self) {
        for result in [
            EscalationResult::Alerted,
            EscalationResult::Failed,
            EscalationResult::Nobody,
        ] {
            let result = ("result", result.name().to_owned());
            drop(self.escalations.get_or_create(&[result]));
        }
        for outcome in [
            TurnOutcome::Answered,
            TurnOutcome::Emergency,
            TurnOutcome::Apology,
            TurnOutcome::GivenBack,
            TurnOutcome::StoreFailed,
            TurnOutcome::Panicked,
        ] {
            let outcome = ("outcome", outcome.name().to_owned());
            drop(self.turns.get_or_create(&[outcome]));
        }
        for stage in [QueueStage::Admission, QueueStage::Model] {
            drop(self.queue.get_or_create(&[("stage", stage.name().to_owned())]));
        }
        for fate in FATES {
            drop(self.sentences.get_or_create(&[("fate", fate.to_owned())]));
        }
        for place in ["admin", "web.api"] {
            let place = ("place", self.places.value(place));
            drop(self.wrong_keys.get_or_create(&[place]));
        }
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "ingest_ack_seconds",
            "From getting a message to its being durable, by platform",
            self.ingest_ack.clone(),
        );
        registry.register(
            "dedupe_hits",
            "Messages that a platform sent again and that were in the store already",
            self.duplicates.clone(),
        );
        registry.register(
            "ratelimit",
            "Messages turned away since their sender writes too fast, by platform",
            self.rate_limits.clone(),
        );
        registry.register(
            "queue_seconds",
            "Waiting of an answer before its work begins: for a place (admission), in the model's queue (model)",
            self.queue.clone(),
        );
        registry.register(
            "ttft_seconds",
            "From the beginning of the work on an answer to the model's first word",
            self.first_words.clone(),
        );
        registry.register(
            "inter_token_seconds",
            "From one token to the next, on average over each answer",
            self.inter_token.clone(),
        );
        registry.register(
            "sentences",
            "Sentences of the model: kept, dropped (unsupported or repeated), withheld by the output gate",
            self.sentences.clone(),
        );
        registry.register(
            "turn_seconds",
            "Work on one message, from its lease to its end, by outcome",
            self.turns.clone(),
        );
        registry.register(
            "emergency_notices",
            "Notices of an emergency written for patients, by platform",
            self.emergency_notices.clone(),
        );
        registry.register(
            "send",
            "Attempts to deliver a part, by platform and result",
            self.sends.clone(),
        );
        registry.register(
            "send_unknown",
            "Deliveries that may have arrived and were tried again: each may have doubled a part",
            self.unknown_sends.clone(),
        );
        registry.register(
            "dead_letter",
            "Messages and parts that were given up, by platform",
            self.dead_letters.clone(),
        );
        registry.register(
            "escalation",
            "Emergency notices that did not arrive in time: staff alerted, failed, nobody configured",
            self.escalations.clone(),
        );
        registry.register(
            "plugin_problems",
            "Hooks of plugins that failed",
            self.plugin_problems.clone(),
        );
        registry.register(
            "auth_fail",
            "Wrong keys, by the section of the configuration that the right one stands in",
            self.wrong_keys.clone(),
        );
    }
}

impl Observer for Metrics {
    fn observe(&self, observation: &Observation<'_>) {
        let platform = |name: &str| ("platform", self.platforms.value(name));
        match *observation {
            Observation::MessageTaken {
                platform: name,
                durable_after,
            } => observe(&self.ingest_ack, &[platform(name)], durable_after),
            Observation::Duplicate { .. } => {
                self.duplicates.inc();
            }
            Observation::RateLimited { platform: name } => count(&self.rate_limits, &[platform(name)]),
            Observation::Queued { stage, waited } => {
                observe(&self.queue, &[("stage", stage.name().to_owned())], waited);
            }
            Observation::FirstWords { after } => self.first_words.observe(after.as_secs_f64()),
            Observation::InterToken { mean } => self.inter_token.observe(mean.as_secs_f64()),
            Observation::Sentences {
                kept,
                dropped,
                withheld,
            } => {
                for (fate, count) in FATES.into_iter().zip([kept, dropped, withheld]) {
                    let counter = self.sentences.get_or_create(&[("fate", fate.to_owned())]);
                    counter.inc_by(count as u64);
                }
            }
            Observation::TurnFinished { took, outcome } => {
                observe(&self.turns, &[("outcome", outcome.name().to_owned())], took);
            }
            Observation::EmergencyNotice { platform: name } => {
                count(&self.emergency_notices, &[platform(name)]);
            }
            Observation::PartSent {
                platform: name,
                result,
            } => {
                count(
                    &self.sends,
                    &[platform(name), ("result", result.name().to_owned())],
                );
                if result == SendResult::Unknown {
                    self.unknown_sends.inc();
                }
            }
            Observation::DeadLetter { platform: name, what } => {
                count(
                    &self.dead_letters,
                    &[platform(name), ("what", what.name().to_owned())],
                );
            }
            Observation::Escalation { result } => {
                count(&self.escalations, &[("result", result.name().to_owned())]);
            }
            Observation::PluginProblem { plugin, hook } => {
                let plugin = ("plugin", self.plugins.value(plugin));
                count(&self.plugin_problems, &[plugin, ("hook", self.hooks.value(hook))]);
            }
            Observation::WrongKey { place } => {
                count(&self.wrong_keys, &[("place", self.places.value(place))]);
            }
        }
    }
}

fn count<const N: usize>(
    counters: &Family<[(&'static str, String); N], Counter>,
    labels: &[(&'static str, String); N],
) {
    counters.get_or_create(labels).inc();
}

fn observe(histograms: &Family<OneLabel, Histogram>, labels: &OneLabel, time: Duration) {
    histograms.get_or_create(labels).observe(time.as_secs_f64());
}
