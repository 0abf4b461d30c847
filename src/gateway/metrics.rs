//! The data plane's metrics. Handles are made once and kept where requests find them; looking one up per request would
//! cost more than matching the route.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use flexgate_schemas::RouteId;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::exchange::Exchange;

/// The most routes with series of their own; those after share the label `other`, so that the number of series stays
/// bounded whatever is configured.
const ROUTES_MAX: usize = 1000;
/// How many routes have series of their own.
static ROUTES: AtomicUsize = AtomicUsize::new(0);

/// The label of requests that no route took.
const NO_ROUTE: &str = "none";

/// What is counted per route.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    /// By class of status: 1xx to 5xx.
    requests: [Counter; 5],
    /// Requests whose client went away before there was an answer.
    abandoned: Counter,
    duration: Histogram,
    upstream_duration: Histogram,
}

impl RouteMetrics {
    /// The series of a route.
    pub(super) fn register(id: &RouteId) -> Self {
        let own = ROUTES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |routes| {
            (routes < ROUTES_MAX).then_some(routes + 1)
        });
        Self::labelled(if own.is_ok() { id.as_str() } else { "other" })
    }

    fn labelled(route: &str) -> Self {
        let route = route.to_owned();
        let requests = |class: &'static str| counter!("flexgate_http_requests_total", "route" => route.clone(), "code" => class);
        Self {
            requests: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(requests),
            abandoned: requests("abandoned"),
            duration: histogram!("flexgate_http_request_duration_seconds", "route" => route.clone()),
            upstream_duration: histogram!("flexgate_upstream_response_duration_seconds", "route" => route.clone()),
        }
    }
}

/// What one core counts.
#[derive(Debug)]
pub(super) struct CoreMetrics {
    /// Requests that were answered. Written by this core alone, read by anybody.
    served: Arc<AtomicU64>,
    unrouted: RouteMetrics,
    connections: Gauge,
    resting: Gauge,
    opened: Counter,
    reused: Counter,
}

impl CoreMetrics {
    /// The series of a core.
    pub(super) fn new(core: usize, served: Arc<AtomicU64>) -> Self {
        let core = core.to_string();
        Self {
            served,
            unrouted: RouteMetrics::labelled(NO_ROUTE),
            connections: gauge!("flexgate_http_connections", "core" => core.clone()),
            resting: gauge!("flexgate_upstream_connections_idle", "core" => core),
            opened: counter!("flexgate_upstream_connections_opened_total"),
            reused: counter!("flexgate_upstream_connections_reused_total"),
        }
    }

    /// A request is over.
    pub(super) fn count(&self, exchange: &Exchange, now: Instant) {
        // The only writer: no other core's line of cache is touched, and nothing is lost.
        self.served
            .store(self.served.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let route = exchange
            .route
            .get()
            .map_or(&self.unrouted, |route| route.metrics());
        let class = exchange
            .status
            .get()
            .map(|status| usize::from(status.as_u16() / 100));
        match class.and_then(|class| route.requests.get(class.wrapping_sub(1))) {
            Some(counter) => counter.increment(1),
            None => route.abandoned.increment(1),
        }
        route
            .duration
            .record(now.saturating_duration_since(exchange.arrived));
        if let Some(time) = exchange.upstream_time.get() {
            route.upstream_duration.record(time);
        }
        if let Some(code) = exchange.refusal.get() {
            count_refusal(code);
        }
    }

    /// A request went over a new line, or over one that was used before.
    pub(super) fn count_line(&self, used: bool) {
        if used { &self.reused } else { &self.opened }.increment(1);
    }

    /// How many connections there are now, to clients and, resting, to upstreams.
    pub(super) fn set_connections(&self, clients: usize, resting: usize) {
        self.connections.set(precise(clients));
        self.resting.set(precise(resting));
    }
}

/// A request was refused, or its head could not be read at all. Refusals are rare, so the handle is looked up.
pub(super) fn count_refusal(code: &'static str) {
    counter!("flexgate_gateway_refusals_total", "code" => code).increment(1);
}

/// A number of connections as a gauge takes it: exactly, since there are never 2^32.
fn precise(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
