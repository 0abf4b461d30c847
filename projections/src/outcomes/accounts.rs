//! What the tables say of how many outcomes there were, to be held against each other and against the stream.

use std::{collections::HashMap, ops::Range, time::Duration};

use flexgate_schemas::frame::Source;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::{NAME, position::Position, seen::Seen, sources};
use crate::{Error, migrate::late};

pub(super) const STATEMENTS: [&str; 2] = [POSITION, COUNTS];

/// How long the database may take to count its rows.
const COUNT_WITHIN: Duration = Duration::from_mins(10);

const POSITION: &str =
    "SELECT stream_created, sequence FROM flexgate.projection_checkpoint WHERE projection = $1";

/// Hours and days that are kept for a shorter time are held against the longer ones from their own beginning on.
const COUNTS: &str = "
    SELECT
        (SELECT count(*) FROM flexgate.requests),
        (SELECT count(*) FROM flexgate.requests) = (SELECT count(DISTINCT id) FROM flexgate.requests),
        (SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.rollup_weekly),
        (SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.rollup_daily),
        (SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.rollup_hourly),
        (SELECT coalesce(sum(requests), 0)::bigint FROM flexgate.status_hourly),
        (SELECT coalesce(sum(flexgate.sketch_count(latency)), 0)::bigint FROM flexgate.rollup_hourly),
        (SELECT count(*) FROM flexgate.dead_letter WHERE projection = $1),
        (SELECT count(*) FROM flexgate.rollup_closed WHERE restored_through IS NOT NULL)";

/// A row of [`COUNTS`].
type Counts = (i64, bool, i64, i64, i64, i64, i64, i64, i64);

/// What the tables say, all at one moment.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// Up to where the stream was applied.
    pub position: Position,
    /// What has been applied of each source.
    pub sources: HashMap<Source, Taken>,
    /// Rows in `requests`.
    pub rows: u64,
    /// Whether no two of them have the same id.
    pub rows_are_distinct: bool,
    /// Requests in `rollup_weekly`.
    pub weekly: u64,
    /// Requests in `rollup_daily`.
    pub daily: u64,
    /// Requests in `rollup_hourly`.
    pub hourly: u64,
    /// Requests in `status_hourly`.
    pub by_status: u64,
    /// Requests that the sketches of `rollup_hourly` have counted.
    pub in_sketches: u64,
    /// Messages that were put aside.
    pub dead_letters: u64,
    /// Hours whose counts were brought back from ROLLUPS.
    pub restored_hours: u64,
}

/// What has been applied of a source.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    seen: Seen,
    /// How many outcomes.
    pub outcomes: u64,
    /// How many of them have, or had, a row.
    pub rows: u64,
}

impl Taken {
    /// The counters from 0 on that have not been applied, as far as the highest that has.
    pub fn holes(&self) -> &[Range<u64>] {
        self.seen.holes()
    }

    /// The parts of a run that have not been applied.
    pub fn missing(&self, run: &Range<u64>) -> Vec<Range<u64>> {
        self.seen.fresh(run)
    }
}

impl Accounts {
    /// Counts. Reads all of `requests`.
    pub async fn read(connection: &mut PgConnection) -> Result<Self, Error> {
        timeout(COUNT_WITHIN, Self::read_snapshot(connection)).await.map_err(late)?
    }

    async fn read_snapshot(connection: &mut PgConnection) -> Result<Self, Error> {
        let mut snapshot = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let position = sqlx::query_as(POSITION).bind(NAME).fetch_optional(&mut *snapshot).await?;
        let position = position.map_or(Position::default(), |(stream_created, sequence): (_, i64)| Position {
            stream_created,
            sequence: sequence.unsigned_abs(),
        });
        let sources = sources::load(&mut snapshot).await?.into_iter();
        let counts: Counts = sqlx::query_as(COUNTS).bind(NAME).fetch_one(&mut *snapshot).await?;
        let (rows, rows_are_distinct, weekly, daily, hourly, by_status, in_sketches, dead_letters, restored_hours) = counts;
        snapshot.commit().await?;
        Ok(Self {
            position,
            sources: sources
                .map(|(source, progress)| {
                    let taken = Taken {
                        seen: progress.seen,
                        outcomes: progress.outcomes,
                        rows: progress.rows,
                    };
                    (source, taken)
                })
                .collect(),
            rows: rows.unsigned_abs(),
            rows_are_distinct,
            weekly: weekly.unsigned_abs(),
            daily: daily.unsigned_abs(),
            hourly: hourly.unsigned_abs(),
            by_status: by_status.unsigned_abs(),
            in_sketches: in_sketches.unsigned_abs(),
            dead_letters: dead_letters.unsigned_abs(),
            restored_hours: restored_hours.unsigned_abs(),
        })
    }
}
