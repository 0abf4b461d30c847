//! The one function that appends: load, decide, append with the expected sequence, and on a conflict decide again.
//!
//! One task does it for the whole process, one transaction after the other, so that our own writers never race each
//! other; against other processes the log's last sequence guards.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use flexgate_schemas::{
    Commit, CommitId, Event, NodeId,
    commit::PARTS_LEVEL,
    envelope::Envelope,
    event::LogFenced,
    parts::{self, PART_BYTES, Part},
    provenance::PROVENANCE_LEVEL,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinError,
    time::{Instant, sleep, timeout_at},
};
use uuid::Uuid;

use self::storing::Stored;
use super::{
    Committed, Progress, Status, TransactError, Transaction, View,
    store::{AppendError, Outgoing, Store},
};
use crate::{
    domain::{self, Decision},
    drain::Tasks,
};

mod repetition;
mod storing;

/// For how long a transaction is decided anew because other processes were first. A time and not a number of attempts:
/// under load a process can lose a dozen races in a few milliseconds.
const CONTENTION_DEADLINE: Duration = Duration::from_secs(5);
/// The same for a large change set, which takes seconds to decide.
const LARGE_CONTENTION_DEADLINE: Duration = Duration::from_secs(30);
/// By how much more a loser waits after each lost race, at random, before it decides again. A fraction of what an append
/// takes: who waits longer than the winner never wins.
const CONTENTION_PAUSE: Duration = Duration::from_micros(100);
/// The longest such pause.
const CONTENTION_PAUSE_MAX: Duration = Duration::from_millis(5);
/// How long an append whose fate is unknown is repeated: longer than a leader election takes.
const APPEND_DEADLINE: Duration = Duration::from_secs(10);
/// The pause before an append is repeated.
const APPEND_PAUSE: Duration = Duration::from_millis(100);
/// How long our own fold may take to see a commit that the log has acknowledged or refused.
const FOLD_DEADLINE: Duration = Duration::from_secs(5);

/// A transaction and who waits for its end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) transaction: Arc<Transaction>,
    /// Who wants to know how far it is, if somebody does.
    pub(super) progress: Option<watch::Sender<Progress>>,
    pub(super) answer: oneshot::Sender<Result<Committed, TransactError>>,
}

/// The lowest schema level among the members, and whose it is; `None` while there are none.
pub type LowestReader = watch::Receiver<Option<(u32, NodeId)>>;

/// Decides and appends for one process.
pub(super) struct Decider<S> {
    pub(super) store: S,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) readers: LowestReader,
}

/// What became of an append.
enum Fate {
    /// It is in the log.
    Landed,
    /// Another message took its place, so that it never will be.
    Overtaken,
}

impl<S: Store> Decider<S> {
    /// Answers requests until the tasks are stopped; what waits then is answered with an error by the closed channel.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>, tasks: Tasks) {
        while let Some(Some(request)) = tasks.unless_stopped(requests.recv()).await {
            let result = self
                .transact(&request.transaction, request.progress.as_ref())
                .await;
            metrics::counter!("flexgate_commits_total", "result" => result_label(&result)).increment(1);
            // Nobody waits any more: the commit stands all the same.
            let _gone = request.answer.send(result);
        }
    }

    async fn transact(
        &mut self,
        transaction: &Arc<Transaction>,
        progress: Option<&watch::Sender<Progress>>,
    ) -> Result<Committed, TransactError> {
        let tell = |step| progress.map(|progress| progress.send_replace(step));
        let id = CommitId::from_uuid(Uuid::now_v7());
        let patience = if transaction.command.is_large() {
            LARGE_CONTENTION_DEADLINE
        } else {
            CONTENTION_DEADLINE
        };
        let deadline = Instant::now() + patience;
        let (mut attempts, mut stored) = (0, Stored::default());
        loop {
            attempts += 1;
            let view = self.writable_view()?;
            if let Some(repetition) = self.repetition(&view, transaction).await? {
                return Ok(repetition);
            }
            if transaction.after.is_some_and(|seen| seen != view.moment()) {
                return Err(TransactError::Moved {
                    revision: view.revision(),
                });
            }
            tell(Progress::Deciding);
            let (decision, parts) = decide(&view, transaction).await?;
            if decision.events.is_empty() {
                return Ok(unchanged(&view, decision));
            }
            let mut commit = self.commit(&id, &view, transaction, (decision.events, parts.is_some()))?;
            let place = match parts {
                None => Some(view.fold.last_sequence),
                Some(parts) => {
                    commit.parts = self.store(&commit, &parts, &mut stored, tell).await?;
                    self.undisturbed(&view, stored.last()).await
                }
            };
            let fate = match place {
                None => Fate::Overtaken,
                Some(expected_last) => {
                    tell(Progress::Committing);
                    self.append(&outgoing(&commit), &id, expected_last).await?
                }
            };
            if matches!(fate, Fate::Landed) {
                let revision = self
                    .revision_of(&id)
                    .await
                    .ok_or_else(|| TransactError::Unknown { commit: id.clone() })?;
                return Ok(Committed {
                    generation: commit.generation,
                    revision,
                    commit: Some(id),
                    at: commit.at,
                    events: commit.events,
                    warnings: decision.warnings,
                    replayed: false,
                });
            }
            if Instant::now() >= deadline {
                return Err(TransactError::Contended { attempts });
            }
            let pause = CONTENTION_PAUSE
                .saturating_mul(attempts)
                .min(CONTENTION_PAUSE_MAX);
            sleep(pause.mul_f64(rand::random())).await;
        }
    }

    /// The log's last sequence once this process has read more than this of it, or what it has read when time is up.
    async fn beyond(&self, sequence: u64) -> u64 {
        let mut view = self.view.clone();
        let caught_up = view.wait_for(|view| view.fold.last_sequence > sequence);
        let _late = timeout_at(Instant::now() + FOLD_DEADLINE, caught_up).await;
        self.view.borrow().fold.last_sequence
    }

    /// The state to decide on, if this process may decide at all.
    fn writable_view(&self) -> Result<Arc<View>, TransactError> {
        let view = self.view.borrow().clone();
        match &view.status {
            Status::Frozen { reason } => Err(TransactError::Frozen {
                reason: reason.clone(),
            }),
            Status::Disconnected { reason } => Err(TransactError::Unavailable {
                reason: reason.clone(),
            }),
            Status::Following if view.generation() == 0 => Err(TransactError::Unavailable {
                reason: "its history has not begun yet".to_owned(),
            }),
            Status::Following => Ok(view),
        }
    }

    fn commit(
        &self,
        id: &CommitId,
        view: &View,
        transaction: &Transaction,
        (events, in_parts): (Vec<Event>, bool),
    ) -> Result<Commit, TransactError> {
        let lowest = self.readers.borrow().clone();
        // Worth knowing, but not worth holding changes back for while nodes are upgraded.
        let provenance = transaction.provenance.clone();
        let provenance = provenance.filter(|_| {
            lowest
                .as_ref()
                .is_none_or(|(level, _)| *level >= PROVENANCE_LEVEL)
        });
        let levels = events.iter().map(Event::reader_level);
        let needed = levels
            .chain(in_parts.then_some(PARTS_LEVEL))
            .chain(provenance.is_some().then_some(PROVENANCE_LEVEL))
            .max()
            .unwrap_or(1);
        if let Some((level, node)) = lowest
            && level < needed
        {
            return Err(TransactError::HeldBack { node, needed });
        }
        let unavailable = || TransactError::Unavailable {
            reason: "its history has not begun yet".to_owned(),
        };
        Ok(Commit {
            id: id.clone(),
            cluster: view.cluster().cloned().ok_or_else(unavailable)?,
            generation: view.generation(),
            parent: view.chain(),
            reader_level: needed,
            actor: transaction.actor.clone(),
            source: transaction.source.clone(),
            reason: transaction.reason.clone(),
            at: Utc::now().into(),
            idempotency: transaction.idempotency.clone(),
            provenance,
            parts: Arc::default(),
            events: events.into(),
        })
    }

    /// Appends one commit and does not give up while its fate is unknown, until the deadline.
    async fn append(
        &self,
        message: &Outgoing,
        id: &CommitId,
        expected_last: u64,
    ) -> Result<Fate, TransactError> {
        let deadline = Instant::now() + APPEND_DEADLINE;
        let mut sent = false;
        loop {
            let reason = match self.store.append(message, expected_last).await {
                Ok(_) => return Ok(Fate::Landed),
                Err(AppendError::Conflict) => return Ok(self.after_conflict(id, expected_last).await),
                Err(AppendError::NotSent(reason)) if !sent => {
                    return Err(TransactError::Unavailable { reason });
                }
                Err(error) => {
                    sent |= matches!(error, AppendError::Unknown(_));
                    reason_to_repeat(error)?
                }
            };
            if Instant::now() >= deadline {
                return if sent {
                    self.fence(id, expected_last).await
                } else {
                    Err(TransactError::Unavailable { reason })
                };
            }
            sleep(APPEND_PAUSE).await;
        }
    }

    /// Whether our own commit is what took the place: an earlier try may have landed unheard.
    async fn after_conflict(&self, id: &CommitId, expected_last: u64) -> Fate {
        // Out of time or closing: the next attempt decides on what is known, and the guard refuses it again.
        self.beyond(expected_last).await;
        let own = self.view.borrow().fold.remembered.revision_of(id).is_some();
        if own { Fate::Landed } else { Fate::Overtaken }
    }

    /// Tries to put a fence in the place of a commit whose fate is unknown. Whichever lands first kills the other.
    async fn fence(&self, id: &CommitId, expected_last: u64) -> Result<Fate, TransactError> {
        let unknown = || TransactError::Unknown { commit: id.clone() };
        let view = self.view.borrow().clone();
        let place = (
            view.cluster().cloned().ok_or_else(unknown)?,
            view.generation(),
            view.chain(),
        );
        let event = Event::LogFenced(LogFenced { commit: id.clone() });
        let fence = Commit::by_system(
            CommitId::from_uuid(Uuid::now_v7()),
            place,
            Utc::now().into(),
            event,
        );
        if view.fold.last_sequence != expected_last {
            return Ok(self.after_conflict(id, expected_last).await);
        }
        match self.store.append(&outgoing(&fence), expected_last).await {
            Ok(_) => Err(TransactError::Unavailable {
                reason: "it did not answer in time".to_owned(),
            }),
            Err(AppendError::Conflict) => Ok(self.after_conflict(id, expected_last).await),
            Err(_) => Err(unknown()),
        }
    }

    /// The revision of a commit that landed, once this process serves it.
    async fn revision_of(&mut self, id: &CommitId) -> Option<u64> {
        let seen = self
            .view
            .wait_for(|view| view.fold.remembered.revision_of(id).is_some());
        let view = timeout_at(Instant::now() + FOLD_DEADLINE, seen)
            .await
            .ok()?
            .ok()?;
        view.fold.remembered.revision_of(id)
    }
}

fn result_label(result: &Result<Committed, TransactError>) -> &'static str {
    match result {
        Ok(committed) if committed.replayed => "replayed",
        Ok(committed) if committed.commit.is_none() => "unchanged",
        Ok(_) => "committed",
        Err(
            TransactError::Refused(_)
            | TransactError::Moved { .. }
            | TransactError::KeyReused
            | TransactError::TooLarge { .. },
        ) => "refused",
        Err(TransactError::Contended { .. } | TransactError::HeldBack { .. }) => "contended",
        Err(TransactError::Unavailable { .. } | TransactError::Frozen { .. } | TransactError::Full) => {
            "unavailable"
        }
        Err(TransactError::Unknown { .. }) => "unknown",
    }
}

/// The answer where there is nothing to do.
fn unchanged(view: &View, decision: Decision) -> Committed {
    Committed {
        generation: view.generation(),
        revision: view.revision(),
        commit: None,
        at: view.fold.at.unwrap_or_default(),
        events: Arc::default(),
        warnings: decision.warnings,
        replayed: false,
    }
}

/// What a transaction comes to, and its events in parts, if they are too many for one message. A large one leaves the
/// thread to others meanwhile.
async fn decide(
    view: &Arc<View>,
    transaction: &Arc<Transaction>,
) -> Result<(Decision, Option<Vec<Part>>), TransactError> {
    let (view, transaction) = (Arc::clone(view), Arc::clone(transaction));
    let is_large = transaction.command.is_large();
    let decide = move || {
        let decision = domain::decide(view.state(), &transaction.command, &transaction.expect)?;
        let parts = parts::cut(&decision.events, PART_BYTES);
        Ok((decision, parts))
    };
    if !is_large {
        return decide();
    }
    let deciding = tokio::task::spawn_blocking(decide);
    match deciding.await.map_err(JoinError::try_into_panic) {
        Ok(decided) => decided,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => Err(TransactError::Unavailable {
            reason: "this process is shutting down".to_owned(),
        }),
    }
}

/// Why an append that failed may be repeated, if it may.
fn reason_to_repeat(error: AppendError) -> Result<String, TransactError> {
    match error {
        AppendError::TooLarge { bytes, limit } => Err(TransactError::TooLarge { bytes, limit }),
        AppendError::Full(reason) => {
            tracing::error!(reason, "the log is full");
            Err(TransactError::Full)
        }
        AppendError::NotSent(reason) | AppendError::Busy(reason) | AppendError::Unknown(reason) => Ok(reason),
        AppendError::Conflict => Ok(AppendError::Conflict.to_string()),
    }
}

/// A commit as a message.
pub(super) fn outgoing(commit: &Commit) -> Outgoing {
    Outgoing {
        subject: commit.subject(),
        id: commit.id.to_string(),
        headers: Envelope::of_commit(commit).headers(),
        payload: commit.to_payload().into(),
    }
}
