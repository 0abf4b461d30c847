//! How this process is doing: what the health endpoints and `flexgate status` say.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::Utc;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::journal::View;

mod answers;

pub use answers::{Alive, Checks, JournalReport, JournalStatus, Readiness, Reasons, Verdict};

/// A handle on the health of this process. Clones share it: the app reports, the listeners read.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    version: &'static str,
    draining: AtomicBool,
    routing: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    journal: OnceLock<watch::Receiver<Arc<View>>>,
    checks: Mutex<[Check; CHECKS]>,
}

/// What this process has to do with and can serve requests without. Its checks are called like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Dependency {
    /// PostgreSQL.
    Database,
    /// Redis or Valkey.
    Redis,
    /// NATS JetStream.
    Jetstream,
    /// The read models of the configuration, as far as this process keeps them.
    Projections,
    /// The read models of outcomes, as far as this process keeps them.
    Outcomes,
    /// The read model of alerts, as far as this process keeps it.
    Alerts,
    /// The part of the audit log that says what was not done, as far as this process keeps it.
    AdminEvents,
    /// Where outcomes wait for the stream, as far as this process records any.
    Outbox,
    /// The keys that providers of tokens publish, as far as this process checks tokens.
    Tokens,
}

/// All of them, in the order of their declaration.
const ALL: [Dependency; CHECKS] = [
    Dependency::Database,
    Dependency::Redis,
    Dependency::Jetstream,
    Dependency::Projections,
    Dependency::Outcomes,
    Dependency::Alerts,
    Dependency::AdminEvents,
    Dependency::Outbox,
    Dependency::Tokens,
];
/// How many there are.
const CHECKS: usize = 9;

/// What is known of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It answers.
    Up,
    /// It does not, and what it said instead. No credential may be in here: the reason is shown without a token.
    Down(Box<str>),
    /// It is not used, and why.
    Off(Box<str>),
}

impl Health {
    /// A process of this version, of which nothing else is known yet: it is not ready.
    pub fn new(version: &'static str) -> Self {
        Self(Arc::new(Inner {
            version,
            draining: AtomicBool::new(false),
            routing: OnceLock::new(),
            journal: OnceLock::new(),
            checks: Mutex::new(std::array::from_fn(|_| Check::Off("not configured".into()))),
        }))
    }

    /// Says how to learn whether there is a routing table. The first call counts; without one there is none.
    pub fn routing_from(&self, has_table: impl Fn() -> bool + Send + Sync + 'static) {
        let _first = self.0.routing.set(Box::new(has_table));
    }

    /// Says which journal this process follows. The first call counts.
    pub fn journal_from(&self, view: watch::Receiver<Arc<View>>) {
        let _first = self.0.journal.set(view);
    }

    /// Says how a dependency is.
    pub fn report(&self, dependency: Dependency, check: Check) {
        self.0.checks.lock().unwrap_or_else(PoisonError::into_inner)[dependency as usize] = check;
    }

    /// From now on this process is not ready; it never is again.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// The revision this process serves.
    pub fn revision(&self) -> Option<u64> {
        Some(self.0.journal.get()?.borrow().revision())
    }

    /// The answer of `/health`.
    pub fn alive(&self) -> Alive {
        Alive {
            status: Verdict::Up,
            timestamp: Utc::now().into(),
            version: Some(self.0.version),
        }
    }

    /// The answer of `/health/ready`.
    pub fn readiness(&self) -> Readiness {
        let reason = self.unready();
        let checks = self
            .0
            .checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Readiness {
            status: if reason.is_some() {
                Verdict::Down
            } else {
                Verdict::Up
            },
            reason,
            checks: Checks::of(&checks),
            reasons: Reasons::of(checks),
            journal: self.0.journal.get().map(|view| JournalReport::of(&view.borrow())),
        }
    }

    fn unready(&self) -> Option<&'static str> {
        if self.0.draining.load(Ordering::Relaxed) {
            return Some("this process is shutting down");
        }
        let has_table = self.0.routing.get().is_some_and(|has_table| has_table());
        (!has_table).then_some("there is no routing table yet")
    }
}

impl Check {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Up => Verdict::Up,
            Self::Down(_) => Verdict::Down,
            Self::Off(_) => Verdict::Off,
        }
    }

    fn reason(self) -> Option<Box<str>> {
        match self {
            Self::Up => None,
            Self::Down(reason) | Self::Off(reason) => Some(reason),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Health")
            .field("readiness", &self.readiness())
            .finish_non_exhaustive()
    }
}
