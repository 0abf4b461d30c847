//! Up to where a projection has read a stream that lets go of what is old, and who may move it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{Error, checkpoint::bigint};

pub(crate) const STATEMENTS: [&str; 4] = [READ, TAKE, VERSION, ADVANCE];

const READ: &str = "SELECT stream_created, sequence FROM projection_checkpoint WHERE projection = $1";

/// No row comes back from another version's: its rows would have to be made anew.
const TAKE: &str = "
    INSERT INTO projection_checkpoint AS held (projection, version) VALUES ($1, $2)
    ON CONFLICT (projection) DO UPDATE SET epoch = held.epoch + 1 WHERE held.version = EXCLUDED.version
    RETURNING stream_created, sequence, epoch";

const VERSION: &str = "SELECT version FROM projection_checkpoint WHERE projection = $1";

/// The fence: it moves only for the projector that took it last, and only from where that one has left it.
const ADVANCE: &str = "
    UPDATE projection_checkpoint
    SET stream_created = $4, sequence = $5, updated_at = now()
    WHERE projection = $1 AND epoch = $2 AND sequence = $3";

/// A place in a stream; the default is before any.
///
/// Sequences begin anew when a stream is made anew, so they mean nothing without the time of its creation. To read from too
/// early a place does no harm: what was applied before is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// When the stream was created, to the microsecond; `None` before any was read.
    pub stream_created: Option<DateTime<Utc>>,
    /// The sequence of the last message that was applied; 0 before the first.
    pub sequence: u64,
}

impl Position {
    /// Where the projection is, for who only looks.
    pub(crate) async fn read(
        connection: &mut PgConnection,
        projection: &'static str,
    ) -> Result<Self, sqlx::Error> {
        let held: Option<(_, i64)> = sqlx::query_as(READ)
            .bind(projection)
            .fetch_optional(connection)
            .await?;
        Ok(held.map_or(Self::default(), |(stream_created, sequence)| Self {
            stream_created,
            sequence: sequence.unsigned_abs(),
        }))
    }

    /// Takes over: where the projection is, and the epoch that begins with this.
    pub(crate) async fn take(
        connection: &mut PgConnection,
        projection: &'static str,
        version: i32,
    ) -> Result<(Self, i64), Error> {
        let held: Option<(Option<DateTime<Utc>>, i64, i64)> = sqlx::query_as(TAKE)
            .bind(projection)
            .bind(version)
            .fetch_optional(&mut *connection)
            .await?;
        let Some((stream_created, sequence, epoch)) = held else {
            return Err(Self::of_another_version(connection, projection, version).await?);
        };
        let sequence = u64::try_from(sequence).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok((
            Self {
                stream_created,
                sequence,
            },
            epoch,
        ))
    }

    /// Why it cannot be taken over.
    async fn of_another_version(
        connection: &mut PgConnection,
        projection: &'static str,
        version: i32,
    ) -> Result<Error, sqlx::Error> {
        let held: i32 = sqlx::query_scalar(VERSION)
            .bind(projection)
            .fetch_one(connection)
            .await?;
        Ok(if held < version {
            Error::Older { projection }
        } else {
            Error::Newer { projection }
        })
    }

    /// Moves on from here, as part of a transaction.
    pub(crate) async fn advance(
        &self,
        to: &Self,
        (projection, epoch): (&'static str, i64),
        transaction: &mut PgConnection,
    ) -> Result<(), Error> {
        let moved = sqlx::query(ADVANCE)
            .bind(projection)
            .bind(epoch)
            .bind(bigint(self.sequence)?)
            .bind(to.stream_created)
            .bind(bigint(to.sequence)?)
            .execute(transaction)
            .await?;
        if moved.rows_affected() == 1 {
            Ok(())
        } else {
            Err(Error::Fenced)
        }
    }
}
