//! Up to where a projection has been applied, and who may move it.

use flexgate_schemas::{Chain, ClusterId, commit::Recorded};
use sqlx::PgConnection;

use crate::Error;

pub(crate) const STATEMENTS: [&str; 4] = [LOCK, NOTICE_LOSS, TAKE, ADVANCE];

/// Held by the connection of the projector that acts; it goes when that connection does.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('flexgate ' || $1, 0))";

/// Within four seconds the server finds out that the host of this session is gone, and ends it: by default that takes it two
/// hours, for which nobody else could act.
const NOTICE_LOSS: &str = "
    SELECT set_config('tcp_keepalives_idle', '1', false), set_config('tcp_keepalives_interval', '1', false),
        set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '4000', false)";

/// Another version begins again from nothing, but stays with its cluster. No row comes back from a later version's.
const TAKE: &str = "
    INSERT INTO projection_checkpoint AS held (projection, version) VALUES ($1, $2)
    ON CONFLICT (projection) DO UPDATE SET
        version = EXCLUDED.version,
        generation = CASE WHEN held.version = EXCLUDED.version THEN held.generation ELSE EXCLUDED.generation END,
        sequence = CASE WHEN held.version = EXCLUDED.version THEN held.sequence ELSE EXCLUDED.sequence END,
        chain = CASE WHEN held.version = EXCLUDED.version THEN held.chain ELSE EXCLUDED.chain END,
        epoch = held.epoch + 1
    WHERE held.version <= EXCLUDED.version
    RETURNING cluster, generation, sequence, chain, epoch";

/// The fence: it moves only for the projector that took it last, and only from where that one has left it.
const ADVANCE: &str = "
    UPDATE projection_checkpoint
    SET cluster = $4, generation = $5, sequence = $6, chain = $7, updated_at = now()
    WHERE projection = $1 AND epoch = $2 AND sequence = $3";

/// Up to where a projection has been applied; the default is: nowhere yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// Whose log it is; `None` until a history was read.
    pub cluster: Option<ClusterId>,
    /// Which history of it; 0 before any.
    pub generation: u64,
    /// The sequence of the last commit that was applied; 0 before the first.
    pub sequence: u64,
    /// The chain up to and with that commit.
    pub chain: Chain,
}

/// What a commit is to a projection that has come to some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It was the last to be applied.
    Known,
    /// It is the next.
    Next,
    /// A history begins with it: everything that was applied before is void.
    Beginning,
}

impl Checkpoint {
    /// Whether this commit is the last that was applied. What follows it in the log then continues what was projected.
    pub fn holds(&self, commit: &Recorded) -> bool {
        self.sequence == commit.revision && self.chain == commit.chain
    }

    /// What a commit is, seen from here; an error if it does not continue what was projected.
    pub(crate) fn turn(&self, recorded: &Recorded) -> Result<Turn, Error> {
        let commit = &recorded.commit;
        let ours = self.cluster.as_ref().is_none_or(|own| *own == commit.cluster);
        let continues = commit.generation == self.generation && commit.parent == self.chain;
        if ours && commit.is_genesis() && commit.generation > self.generation {
            Ok(Turn::Beginning)
        } else if ours && self.holds(recorded) {
            Ok(Turn::Known)
        } else if ours && continues && recorded.revision > self.sequence {
            Ok(Turn::Next)
        } else {
            Err(Error::Discontinued {
                found: recorded.revision,
                sequence: self.sequence,
                generation: self.generation,
            })
        }
    }

    pub(crate) fn after(recorded: &Recorded) -> Self {
        Self {
            cluster: Some(recorded.commit.cluster.clone()),
            generation: recorded.commit.generation,
            sequence: recorded.revision,
            chain: recorded.chain,
        }
    }

    /// Takes over the checkpoint of a projection: where it is, and the epoch that begins with this.
    pub(crate) async fn take(
        connection: &mut PgConnection,
        projection: &'static str,
        version: i32,
    ) -> Result<(Self, i64), Error> {
        let held: Option<(Option<String>, i64, i64, String, i64)> = sqlx::query_as(TAKE)
            .bind(projection)
            .bind(version)
            .fetch_optional(connection)
            .await?;
        let (cluster, generation, sequence, chain, epoch) = held.ok_or(Error::Newer { projection })?;
        let checkpoint = Self {
            cluster: cluster.map(|id| id.parse().map_err(unreadable)).transpose()?,
            generation: generation.try_into().map_err(unreadable)?,
            sequence: sequence.try_into().map_err(unreadable)?,
            chain: chain.parse().map_err(unreadable)?,
        };
        Ok((checkpoint, epoch))
    }

    /// Moves a checkpoint from here, as part of a transaction.
    pub(crate) async fn advance(
        &self,
        to: &Self,
        projection: &'static str,
        epoch: i64,
        transaction: &mut PgConnection,
    ) -> Result<(), Error> {
        let inapplicable = |error| Error::of_event(to.sequence, error);
        let moved = sqlx::query(ADVANCE)
            .bind(projection)
            .bind(epoch)
            .bind(bigint(self.sequence).map_err(inapplicable)?)
            .bind(to.cluster.as_ref().map(ClusterId::as_str))
            .bind(bigint(to.generation).map_err(inapplicable)?)
            .bind(bigint(to.sequence).map_err(inapplicable)?)
            .bind(to.chain.to_string())
            .execute(transaction)
            .await?;
        if moved.rows_affected() == 1 {
            Ok(())
        } else {
            Err(Error::Fenced)
        }
    }
}

/// Whether this connection is the one whose projector acts: the first that asks, until it is closed.
pub(crate) async fn lock(connection: &mut PgConnection, projection: &'static str) -> Result<bool, Error> {
    let acts = sqlx::query_scalar(LOCK)
        .bind(projection)
        .fetch_one(&mut *connection)
        .await?;
    if acts {
        sqlx::query(NOTICE_LOSS).execute(connection).await?;
    }
    Ok(acts)
}

/// SQL has no unsigned numbers.
pub(crate) fn bigint(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// What stands in the database and should not.
pub(crate) fn unreadable(error: impl Into<sqlx::error::BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
