//! The projection `outcomes`: what became of every request, as rows for days and as counts for years.
//!
//! Frames are folded ([`batch`]) while the batch before is written, so that the database and we work at the same time. A
//! batch is one transaction: its rows, the counts, what has been seen of each source, and the position in the stream.

mod accounts;
mod arrivals;
mod batch;
pub(crate) mod carrying;
mod closing;
mod dead;
mod listed;
mod restoring;
mod retrying;
mod rollups;
mod rows;
mod seen;
mod sources;
mod sums;
mod symbols;
mod writing;

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use chrono::{DateTime, Utc};
use flexgate_schemas::{Timestamp, frame::Delivered, rollup::ClosedHour};
use futures_util::stream::{Stream, StreamExt as _};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use self::batch::{Batch, Fold};
pub(crate) use self::listed::PROJECTION;
pub use self::{
    accounts::{Accounts, Counts, Taken},
    batch::{Dead, Skew},
    closing::{Closing, DueHour},
    dead::LetterId,
    retrying::{Retried, RetryError, retry},
};
use crate::{Error, Pace, Position, Retention, checkpoint, migrate::late, partitions::Partitions, retention};

/// Never changes: the position is kept under it.
const NAME: &str = "outcomes";
/// One more whenever the same frames make other rows.
const VERSION: i32 = 1;

/// How long a batch waits for more frames: most of how late a row is.
const LINGER: Duration = Duration::from_millis(200);
/// How many bytes of frames share a transaction: about fifty thousand outcomes.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How many frames share a transaction, however small they are.
const BATCH_FRAMES_MAX: usize = 1024;
/// How long one transaction may take. A database that is silent for longer is asked again over a new connection.
const APPLY_WITHIN: Duration = Duration::from_mins(1);
/// How long the database may take to say who acts, and what has been seen.
const TAKE_WITHIN: Duration = Duration::from_secs(30);
/// How long years of closed hours may take to come back.
const RESTORE_WITHIN: Duration = Duration::from_mins(30);
/// How often partitions are looked after.
const KEEP_HOUSE_EVERY: Duration = Duration::from_mins(1);
/// How many messages are applied one by one after a batch that the database refused: the one that it refused is among them.
const CAREFUL_MESSAGES: usize = 2 * BATCH_FRAMES_MAX;

pub(crate) fn statements() -> impl Iterator<Item = &'static str> {
    sources::STATEMENTS
        .into_iter()
        .chain(rollups::STATEMENTS)
        .chain(accounts::STATEMENTS)
        .chain(closing::STATEMENTS)
        .chain(restoring::STATEMENTS)
        .chain(dead::STATEMENTS)
        .chain(retrying::STATEMENTS)
}

/// The projector that acts: of several, the one that holds the lock. Should two ever believe that they do, only the
/// later one's transactions commit. After an error it is dropped, and another one begins at the position.
#[derive(Debug)]
pub struct OutcomeProjector {
    connection: PgConnection,
    position: Position,
    /// Which of those that took over it is.
    epoch: i64,
    fold: Fold,
    retention: Retention,
    partitions: Partitions,
    /// How many messages are still applied one by one.
    careful: usize,
    pace: Pace,
    house_kept: Option<Instant>,
}

/// What a transaction has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Up to where.
    pub position: Position,
    /// When the server stored the last message.
    pub stored_at: Timestamp,
    /// Messages.
    pub messages: usize,
    /// Outcomes that count now and did not before.
    pub outcomes: u64,
    /// How many of them have a row.
    pub rows: u64,
    /// Outcomes that had been applied before.
    pub repeated: u64,
    /// Messages that could not be applied and are kept as dead letters.
    pub dead: Vec<Dead>,
    /// The clock that is furthest from the server's, if one is more than a minute off.
    pub skew: Option<Skew>,
}

impl OutcomeProjector {
    /// The projection's name, as the checkpoint, metrics and alerts have it.
    pub const NAME: &str = NAME;

    /// Whether the projector with this connection may act. No: another one does; ask again.
    pub async fn may_act(connection: &mut PgConnection) -> Result<bool, Error> {
        let asking = checkpoint::lock(connection, NAME);
        timeout(TAKE_WITHIN, asking).await.map_err(late)?
    }

    /// Takes over, with a connection that [may](Self::may_act).
    pub async fn take_over(mut connection: PgConnection, retention: Retention) -> Result<Self, Error> {
        let taking = async {
            let (position, epoch) = Position::take(&mut connection, NAME, VERSION).await?;
            let sources = sources::load(&mut connection).await?;
            let complete = restoring::load(&mut connection, position.stream_created).await?;
            let partitions = Partitions::load(&mut connection).await?;
            Ok::<_, Error>((position, epoch, Fold { sources, complete }, partitions))
        };
        let (position, epoch, fold, partitions) = timeout(TAKE_WITHIN, taking).await.map_err(late)??;
        Ok(Self {
            connection,
            position,
            epoch,
            fold,
            retention,
            partitions,
            careful: 0,
            pace: Pace::FULL,
            house_kept: None,
        })
    }

    /// Applies the next messages one by one, so that the one which the database refuses becomes a dead letter and no other.
    /// For after an error that [stops](Error::stops).
    #[must_use]
    pub fn careful(mut self) -> Self {
        self.careful = CAREFUL_MESSAGES;
        self
    }

    /// Rests in between.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Up to where the stream has been applied.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether nothing was ever applied.
    pub fn is_new(&self) -> bool {
        self.position.stream_created.is_none()
    }

    /// Brings back what was counted before the frames that are left: the newest version of every closed hour, each with
    /// all of its parts. For a projector that [is new](Self::is_new), and about to read the stream that was created then.
    pub async fn restore(
        &mut self,
        stream_created: DateTime<Utc>,
        hours: impl IntoIterator<Item = Vec<ClosedHour>>,
    ) -> Result<(), Error> {
        let restoring = self.restore_all(stream_created, hours);
        timeout(RESTORE_WITHIN, restoring).await.map_err(late)?
    }

    async fn restore_all(
        &mut self,
        stream_created: DateTime<Utc>,
        hours: impl IntoIterator<Item = Vec<ClosedHour>>,
    ) -> Result<(), Error> {
        let to = Position {
            stream_created: Some(stream_created),
            sequence: self.position.sequence,
        };
        let mut transaction = self.connection.begin().await?;
        self.position
            .advance(&to, (NAME, self.epoch), &mut transaction)
            .await?;
        for parts in hours {
            rollups::merge(&mut transaction, &restoring::counts(&parts)).await?;
            if let Some(first) = parts.first() {
                restoring::note(&mut transaction, first).await?;
            }
        }
        transaction.commit().await?;
        self.position = to;
        self.fold.complete = restoring::load(&mut self.connection, to.stream_created).await?;
        Ok(())
    }

    /// Applies the messages of a stream that was created then, in order, until they end. Tells `applied` after each
    /// transaction.
    pub async fn run(
        &mut self,
        stream_created: DateTime<Utc>,
        messages: impl Stream<Item = Delivered>,
        mut applied: impl FnMut(&Applied),
    ) -> Result<(), Error> {
        if self.position.stream_created != Some(stream_created) {
            self.fold.complete.clear(); // sequences of another stream
        }
        let mut messages = pin!(messages.fuse());
        while self.careful > 0 {
            let Some(message) = messages.next().await else {
                return Ok(());
            };
            let began = Instant::now();
            let done = self.apply_one(stream_created, message).await?;
            applied(&done);
            self.careful -= 1;
            self.pace.rest(began.elapsed()).await;
        }
        // One batch waits while one is written and one is folded: the three most that are in memory.
        let (folded, mut batches) = mpsc::channel(1);
        let fold = std::mem::take(&mut self.fold);
        let folding = fold_all(fold, messages.as_mut(), self.pace, folded);
        let applying = async {
            let mut worked = Duration::ZERO;
            while let Some((batch, folded_in)) = batches.recv().await {
                self.pace.rest(worked + folded_in).await; // in which the one after it is folded
                let began = Instant::now();
                let done = self.apply(stream_created, batch).await?;
                applied(&done);
                worked = began.elapsed();
            }
            Ok::<_, Error>(())
        };
        let (fold, ()) = tokio::try_join!(async { Ok(folding.await) }, applying)?;
        self.fold = fold;
        Ok(())
    }

    /// A message that the database refuses is put aside.
    async fn apply_one(
        &mut self,
        stream_created: DateTime<Utc>,
        message: Delivered,
    ) -> Result<Applied, Error> {
        let mut fold = self.fold.clone();
        match self.apply(stream_created, fold.fold(vec![message.clone()])).await {
            Err(Error::Inapplicable { error, .. }) => {
                let dead = Batch {
                    first: message.sequence,
                    through: message.sequence,
                    messages: 1,
                    stored_at: message.stored_at,
                    dead: vec![Dead {
                        message,
                        error: error.to_string(),
                    }],
                    ..Batch::default()
                };
                self.apply(stream_created, dead).await
            }
            done => {
                self.fold = fold;
                done
            }
        }
    }

    async fn apply(&mut self, stream_created: DateTime<Utc>, batch: Batch) -> Result<Applied, Error> {
        let to = Position {
            stream_created: Some(stream_created),
            sequence: batch.through,
        };
        let mut done = Applied {
            position: to,
            stored_at: batch.stored_at,
            messages: batch.messages,
            outcomes: batch.outcomes,
            rows: batch.rows.count(),
            repeated: batch.repeated,
            dead: Vec::new(),
            skew: batch.skew.clone(),
        };
        let writing = async {
            self.keep_house().await?;
            self.transact(to, batch).await
        };
        done.dead = timeout(APPLY_WITHIN, writing).await.map_err(late)??;
        self.position = to;
        Ok(done)
    }

    /// All of the batch, or nothing. Returns what was put aside.
    async fn transact(&mut self, to: Position, mut batch: Batch) -> Result<Vec<Dead>, Error> {
        let refused = |error| Error::of_event(to.sequence, error);
        let (hours, per_second) = (batch.rows.hours(), batch.rows.per_second());
        self.partitions
            .ensure(&mut self.connection, hours, per_second)
            .await?;
        let mut transaction = self.connection.begin().await?;
        // The fence first: whoever is behind it does no work, and two never wait for each other's rows.
        self.position
            .advance(&to, (NAME, self.epoch), &mut transaction)
            .await?;
        writing::write(&mut transaction, to.stream_created, &mut batch)
            .await
            .map_err(refused)?;
        for dead in &batch.dead {
            dead::put(&mut transaction, to.stream_created, dead)
                .await
                .map_err(refused)?;
        }
        transaction.commit().await?;
        Ok(batch.dead)
    }

    async fn keep_house(&mut self) -> Result<(), Error> {
        if self.house_kept.is_some_and(|at| at.elapsed() < KEEP_HOUSE_EVERY) {
            return Ok(());
        }
        let kept = retention::keep_house(&mut self.connection, self.retention, Utc::now()).await?;
        self.partitions.forget(&kept.dropped);
        self.house_kept = Some(Instant::now());
        Ok(())
    }
}

/// Folds what comes, and says how long that took, until nothing more comes or nobody takes it.
async fn fold_all(
    mut fold: Fold,
    mut messages: Pin<&mut impl Stream<Item = Delivered>>,
    pace: Pace,
    folded: mpsc::Sender<(Batch, Duration)>,
) -> Fold {
    loop {
        let chunk = gather(messages.as_mut(), pace.portion(BATCH_BYTES_MAX)).await;
        if chunk.is_empty() {
            return fold;
        }
        let began = Instant::now();
        let (ahead, batch) = fold.fold_aside(chunk).await;
        fold = ahead;
        if folded.send((batch, began.elapsed())).await.is_err() {
            return fold;
        }
    }
}

/// What shares a transaction; nothing when nothing more comes.
async fn gather(mut messages: Pin<&mut impl Stream<Item = Delivered>>, bytes_max: usize) -> Vec<Delivered> {
    let Some(first) = messages.next().await else {
        return Vec::new();
    };
    let deadline = Instant::now() + LINGER;
    let mut bytes = first.message.payload.len();
    let mut chunk = vec![first];
    while bytes < bytes_max && chunk.len() < BATCH_FRAMES_MAX {
        match timeout_at(deadline, messages.next()).await {
            Ok(Some(message)) => {
                bytes += message.message.payload.len();
                chunk.push(message);
            }
            Ok(None) | Err(_) => break,
        }
    }
    chunk
}
