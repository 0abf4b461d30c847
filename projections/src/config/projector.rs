//! Takes commits as they come and applies them, rows and checkpoint in one transaction.

use std::{pin::pin, slice, time::Duration};

use flexgate_schemas::commit::Recorded;
use futures_util::stream::{Stream, StreamExt as _};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::{NAME, VERSION, apply, clear};
use crate::{
    Checkpoint, Error, Pace,
    checkpoint::{self, Turn},
    migrate::late,
};

/// How many commits that are there already share a transaction.
const BATCH_MAX: usize = 256;
/// How many events a transaction has at most, unless one commit alone has more.
const EVENTS_MAX: usize = 20_000;
/// How long one transaction may take. A database that is silent for longer is asked again over a new connection.
const APPLY_WITHIN: Duration = Duration::from_mins(2);
/// How long the database may take to say who acts.
const TAKE_WITHIN: Duration = Duration::from_secs(10);

/// The projector that acts: of several, the one that holds the lock. Should two ever believe that they do, only the
/// later one's transactions commit. After an error it is dropped, and another one begins at the checkpoint.
#[derive(Debug)]
pub struct ConfigProjector {
    connection: PgConnection,
    checkpoint: Checkpoint,
    /// Which of those that took over it is.
    epoch: i64,
    pace: Pace,
}

impl ConfigProjector {
    /// The projection's name, as the checkpoint, metrics and alerts have it.
    pub const NAME: &str = NAME;

    /// Whether the projector with this connection may act. No: another one does; ask again.
    pub async fn may_act(connection: &mut PgConnection) -> Result<bool, Error> {
        let asking = checkpoint::lock(connection, NAME);
        timeout(TAKE_WITHIN, asking).await.map_err(late)?
    }

    /// Takes over, with a connection that [may](Self::may_act).
    pub async fn take_over(mut connection: PgConnection) -> Result<Self, Error> {
        let taking = Checkpoint::take(&mut connection, NAME, VERSION);
        let (checkpoint, epoch) = timeout(TAKE_WITHIN, taking).await.map_err(late)??;
        Ok(Self {
            connection,
            checkpoint,
            epoch,
            pace: Pace::FULL,
        })
    }

    /// Rests in between.
    #[must_use]
    pub fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Up to where the tables are filled.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Applies commits, in the order of the log, until they end. The first may be the one at the checkpoint, which is
    /// how a reader proves that the log still continues it. Tells `applied` after each batch.
    pub async fn run(
        &mut self,
        commits: impl Stream<Item = Recorded>,
        mut applied: impl FnMut(&Checkpoint),
    ) -> Result<(), Error> {
        let mut batches = pin!(commits.ready_chunks(self.pace.portion(BATCH_MAX)));
        while let Some(ready) = batches.next().await {
            for batch in transactions(&ready, self.pace.portion(EVENTS_MAX)) {
                match self.apply(batch).await {
                    // One by one, up to the commit that stops it: those before have done nothing wrong.
                    Err(error) if error.stops() && batch.len() > 1 => {
                        for commit in batch {
                            self.apply(slice::from_ref(commit)).await?;
                        }
                    }
                    outcome => outcome?,
                }
                applied(&self.checkpoint);
            }
        }
        Ok(())
    }

    async fn apply(&mut self, batch: &[Recorded]) -> Result<(), Error> {
        let within = self.pace.stretch(APPLY_WITHIN);
        timeout(within, self.transact(batch)).await.map_err(late)?
    }

    /// All of the batch, or nothing.
    async fn transact(&mut self, batch: &[Recorded]) -> Result<(), Error> {
        let mut ahead = self.checkpoint.clone();
        let mut due = Vec::with_capacity(batch.len());
        for recorded in batch {
            let turn = ahead.turn(recorded)?;
            if turn != Turn::Known {
                ahead = Checkpoint::after(recorded);
                due.push((turn, recorded));
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        let mut transaction = self.connection.begin().await?;
        // The fence first: whoever is behind it does no work, and two never wait for each other's rows.
        self.checkpoint
            .advance(&ahead, NAME, self.epoch, &mut transaction)
            .await?;
        for (turn, recorded) in due {
            if turn == Turn::Beginning {
                clear(&mut transaction).await?;
            }
            apply(&mut transaction, recorded, self.pace)
                .await
                .map_err(|error| Error::of_event(recorded.revision, error))?;
        }
        transaction.commit().await?;
        self.checkpoint = ahead;
        Ok(())
    }
}

/// Cuts commits into transactions that do not take for ever.
fn transactions(commits: &[Recorded], events_max: usize) -> impl Iterator<Item = &[Recorded]> {
    let mut events = 0;
    commits.chunk_by(move |before, after| {
        events += before.commit.events.len();
        let fits = events + after.commit.events.len() <= events_max;
        if !fits {
            events = 0;
        }
        fits
    })
}
