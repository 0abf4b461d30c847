//! The data plane's metrics. A core counts for itself, without atomics, and adds what it counted to the process' metrics
//! every tick: counters shared by all cores would be fought over by every request.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Instant,
};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::{exchange::Exchange, refusal::Refusal};

/// The most routes with series of their own; those after share the label `other`, so that the number of series stays
/// bounded whatever is configured.
const ROUTES_MAX: u16 = 1000;

/// Which series a route's requests count in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series(u16);

impl Series {
    /// Requests that no route took.
    const UNROUTED: Self = Self(0);
    /// Routes that came too late for series of their own.
    const OTHER: Self = Self(1);

    /// Series of their own for a route, as long as there are any left in this process.
    pub(super) fn next() -> Self {
        static USED: AtomicU16 = AtomicU16::new(2);
        let more = |used| (used < ROUTES_MAX).then_some(used + 1);
        USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map_or(Self::OTHER, Self)
    }

    fn label(self, route: &str) -> &str {
        match self.0 {
            0 => "none",
            1 => "other",
            _ => route,
        }
    }
}

/// What became of a request, as a label.
const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "abandoned"];
/// Its client went away before there was an answer.
const ABANDONED: usize = 5;

/// What one core counted of the requests of one route.
#[derive(Debug)]
struct Tally {
    requests: [Tallied; CODES.len()],
    duration: Histogram,
}

/// A counter, and what is still to be added to it.
#[derive(Debug)]
struct Tallied {
    counted: Cell<u64>,
    total: Counter,
}

impl Tallied {
    fn new(total: Counter) -> Self {
        Self {
            counted: Cell::new(0),
            total,
        }
    }

    fn increment(&self) {
        self.counted.set(self.counted.get() + 1);
    }

    fn flush(&self) {
        match self.counted.take() {
            0 => {}
            counted => self.total.increment(counted),
        }
    }
}

impl Tally {
    fn new(route: &str) -> Self {
        let requests = |code: &'static str| {
            Tallied::new(
                counter!("flexgate_http_requests_total", "route" => route.to_owned(), "code" => code),
            )
        };
        Self {
            requests: CODES.map(requests),
            duration: histogram!("flexgate_http_request_duration_seconds", "route" => route.to_owned()),
        }
    }
}

/// What one core counts.
#[derive(Debug)]
pub(super) struct CoreMetrics {
    /// Requests that are over. Written by this core alone, read by anybody.
    served: Arc<AtomicU64>,
    /// By [`Series`].
    routes: RefCell<Vec<Option<Box<Tally>>>>,
    /// By what became of requests that are under a limit: passed, refused, refused for want of Redis.
    limited: [Tallied; 3],
    opened: Tallied,
    reused: Tallied,
    connections: Gauge,
    resting: Gauge,
    held: Gauge,
    budgets: Gauge,
}

/// How much there is now: of connections, those of one core, of the rest, what all cores have together.
#[derive(Debug)]
pub(super) struct Levels {
    /// Connections of clients.
    pub(super) clients: usize,
    /// Connections to upstreams without a request.
    pub(super) resting: usize,
    /// Bytes of bodies that are held.
    pub(super) held_bytes: usize,
    /// Budgets of single keys and addresses.
    pub(super) budgets: usize,
}

impl CoreMetrics {
    /// Nothing counted yet.
    pub(super) fn new(core: u16, served: Arc<AtomicU64>) -> Self {
        let core = core.to_string();
        Self {
            served,
            routes: RefCell::default(),
            limited: ["passed", "refused", "unavailable"].map(|decision| {
                Tallied::new(counter!("flexgate_rate_limit_decisions_total", "decision" => decision))
            }),
            opened: Tallied::new(counter!("flexgate_upstream_connections_opened_total")),
            reused: Tallied::new(counter!("flexgate_upstream_connections_reused_total")),
            connections: gauge!("flexgate_http_connections", "core" => core.clone()),
            resting: gauge!("flexgate_upstream_connections_idle", "core" => core),
            held: gauge!("flexgate_http_held_bytes"),
            budgets: gauge!("flexgate_rate_limit_budgets"),
        }
    }

    /// A request is over.
    pub(super) fn count(&self, exchange: &Exchange, now: Instant) {
        // The only writer: nothing is lost between the two halves.
        self.served
            .store(self.served.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let route = exchange.route.get();
        let series = route.map_or(Series::UNROUTED, |route| route.series());
        let mut routes = self.routes.borrow_mut();
        let place = usize::from(series.0);
        if routes.len() <= place {
            routes.resize_with(place + 1, || None);
        }
        let tally = routes[place].get_or_insert_with(|| {
            let id = route.map_or("", |route| route.route.id.as_str());
            Box::new(Tally::new(series.label(id)))
        });
        let class = exchange
            .status
            .get()
            .map(|status| usize::from(status.as_u16() / 100) - 1);
        tally.requests[class.map_or(ABANDONED, |class| class.min(ABANDONED - 1))].increment();
        tally
            .duration
            .record(now.saturating_duration_since(exchange.arrival.moment));
        if let Some(code) = exchange.refusal.get() {
            count_refusal(code);
        }
    }

    /// A request was held against its limits, and refused or not.
    pub(super) fn count_limited(&self, refusal: Option<&Refusal>) {
        self.limited[match refusal {
            None => 0,
            Some(Refusal::LimitUnavailable) => 2,
            Some(_) => 1,
        }]
        .increment();
    }

    /// A request goes over a line that was used before.
    pub(super) fn count_reused_line(&self) {
        self.reused.increment();
    }

    /// A line was opened.
    pub(super) fn count_opened_line(&self) {
        self.opened.increment();
    }

    /// Adds what was counted to the process' metrics, and says how much there is now.
    pub(super) fn flush(&self, now: &Levels) {
        let routes = self.routes.borrow();
        let requests = routes.iter().flatten().flat_map(|tally| &tally.requests);
        requests
            .chain(&self.limited)
            .chain([&self.opened, &self.reused])
            .for_each(Tallied::flush);
        for (gauge, level) in [
            (&self.connections, now.clients),
            (&self.resting, now.resting),
            (&self.held, now.held_bytes),
            (&self.budgets, now.budgets),
        ] {
            gauge.set(as_gauge(level));
        }
    }
}

/// A request was refused, or its head could not be read at all. Refusals are rare, so the counter is looked up.
pub(super) fn count_refusal(code: &'static str) {
    counter!("flexgate_gateway_refusals_total", "code" => code).increment(1);
}

/// A number of what a process has, exactly: there are never 2^32 of it.
fn as_gauge(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
