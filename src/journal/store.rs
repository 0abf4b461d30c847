//! What the journal asks of a log: guarded appends, reads, and a subscription that never skips.
//!
//! Two stores keep this contract, [`super::memory`] and [`super::jetstream`]; one suite of tests holds both to it.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use flexgate_schemas::Timestamp;

/// A message as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place; the first is 1.
    pub sequence: u64,
    /// The subject after `<prefix>.config.`: `route.<id>`, `log.<commit>`, `part.<commit>.<n>`.
    pub subject: Arc<str>,
    /// The bytes the chain hashes.
    pub payload: Bytes,
    /// When the store took it, by the store's clock.
    pub stored_at: Timestamp,
}

/// A message to append.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// As in [`Record::subject`].
    pub subject: String,
    /// The same for every retry of one append.
    pub id: String,
    /// CloudEvents attributes.
    pub headers: Vec<(&'static str, String)>,
    /// The stored bytes.
    pub payload: Bytes,
}

/// The ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The oldest sequence that is still there; 1 while there is none.
    pub first: u64,
    /// The last sequence ever given; 0 before the first.
    pub last: u64,
}

/// Why an append has no sequence to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else was first. The log's last sequence, if the store told.
    #[error("another writer was first")]
    Conflict,
    /// Nothing was sent: there is no connection.
    #[error("{0}")]
    NotSent(String),
    /// It may or may not have landed.
    #[error("no answer from the log: {0}")]
    Unknown(String),
    /// The store said no and may say yes later.
    #[error("the log cannot take it now: {0}")]
    Busy(String),
    /// The store is at a limit.
    #[error("the log is full: {0}")]
    Full(String),
    /// The message is larger than the store takes.
    #[error("the commit has {bytes} bytes, the log takes at most {limit}")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What would fit.
        limit: usize,
    },
}

/// Why a read or a subscription failed; the caller tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no connection.
    #[error("{0}")]
    Disconnected(String),
    /// The log does not exist.
    #[error("the stream {0} does not exist; `flexgate streams apply` makes it")]
    Missing(String),
    /// Anything else the store said.
    #[error("{0}")]
    Failed(String),
}

/// A log of messages, numbered without gaps as readers see them.
pub trait Store: Clone + Send + Sync + 'static {
    /// What reads from a place on.
    type Subscription: Subscription;

    /// Appends if the log's last sequence is `expected_last`, and answers the new one. A repetition with the same id
    /// and expectation answers the first one's sequence, or [`AppendError::Conflict`].
    fn append(
        &self,
        message: &Outgoing,
        expected_last: u64,
    ) -> impl Future<Output = Result<u64, AppendError>> + Send;

    /// Where the log begins and ends.
    fn head(&self) -> impl Future<Output = Result<Head, StoreError>> + Send;

    /// One message; `None` when there is none of this sequence.
    fn read(&self, sequence: u64) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Everything after a sequence, then whatever comes.
    fn subscribe(&self, after: u64) -> impl Future<Output = Result<Self::Subscription, StoreError>> + Send;

    /// Resolves when the store can be asked again, at once if it can be now. Cancel-safe.
    fn connected(&self) -> impl Future<Output = ()> + Send;

    /// Resolves when the connection is lost. Cancel-safe.
    fn disconnected(&self) -> impl Future<Output = ()> + Send;
}

/// A reader at a place in the log.
pub trait Subscription: Send {
    /// The next message. Its sequence is the one after the last; any gap, rewind or long silence is an error, after
    /// which the subscription is dropped. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Record, StoreError>> + Send;

    /// The next message if it is here already.
    fn ready(&mut self) -> Option<Result<Record, StoreError>>;
}
