//! How the projectors are doing, and how far what is made anew is: in tables, so that whoever asks need not ask them.

use std::time::Duration;

use sqlx::{PgConnection, types::Json};
use tokio::time::timeout;

use crate::{Comparison, Error, Phase, Progress, checkpoint::bigint, migrate::late};

/// How long the database may take to note how a rebuild is. After ten seconds without a note it counts as interrupted.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) const STATEMENTS: [&str; 5] = [REPORT, BEGIN, PROGRESS, END, POSITION];

const REPORT: &str = "
    INSERT INTO flexgate.projection_status AS held (projection, node, waiting, lag_seconds, per_second)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (projection) DO UPDATE SET
        node = EXCLUDED.node, waiting = EXCLUDED.waiting, lag_seconds = EXCLUDED.lag_seconds,
        per_second = EXCLUDED.per_second, reported_at = now()";

const POSITION: &str = "
    SELECT sequence FROM flexgate.projection_checkpoint WHERE projection = $1";

const BEGIN: &str = "
    INSERT INTO flexgate.projection_rebuilds (projection, id, verify, actor, node, phase)
    VALUES ($1, $2, $3, $4, $5, 'reading')
    ON CONFLICT (projection) DO UPDATE SET
        id = EXCLUDED.id, verify = EXCLUDED.verify, actor = EXCLUDED.actor, node = EXCLUDED.node, phase = EXCLUDED.phase,
        done = 0, total = 0, per_second = 0, reason = NULL, result = NULL, started_at = now(), reported_at = now()";

const PROGRESS: &str = "
    UPDATE flexgate.projection_rebuilds
    SET phase = $3, done = $4, total = $5, per_second = $6, reported_at = now()
    WHERE projection = $1 AND id = $2";

const END: &str = "
    UPDATE flexgate.projection_rebuilds
    SET phase = CASE WHEN $3::text IS NULL THEN 'done' ELSE 'failed' END, reason = $3, result = $4, reported_at = now()
    WHERE projection = $1 AND id = $2";

/// How far a projection is, as its projector says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// How many messages it has yet to apply, if that is known.
    pub waiting: Option<u64>,
    /// How many seconds ago it had applied everything that was there, if that is known.
    pub lag_seconds: Option<f64>,
    /// How many messages it has applied a second lately.
    pub per_second: f64,
}

/// Who makes a projection anew, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// An id of this time.
    pub id: String,
    /// Whether it is only compared.
    pub verify: bool,
    /// Who asked for it.
    pub actor: String,
    /// The node that does it.
    pub node: String,
}

impl Standing {
    /// Writes it down.
    pub async fn report(
        &self,
        connection: &mut PgConnection,
        projection: &str,
        node: &str,
    ) -> Result<(), Error> {
        sqlx::query(REPORT)
            .bind(projection)
            .bind(node)
            .bind(self.waiting.map(bigint).transpose()?)
            .bind(self.lag_seconds)
            .bind(self.per_second)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Up to where a projection is applied; none if it was never kept.
pub async fn position(connection: &mut PgConnection, projection: &str) -> Result<Option<u64>, Error> {
    let held: Option<i64> = sqlx::query_scalar(POSITION)
        .bind(projection)
        .fetch_optional(connection)
        .await?;
    Ok(held.map(i64::unsigned_abs))
}

impl Asked {
    /// Writes down that it begins.
    pub async fn begin(&self, connection: &mut PgConnection, projection: &str) -> Result<(), Error> {
        let beginning = sqlx::query(BEGIN)
            .bind(projection)
            .bind(&self.id)
            .bind(self.verify)
            .bind(&self.actor)
            .bind(&self.node)
            .execute(connection);
        soon(beginning).await.map(drop)
    }

    /// Writes down how far it is, and how fast.
    pub async fn progress(
        &self,
        connection: &mut PgConnection,
        projection: &str,
        (progress, per_second): (Progress, f64),
    ) -> Result<(), Error> {
        let reporting = sqlx::query(PROGRESS)
            .bind(projection)
            .bind(&self.id)
            .bind(progress.phase.as_str())
            .bind(bigint(progress.done)?)
            .bind(bigint(progress.total)?)
            .bind(per_second)
            .execute(connection);
        soon(reporting).await.map(drop)
    }

    /// Writes down what it came to.
    pub async fn end(
        &self,
        connection: &mut PgConnection,
        projection: &str,
        done: &Result<Option<Comparison>, Error>,
    ) -> Result<(), Error> {
        let failed = done.as_ref().err().map(Error::without_values);
        let ending = sqlx::query(END)
            .bind(projection)
            .bind(&self.id)
            .bind(failed)
            .bind(done.as_ref().ok().and_then(Option::as_ref).map(Json))
            .execute(connection);
        soon(ending).await.map(drop)
    }
}

async fn soon<T>(asking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    Ok(timeout(ANSWER_WITHIN, asking).await.map_err(late)??)
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Comparing => "comparing",
            Self::Swapping => "swapping",
        }
    }
}
