//! What projections have in common that make rows of the messages of a stream, one after the other, of a stream that lets go
//! of what is old.

use std::{fmt, marker::PhantomData, pin::pin, slice, time::Duration};

use chrono::{DateTime, Utc};
use flexgate_schemas::frame::Delivered;
use futures_util::stream::{Stream, StreamExt as _};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, timeout};

use crate::{Error, Pace, Position, checkpoint, migrate::late};

/// How many messages that are there already share a transaction.
const BATCH_MAX: usize = 256;
/// How long one transaction may take.
const APPLY_WITHIN: Duration = Duration::from_secs(30);
/// How long the database may take to say who acts.
const TAKE_WITHIN: Duration = Duration::from_secs(10);

/// A projection that makes rows of messages.
pub trait Messages: Send + Sync + 'static {
    /// Never changes: the position is kept under it, and metrics and alerts call it so.
    const NAME: &str;
    /// One more whenever the same messages make other rows.
    const VERSION: i32;

    /// Makes rows of a message of a stream that was created then. The same message may come again.
    fn keep(
        transaction: &mut PgConnection,
        stream_created: DateTime<Utc>,
        message: &Delivered,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The projector that acts: of several, the one that holds the lock. Should two ever believe that they do, only the
/// later one's transactions commit. After an error it is dropped, and another one begins at the position.
pub struct MessageProjector<P> {
    connection: PgConnection,
    position: Position,
    /// Which of those that took over it is.
    epoch: i64,
    pace: Pace,
    _projection: PhantomData<P>,
}

impl<P: Messages> MessageProjector<P> {
    /// The projection's name, as the checkpoint, metrics and alerts have it.
    pub const NAME: &str = P::NAME;

    /// Whether the projector with this connection may act. No: another one does; ask again.
    pub async fn may_act(connection: &mut PgConnection) -> Result<bool, Error> {
        let asking = checkpoint::lock(connection, P::NAME);
        timeout(TAKE_WITHIN, asking).await.map_err(late)?
    }

    /// Takes over, with a connection that [may](Self::may_act).
    pub async fn take_over(mut connection: PgConnection) -> Result<Self, Error> {
        let taking = Position::take(&mut connection, P::NAME, P::VERSION);
        let (position, epoch) = timeout(TAKE_WITHIN, taking).await.map_err(late)??;
        Ok(Self {
            connection,
            position,
            epoch,
            pace: Pace::FULL,
            _projection: PhantomData,
        })
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

    /// Applies the messages of a stream that was created then, in order, until they end. Tells `applied` after each
    /// transaction.
    pub async fn run(
        &mut self,
        stream_created: DateTime<Utc>,
        messages: impl Stream<Item = Delivered>,
        mut applied: impl FnMut(&Position),
    ) -> Result<(), Error> {
        let mut batches = pin!(messages.ready_chunks(self.pace.portion(BATCH_MAX)));
        while let Some(batch) = batches.next().await {
            let began = Instant::now();
            match self.apply(stream_created, &batch).await {
                // One by one, up to the message that stops it: those before have done nothing wrong.
                Err(error) if error.stops() && batch.len() > 1 => {
                    for message in &batch {
                        self.apply(stream_created, slice::from_ref(message)).await?;
                    }
                }
                outcome => outcome?,
            }
            applied(&self.position);
            self.pace.rest(began.elapsed()).await;
        }
        Ok(())
    }

    async fn apply(&mut self, stream_created: DateTime<Utc>, batch: &[Delivered]) -> Result<(), Error> {
        timeout(APPLY_WITHIN, self.transact(stream_created, batch))
            .await
            .map_err(late)?
    }

    /// All of the batch, or nothing.
    async fn transact(&mut self, stream_created: DateTime<Utc>, batch: &[Delivered]) -> Result<(), Error> {
        let Some(last) = batch.last() else { return Ok(()) };
        let to = Position {
            stream_created: Some(stream_created),
            sequence: last.sequence,
        };
        let mut transaction = self.connection.begin().await?;
        // The fence first: whoever is behind it does no work, and two never wait for each other's rows.
        self.position
            .advance(&to, (P::NAME, self.epoch), &mut transaction)
            .await?;
        for message in batch {
            P::keep(&mut transaction, stream_created, message).await?;
        }
        transaction.commit().await?;
        self.position = to;
        Ok(())
    }
}

impl<P> fmt::Debug for MessageProjector<P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MessageProjector")
            .field("position", &self.position)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// A text of PostgreSQL has no NUL.
pub(crate) fn readable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
