//! The journal: the one place where commits are appended and read.
//!
//! A [`Journal`] follows CONFIG, folds it and shows the result as a [`View`]; [`Journal::transact`] is the one function
//! that appends. What each node serves comes from its own fold, never from the answer to an append.

use std::{sync::Arc, time::Duration};

use flexgate_schemas::{
    Chain, ClusterId, CommitId, Event, NodeId, Provenance, Timestamp,
    commit::{Actor, Idempotency, Source},
};
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};

use self::store::{Store, StoreError};
use crate::{
    domain::{Command, ConfigState, Expect, Refusal, Warning},
    drain::Tasks,
};

pub mod alerts;
pub mod fold;
mod follow;
mod genesis;
mod history;
pub mod jetstream;
pub mod memory;
pub mod snapshot;
pub mod store;
mod transact;
pub mod whole;

pub use flexgate_schemas::commit::Recorded;
pub use fold::Fold;
pub use follow::Serve;
pub use transact::LowestReader;

/// How many transactions wait for their turn. Beyond that callers wait before they are queued.
const REQUESTS_MAX: usize = 256;

/// What is known and served at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The fold that is served.
    pub fold: Fold,
    /// Whether it keeps up with the log.
    pub status: Status,
    /// Whether it still is what the snapshot file held, because the log has not been reached since the start.
    pub from_snapshot: bool,
}

impl View {
    /// The configuration.
    pub fn state(&self) -> &ConfigState {
        &self.fold.state
    }

    /// The last revision; 0 before the first.
    pub fn revision(&self) -> u64 {
        self.fold.revision
    }

    /// The history it belongs to; 0 before any.
    pub fn generation(&self) -> u64 {
        self.fold.generation
    }

    /// Its place in the history.
    pub fn moment(&self) -> Moment {
        Moment {
            generation: self.generation(),
            revision: self.revision(),
        }
    }

    /// The chain up to the revision.
    pub fn chain(&self) -> Chain {
        self.fold.chain
    }

    /// The cluster, once a genesis was read.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.fold.cluster.as_ref()
    }
}

/// Whether the fold keeps up with the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Following,
    /// It goes no further than what it serves, and says why.
    Frozen {
        /// Why.
        reason: String,
    },
    /// It cannot reach the log and serves what it has.
    Disconnected {
        /// Why.
        reason: String,
    },
}

/// Something to be done, by whom and under which conditions.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// What.
    pub command: Command,
    /// In which state of the entity.
    pub expect: Expect,
    /// Only as the next commit after this one.
    pub after: Option<Moment>,
    /// Who asks.
    pub actor: Actor,
    /// Through what.
    pub source: Source,
    /// Why, if they said.
    pub reason: Option<Box<str>>,
    /// The caller's key, if it sent one.
    pub idempotency: Option<Idempotency>,
    /// From where, and by which request; nothing for what FlexGate does by itself.
    pub provenance: Option<Box<Provenance>>,
}

/// How far a transaction is. Most take milliseconds; a large change set takes seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It waits for those before it.
    Waiting,
    /// It is held against the present state; once more, whenever somebody else was first.
    Deciding,
    /// Its parts are written.
    Storing {
        /// How many of them are.
        done: usize,
        /// How many there are.
        of: usize,
    },
    /// All that is left is the commit.
    Committing,
}

/// A place in the history of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The history.
    pub generation: u64,
    /// The last commit.
    pub revision: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The history.
    pub generation: u64,
    /// The revision that carries it; the current one when there was nothing to do.
    pub revision: u64,
    /// The commit; `None` when there was nothing to do.
    pub commit: Option<CommitId>,
    /// When it was decided; of the state it was decided on when there was nothing to do.
    pub at: Timestamp,
    /// What happened.
    pub events: Arc<[Event]>,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
    /// Whether this answers a repetition.
    pub replayed: bool,
}

/// Why a transaction did not happen, or is not known to have happened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransactError {
    /// The command is not acceptable in the current state.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something else happened since the caller looked.
    #[error(
        "the configuration is not what the caller has seen: it is at revision {revision} now; nothing was changed"
    )]
    Moved {
        /// Where it is.
        revision: u64,
    },
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// Other writers were first, every time.
    #[error("other writers were first {attempts} times; nothing was changed")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// The log cannot be reached; nothing was changed.
    #[error("the log cannot be reached: {reason}; nothing was changed")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// It may have happened.
    #[error("the log did not answer in time: whether commit {commit} took effect is unknown")]
    Unknown {
        /// The commit to look for.
        commit: CommitId,
    },
    /// This process does not follow the log.
    #[error("the journal is frozen: {reason}; nothing was changed")]
    Frozen {
        /// Why.
        reason: String,
    },
    /// The log is at a limit.
    #[error("the log is full; nothing was changed")]
    Full,
    /// The commit does not fit in a message.
    #[error("the change has {bytes} bytes, the log takes at most {limit} in one commit; nothing was changed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What would fit.
        limit: usize,
    },
    /// A member node is too old to read it.
    #[error("node {node} cannot read schema level {needed}: upgrade it first; nothing was changed")]
    HeldBack {
        /// Which.
        node: NodeId,
        /// What the commit needs.
        needed: u32,
    },
}

/// What a journal is started with.
pub struct Options<S> {
    /// The log.
    pub store: S,
    /// What to begin with when the log cannot be reached.
    pub snapshot: Option<Fold>,
    /// Takes each new state before anybody is told that it is served.
    pub serve: Serve,
    /// Where a freeze is reported.
    pub alerts: alerts::Alerts,
    /// Whether this process appends too, and what the members can read; `None`: it only reads.
    pub writer: Option<LowestReader>,
}

/// A handle on the journal of this process. Clones share it.
#[derive(Clone)]
pub struct Journal {
    view: watch::Receiver<Arc<View>>,
    history: Arc<dyn history::History>,
    requests: Option<mpsc::Sender<transact::Request>>,
}

impl Journal {
    /// Starts to follow the log, and to append where that is wanted.
    pub fn start<S: Store>(options: Options<S>, tasks: &Tasks) -> Self {
        let Options {
            store,
            snapshot,
            serve,
            alerts,
            writer,
        } = options;
        let follower = follow::Follower::new(store.clone(), snapshot, serve, (alerts, writer.is_some()));
        let view = follower.view();
        tasks.spawn(follower.run(tasks.clone()));
        let requests = writer.map(|readers| {
            let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
            let decider = transact::Decider {
                store: store.clone(),
                view: view.clone(),
                readers,
            };
            tasks.spawn(decider.run(waiting, tasks.clone()));
            let (beginning, stop) = (genesis::begin_history(store.clone(), view.clone()), tasks.clone());
            tasks.spawn(async move {
                stop.unless_stopped(beginning).await;
            });
            requests
        });
        Self {
            view,
            history: Arc::new(store),
            requests,
        }
    }

    /// What this process serves now. Its gateway, if it has one, has already swapped.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The same, with news of changes.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Waits until this process serves a revision; whether it came to that.
    pub async fn reached(&self, revision: u64, within: Duration) -> bool {
        let mut view = self.view.clone();
        let reached = view.wait_for(|view| view.revision() >= revision);
        matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_)))
    }

    /// Decides a command on the current state, appends what comes of it and returns when this process serves it.
    /// Dropping the future does not take the command back.
    pub async fn transact(&self, transaction: Transaction) -> Result<Committed, TransactError> {
        self.transact_telling(transaction, None).await
    }

    /// The same, and tells how far it is.
    pub async fn transact_telling(
        &self,
        transaction: Transaction,
        progress: Option<watch::Sender<Progress>>,
    ) -> Result<Committed, TransactError> {
        let unavailable = |reason: &str| TransactError::Unavailable {
            reason: reason.to_owned(),
        };
        let requests = self
            .requests
            .as_ref()
            .ok_or_else(|| unavailable("this process only reads the log"))?;
        let (answer, answered) = oneshot::channel();
        let request = transact::Request {
            transaction: transaction.into(),
            progress,
            answer,
        };
        requests
            .send(request)
            .await
            .map_err(|_| unavailable("this process is shutting down"))?;
        answered
            .await
            .unwrap_or_else(|_| Err(unavailable("this process is shutting down")))
    }

    /// The commit of a revision, if there is one that can be read.
    pub async fn commit(&self, revision: u64) -> Result<Option<Recorded>, StoreError> {
        self.history.commit(revision).await
    }

    /// The commits after a revision, then whatever comes. Ends when the log can no longer be read; the caller follows
    /// again from the last revision it got.
    pub async fn follow(&self, after: u64) -> Result<BoxStream<'static, Recorded>, StoreError> {
        Ok(self.history.commits(after).await?.boxed())
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Journal")
            .field("view", &*self.view.borrow())
            .finish_non_exhaustive()
    }
}
