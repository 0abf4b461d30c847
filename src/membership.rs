//! Who belongs to the cluster, and what each node serves.
//!
//! A node reports itself in the NODES bucket every two seconds, and says on a core subject the moment it serves a new
//! revision. It belongs until it says goodbye or is forgotten; silence makes it lost, not gone.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use flexgate_schemas::{NodeId, node::Heartbeat};
use tokio::sync::watch;

pub mod heartbeat;
pub mod identity;
mod listen;

pub use heartbeat::Reporter;
pub use identity::Identity;
pub use listen::listen;

use crate::journal::jetstream::{Link, Names};

/// How often a node reports itself.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);
/// How often the silent are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// In how many looks a member may stay silent before it counts as lost. Counted in our own looks, not in time: while we
/// are frozen or cut off ourselves nobody gets lost.
const LOOKS_UNTIL_LOST: u32 = 8;

/// The members as this process knows them. Clones share it.
#[derive(Debug, Clone)]
pub struct Members {
    shared: Arc<Shared>,
    link: Link,
    names: Names,
}

#[derive(Debug)]
struct Shared {
    known: Mutex<BTreeMap<NodeId, Known>>,
    /// Counts changes, so that waiters look again.
    changed: watch::Sender<u64>,
    lowest_reader: watch::Sender<Option<(u32, NodeId)>>,
    alive: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
struct Known {
    heartbeat: Heartbeat,
    heard: Instant,
    looks_since: u32,
    /// What it last said it serves, which may be newer than its heartbeat.
    serving: (u64, u64),
}

/// A member, as it last said of itself.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its last report.
    pub heartbeat: Heartbeat,
    /// The revision it serves, as far as is known.
    pub revision: u64,
    /// For how long it has not been heard, in milliseconds.
    pub silent_ms: u64,
    /// Whether that is too long.
    pub lost: bool,
}

/// Whether every member serves a revision.
#[derive(Debug, Clone)]
pub struct Convergence {
    /// Whether all do.
    pub converged: bool,
    /// Each member.
    pub nodes: Vec<Confirmation>,
}

/// What one member had to say about a revision.
#[derive(Debug, Clone)]
pub struct Confirmation {
    /// Which.
    pub node: NodeId,
    /// The last revision that it is known to serve.
    pub revision: u64,
    /// How long it took to confirm, in microseconds; `None` if it has not.
    pub took_us: Option<u64>,
    /// Whether it has been silent for too long.
    pub lost: bool,
}

/// Why a node could not be forgotten.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ForgetError {
    /// It is alive and would be back with its next report.
    #[error("node {0} was heard a moment ago: stop it first")]
    Alive(NodeId),
    /// The bucket cannot be written.
    #[error("the NODES bucket cannot be written: {0}")]
    Unavailable(String),
}

impl Members {
    /// Nobody yet; [`listen`] keeps it.
    pub fn new(link: Link, names: Names) -> Self {
        let shared = Shared {
            known: Mutex::default(),
            changed: watch::Sender::new(0),
            lowest_reader: watch::Sender::new(None),
            alive: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
            link,
            names,
        }
    }

    /// All members, by id.
    pub fn list(&self) -> Vec<Member> {
        self.known().values().map(Known::member).collect()
    }

    /// How many members are not lost, kept up to date.
    pub fn alive(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.shared.alive)
    }

    /// The lowest schema level that a member reads, and whose.
    pub fn lowest_reader(&self) -> watch::Receiver<Option<(u32, NodeId)>> {
        self.shared.lowest_reader.subscribe()
    }

    /// Waits until every member serves a revision, or the time is up.
    pub async fn serving(&self, generation: u64, revision: u64, within: Duration) -> Convergence {
        let started = Instant::now();
        let mut took = BTreeMap::new();
        let mut changed = self.shared.changed.subscribe();
        let waiting = async {
            loop {
                changed.mark_unchanged();
                if self.confirmed(generation, revision, started, &mut took)
                    || changed.changed().await.is_err()
                {
                    return;
                }
            }
        };
        let converged = tokio::time::timeout(within, waiting).await.is_ok();
        let confirmation = |member: &Member| Confirmation {
            node: member.heartbeat.node.clone(),
            revision: member.revision,
            took_us: took.get(&member.heartbeat.node).copied(),
            lost: member.lost,
        };
        Convergence {
            converged,
            nodes: self.list().iter().map(confirmation).collect(),
        }
    }

    /// Notes who serves the revision by now; whether all do.
    fn confirmed(
        &self,
        generation: u64,
        revision: u64,
        started: Instant,
        took: &mut BTreeMap<NodeId, u64>,
    ) -> bool {
        let elapsed = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let known = self.known();
        for (node, _) in known
            .iter()
            .filter(|(_, known)| known.serving >= (generation, revision))
        {
            took.entry(node.clone()).or_insert(elapsed);
        }
        known.keys().all(|node| took.contains_key(node))
    }

    /// Takes a lost node out of the membership; whether it was a member.
    pub async fn forget(&self, node: &NodeId) -> Result<bool, ForgetError> {
        match self.known().get(node).map(Known::member) {
            None => return Ok(false),
            Some(member) if !member.lost => return Err(ForgetError::Alive(node.clone())),
            Some(_) => {}
        }
        heartbeat::goodbye(&self.link, &self.names, node, None)
            .await
            .map_err(ForgetError::Unavailable)?;
        self.gone(node);
        Ok(true)
    }

    /// Takes a node's report. [`listen`] calls it with what comes over NATS.
    pub fn heard(&self, heartbeat: Heartbeat) {
        let serving = (heartbeat.position.generation, heartbeat.position.revision);
        let mut known = self.known();
        // The core message that announced a revision may have overtaken this report of an older one.
        let serving = known
            .get(&heartbeat.node)
            .map_or(serving, |before| before.serving.max(serving));
        known.insert(
            heartbeat.node.clone(),
            Known {
                heartbeat,
                heard: Instant::now(),
                looks_since: 0,
                serving,
            },
        );
        drop(known);
        self.note_change();
    }

    /// Takes a member's word that it serves a revision of a generation, as `(generation, revision)`.
    pub fn serves(&self, node: &NodeId, serving: (u64, u64)) {
        if let Some(known) = self.known().get_mut(node) {
            known.serving = known.serving.max(serving);
            (known.heard, known.looks_since) = (Instant::now(), 0);
        }
        self.note_change();
    }

    /// Counts one more look at everybody; who is lost by now.
    fn look(&self) -> Vec<Member> {
        let mut known = self.known();
        known
            .values_mut()
            .for_each(|known| known.looks_since = known.looks_since.saturating_add(1));
        self.count(&known);
        known
            .values()
            .map(Known::member)
            .filter(|member| member.lost)
            .collect()
    }

    fn gone(&self, node: &NodeId) {
        self.known().remove(node);
        self.note_change();
    }

    fn note_change(&self) {
        let lowest = {
            let known = self.known();
            self.count(&known);
            let level = |known: &Known| (known.heartbeat.reader_level, known.heartbeat.node.clone());
            known.values().map(level).min()
        };
        self.shared.lowest_reader.send_if_modified(|before| {
            let modified = *before != lowest;
            *before = lowest;
            modified
        });
        self.shared.changed.send_modify(|count| *count += 1);
    }

    fn count(&self, known: &BTreeMap<NodeId, Known>) {
        let alive = known.values().filter(|known| !known.is_lost()).count();
        self.shared.alive.store(alive, Ordering::Relaxed);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, Known>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn member(&self) -> Member {
        let silent = self.heard.elapsed();
        Member {
            heartbeat: self.heartbeat.clone(),
            revision: self.serving.1,
            silent_ms: u64::try_from(silent.as_millis()).unwrap_or(u64::MAX),
            lost: self.is_lost(),
        }
    }

    fn is_lost(&self) -> bool {
        self.looks_since > LOOKS_UNTIL_LOST
    }
}
