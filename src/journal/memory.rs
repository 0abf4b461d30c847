//! The log in memory: what tests and `flexgate check` run against, and the plain statement of the contract.

use std::sync::{Arc, Mutex, MutexGuard};

use flexgate_schemas::Timestamp;
use tokio::sync::watch;

use super::store::{AppendError, Head, Outgoing, Record, Store, StoreError, Subscription};

/// A log that lives as long as its last handle. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<Vec<Record>>,
    /// Counts appends and faults, so that subscribers wake.
    changed: watch::Sender<u64>,
    link: watch::Sender<LinkState>,
}

/// Whether the log can be reached, and how often that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinkState {
    up: bool,
    changes: u64,
}

impl Default for MemoryLog {
    fn default() -> Self {
        let shared = Shared {
            records: Mutex::new(Vec::new()),
            changed: watch::Sender::new(0),
            link: watch::Sender::new(LinkState { up: true, changes: 0 }),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts or restores the connection of every handle.
    pub fn set_reachable(&self, reachable: bool) {
        self.shared.link.send_modify(|link| {
            *link = LinkState {
                up: reachable,
                changes: link.changes + 1,
            }
        });
    }

    /// Replaces the whole history, as a restore from a backup or a lost disk does. Subscriptions break.
    pub fn replace(&self, records: Vec<Record>) {
        *self.records() = records;
        self.set_reachable(false);
        self.set_reachable(true);
    }

    /// The history as it is.
    pub fn contents(&self) -> Vec<Record> {
        self.records().clone()
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.shared
            .records
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn check_reachable(&self) -> Result<(), StoreError> {
        if self.shared.link.borrow().up {
            Ok(())
        } else {
            Err(StoreError::Disconnected(
                "the log in memory was made unreachable".to_owned(),
            ))
        }
    }
}

impl Store for MemoryLog {
    type Subscription = MemorySubscription;

    async fn append(&self, message: &Outgoing, expected_last: u64) -> Result<u64, AppendError> {
        self.check_reachable()
            .map_err(|error| AppendError::NotSent(error.to_string()))?;
        let mut records = self.records();
        let last = records.last().map_or(0, |record| record.sequence);
        if last != expected_last {
            return Err(AppendError::Conflict);
        }
        records.push(Record {
            sequence: last + 1,
            subject: message.subject.as_str().into(),
            payload: message.payload.clone(),
            stored_at: Timestamp::from(chrono::Utc::now()),
        });
        drop(records);
        self.shared.changed.send_modify(|count| *count += 1);
        Ok(last + 1)
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.check_reachable()?;
        let records = self.records();
        Ok(Head {
            first: records.first().map_or(1, |record| record.sequence),
            last: records.last().map_or(0, |record| record.sequence),
        })
    }

    async fn read(&self, sequence: u64) -> Result<Option<Record>, StoreError> {
        self.check_reachable()?;
        Ok(self
            .records()
            .iter()
            .find(|record| record.sequence == sequence)
            .cloned())
    }

    async fn subscribe(&self, after: u64) -> Result<MemorySubscription, StoreError> {
        self.check_reachable()?;
        let (changed, link) = (self.shared.changed.subscribe(), self.shared.link.subscribe());
        let opened = *link.borrow();
        Ok(MemorySubscription {
            log: self.clone(),
            after,
            changed,
            link,
            opened,
        })
    }

    async fn connected(&self) {
        let mut link = self.shared.link.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _up = link.wait_for(|link| link.up).await;
    }

    async fn disconnected(&self) {
        let mut link = self.shared.link.subscribe();
        let _down = link.wait_for(|link| !link.up).await;
    }
}

/// A reader of a [`MemoryLog`].
#[derive(Debug)]
pub struct MemorySubscription {
    log: MemoryLog,
    after: u64,
    changed: watch::Receiver<u64>,
    link: watch::Receiver<LinkState>,
    opened: LinkState,
}

impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Result<Record, StoreError> {
        loop {
            self.changed.mark_unchanged();
            if let Some(ready) = self.ready() {
                return ready;
            }
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.link.changed() => {}
            }
        }
    }

    fn ready(&mut self) -> Option<Result<Record, StoreError>> {
        if *self.link.borrow() != self.opened {
            return Some(Err(StoreError::Disconnected(
                "the subscription was cut".to_owned(),
            )));
        }
        let record = self
            .log
            .records()
            .iter()
            .find(|record| record.sequence > self.after)
            .cloned()?;
        if record.sequence != self.after + 1 {
            return Some(Err(StoreError::Failed(format!(
                "{} follows {}",
                record.sequence, self.after
            ))));
        }
        self.after = record.sequence;
        Some(Ok(record))
    }
}
