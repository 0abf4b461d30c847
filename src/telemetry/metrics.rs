//! The metrics of this process: what each means, in which buckets, and how they are rendered for Prometheus.

use std::{sync::OnceLock, time::Duration};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::drain::Tasks;

/// The metrics of this process. There is one recorder per process, which every clone of this renders.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// How often old samples are folded into buckets. Without that, memory grows until the next scrape.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// From what a request in memory takes to the longest timeout that makes sense; base unit seconds.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Powers of four from 64 bytes to 64 MiB.
const BYTES: [f64; 11] = [
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// For what is neither: counts, such as attempts.
const COUNTS: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 10.0, 100.0, 1000.0, 10_000.0];

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

/// Every metric there is. Its name ends in its unit.
const DESCRIBED: [(Kind, &str, Unit, &str); 37] = [
    (
        Gauge,
        "flexgate_build_info",
        Unit::Count,
        "1, labelled with the version",
    ),
    (
        Counter,
        "flexgate_http_requests_total",
        Unit::Count,
        "Requests, by route and class of status",
    ),
    (
        Histogram,
        "flexgate_http_request_duration_seconds",
        Unit::Seconds,
        "From the head of a request to the end of its response, by route",
    ),
    (
        Histogram,
        "flexgate_upstream_response_duration_seconds",
        Unit::Seconds,
        "From a request to an upstream to the head of its response, by route",
    ),
    (
        Gauge,
        "flexgate_http_connections",
        Unit::Count,
        "Open connections of clients, by core",
    ),
    (
        Gauge,
        "flexgate_upstream_connections_idle",
        Unit::Count,
        "Connections to upstreams at rest, by core",
    ),
    (
        Counter,
        "flexgate_upstream_connections_opened_total",
        Unit::Count,
        "Connections that were made to upstreams",
    ),
    (
        Counter,
        "flexgate_upstream_connections_reused_total",
        Unit::Count,
        "Requests that went over a connection that was there",
    ),
    (
        Counter,
        "flexgate_gateway_refusals_total",
        Unit::Count,
        "Requests that the gateway answered itself, and connections that it gave up before there was one, by code",
    ),
    (
        Counter,
        "flexgate_token_key_fetches_total",
        Unit::Count,
        "Fetches of the keys that a provider of tokens publishes, by provider and result",
    ),
    (
        Gauge,
        "flexgate_token_keys_age_seconds",
        Unit::Seconds,
        "How old the keys of a provider of tokens were when they were to be fetched last, by provider",
    ),
    (
        Gauge,
        "flexgate_journal_frozen",
        Unit::Count,
        "1 while the node does not follow the log",
    ),
    (
        Gauge,
        "flexgate_journal_revision",
        Unit::Count,
        "The revision that is served",
    ),
    (
        Gauge,
        "flexgate_journal_generation",
        Unit::Count,
        "The history that is served",
    ),
    (
        Counter,
        "flexgate_commits_total",
        Unit::Count,
        "Transactions of this process, by result",
    ),
    (
        Counter,
        "flexgate_rate_limit_decisions_total",
        Unit::Count,
        "Requests under a limit, by what became of them: passed, refused, or unavailable where Redis is and must be asked",
    ),
    (
        Counter,
        "flexgate_rate_limit_lease_calls_total",
        Unit::Count,
        "Calls that asked Redis for tokens, renewed a lease or gave it back",
    ),
    (
        Counter,
        "flexgate_rate_limit_fallbacks_total",
        Unit::Count,
        "Requests that waited for Redis in vain and were decided without it",
    ),
    (
        Counter,
        "flexgate_rate_limit_redis_failures_total",
        Unit::Count,
        "How often Redis was lost",
    ),
    (
        Gauge,
        "flexgate_rate_limit_budgets",
        Unit::Count,
        "Budgets of single keys and addresses that this node keeps",
    ),
    (
        Gauge,
        "flexgate_http_held_bytes",
        Unit::Bytes,
        "Bytes of request bodies that are held until all of them have been seen",
    ),
    (
        Gauge,
        "flexgate_rate_limit_redis_connections",
        Unit::Count,
        "1 while budgets are shared through Redis, 0 while this node limits by its share",
    ),
    (
        Counter,
        "flexgate_alerts_total",
        Unit::Count,
        "Alerts that this process raised, by type",
    ),
    (
        Counter,
        "flexgate_admin_events_total",
        Unit::Count,
        "Events for the audit log of what was asked of this process and not done, by verb",
    ),
    (
        Counter,
        "flexgate_admin_events_lost_total",
        Unit::Count,
        "Those that did not reach the stream, because NATS took none for too long",
    ),
    (
        Counter,
        "flexgate_outcomes_recorded_total",
        Unit::Count,
        "Requests whose outcome was written to the outbox",
    ),
    (
        Counter,
        "flexgate_outcomes_shipped_total",
        Unit::Count,
        "Outcomes that the stream has acknowledged",
    ),
    (
        Counter,
        "flexgate_outcomes_lost_total",
        Unit::Count,
        "Outcomes that were lost before the stream had them",
    ),
    (
        Gauge,
        "flexgate_outbox_waiting_outcomes",
        Unit::Count,
        "Outcomes that wait in the outbox",
    ),
    (
        Gauge,
        "flexgate_outbox_bytes",
        Unit::Bytes,
        "What the files of the outbox take",
    ),
    (
        Counter,
        "flexgate_outbox_late_files_total",
        Unit::Count,
        "Files of the outbox that a core had to make itself",
    ),
    (
        Counter,
        "flexgate_outcome_frames_total",
        Unit::Count,
        "Frames of outcomes that the stream has acknowledged",
    ),
    (
        Counter,
        "flexgate_outcome_frames_refused_total",
        Unit::Count,
        "Times that the stream did not take a frame",
    ),
    (
        Counter,
        "flexgate_outcomes_projected_total",
        Unit::Count,
        "Outcomes that came into the tables",
    ),
    (
        Counter,
        "flexgate_outcomes_repeated_total",
        Unit::Count,
        "Outcomes that came again and were recognised",
    ),
    (
        Counter,
        "flexgate_dead_letters_total",
        Unit::Count,
        "Messages that a projection could not apply, by projection",
    ),
    (
        Gauge,
        "flexgate_projection_lag_seconds",
        Unit::Seconds,
        "How old what a projection has yet to read is, by projection",
    ),
];

impl Metrics {
    /// The metrics of this process; the recorder is installed by the first call.
    pub fn install() -> Self {
        static METRICS: OnceLock<Metrics> = OnceLock::new();
        METRICS
            .get_or_init(|| {
                let handle = buckets()
                    .install_recorder()
                    .expect("installed here and nowhere else, once");
                describe();
                metrics::gauge!("flexgate_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
                Self(handle)
            })
            .clone()
    }

    /// In the Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps the metrics small for as long as the tasks run.
    pub fn keep(&self, tasks: &Tasks) {
        let (handle, watcher) = (self.0.clone(), tasks.clone());
        tasks.spawn(async move {
            let mut clock = tokio::time::interval(UPKEEP_EVERY);
            while watcher.unless_stopped(clock.tick()).await.is_some() {
                handle.run_upkeep();
            }
        });
    }
}

/// Every histogram has buckets: one without would become a summary, which cannot be added up over nodes.
fn buckets() -> PrometheusBuilder {
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES))
        .expect("none of the lists is empty")
}

fn describe() {
    for (kind, name, unit, meaning) in DESCRIBED {
        match kind {
            Counter => describe_counter!(name, unit, meaning),
            Gauge => describe_gauge!(name, unit, meaning),
            Histogram => describe_histogram!(name, unit, meaning),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_measured_in_which_unit() {
        for (kind, name, unit, _) in DESCRIBED {
            assert!(name.starts_with("flexgate_"), "{name}");
            match (kind, unit) {
                (Counter, _) => assert!(name.ends_with("_total"), "{name}"),
                (_, Unit::Seconds) => assert!(name.ends_with("_seconds"), "{name}"),
                (_, Unit::Bytes) => assert!(name.ends_with("_bytes"), "{name}"),
                _ => {}
            }
        }
    }

    #[test]
    fn a_histogram_is_rendered_with_buckets() {
        let metrics = Metrics::install();
        metrics::histogram!("flexgate_http_request_duration_seconds", "route" => "r").record(0.003);
        let text = metrics.render();
        let bucket = r#"flexgate_http_request_duration_seconds_bucket{route="r",le="0.005"} 1"#;
        assert!(text.contains(bucket), "{text}");
    }
}
