//! What was asked and is no commit, from whoever answers it to the stream ADMIN: refusals above all, and what is done that is
//! not about the configuration.
//!
//! Telling it costs an answer nothing that it would have to wait for: the event goes into a queue ([`Audit::tell`]), and a
//! task takes it to the stream ([`publish`]). Whoever does not prove who they are cannot fill either ([`tally`]).

mod publish;
mod tally;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::Utc;
use flexgate_schemas::{
    AdminEvent, NodeId, Provenance,
    admin::Deed,
    commit::{Actor, Source},
};
use metrics::counter;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use uuid::Uuid;

pub use publish::publish;

use self::tally::Tally;

/// How many events wait for the stream. Full, because NATS does not answer: what comes then is lost, counted and logged.
const WAITING_MAX: usize = 1024;

/// A handle that tells what was asked. Clones share it.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    node: NodeId,
    waiting: mpsc::Sender<AdminEvent>,
    /// How many are neither on the stream nor given up.
    unpublished: watch::Sender<usize>,
    tally: Mutex<Tally>,
}

impl Audit {
    /// A handle, and where its events come out; [`publish`] takes them to the stream.
    pub fn channel(node: NodeId) -> (Self, mpsc::Receiver<AdminEvent>) {
        let (waiting, events) = mpsc::channel(WAITING_MAX);
        let shared = Shared {
            node,
            waiting,
            unpublished: watch::Sender::new(0),
            tally: Mutex::default(),
        };
        (Self(Arc::new(shared)), events)
    }

    /// Tells of something that was asked just now. Never waits, never fails.
    pub fn tell(&self, deed: Deed, actor: Option<Actor>, source: Source, provenance: Provenance) {
        let event = AdminEvent {
            id: Uuid::now_v7().to_string().into(),
            node: self.0.node.clone(),
            at: Utc::now().into(),
            actor,
            source,
            provenance,
            deed,
        };
        let told = match event.deed {
            Deed::Denied(_) => self.tally().count(event, Instant::now()),
            Deed::Done(_) | Deed::Refused(_) | Deed::Rejected(_) => Some(event),
        };
        if let Some(event) = told {
            self.send(event);
        }
    }

    /// Waits until everything that was told is on the stream, or for so long.
    pub async fn settle(&self, within: Duration) {
        let mut unpublished = self.0.unpublished.subscribe();
        let _late = timeout(within, unpublished.wait_for(|count| *count == 0)).await;
    }

    fn send(&self, event: AdminEvent) {
        let verb = event.deed.verb();
        self.0.unpublished.send_modify(|count| *count += 1);
        match self.0.waiting.try_send(event) {
            Ok(()) => counter!("flexgate_admin_events_total", "verb" => verb).increment(1),
            Err(_) => self.lost(verb),
        }
    }

    /// One event will never be on the stream.
    fn lost(&self, verb: &'static str) {
        counter!("flexgate_admin_events_lost_total").increment(1);
        tracing::warn!(verb, "a refusal is not in the audit log: NATS takes nothing");
        self.settled_one();
    }

    fn settled_one(&self) {
        self.0.unpublished.send_modify(|count| *count -= 1);
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
