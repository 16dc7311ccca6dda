//! All metrics as text.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use crate::{
    figures::{EngineFigures, Snapshot, StoreFigures},
    labels::text,
    metrics::Metrics,
    process::Process,
};

/// In the OpenMetrics format: what was counted, what is now, and what the kernel knows.
pub(crate) fn open_metrics(
    metrics: &Metrics,
    snapshot: &Snapshot,
    process: &Process,
) -> Result<String, fmt::Error> {
    let mut out = String::new();
    encode_registry(&mut out, &metrics.registry)?;
    encode_registry(&mut out, &bot(snapshot))?;
    encode_registry(&mut out, &kernel(process))?;
    encode_eof(&mut out)?;
    Ok(out)
}

/// Label names and values.
type Labels = Vec<(String, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), text(value)))
        .collect()
}

fn bot(snapshot: &Snapshot) -> Registry {
    let mut registry = Registry::with_prefix("bedside");
    let version = labels([("version", snapshot.version.as_str())]);
    gauges(
        &mut registry,
        "build_info",
        "The version of the program",
        [(version, 1.0)],
    );
    gauge(
        &mut registry,
        "ready",
        "Whether patients can be answered now",
        flag(snapshot.is_ready()),
    );
    gauge(
        &mut registry,
        "model_ready",
        "Whether a model is loaded",
        flag(snapshot.model.is_some()),
    );
    if let Some(model) = &snapshot.model {
        let sha256 = model.sha256.as_deref().unwrap_or_default();
        let of_model = labels([
            ("name", model.name.as_str()),
            ("architecture", model.architecture.as_str()),
            ("sha256", sha256),
        ]);
        gauges(
            &mut registry,
            "model_info",
            "The model that answers",
            [(of_model, 1.0)],
        );
    }
    gauge(
        &mut registry,
        "store_poisoned",
        "Whether the store takes no more writes: the bot must be restarted",
        flag(!snapshot.health.store),
    );
    let connectors = snapshot.health.connectors.iter();
    gauges(
        &mut registry,
        "connector_up",
        "Whether a platform is connected; one that was refused for good is not",
        connectors.map(|(platform, receives)| (labels([("platform", platform.as_str())]), flag(*receives))),
    );
    plugins(&mut registry, snapshot);
    if let Some(store) = &snapshot.store {
        waiting(&mut registry, store);
    }
    if let Some(engine) = &snapshot.engine {
        model_engine(&mut registry, engine);
    }
    registry
}

fn plugins(registry: &mut Registry, snapshot: &Snapshot) {
    let states = snapshot.plugins.iter().map(|it| {
        let of_plugin = labels([
            ("plugin", it.id.as_str()),
            ("version", it.version.as_str()),
            ("state", it.state.as_str()),
        ]);
        (of_plugin, 1.0)
    });
    gauges(
        registry,
        "plugin_state",
        "The state of each plugin, as a label",
        states,
    );
    let up = snapshot
        .plugins
        .iter()
        .filter(|it| it.state != "disabled")
        .map(|it| (labels([("plugin", it.id.as_str())]), flag(it.state == "ready")));
    gauges(
        registry,
        "plugin_up",
        "Whether a plugin that is switched on is ready",
        up,
    );
    let restarts = snapshot
        .plugins
        .iter()
        .map(|it| (labels([("plugin", it.id.as_str())]), u64::from(it.restarts)));
    counters(
        registry,
        "plugin_restarts",
        "How often a plugin was started again",
        restarts,
    );
}

fn waiting(registry: &mut Registry, store: &StoreFigures) {
    let seconds = |age: Option<std::time::Duration>| age.unwrap_or_default().as_secs_f64();
    gauge(
        registry,
        "inbox_depth",
        "Accepted messages without an end",
        number(store.inbox_depth),
    );
    gauge(
        registry,
        "inbox_oldest_age_seconds",
        "Age of the oldest of them",
        seconds(store.inbox_oldest),
    );
    let states = [
        ("pending", store.outbox_pending),
        ("sending", store.outbox_sending),
        ("unknown", store.outbox_unknown),
        ("parked", store.outbox_parked),
    ];
    gauges(
        registry,
        "outbox_depth",
        "Parts that no platform has confirmed yet; parked ones wait until their patient writes",
        states.map(|(state, depth)| (labels([("state", state)]), number(depth))),
    );
    gauge(
        registry,
        "outbox_oldest_age_seconds",
        "Age of the oldest part that does not wait for its patient",
        seconds(store.outbox_oldest),
    );
    let dead = [("message", store.dead_messages), ("part", store.dead_parts)];
    gauges(
        registry,
        "dead_letters_kept",
        "Messages and parts in the store that were given up",
        dead.map(|(what, kept)| (labels([("what", what)]), number(kept))),
    );
    gauge(
        registry,
        "audit_head_seq",
        "The number of the newest audit record",
        number(store.audit_head),
    );
}

fn model_engine(registry: &mut Registry, engine: &EngineFigures) {
    let places = |it: usize| number(u64::try_from(it).unwrap_or(u64::MAX));
    let sequences = [("running", engine.running), ("waiting", engine.waiting)];
    gauges(
        registry,
        "sequences",
        "Requests to the model, running and waiting",
        sequences.map(|(state, count)| (labels([("state", state)]), places(count))),
    );
    gauge(
        registry,
        "kv_blocks",
        "Blocks of the key-value cache",
        places(engine.blocks),
    );
    gauge(
        registry,
        "kv_blocks_used",
        "Blocks of the key-value cache that running requests use",
        places(engine.blocks_used),
    );
    let usage = if engine.blocks == 0 {
        0.0
    } else {
        places(engine.blocks_used) / places(engine.blocks)
    };
    gauge(
        registry,
        "kv_usage_ratio",
        "Share of the key-value cache that is in use, 0 to 1",
        usage,
    );
    let requests = [
        ("finished", engine.finished),
        ("cancelled", engine.cancelled),
        ("failed", engine.failed),
        ("rejected", engine.rejected),
    ];
    counters(
        registry,
        "generations",
        "Requests to the model by their end; rejected: the queue was full",
        requests.map(|(result, count)| (labels([("result", result)]), count)),
    );
    let tokens = [
        ("prompt", engine.prompt_tokens),
        ("reused", engine.reused_tokens),
        ("generated", engine.generated_tokens),
        ("guessed", engine.guessed_tokens),
        ("guessed-right", engine.right_guesses),
    ];
    counters(
        registry,
        "tokens",
        "Tokens by kind; reused ones are prompt tokens that were known from earlier prompts",
        tokens.map(|(kind, count)| (labels([("kind", kind)]), count)),
    );
}

/// Under the names that every Prometheus client gives them.
fn kernel(process: &Process) -> Registry {
    let mut registry = Registry::with_prefix("process");
    if let Some(seconds) = process.cpu_seconds {
        registry.register(
            "cpu_seconds",
            "User and system time spent",
            ConstCounter::new(seconds),
        );
    }
    let figures = [
        (
            "start_time_seconds",
            "Start of the process, seconds since 1970",
            process.start_time_seconds,
        ),
        (
            "resident_memory_bytes",
            "Memory in use, mapped models included",
            process.resident_bytes,
        ),
        (
            "virtual_memory_bytes",
            "Size of the address space",
            process.virtual_bytes,
        ),
        ("threads", "Threads of the process", process.threads),
        ("open_fds", "Open file descriptors", process.open_fds),
        (
            "max_fds",
            "Most file descriptors that may be open",
            process.max_fds,
        ),
    ];
    for (name, help, value) in figures {
        if let Some(value) = value {
            gauge(&mut registry, name, help, value);
        }
    }
    registry
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: f64) {
    registry.register(name, help, ConstGauge::new(value));
}

fn gauges(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
    let family = Gauges::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// Exact up to nine quadrillions, which nothing here reaches.
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_contract::{BotHealth, GivenUp, Observation, Observer, PluginStatus, SendResult};

    use super::open_metrics;
    use crate::{
        figures::{EngineFigures, Snapshot, StoreFigures},
        metrics::Metrics,
        plain::plain,
        process::Process,
    };

    fn snapshot() -> Snapshot {
        let plugin = |id: &str, state: &str, restarts| PluginStatus {
            id: id.to_owned(),
            version: "1.2.3".to_owned(),
            state: state.to_owned(),
            place: "child process".to_owned(),
            sandbox: "full".to_owned(),
            restarts,
            last_problem: Some("the words of a plugin".to_owned()),
        };
        Snapshot {
            version: "0.1.0".to_owned(),
            model: None,
            engine: Some(EngineFigures {
                running: 2,
                blocks: 8,
                blocks_used: 2,
                generated_tokens: 77,
                ..EngineFigures::default()
            }),
            health: BotHealth {
                room: bedside_contract::Room::Enough,
                store: true,
                connectors: vec![("page".to_owned(), true), ("pager".to_owned(), false)],
            },
            store: Some(StoreFigures {
                inbox_depth: 3,
                inbox_oldest: Some(Duration::from_millis(1500)),
                outbox_parked: 4,
                audit_head: 9,
                ..StoreFigures::default()
            }),
            plugins: vec![
                plugin("a.b", "ready", 2),
                plugin("c.d", "quarantined", 0),
                plugin("e.f", "disabled", 0),
            ],
        }
    }

    fn shown(metrics: &Metrics) -> String {
        plain(&open_metrics(metrics, &snapshot(), &Process::default()).unwrap())
    }

    #[track_caller]
    fn check(text: &str, line: &str) {
        assert!(text.lines().any(|it| it == line), "{line} is not in:\n{text}");
    }

    #[test]
    fn figures_of_the_moment_are_shown() {
        let text = shown(&Metrics::default());
        for line in [
            "bedside_build_info{version=\"0.1.0\"} 1.0",
            "bedside_ready 0.0",
            "bedside_store_poisoned 0.0",
            "bedside_connector_up{platform=\"page\"} 1.0",
            "bedside_connector_up{platform=\"pager\"} 0.0",
            "bedside_plugin_up{plugin=\"a.b\"} 1.0",
            "bedside_plugin_up{plugin=\"c.d\"} 0.0",
            "bedside_plugin_restarts_total{plugin=\"a.b\"} 2",
            "bedside_inbox_depth 3.0",
            "bedside_inbox_oldest_age_seconds 1.5",
            "bedside_outbox_depth{state=\"parked\"} 4.0",
            "bedside_audit_head_seq 9.0",
            "bedside_sequences{state=\"running\"} 2.0",
            "bedside_kv_usage_ratio 0.25",
            "bedside_tokens_total{kind=\"generated\"} 77",
        ] {
            check(&text, line);
        }
        assert!(!text.contains("plugin_up{plugin=\"e.f\"}"), "it is switched off");
        assert!(!text.contains("the words of a plugin"), "{text}");
    }

    #[test]
    fn what_happens_is_counted_from_zero() {
        let metrics = Metrics::default();
        metrics.expect_platform("page");
        let zeros = shown(&metrics);
        check(
            &zeros,
            "bedside_dead_letter_total{platform=\"page\",what=\"part\"} 0",
        );
        check(&zeros, "bedside_send_total{platform=\"page\",result=\"sent\"} 0");
        check(&zeros, "bedside_escalation_total{result=\"nobody\"} 0");
        check(&zeros, "bedside_auth_fail_total{place=\"admin\"} 0");

        let platform = "page";
        metrics.observe(&Observation::MessageTaken {
            platform,
            durable_after: Duration::from_millis(2),
        });
        let result = SendResult::Unknown;
        metrics.observe(&Observation::PartSent { platform, result });
        let what = GivenUp::Part;
        metrics.observe(&Observation::DeadLetter { platform, what });
        metrics.observe(&Observation::Sentences {
            kept: 5,
            dropped: 0,
            withheld: 2,
        });
        metrics.observe(&Observation::WrongKey { place: "web.api" });
        let text = shown(&metrics);
        for line in [
            "bedside_ingest_ack_seconds_count{platform=\"page\"} 1",
            "bedside_ingest_ack_seconds_bucket{le=\"0.001\",platform=\"page\"} 0",
            "bedside_ingest_ack_seconds_bucket{le=\"0.0025\",platform=\"page\"} 1",
            "bedside_send_total{platform=\"page\",result=\"unknown\"} 1",
            "bedside_send_unknown_total 1",
            "bedside_dead_letter_total{platform=\"page\",what=\"part\"} 1",
            "bedside_sentences_total{fate=\"withheld\"} 2",
            "bedside_auth_fail_total{place=\"web.api\"} 1",
        ] {
            check(&text, line);
        }
    }

    #[test]
    fn no_name_stands_twice_and_each_is_explained() {
        let text = shown(&Metrics::default());
        let mut names: Vec<&str> = text
            .lines()
            .filter_map(|it| it.strip_prefix("# TYPE "))
            .filter_map(|it| it.split(' ').next())
            .collect();
        let count = names.len();
        assert!(count > 25, "{text}");
        for name in &names {
            let help = format!("# HELP {name} ");
            assert_eq!(text.matches(&help).count(), 1, "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_conversation_never_becomes_a_label() {
        let metrics = Metrics::default();
        for number in 0..100 {
            let platform = format!("web:page:{number}");
            let result = SendResult::Sent;
            metrics.observe(&Observation::PartSent {
                platform: &platform,
                result,
            });
        }
        let text = shown(&metrics);
        assert!(!text.contains("web:page"), "{text}");
        check(
            &text,
            "bedside_send_total{platform=\"other\",result=\"sent\"} 100",
        );
    }
}
