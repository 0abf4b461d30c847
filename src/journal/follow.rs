//! The follower: one task that reads the log, folds it, and hands each new state to whoever serves it.
//!
//! It never serves from a history that does not continue its own: at every (re)start the commit at its revision is read
//! again and compared by chain.

use std::{sync::Arc, time::Duration};

use flexgate_schemas::{Commit, Event, alert::AlertKind};
use tokio::{sync::watch, task::JoinError};

use super::{
    Fold, Status, View,
    alerts::Alerts,
    fold::{Applied, Freeze},
    store::{Head, Record, Store, StoreError, Subscription as _},
    whole::{Whole, is_part},
};
use crate::{domain::Changed, drain::Tasks};

/// How often a frozen follower looks whether its history is back, and the pause after a failed read.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How many messages that are there already are folded before the state is handed on.
const FOLD_BATCH: usize = 256;

/// Takes each new state before anybody is told that it is served. Runs on the follower's task: must not block.
pub type Serve = Box<dyn FnMut(&Fold, &Changed) + Send + Sync>;

/// Reads the log for one process.
pub(super) struct Follower<S> {
    store: S,
    fold: Fold,
    view: watch::Sender<Arc<View>>,
    serve: Serve,
    alerts: Alerts,
    /// Whether somebody was told that it has frozen, and not yet that it goes on.
    is_frozen: bool,
    /// Whether this process also decides.
    decides: bool,
}

/// Why reading ended for the moment.
enum Interruption {
    Store(StoreError),
    Frozen(Freeze),
}

impl From<StoreError> for Interruption {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Freeze> for Interruption {
    fn from(freeze: Freeze) -> Self {
        Self::Frozen(freeze)
    }
}

impl<S: Store> Follower<S> {
    /// A follower that begins with what a snapshot held, which is handed on at once, or with nothing.
    pub(super) fn new(
        store: S,
        snapshot: Option<Fold>,
        mut serve: Serve,
        (alerts, decides): (Alerts, bool),
    ) -> Self {
        let from_snapshot = snapshot.is_some();
        let fold = snapshot.unwrap_or_default();
        if from_snapshot {
            serve(&fold, &Changed::All);
        }
        let status = Status::Disconnected {
            reason: "the log has not been reached yet".to_owned(),
        };
        let view = watch::Sender::new(Arc::new(View {
            fold: fold.clone(),
            status,
            from_snapshot,
        }));
        Self {
            store,
            fold,
            view,
            serve,
            alerts,
            is_frozen: false,
            decides,
        }
    }

    /// What is served, with news.
    pub(super) fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Follows the log until the tasks are stopped.
    pub(super) async fn run(mut self, tasks: Tasks) {
        while !tasks.is_stopping() {
            let reading = async {
                self.store.connected().await;
                self.read().await
            };
            let Some(interruption) = tasks.unless_stopped(reading).await else {
                return;
            };
            self.report(interruption);
            let disconnected = self.store.disconnected();
            let pause = async {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = disconnected => {}
                }
            };
            tasks.unless_stopped(pause).await;
        }
    }

    /// Reads until something is in the way.
    async fn read(&mut self) -> Interruption {
        match self.try_read().await {
            Ok(never) => match never {},
            Err(interruption) => interruption,
        }
    }

    async fn try_read(&mut self) -> Result<std::convert::Infallible, Interruption> {
        let head = self.store.head().await?;
        let mut ahead = self.verified(head).await?;
        let mut after = ahead.revision;
        if after == 0 {
            after = head.first - 1;
        }
        let mut subscription = self.store.subscribe(after).await?;
        let mut unchanged = ahead.revision == self.fold.revision && ahead.generation == self.fold.generation;
        while ahead.last_sequence.max(after) < head.last {
            let message = Whole::of(&self.store, subscription.next().await?).await?;
            unchanged &= is_part(&message.record);
            let applied;
            (ahead, applied) = apply(ahead, message).await;
            if let Err(freeze) = applied {
                self.advance(ahead, &Changed::All);
                return Err(freeze.into());
            }
        }
        if self.decides {
            ahead.state.get_ready_to_decide();
        }
        if unchanged {
            self.fold = ahead;
            self.follows();
        } else {
            self.hand_on(ahead, &Changed::All);
        }
        loop {
            let record = subscription.next().await?;
            self.take(record, &mut subscription).await?;
        }
    }

    /// The fold to go on from: our own when the log continues it, an empty one for a genesis of a higher generation.
    async fn verified(&self, head: Head) -> Result<Fold, Interruption> {
        let (revision, generation) = (self.fold.revision, self.fold.generation);
        if revision == 0 {
            return Ok(self.fold.clone());
        }
        let ours = if revision <= head.last {
            self.store.read(revision).await?
        } else {
            None
        };
        if ours.as_ref().is_some_and(|record| self.fold.matches(record)) {
            return Ok(self.fold.clone());
        }
        let first = self.store.read(head.first).await?;
        if first.is_some_and(|record| self.is_newer_genesis(&record)) {
            return Ok(Fold {
                cluster: self.fold.cluster.clone(),
                ..Fold::default()
            });
        }
        let what = if ours.is_some() {
            "another commit lies there"
        } else {
            "nothing lies there"
        };
        Err(Freeze::Rewound {
            revision,
            generation,
            what,
        }
        .into())
    }

    fn is_newer_genesis(&self, record: &Record) -> bool {
        Commit::from_payload(&record.payload).is_ok_and(|commit| {
            commit.is_genesis()
                && commit.generation > self.fold.generation
                && Some(&commit.cluster) == self.fold.cluster.as_ref()
        })
    }

    /// Folds a message and those that are here already, then hands the state on once.
    async fn take(&mut self, first: Record, subscription: &mut S::Subscription) -> Result<(), Interruption> {
        let mut ahead = self.fold.clone();
        let mut changed = Changed::Entities(Vec::new());
        let mut next = Some(Ok(first));
        let mut interruption = None;
        for _ in 0..FOLD_BATCH {
            let message = match next.take() {
                None => break,
                Some(Err(error)) => Err(error),
                Some(Ok(record)) => Whole::of(&self.store, record).await,
            };
            let applied = match message {
                Err(error) => Err(Interruption::from(error)),
                Ok(message) => {
                    let applied;
                    (ahead, applied) = apply(ahead, message).await;
                    applied.map_err(Interruption::from)
                }
            };
            match applied {
                Ok(applied) => note(&mut changed, &applied),
                Err(stop) => {
                    interruption = Some(stop);
                    break;
                }
            }
            next = subscription.ready();
        }
        self.advance(ahead, &changed);
        interruption.map_or(Ok(()), Err)
    }

    /// Lets the state be served, then tells everybody, and that nothing is in the way.
    fn hand_on(&mut self, ahead: Fold, changed: &Changed) {
        self.advance(ahead, changed);
        self.follows();
    }

    /// Lets the state be served, then tells everybody.
    fn advance(&mut self, ahead: Fold, changed: &Changed) {
        let only_parts = ahead.revision == self.fold.revision && *changed == Changed::Entities(Vec::new());
        if !only_parts {
            (self.serve)(&ahead, changed);
        }
        self.fold = ahead;
        let status = self.view.borrow().status.clone();
        self.show(status);
    }

    fn follows(&mut self) {
        self.show(Status::Following);
        if std::mem::take(&mut self.is_frozen) {
            let revision = self.fold.revision;
            self.alerts.raise(AlertKind::JournalThawed { revision });
        }
    }

    fn show(&self, status: Status) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 commits")]
        for (name, value) in [
            ("flexgate_journal_revision", self.fold.revision as f64),
            ("flexgate_journal_generation", self.fold.generation as f64),
            (
                "flexgate_journal_frozen",
                f64::from(u8::from(matches!(status, Status::Frozen { .. }))),
            ),
        ] {
            metrics::gauge!(name).set(value);
        }
        let from_snapshot = status != Status::Following && self.view.borrow().from_snapshot;
        self.view.send_replace(Arc::new(View {
            fold: self.fold.clone(),
            status,
            from_snapshot,
        }));
    }

    fn report(&mut self, interruption: Interruption) {
        let status = match interruption {
            Interruption::Store(error) => Status::Disconnected {
                reason: error.to_string(),
            },
            Interruption::Frozen(freeze) => Status::Frozen {
                reason: freeze.to_string(),
            },
        };
        if self.view.borrow().status == status {
            return;
        }
        match &status {
            Status::Following => {}
            Status::Disconnected { reason } => tracing::warn!(reason, "not following the log"),
            Status::Frozen { reason } => {
                tracing::error!(
                    reason,
                    revision = self.fold.revision,
                    "frozen: serving the last good revision"
                );
                let kind = AlertKind::JournalFrozen {
                    revision: self.fold.revision,
                    reason: reason.clone(),
                };
                if !std::mem::replace(&mut self.is_frozen, true) {
                    self.alerts.raise(kind);
                }
            }
        }
        self.show(status);
    }
}

/// Folds a message. A large change set takes seconds, in which others need the thread.
async fn apply(mut ahead: Fold, message: Whole) -> (Fold, Result<Applied, Freeze>) {
    if !message.is_large() {
        let applied = ahead.apply(&message);
        return (ahead, applied);
    }
    let folding = tokio::task::spawn_blocking(move || {
        let applied = ahead.apply(&message);
        (ahead, applied)
    });
    match folding.await.map_err(JoinError::try_into_panic) {
        Ok(folded) => folded,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and we with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Adds what a message changed to what changed before it.
fn note(changed: &mut Changed, applied: &Applied) {
    match (applied, &mut *changed) {
        (Applied::Nothing, _) | (Applied::Commit(_), Changed::All) => {}
        (Applied::Genesis(_), _) => *changed = Changed::All,
        (Applied::Commit(commit), Changed::Entities(entities)) => {
            entities.extend(commit.events.iter().map(Event::entity));
        }
    }
}
