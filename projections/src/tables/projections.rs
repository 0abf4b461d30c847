//! How the projections are: how far, how fast, and whether they are being made anew.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::Tables;
use crate::{Error, LetterId};

pub(super) const STATEMENTS: [&str; 2] = [LIST, LETTERS];

/// Whoever has not reported for ten seconds is gone.
const LIST: &str = "
    SELECT p.name, c.sequence AS position, c.stopped_because, s.node, s.waiting, s.lag_seconds, s.per_second,
        (SELECT count(*) FROM flexgate.dead_letter d WHERE d.projection = p.name) AS dead_letters,
        CASE WHEN r.phase NOT IN ('done', 'failed') AND r.reported_at < now() - interval '10 seconds'
            THEN to_jsonb(r) || '{\"phase\": \"failed\", \"reason\": \"it was interrupted: its process ended\"}'
            ELSE to_jsonb(r) END AS rebuild
    FROM unnest($1::text[]) WITH ORDINALITY AS p(name, place)
    LEFT JOIN flexgate.projection_checkpoint c ON c.projection = p.name
    LEFT JOIN flexgate.projection_status s ON s.projection = p.name AND s.reported_at > now() - interval '10 seconds'
    LEFT JOIN flexgate.projection_rebuilds r ON r.projection = p.name
    ORDER BY p.place";

const LETTERS: &str = "
    SELECT stream_created, sequence, stored_at, noticed_at, error, length(payload) AS bytes FROM flexgate.dead_letter
    WHERE projection = $1 ORDER BY stream_created DESC, sequence DESC LIMIT $2";

/// A projection, as the tables know it.
#[derive(Debug)]
pub struct ProjectionEntry {
    /// Its name.
    pub name: String,
    /// The sequence that it has come to; none if it was never kept.
    pub position: Option<i64>,
    /// Why it has stopped, if it has.
    pub stopped_because: Option<String>,
    /// The node that keeps it, if one does.
    pub node: Option<String>,
    /// How many messages it has yet to apply.
    pub waiting: Option<i64>,
    /// How many seconds ago it had applied everything.
    pub lag_seconds: Option<f64>,
    /// How many messages it applies a second.
    pub per_second: Option<f64>,
    /// How many messages it has put aside.
    pub dead_letters: i64,
    /// The last time that it was made anew: a row of `projection_rebuilds`.
    pub rebuild: Option<Value>,
}

/// A message that could not be applied, without what is in it.
#[derive(Debug)]
pub struct DeadLetterEntry {
    /// Which.
    pub id: LetterId,
    /// Its sequence in the stream.
    pub sequence: i64,
    /// When it was stored there.
    pub stored_at: DateTime<Utc>,
    /// When it was put aside.
    pub noticed_at: DateTime<Utc>,
    /// Why.
    pub error: String,
    /// How long it is.
    pub bytes: i32,
}

impl Tables {
    /// The projections of these names, in their order.
    pub async fn projections(&self, names: &[&str]) -> Result<Vec<ProjectionEntry>, Error> {
        Ok(sqlx::query_as(LIST).bind(names).fetch_all(&self.pool).await?)
    }

    /// What a projection has put aside, the newest first, at most so many.
    pub async fn dead_letters(&self, projection: &str, limit: u16) -> Result<Vec<DeadLetterEntry>, Error> {
        type Row = (DateTime<Utc>, i64, DateTime<Utc>, DateTime<Utc>, String, i32);
        let rows: Vec<Row> = sqlx::query_as(LETTERS)
            .bind(projection)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        let letters = rows
            .into_iter()
            .map(
                |(created, sequence, stored_at, noticed_at, error, bytes)| DeadLetterEntry {
                    id: LetterId {
                        stream_created: created,
                        sequence: sequence.unsigned_abs(),
                    },
                    sequence,
                    stored_at,
                    noticed_at,
                    error,
                    bytes,
                },
            );
        Ok(letters.collect())
    }
}

impl FromRow<'_, PgRow> for ProjectionEntry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            position: row.try_get("position")?,
            stopped_because: row.try_get("stopped_because")?,
            node: row.try_get("node")?,
            waiting: row.try_get("waiting")?,
            lag_seconds: row.try_get("lag_seconds")?,
            per_second: row.try_get("per_second")?,
            dead_letters: row.try_get("dead_letters")?,
            rebuild: row.try_get("rebuild")?,
        })
    }
}
